"""Dead letters: which of them, why they are, and back to a topic with them."""
