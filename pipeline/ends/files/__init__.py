"""Files as ends of the graph."""
