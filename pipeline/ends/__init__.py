"""The ends of the graph: one room for each kind."""
