"""What newsbeam does on Apache Flink: `make test-flink`."""
