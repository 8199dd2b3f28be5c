"""How the default model came to be: from AG News and MiniLM to a bundle."""
