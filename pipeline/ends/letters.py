"""How dead letters are taken from one end and handed to another, for `newsbeam replay`.

`Letters` remember how far they were taken, a `Publisher` knows when a message is durable. What is taken
counts as taken once what came of it is published, never before: a replay that is killed goes on there.
"""

from __future__ import annotations

import abc
from collections.abc import Generator, Sequence
from typing import NamedTuple

from transforms.records import Message


class Taking(NamedTuple):
    """How dead letters are taken.

    Attributes:
        from_start: Begin at the first one, whatever was taken before.
        look_only: Leave no trace: what is read does not count as taken.
    """

    from_start: bool = False
    look_only: bool = False


class Delivery(NamedTuple):
    """What holds when something fails.

    Attributes:
        once: Whether each message is written exactly once; otherwise at least once.
        why: What makes it so, or what comes of it.
    """

    once: bool
    why: str

    def __str__(self) -> str:
        return f"{'exactly' if self.once else 'at least'} once: {self.why}"


class Resent(NamedTuple):
    """A dead letter that is replayed.

    Attributes:
        record: As it was read.
        message: As it is written.
    """

    record: Message
    message: Message


class Publisher(abc.ABC):
    """Writes messages as they are to an end."""

    @abc.abstractmethod
    def refusal(self, message: Message) -> str | None:
        """Why the end does not take a message, in a few words; None where it does."""

    @abc.abstractmethod
    def publish(self, messages: Sequence[Message]) -> None:
        """Writes messages in their order; they are durable when it returns.

        Raises:
            PipelineFailure: They can't be written.
        """

    def close(self) -> None:  # noqa: B027 - few need it
        """Closes what was opened."""


class Letters(abc.ABC):
    """Records of an end, from where they were taken last to what is there now."""

    #: How many wait; None where that is not known before they are read.
    waiting: int | None = None
    #: What remembers how far they were taken, for whoever looks for it.
    memory: str = "nothing"
    #: What becomes of those that were read and left out.
    left: str = "are not looked at again, unless with --from_start"

    def into(self, to: Publisher, *, transactions: bool = True) -> Delivery:
        """Says where they go.

        Args:
            to: Where.
            transactions: Whether what is written and what is noted may be one transaction.

        Returns:
            What holds when something fails.

        Raises:
            ConfigurationError: There is no room for what has to be noted.
        """
        return Delivery(False, "after a kill the last batch may be there twice")

    @abc.abstractmethod
    def batches(self) -> Generator[Sequence[Message]]:
        """Reads them in batches; an empty one says that it goes on waiting.

        Raises:
            PipelineFailure: They can't be read.
        """

    def hand_over(self, seen: Sequence[Message], sent: Sequence[Resent], to: Publisher) -> None:
        """Publishes messages, then takes note of what was seen.

        Args:
            seen: What was read since the last time, in its order.
            sent: What is replayed of it.
            to: Where to.

        Raises:
            PipelineFailure: It can't be written, or not noted.
        """
        if sent:
            to.publish([each.message for each in sent])
        self.taken(seen, sent)

    @abc.abstractmethod
    def taken(self, seen: Sequence[Message], sent: Sequence[Resent]) -> None:
        """Takes note that what was seen is dealt with, and what was sent is written."""

    def close(self) -> None:  # noqa: B027 - few need it
        """Closes what was opened."""
