"""What the bytes of messages hold: a decoder for each format, and the envelopes around items."""
