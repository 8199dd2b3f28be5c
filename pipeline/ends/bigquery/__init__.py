"""Tables of BigQuery, as ends of the graph."""
