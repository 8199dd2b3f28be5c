"""What the command line offers to watch a run: its options, and who acts on them."""
