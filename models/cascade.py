"""The models of a bundle, loaded: the rows of texts in, logits out, of the first model that is sure.

A cascade asks its cheapest model about every text, and the next one about those of whose answer the
former was not sure. So most texts cost what the cheap model costs, and the others are right as often as
the full one is. A plain bundle is a cascade of one.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Collection, Iterator, Sequence
from typing import NamedTuple

from models.bundle import Bundle
from models.onnx import Logits, OnnxModel
from models.pool import Job, Jobs
from models.scores import ScoreSettings, score_windows

#: The rows of a text: token ids, special tokens included, of each of its windows.
Rows = Sequence[Sequence[int]]


class Answer(NamedTuple):
    """What was found out about a text.

    Attributes:
        stage: Who said so: its place in `bundle.stages`.
        logits: Of each window, float32, one per label.
    """

    stage: int
    logits: list[Logits]


class ModelCascade:
    """The models of a bundle, asked in turn. Safe to use from many threads at once.

    Who is asked depends on the text alone, and on nothing that may be asked for: a model is sure if the
    score of its category, as its bundle makes it, is at least the stage's `min_score`; of a multi-label
    model, if each label's score is that near to 0 or 1. Of a text in windows their average counts.

    Args:
        bundle: The bundle.
        threads: The most threads of the pool that one call uses; None for all.

    Raises:
        BundleError: A model cannot be loaded, or is no classifier of these labels.
    """

    def __init__(self, bundle: Bundle, threads: int | None = None) -> None:
        self.bundle = bundle
        self.models = tuple(OnnxModel(stage.bundle, threads) for stage in bundle.stages)
        self.threads = self.models[0].threads
        self._settings = ScoreSettings(long_text="average").of_stages(bundle)

    def answers(self, texts: Sequence[Rows]) -> list[Answer | Exception]:
        """Classifies texts.

        Args:
            texts: The rows of each; at least one, of 1 to `bundle.max_length` token ids.

        Returns:
            For each text, in order, the answer, or a `ModelError` that says why there is none.
        """
        return self.start(texts).result()

    def start(self, texts: Sequence[Rows]) -> Asked:
        """Begins to classify texts, as `answers` does, and does not wait."""
        return Asked(self, texts)

    def is_sure(self, stage: int, logits: Sequence[Logits]) -> bool:
        """Whether a model's answer stands.

        Args:
            stage: The place of the model.
            logits: What it said of each window of a text.
        """
        if stage == len(self.models) - 1:
            return True
        _, scores = score_windows(logits, self._settings[stage])
        least = self.bundle.stages[stage].min_score
        if self.bundle.multi_label:
            return all(max(score, 1 - score) >= least for score in scores)
        return max(scores) >= least

    def __reduce__(self) -> str:
        raise TypeError("a ModelCascade cannot be pickled; pickle its bundle and load it there")


class Asked:
    """Texts that are being classified."""

    def __init__(self, cascade: ModelCascade, texts: Sequence[Rows]) -> None:
        self._cascade = cascade
        self._texts = texts
        self._lock = threading.Lock()
        # Of each text what its windows have got from the model that it is with.
        self._found: list[dict[int, Logits | Exception]] = [{} for _ in texts]
        self._answers: list[Answer | Exception] = [_UNKNOWN] * len(texts)
        self._jobs = Jobs(self._ask(0, range(len(texts))), cascade.threads)

    def result(self) -> list[Answer | Exception]:
        """Waits for the answers: for each text what `ModelCascade.answers` gives for it."""
        self._jobs.wait()
        return self._answers

    def _ask(self, stage: int, texts: Collection[int]) -> Iterator[Job]:
        """The jobs that ask a model about texts."""
        windows = [(text, window) for text in texts for window in range(len(self._texts[text]))]
        lengths = [len(self._texts[text][window]) for text, window in windows]
        for batch in self._cascade.models[stage].batches(lengths):
            yield functools.partial(self._run, stage, [windows[i] for i in batch])

    def _run(self, stage: int, batch: list[tuple[int, int]]) -> Iterator[Job]:
        """Runs windows together; brings the jobs of texts that the next model has to be asked about."""
        rows = [self._texts[text][window] for text, window in batch]
        results = self._cascade.models[stage].run(rows)
        done = []
        with self._lock:
            for (text, window), result in zip(batch, results, strict=True):
                found = self._found[text]
                found[window] = result
                if len(found) == len(self._texts[text]):
                    done.append(text)
        unsure = [text for text in done if not self._settle(stage, text)]
        return self._ask(stage + 1, unsure) if unsure else iter(())

    def _settle(self, stage: int, text: int) -> bool:
        """Takes down the answer of a text; whether it stands."""
        found, self._found[text] = self._found[text], {}
        logits: list[Logits] = []
        for window in range(len(found)):
            result = found[window]
            if isinstance(result, Exception):
                self._answers[text] = result
                return stage == len(self._cascade.models) - 1
            logits.append(result)
        self._answers[text] = Answer(stage, logits)
        return self._cascade.is_sure(stage, logits)


_UNKNOWN = RuntimeError("the text was not classified")
