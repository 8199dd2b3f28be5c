"""What runs: the command line, the options, the graph and its endpoints."""
