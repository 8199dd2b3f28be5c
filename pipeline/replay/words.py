"""What is said of a replay at its end."""

from __future__ import annotations

from pipeline.printing import printable
from pipeline.replay.replay import CUT, Counts

_OF_CUT = "cut when they were written, so that some of them is missing"


def counted(n: int, what: str) -> str:
    """A number and what it counts: `1 dead letter`, `2 dead letters`."""
    return f"{n:,} {what}" if n == 1 else f"{n:,} {what}s"


def summary(counts: Counts, to: str, *, dry_run: bool = False, left: str = "") -> str:
    """A line that says what became of dead letters.

    Args:
        counts: What became of them.
        to: Where they went.
        dry_run: Whether nothing was written.
        left: What becomes of those that were left out.
    """
    done = "would replay" if dry_run else "replayed"
    line = f"{done} {counts.replayed:,} of {counted(counts.letters, 'dead letter')} to {to}"
    if left_out := counts.left_out.total():
        line += f": {left_out:,} left out ({_by(counts)})"
        if left and not dry_run:
            line += f"; these {left}"
    if counts.strangers:
        what = (
            "record is no dead letter" if counts.strangers == 1 else "records are no dead letters"
        )
        line += f"; {counts.strangers:,} {what} (the first: {printable(counts.a_stranger)})"
    if counts.at_limit:
        line += "; ended at --limit"
    if counts.interrupted:
        line += "; interrupted: run it again to go on"
    return line


def _by(counts: Counts) -> str:
    """What left dead letters out: `15 by --stage, 2 cut when they were written, …`."""
    return ", ".join(
        f"{n:,} by {why}" if why.startswith("--") else f"{n:,} {_OF_CUT if why == CUT else why}"
        for why, n in counts.left_out.most_common()
    )


def of_columns(counts: Counts) -> str | None:
    """What to tell of CSV rows, which don't say what their columns are; None if there is none."""
    if not counts.columns:
        return None
    names = printable(",".join(min(counts.columns)))
    more = (
        "" if len(counts.columns) == 1 else f", and {len(counts.columns) - 1} other sets of columns"
    )
    return f"rows of CSV were replayed: read them with --format csv --columns {names}{more}"
