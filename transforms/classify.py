"""Classifying tokenized news: `OnnxTextClassifier` for RunInference, then `Categorize`."""

from __future__ import annotations

import logging
import os
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import apache_beam as beam
import numpy as np
from apache_beam.ml.inference.base import ModelHandler, PredictionResult
from apache_beam.transforms.window import GlobalWindow, GlobalWindows, WindowFn
from apache_beam.utils.timestamp import Timestamp
from apache_beam.utils.windowed_value import create

from models.bundle import Bundle
from models.cascade import Answer, ModelCascade
from models.locate import is_elsewhere
from models.pool import limit, share_of_host
from models.scores import ScoreSettings, labels_above, score_windows
from models.verify import verify_model
from transforms.ahead import loaded
from transforms.dead_letters import Step
from transforms.errors import ConfigurationError
from transforms.event_time import event_micros
from transforms.pace import PACE
from transforms.records import (
    CategorizedItem,
    DeadLetter,
    Message,
    TokenizedNews,
    dead_letter,
    now,
)
from transforms.release import Stamp
from transforms.tally import TALLY
from transforms.watching import metrics
from transforms.watching.exporter import watch_this_process
from transforms.watching.figures import FIGURES
from transforms.watching.health import HEALTH

#: Rows per call of the model handler: enough to keep all cores busy until the last rows, few enough
#: for the first results to come soon.
BATCH_SIZE = 64
#: The timestamps that items may have: that of their record (or element), or when they were published.
TIMESTAMPS = ("record", "published")
_GLOBAL = (GlobalWindow(),)


class _NotOurs(logging.Filter):
    """Keeps back what Beam's RunInference warns of where torch is missing, which nobody here needs."""

    def filter(self, record: logging.LogRecord) -> bool:
        return not str(record.msg).startswith("Resource module is not available")


logging.getLogger().addFilter(_NotOurs())


class OnnxTextClassifier(ModelHandler[TokenizedNews, PredictionResult, ModelCascade]):
    """A model handler that runs a bundle on ONNX Runtime.

    Beam's own ONNX handler feeds one input, fails on ragged batches and keeps old weights when the
    model is updated, so this one stands alone. Same text, same scores, whoever shares its batch. An
    item with a row that the model can't classify becomes a dead letter, alone; dead letters of
    earlier steps pass through.

    Each result is a `PredictionResult` whose `inference` is the score of every label, by name.

    Args:
        model: The bundle's folder; None is the default bundle.
        settings: How logits become scores; what they leave to the bundle is that of the bundle in
            use, also after an update.
        threads: Threads of the model in each process; None for its share of the host's cores.
        processes: How many processes a host has that run this; 0 is one for each core.
    """

    def __init__(
        self,
        model: str | os.PathLike[str] | None = None,
        settings: ScoreSettings | None = None,
        threads: int | None = None,
        processes: int = 1,
    ) -> None:
        super().__init__()
        self._stamp = Stamp()
        self._threads = threads
        self._processes = processes
        self._model = None if model is None else os.fspath(model)
        self._settings = settings or ScoreSettings()

    def load_model(self) -> ModelCascade:
        threads = share_of_host(self._threads, self._processes)
        limit(threads)
        model = ModelCascade(Bundle.load(self._model), threads)
        if is_elsewhere(self._model):
            # What was tried before the start may have been replaced there since.
            for each in model.models:
                verify_model(each)
        loaded(model)
        HEALTH.loaded(model.bundle.model_id)
        watch_this_process()
        return model

    def run_inference(
        self,
        batch: Sequence[TokenizedNews],
        model: ModelCascade,
        inference_args: Mapping[str, Any] | None = None,
    ) -> Iterable[PredictionResult | DeadLetter]:
        began = time.monotonic()
        texts = [r for r in batch if not isinstance(r, DeadLetter)]
        answers = iter(self._answers(texts, model))
        if texts:
            FIGURES.observe(metrics.INFERENCE_SECONDS, time.monotonic() - began)
            PACE.worked(len(batch), min(r.begun.at if r.begun else began for r in texts))
        bundle = model.bundle
        # How texts were cut is not asked here: a text in one row has nothing to be joined.
        settings = self._settings.of_stages(bundle)
        for record in batch:
            if isinstance(record, DeadLetter):
                yield record
                continue
            answer = next(answers)
            if isinstance(answer, Exception):
                TALLY.dead_letter(type(self).__name__)
                yield dead_letter(record.news.message, type(self).__name__, answer, bundle.model_id)
                continue
            _, scores = score_windows(answer.logits, settings[answer.stage])
            yield PredictionResult(
                record,
                dict(zip(bundle.labels, scores, strict=True)),
                bundle.stages[answer.stage].bundle.model_id,
            )
        if texts:
            FIGURES.observe(metrics.BATCH_SIZE, len(texts))
            FIGURES.observe(metrics.BATCH_SECONDS, time.monotonic() - began)

    def _answers(
        self, texts: Sequence[TokenizedNews], model: ModelCascade
    ) -> list[Answer | Exception]:
        """What the model says; of texts that it has begun to work on that."""
        model_id = model.bundle.model_id
        fresh = [t.windows for t in texts if not t.begun or t.begun.model_id != model_id]
        anew = iter(model.answers(fresh) if fresh else ())
        return [
            t.begun.answer() if t.begun and t.begun.model_id == model_id else next(anew)
            for t in texts
        ]

    def get_num_bytes(self, batch: Sequence[TokenizedNews]) -> int:
        # Cheap on purpose: Beam's default pickles the batch.
        rows = (w for r in batch if not isinstance(r, DeadLetter) for w in r.windows)
        return sum(map(len, rows)) * np.dtype(np.int64).itemsize

    def batch_elements_kwargs(self) -> Mapping[str, Any]:
        # Fixed: BatchElements otherwise explores sizes and times.
        return {"min_batch_size": BATCH_SIZE, "max_batch_size": BATCH_SIZE}

    def get_metrics_namespace(self) -> str:
        return "newsbeam"

    def update_model_path(self, model_path: str | None = None) -> None:
        """Takes another bundle the next time a model is loaded."""
        self._model = model_path if model_path else self._model


