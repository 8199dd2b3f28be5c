"""What is told of a run with labels of the user's own: while it goes, and what was made."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from models.bundle import Bundle
from models.evaluate import Evaluation
from training.own_news import Facts


class Reporter(Protocol):
    """Who is told how it goes; see `finetune.Watch` for what a run tells."""

    def say(self, text: str) -> None:
        """Something to know, in a line."""

    def doing(self, text: str) -> AbstractContextManager[None]:
        """What is being done inside."""

    def learning(self) -> AbstractContextManager[None]:
        """The run is inside; Ctrl-C is to stop it between two steps."""

    def stepped(self, step: int, steps: int, loss: float) -> None:
        """After each step of the run."""

    def measured(self, row: Mapping[str, float]) -> None:
        """After each look at the rows that are held out."""


@dataclass(frozen=True)
class Trained:
    """What was made.

    Attributes:
        bundle: The bundle.
        facts: What became of the rows.
        evaluation: Its figures on the rows that only report.
        float_accuracy: The accuracy of the same in float.
        epochs: How often each row was seen.
        seconds: How long it took, an earlier part of the run that was stopped included.
    """

    bundle: Bundle
    facts: Facts
    evaluation: Evaluation
    float_accuracy: float
    epochs: float
    seconds: float
