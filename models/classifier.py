"""Classifies texts in this process: no pipeline, no broker, one call."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple, TypeGuard, overload

import numpy as np

from models.bundle import Bundle
from models.cascade import ModelCascade
from models.checks import check_text
from models.clean_up import clean_up_named
from models.scores import ScoreSettings, labels_above, score_windows
from models.tokenize import TextTokenizer
from models.verify import verify_model

#: Texts that are tokenized and classified at a time: enough for any number of cores.
CHUNK = 1024

#: Several texts. Not any sequence, since a text is a sequence of texts, too.
Texts = list[str] | tuple[str, ...]


@dataclass(frozen=True)
class Prediction:
    """What a text was classified as; the fields are those of a `CategorizedItem`.

    Attributes:
        text: The text.
        category: The label with the highest score.
        score: That score, 0 to 1.
        scores: The score of every label.
        labels: The labels at or above the threshold, highest first.
        tokens: How many tokens were classified, special tokens included.
        truncated: Whether the text had more tokens: what came after them was not looked at.
        model: Name and short hash of the model that answered, as `name@hash`: of a cascade one of
            those that it asks.
    """

    text: str
    category: str
    score: float
    scores: dict[str, float]
    labels: tuple[str, ...]
    tokens: int
    truncated: bool
    model: str

    def as_dict(self) -> dict[str, Any]:
        """The prediction as a dict, such as `json.dumps` takes."""
        return asdict(self)


@dataclass(frozen=True)
class Annotation:
    """A piece of a text and what was found about it, as Spark NLP's `Annotation`.

    Attributes:
        annotator_type: `document`, `token` or `category`.
        begin: Where it begins: the index of its first character.
        end: Where it ends: the index of its last character (inclusive, as in Spark NLP).
        result: The text, or the label.
        metadata: For a category, the score of every label; for a token, how many of the model's
            tokens it is made of.
    """

    annotator_type: str
    begin: int
    end: int
    result: str
    metadata: dict[str, str]


class RawOutput(NamedTuple):
    """What the model said about texts.

    Attributes:
        logits: Windows x labels, float32; the windows of a text one after the other. Where texts
            are truncated, texts x labels.
        truncated: For each text whether it had more tokens than were looked at.
        windows: For each text how many windows it has.
        tokens: For each text how many of its tokens were looked at, special ones included.
        lengths: For each text how many tokens it has; where it has more than `limit`, one more.
        limit: How many tokens of a text are looked for.
        answered: For each text which model answered: its place in `bundle.stages`.
    """

    logits: np.ndarray
    truncated: list[bool]
    windows: list[int]
    tokens: list[int]
    lengths: list[int]
    limit: int
    answered: list[int]


class TextClassifier:
    """A model, its tokenizer and its settings, ready to classify. Safe to call from many threads.

    Args:
        bundle: The model bundle.
        max_length: The most tokens of a row, 1 to 512; None goes by the bundle.
        settings: How logits become scores, and what becomes of longer texts. What they leave to
            the bundle is filled in.
        threads: The most threads that one call uses; None for all cores.
        text_clean_up: One of `models.clean_up.CLEAN_UPS`.

    Raises:
        ValueError: A setting is out of range; the message names the choices.
        BundleError: The model cannot be used.
    """

    def __init__(
        self,
        bundle: Bundle,
        max_length: int | None = None,
        settings: ScoreSettings | None = None,
        threads: int | None = None,
        text_clean_up: str = "disabled",
    ) -> None:
        self._clean_up = clean_up_named(text_clean_up)
        self.bundle = bundle
        given = settings or ScoreSettings()
        self.settings = given.of(bundle, max_length)
        self._model = ModelCascade(bundle, threads)
        # Before the tokenizer is ours: what was only looked at is handed on.
        for model in self._model.models:
            verify_model(model)
        self._tokenizer = TextTokenizer(
            bundle, max_length, given.long_text, given.window_tokens, given.max_windows
        )
        self.reading = self._tokenizer.reading
        self.max_length = self.reading.max_length
        self._of_stages = given.of_stages(bundle, max_length)

    @classmethod
    def load(
        cls,
        model: str | os.PathLike[str] | None = None,
        max_length: int | None = None,
        activation: str | None = None,
        threshold: float = 0.5,
        multi_label: bool | None = None,
        threads: int | None = None,
        temperature: float | None = None,
        long_text: str | None = None,
        text_clean_up: str = "disabled",
        window_tokens: int | None = None,
        max_windows: int | None = None,
    ) -> TextClassifier:
        """Loads a classifier.

        Args:
            model: The folder of a model bundle; None for the default one.
            max_length: The most tokens of a row, 1 to 512. Here, in `long_text`, `window_tokens`
                and `max_windows` None is what config.json says unless one before it is given, in
                this order, and else 512, `truncate`, `max_length` and 64.
            activation: `softmax` (one of the labels is right) or `sigmoid` (each for itself); None
                is sigmoid for a multi-label model, softmax for any other.
            threshold: The score from which on a label is among a prediction's `labels`.
            multi_label: Whether `labels` may hold more than the category; None goes by the model.
            threads: The most threads that one call uses; None for all cores.
            temperature: What logits are divided by; None is what config.json says, or 1.
            long_text: What becomes of a text with more than `max_length` tokens: `truncate`
                classifies its beginning; `average` and `max` classify windows, and take the average
                of their scores, or the maximum for each label.
            text_clean_up: What is done to a text first: `disabled`, `inplace`, `inplace_full`,
                `shrink`, `shrink_full` or `html`.
            window_tokens: The tokens of a window, 1 to `max_length`.
            max_windows: The most windows of a text, 1 to 64, spread evenly over it.

        Raises:
            ValueError: A setting is out of range; the message names the choices.
            BundleError: The model cannot be used.
        """
        settings = ScoreSettings(
            activation, threshold, multi_label, temperature, long_text, window_tokens, max_windows
        )
        return cls(Bundle.load(model), max_length, settings, threads, text_clean_up)

    def labels(self) -> tuple[str, ...]:
        """The categories that the model knows (`getClasses` in Spark NLP)."""
        return self.bundle.labels

    @property
    def case_sensitive(self) -> bool:
        """Whether upper and lower case make a difference: the model's tokenizer says so."""
        return self._tokenizer.case_sensitive

    @property
    def temperatures(self) -> list[float]:
        """What the logits of each of the bundle's models are divided by."""
        return [settings.temperature or 1.0 for settings in self._of_stages]

    @overload
    def predict(self, text: str) -> Prediction: ...
    @overload
    def predict(self, text: Texts) -> list[Prediction]: ...
    def predict(self, text: str | Texts) -> Prediction | list[Prediction]:
        """Classifies a text, or several.

        Returns:
            A prediction for a text; a list of them, in order, for several.

        Raises:
            ValueError: One of them is empty or no text; `outcomes` goes on instead.
            ModelError: The model could not classify one of them; so does it there.
        """
        if _several(text):
            return self._predict(list(text))
        return self._predict([text])[0]  # type: ignore[list-item]  # or it says what it is

    def __reduce__(self) -> str:
        raise TypeError(
            "a TextClassifier cannot be pickled; load it where it is used, such as in a DoFn's setup"
        )

    def outcomes(self, texts: Iterable[str]) -> list[Prediction | Exception]:
        """Classifies texts; one that cannot be classified gives its error instead.

        It is a `ValueError` for what is empty or no text, a `ModelError` where the model failed.
        """
        texts = [texts] if isinstance(texts, str) else list(texts)  # a text is no list of letters
        outcomes: list[Prediction | Exception] = []
        for begin in range(0, len(texts), CHUNK):
            outcomes.extend(self._outcomes(texts[begin : begin + CHUNK]))
        return outcomes

    def logits(self, texts: Sequence[str]) -> RawOutput:
        """The raw output of the model, for evaluation.

        Raises:
            ValueError: One of them is empty or no text.
            ModelError: The model could not classify one of them.
        """
        tokenized = self._tokenizer([self._sound(text) for text in texts])
        found: list[np.ndarray] = []
        answered: list[int] = []
        for answer in self._model.answers([t.windows for t in tokenized]):
            if isinstance(answer, Exception):
                raise answer
            found += answer.logits
            answered.append(answer.stage)
        logits = np.stack(found) if found else np.empty((0, len(self.bundle.labels)), np.float32)
        return RawOutput(
            logits,
            [t.truncated for t in tokenized],
            [len(t.windows) for t in tokenized],
            [t.tokens for t in tokenized],
            [t.length for t in tokenized],
            self._tokenizer.limit,
            answered,
        )

    @overload
    def annotate(self, text: str) -> dict[str, list[str]]: ...
    @overload
    def annotate(self, text: Texts) -> list[dict[str, list[str]]]: ...
    def annotate(self, text: str | Texts) -> dict[str, list[str]] | list[dict[str, list[str]]]:
        """Classifies a text, or several, as Spark NLP's `LightPipeline.annotate`.

        Returns:
            `{"document": [the text], "token": [its words], "class": [the category]}`; words beyond
            the maximum length are left out. With `multi_label`, `class` holds every label at or
            above the threshold.

        Raises:
            ValueError, ModelError: As `predict` does.
        """
        if _several(text):
            return [self.annotate(t) for t in text]
        return {
            name: [annotation.result for annotation in annotations]
            for name, annotations in self.full_annotate(check_text(text)).items()
        }

    @overload
    def full_annotate(self, text: str) -> dict[str, list[Annotation]]: ...
    @overload
    def full_annotate(self, text: Texts) -> list[dict[str, list[Annotation]]]: ...
    def full_annotate(
        self, text: str | Texts
    ) -> dict[str, list[Annotation]] | list[dict[str, list[Annotation]]]:
        """Classifies a text, or several, as Spark NLP's `LightPipeline.fullAnnotate`.

        Returns:
            What `annotate` gives, each with its place in the text and its metadata.

        Raises:
            ValueError, ModelError: As `predict` does.
        """
        if _several(text):
            return [self.full_annotate(t) for t in text]
        text = check_text(text)
        prediction = self.predict(text)
        # As in Spark NLP the document is what was cleaned up, and places are those in it.
        text = self._clean_up(text)
        scores = {label: repr(value) for label, value in prediction.scores.items()}
        found = prediction.labels if self.settings.multi_label else (prediction.category,)
        end = len(text) - 1
        return {
            "document": [Annotation("document", 0, end, text, {})],
            "token": [
                Annotation("token", first, last - 1, text[first:last], {"tokens": str(tokens)})
                for first, last, tokens in self._tokenizer.words(text)
            ],
            "class": [Annotation("category", 0, end, label, dict(scores)) for label in found],
        }

    def _predict(self, texts: Sequence[str]) -> list[Prediction]:
        predictions: list[Prediction] = []
        for outcome in self.outcomes(texts):
            if isinstance(outcome, Exception):
                raise outcome
            predictions.append(outcome)
        return predictions

    def _outcomes(self, texts: Sequence[str]) -> Iterator[Prediction | Exception]:
        faults: dict[int, ValueError] = {}
        sound: dict[int, str] = {}
        for i, text in enumerate(texts):
            try:
                sound[i] = self._sound(text)
            except ValueError as e:
                faults[i] = e
        predictions = self._classified([texts[i] for i in sound], list(sound.values()))
        for i in range(len(texts)):
            yield faults[i] if i in faults else next(predictions)

    def _sound(self, text: object) -> str:
        """A text, cleaned up, that has something in it.

        Raises:
            ValueError: It is none, or nothing is left of it.
        """
        return check_text(self._clean_up(check_text(text)))

    def _classified(
        self, texts: Sequence[str], cleaned_up: Sequence[str]
    ) -> Iterator[Prediction | Exception]:
        tokenized = self._tokenizer(cleaned_up)
        answers = self._model.answers([t.windows for t in tokenized])
        labels = self.bundle.labels
        for text, (_, tokens, truncated, _), answer in zip(texts, tokenized, answers, strict=True):
            if isinstance(answer, Exception):
                yield answer
                continue
            settings = self._of_stages[answer.stage]
            top, scores = score_windows(answer.logits, settings)
            yield Prediction(
                text=text,
                category=labels[top],
                score=scores[top],
                scores=dict(zip(labels, scores, strict=True)),
                labels=labels_above(top, scores, labels, settings),
                tokens=tokens,
                truncated=truncated,
                model=self.bundle.stages[answer.stage].bundle.model_id,
            )


def _several(text: object) -> TypeGuard[Iterable[str]]:
    """Whether there are several texts: a list, a tuple, a Series; not what is no text itself."""
    return isinstance(text, Iterable) and not isinstance(text, str | bytes | bytearray | Mapping)
