"""Apache Flink: what is set and refused, the job while it runs, and what is done with it by REST."""
