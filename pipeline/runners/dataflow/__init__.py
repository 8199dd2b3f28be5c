"""Google Cloud Dataflow: what is set and refused, how a job is submitted, and followed to its end."""
