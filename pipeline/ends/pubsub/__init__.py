"""Google Cloud Pub/Sub as ends of the graph."""
