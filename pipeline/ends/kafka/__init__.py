"""Topics of Apache Kafka as ends of the graph."""
