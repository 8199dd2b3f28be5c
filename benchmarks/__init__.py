"""Every speed claim of the README, as a command: `python -m benchmarks.NAME`."""
