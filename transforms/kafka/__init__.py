"""Kafka in and out, on kafka-python: no JVM, no expansion service."""
