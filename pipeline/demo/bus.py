"""What the demo needs of a broker of its own: topics that are there, a way in, and a way out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from transforms.records import Message

#: The topics of the demo.
NEWS, CATEGORIZED, DEAD_LETTERS = "news", "news-categorized", "news-dead-letters"


class DemoError(Exception):
    """The demo could not go on; the message says why."""

    @classmethod
    def because(cls, what: str, error: BaseException) -> DemoError:
        """One whose message is a line: what failed, and the error."""
        reason = " ".join(str(error).split())[:500] or type(error).__name__
        return cls(f"{what}: {reason}")


@dataclass(frozen=True)
class Outgoing:
    """One message to produce."""

    value: bytes
    key: bytes | None


class Producer(ABC):
    """Sends messages to the news topic."""

    @abstractmethod
    def send(
        self,
        message: Outgoing,
        booked: Callable[[str], None],
        failed: Callable[[BaseException], None],
    ) -> None:
        """Sends a message, without waiting for the answer.

        Args:
            message: The message.
            booked: Is told, in any thread, the place of the message in the pipeline's source once the
                broker has it: what a record says of its source.
            failed: Is told, in any thread, why the broker does not have it.
        """

    @abstractmethod
    def flush(self) -> None:
        """Waits until each message sent has its answer."""

    @abstractmethod
    def close(self) -> None:
        """Ends it; what it has is let go of."""


class Outcomes(ABC):
    """Reads what came out of the pipeline: categorized items and dead letters, each record once."""

    @abstractmethod
    def poll(self, seconds: float) -> list[Message]:
        """The records that have come since, after at most so many seconds; none is an empty list.

        Raises:
            DemoError: The broker does not answer.
        """

    @abstractmethod
    def close(self) -> None:
        """Ends it; what it has is let go of."""


class Bus(ABC):
    """A broker of the demo's own with its topics; gone, with all that is in them, when it stops."""

    @abstractmethod
    def start(self) -> None:
        """Starts the broker and makes its topics.

        Raises:
            ConfigurationError: What it needs is not installed.
            RuntimeError: The broker does not start.
        """

    @abstractmethod
    def stop(self) -> None:
        """Stops the broker, and waits until it is gone; does nothing where it is not running."""

    @property
    @abstractmethod
    def source(self) -> str:
        """The URI from which the pipeline reads news."""

    @property
    @abstractmethod
    def sink(self) -> str:
        """The URI to which it writes categorized items."""

    @property
    @abstractmethod
    def dead_letters(self) -> str:
        """The URI to which it writes dead letters."""

    @property
    @abstractmethod
    def read_along(self) -> str:
        """The command that shows categorized items in another terminal."""

    @abstractmethod
    def refusal(self, message: Outgoing) -> str | None:
        """Why the broker could not hold a message; None if it can."""

    @abstractmethod
    def producer(self) -> Producer:
        """A way in."""

    @abstractmethod
    def outcomes(self) -> Outcomes:
        """A way out: reads from the beginning."""

    def __enter__(self) -> Self:
        try:
            self.start()
        except RuntimeError as e:
            self.stop()
            raise DemoError.because("the broker does not start", e) from e
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()
