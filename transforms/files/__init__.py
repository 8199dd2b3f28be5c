"""News in files: found by name or pattern, opened by content, read and written bit by bit."""
