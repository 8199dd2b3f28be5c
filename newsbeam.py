"""The public face of newsbeam: what `import newsbeam` offers.

    >>> import newsbeam
    >>> newsbeam.load().predict("Striker scores twice as United win the cup final").category
    'Sports'

`ClassifyNews` is the same as a transform for your own Beam pipeline. Each name is loaded when it is
first used: Apache Beam takes seconds to import, and ONNX Runtime a share of one.
"""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from models.classifier import Annotation, Prediction, TextClassifier
    from models.errors import BundleError, ModelError
    from models.scores import ScoreSettings
    from transforms.classify_news import ClassifiedNews, ClassifyNews
    from transforms.errors import ConfigurationError
    from transforms.kafka.read import KafkaSource, ReadFromKafka
    from transforms.kafka.settings import KafkaSettings
    from transforms.news_settings import NewsSettings
    from transforms.pubsub.client import PubSubSettings
    from transforms.pubsub.read import PubSubSource, ReadFromPubSub
    from transforms.records import CategorizedItem, DeadLetter, Message, NewsItem

    __version__: str

__all__ = [
    "Annotation",
    "BundleError",
    "CategorizedItem",
    "ClassifiedNews",
    "ClassifyNews",
    "ConfigurationError",
    "DeadLetter",
    "KafkaSettings",
    "KafkaSource",
    "Message",
    "ModelError",
    "NewsItem",
    "NewsSettings",
    "Prediction",
    "PubSubSettings",
    "PubSubSource",
    "ReadFromKafka",
    "ReadFromPubSub",
    "ScoreSettings",
    "TextClassifier",
    "load",
]

#: Where each name is defined.
_LAZY = {
    "Annotation": "models.classifier",
    "Prediction": "models.classifier",
    "TextClassifier": "models.classifier",
    "BundleError": "models.errors",
    "ModelError": "models.errors",
    "ScoreSettings": "models.scores",
    "ClassifyNews": "transforms.classify_news",
    "ClassifiedNews": "transforms.classify_news",
    "ConfigurationError": "transforms.errors",
    "NewsItem": "transforms.records",
    "CategorizedItem": "transforms.records",
    "DeadLetter": "transforms.records",
    "Message": "transforms.records",
    "KafkaSettings": "transforms.kafka.settings",
    "KafkaSource": "transforms.kafka.read",
    "ReadFromKafka": "transforms.kafka.read",
    "NewsSettings": "transforms.news_settings",
    "PubSubSettings": "transforms.pubsub.client",
    "PubSubSource": "transforms.pubsub.read",
    "ReadFromPubSub": "transforms.pubsub.read",
}


def load(
    model: str | os.PathLike[str] | None = None,
    *,
    max_length: int | None = None,
    activation: str | None = None,
    threshold: float = 0.5,
    multi_label: bool | None = None,
    temperature: float | None = None,
    long_text: str | None = None,
    window_tokens: int | None = None,
    max_windows: int | None = None,
    text_clean_up: str = "disabled",
) -> TextClassifier:
    """Loads a classifier that runs in this process.

    Args:
        model: The folder of a model bundle (a Hugging Face folder with an ONNX model), an ONNX file
            in one, or what `--model` takes; None for the default one, which comes with newsbeam.
        max_length: The most tokens of a row, 1 to 512. Here, in `long_text`, `window_tokens` and
            `max_windows` None is what the model's config.json says unless one before it is given,
            in this order, and else 512, `truncate`, `max_length` and 64: `max_length` alone cuts
            texts off there.
        activation: `softmax` (one of the labels is right) or `sigmoid` (each for itself); None is
            sigmoid for a multi-label model, softmax for any other.
        threshold: The score from which on a label is among a prediction's `labels`.
        multi_label: Whether `labels` may hold more than the category; None goes by the model.
        temperature: What logits are divided by: higher makes scores less sure of themselves. None
            is what the model's config.json says, or 1.
        long_text: What becomes of a text with more than `max_length` tokens: `truncate` classifies
            its beginning; `average` and `max` classify windows, and take the average of their scores,
            or the maximum for each label.
        window_tokens: The tokens of a window, 1 to `max_length`.
        max_windows: The most windows of a text, 1 to 64, spread evenly over it.
        text_clean_up: What is done to a text first: `disabled`, `inplace`, `inplace_full`, `shrink`,
            `shrink_full`, or `html` (tags and entities).

    Raises:
        ValueError: A setting is out of range; the message names the choices.
        BundleError: The model cannot be used; the message says why, and what to do.
    """
    from models.classifier import TextClassifier

    return TextClassifier.load(
        model,
        max_length,
        activation,
        threshold,
        multi_label,
        temperature=temperature,
        long_text=long_text,
        text_clean_up=text_clean_up,
        window_tokens=window_tokens,
        max_windows=max_windows,
    )


if not TYPE_CHECKING:  # a type checker would take any name for one of ours

    def __getattr__(name: str) -> Any:
        if name == "__version__":
            from importlib.metadata import version

            return version("newsbeam")
        if name not in _LAZY:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = getattr(importlib.import_module(_LAZY[name]), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_LAZY, "__version__"})
