"""Cuts rows into micro-batches that waste little on padding; knows no model."""

from __future__ import annotations

from collections.abc import Sequence


def micro_batches(lengths: Sequence[int], *, max_tokens: int, max_rows: int) -> list[list[int]]:
    """Cuts rows into micro-batches of similar length.

    A batch costs its longest row times its rows, since the others are padded to it. Rows are sorted
    by length, longest first (so that the last one to finish is a short one), and a batch is closed
    before it would cost more than `max_tokens` or hold more than `max_rows`.

    Args:
        lengths: The length of each row.
        max_tokens: The most a batch may cost; a longer row is a batch of its own.
        max_rows: The most rows in a batch.

    Returns:
        The batches: each the indices of its rows, longest first. Every row is in exactly one.
    """
    if max_tokens < 1 or max_rows < 1:
        raise ValueError(f"max_tokens={max_tokens}, max_rows={max_rows}: both must be at least 1")
    batches: list[list[int]] = []
    room = 0
    for i in sorted(range(len(lengths)), key=lengths.__getitem__, reverse=True):
        if not room:
            batches.append([])
            room = max(1, min(max_rows, max_tokens // max(1, lengths[i])))
        batches[-1].append(i)
        room -= 1
    return batches
