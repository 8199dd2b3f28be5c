#!/opt/newsbeam/bin/python
"""Whether the container's first process does what it is for; the exit code says it.

Its arguments and NEWSBEAM_ variables say which port it has: a worker pool's, which has to take
connections, or that of metrics, where /healthz has to answer. What has no port is well while it runs.
"""

from __future__ import annotations

import argparse
import os
import socket
import sys
import urllib.error
import urllib.request
from pathlib import Path


def port_of(arguments: list[str], name: str, default: str) -> int:
    """A port as a command line says it, or its environment."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument(f"--{name}", dest="port", default=default)
    return int(parser.parse_known_args(arguments)[0].port or 0)


def main() -> int:
    """Asks; returns the exit code."""
    arguments = Path("/proc/1/cmdline").read_text(encoding="utf-8").split("\0")
    if "worker-pool" in arguments:
        pool = port_of(arguments, "port", os.environ.get("NEWSBEAM_WORKER_POOL_PORT", "50000"))
        with socket.create_connection(("127.0.0.1", pool), timeout=3):
            return 0
    metrics = port_of(arguments, "metrics_port", os.environ.get("NEWSBEAM_METRICS_PORT", ""))
    if metrics:
        with urllib.request.urlopen(f"http://127.0.0.1:{metrics}/healthz", timeout=3):
            return 0
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (OSError, urllib.error.URLError) as e:
        print(f"not well: {e}", file=sys.stderr)
        sys.exit(1)
