"""Watching a run from outside: metrics and their exposition, health, traces."""
