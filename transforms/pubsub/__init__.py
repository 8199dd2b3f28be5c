"""Pub/Sub: reading subscriptions and writing topics, on every runner."""
