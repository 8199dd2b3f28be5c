"""`newsbeam`, which `python -m pipeline` is, too."""

import sys

from pipeline.imports import interruptible


def main() -> int:
    """Runs the command line; returns its exit code, see `pipeline.cli`."""
    with interruptible():
        from pipeline.cli import main as command_line
    return command_line()


if __name__ == "__main__":
    sys.exit(main())
