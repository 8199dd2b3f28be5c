"""Who comes next, where many partitions have records waiting."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)


class Turns(Generic[K]):
    """Shares out what is taken at once.

    Up to half of it goes to those whose records are newest, so that what is up to date stays so,
    whatever the others have to make up for. The rest is shared evenly: what some have no use for goes
    to the others, and where there is not one for each, those come first who have had least (start-time
    fair queueing).
    """

    def __init__(self) -> None:
        self._had: dict[K, int] = {}
        self._least = 0

    def share(self, waiting: Mapping[K, int], times: Mapping[K, int], limit: int) -> dict[K, int]:
        """Says how much to take of each.

        Args:
            waiting: How much there is to be taken of each: 1 or more.
            times: The time of the first of these.
            limit: How much to take in all, at most.

        Returns:
            How much to take, of those who get some.
        """
        shares = dict.fromkeys(waiting, 0)
        left = limit

        def give(k: K, at_most: int) -> None:
            nonlocal left
            given = min(at_most, waiting[k] - shares[k], left)
            shares[k] += given
            left -= given

        for k in sorted(waiting, key=times.__getitem__, reverse=True):
            give(k, left - limit // 2)
        had = {k: max(self._had.get(k, 0), self._least) for k in waiting}
        asking = sorted(waiting, key=had.__getitem__)
        while left and (asking := [k for k in asking if shares[k] < waiting[k]]):
            each = max(1, left // len(asking))
            for k in asking:
                give(k, each)
        for k, share in shares.items():
            had[k] += share
        # Who has had no more than this has no claim that others don't have.
        self._least = min(had.values(), default=self._least)
        self._had |= had
        self._had = {k: n for k, n in self._had.items() if n > self._least}
        return {k: share for k, share in shares.items() if share}