class Categorize(Step):
    """Turns predictions into categorized items.

    Args:
        settings: The threshold, and whether several labels may hold.
        timestamp: What the timestamp of an item is from here on: one of `TIMESTAMPS`.
        windows: The windows of its input: what is stamped anew gets its windows anew.

    Raises:
        ConfigurationError: `timestamp` is none of its choices.
    """

    def __init__(
        self,
        settings: ScoreSettings | None = None,
        timestamp: str = "record",
        windows: WindowFn | None = None,
    ) -> None:
        super().__init__()
        if timestamp not in TIMESTAMPS:
            raise ConfigurationError(
                f"timestamp={timestamp!r} is unknown: give {' or '.join(TIMESTAMPS)}"
            )
        self._settings = settings or ScoreSettings()
        self._published = timestamp == "published"
        self._windows = windows or GlobalWindows()
        self._global = isinstance(self._windows, GlobalWindows)
        self._begin_counting()

    def message_of(self, record: Any) -> Message:
        return record.example.news.message

    def apply(self, record: Any) -> CategorizedItem:
        tokenized: TokenizedNews = record.example
        scores: dict[str, float] = record.inference
        labels, values = list(scores), list(scores.values())
        top = values.index(max(values))
        news = tokenized.news
        self._count(labels[top], tokenized)
        return CategorizedItem(
            id=news.id,
            category=labels[top],
            score=values[top],
            scores=scores,
            labels=labels_above(top, values, labels, self._settings),
            tokens=tokenized.tokens,
            truncated=tokenized.truncated,
            model=record.model_id,
            event_time=news.event_time,
            processed_time=now(),
            source=news.message.source,
            fields=news.fields,
            message=news.message,
        )

    def start_bundle(self) -> None:
        # What is left is of a bundle that has failed.
        self._begin_counting()

    def finish_bundle(self) -> None:
        self._hand_over()

    def _begin_counting(self) -> None:
        self._categories: Counter[str] = Counter()
        self._counted = self._tokens = self._truncated = 0

    def _count(self, category: str, tokenized: TokenizedNews) -> None:
        """Counts an item; together with others, since a metric costs more than an addition."""
        self._categories[category] += 1
        self._tokens += tokenized.tokens
        self._truncated += tokenized.truncated
        self._counted += 1
        if self._counted >= BATCH_SIZE:
            self._hand_over()

    def _hand_over(self) -> None:
        if self._counted:
            TALLY.classified(self._categories, self._tokens, self._truncated)
            self._begin_counting()

    def process(self, element: Any, window: Any = beam.DoFn.WindowParam) -> Iterator[Any]:
        outcome: Any
        # RunInference gives all outputs of a batch the timestamp of one: stamp each again.
        letter = isinstance(element, DeadLetter)
        at = event_micros(element.message if letter else self.message_of(element))
        windows = self._windows_at(at)
        # It comes once for each window that it is in.
        again = window != windows[0] and window in windows
        for outcome in () if again else super().process(element):
            if self._published and isinstance(outcome, CategorizedItem):
                at = Timestamp.of(outcome.event_time).micros
                windows = self._windows_at(at)
            yield create(outcome, at, windows)

    def _windows_at(self, micros: int) -> tuple[Any, ...]:
        if self._global:
            return _GLOBAL
        return tuple(self._windows.assign(WindowFn.AssignContext(Timestamp(micros=micros))))
