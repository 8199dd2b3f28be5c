"""What `newsbeam demo` needs: embedded brokers, sample news and poison messages."""
