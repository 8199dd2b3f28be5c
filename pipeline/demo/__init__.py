"""What `newsbeam demo` needs: an embedded broker, sample news and poison messages."""
