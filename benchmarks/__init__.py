"""Every speed claim of the README, as a command: `python -m benchmarks.NAME`."""

import logging

# Clients that wait for a broker to start, and Beam's missing extras, are no news here.
logging.basicConfig(level=logging.CRITICAL)
