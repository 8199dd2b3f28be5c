"""Hands dead letters from one end to another, and counts what became of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field

from pipeline.ends.letters import Letters, Publisher, Resent
from pipeline.replay.found import Found, NoDeadLetter, found_in
from pipeline.replay.reasons import Groups
from pipeline.replay.which import Sieve
from transforms.records import Message

#: Why a dead letter is left out that can't be replayed whole.
CUT = "cut"


@dataclass
class Counts:
    """What became of dead letters.

    Attributes:
        letters: Dead letters that were looked at.
        replayed: Those that were written, or would be.
        left_out: Those that were not, by what left them out.
        strangers: Records that are no dead letters.
        a_stranger: What is told of the first of them.
        columns: The columns of CSV rows that were replayed; a row does not say them itself.
        interrupted: Whether somebody ended it before it was through.
        at_limit: Whether it ended at its limit.
        groups: The reasons of those that would be replayed, where nothing is written.
    """

    letters: int = 0
    replayed: int = 0
    left_out: Counter[str] = field(default_factory=Counter)
    strangers: int = 0
    a_stranger: str = ""
    columns: set[tuple[str, ...]] = field(default_factory=set)
    interrupted: bool = False
    at_limit: bool = False
    groups: Groups = field(default_factory=Groups)

    @property
    def seen(self) -> int:
        """Records that were looked at."""
        return self.letters + self.strangers


class Replay:
    """Hands dead letters over, batch by batch.

    Args:
        letters: Where they are taken from.
        to: Where they go; None only counts them.
        sieve: Which of them.
        limit: How many, at most.
        stop: Whether to end after this batch.
        watch: Called after each batch.
    """

    def __init__(
        self,
        letters: Letters,
        to: Publisher | None,
        sieve: Sieve,
        limit: int | None = None,
        stop: Callable[[], bool] = lambda: False,
        watch: Callable[[Counts], object] = lambda counts: None,
    ) -> None:
        self._letters, self._to, self._sieve, self._limit = letters, to, sieve, limit
        self._stop, self._watch = stop, watch
        self.counts = Counts()

    def run(self) -> Counts:
        """Replays to the end of what was there at the start, to the limit, or until it is stopped.

        Raises:
            PipelineFailure: It can't go on. What was handed over before counts.
        """
        counts = self.counts
        # What it has opened is closed with it.
        with closing(self._letters.batches()) as batches:
            for batch in batches:
                seen: list[Message] = []
                sent: list[Found] = []
                for record in batch:
                    if self._is_full(len(sent)):
                        break
                    seen.append(record)
                    if (found := self._chosen(record)) is not None:
                        sent.append(found)
                if seen and self._to is not None:
                    again = [Resent(found.record, found.again()) for found in sent]
                    self._letters.hand_over(seen, again, self._to)
                counts.replayed += len(sent)
                if self._to is None:
                    counts.groups.add_all(sent)
                counts.columns |= {c for f in sent if (c := f.letter.message.columns) is not None}
                self._watch(counts)
                if self._is_full():
                    counts.at_limit = True
                    break
                if self._stop():
                    counts.interrupted = True
                    break
        return counts

    def _is_full(self, more: int = 0) -> bool:
        return self._limit is not None and self.counts.replayed + more >= self._limit

    def _chosen(self, record: Message) -> Found | None:
        """The dead letter of a record, if it is to be replayed."""
        counts = self.counts
        try:
            found = found_in(record)
        except NoDeadLetter as e:
            counts.strangers += 1
            counts.a_stranger = counts.a_stranger or str(e)
            return None
        counts.letters += 1
        why = self._sieve.left_out_by(found.letter) or (CUT if found.cut else None)
        if why is None and self._to is not None:
            why = self._to.refusal(found.again())
        if why is None:
            return found
        counts.left_out[why] += 1
        return None
