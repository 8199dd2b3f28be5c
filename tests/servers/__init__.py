"""Real servers for the tests: Apache Kafka brokers and Beam's Prism, started without Docker.

`fixtures` holds the pytest fixtures; each server has a module of its own. What has to be fetched
or built once lands in a cache folder (`cache`), and every process is stopped by its pid
(`processes`).
"""
