"""Options that several commands share: which model, and how its scores are read."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from models.bundle import Bundle
from models.classifier import TextClassifier
from models.errors import BundleError
from models.model_settings import ModelSettings
from models.scores import ScoreSettings
from pipeline.flags import taken
from transforms.errors import ConfigurationError
from transforms.news_settings import NewsSettings

#: The classes that declare these options, those for messages only excepted.
CLASSIFIER_SETTINGS = (ModelSettings, ScoreSettings, NewsSettings)
#: All of them.
CLASSIFIER_OPTIONS = {
    "text_clean_up",
    *(f.name for cls in (ModelSettings, ScoreSettings) for f in dataclasses.fields(cls)),
}


def load_classifier(given: Mapping[str, Any]) -> TextClassifier:
    """Loads a classifier with what was given on the command line.

    Args:
        given: Options of `CLASSIFIER_OPTIONS`, by name.

    Raises:
        BundleError: The model cannot be used.
        ConfigurationError: A setting is out of range.
    """
    try:
        model, scores = taken(ModelSettings, given), taken(ScoreSettings, given)
        return TextClassifier.load(
            model.model,
            model.max_length,
            threads=model.threads,
            text_clean_up=taken(NewsSettings, given).text_clean_up,
            **dataclasses.asdict(scores),
        )
    except (BundleError, ConfigurationError):
        raise
    except ValueError as e:
        raise ConfigurationError(f"--{e}") from None


def load_plain(model: str) -> Bundle:
    """Loads a bundle that is one model.

    Args:
        model: What the user named.

    Raises:
        BundleError: It cannot be used, or is a cascade of several.
    """
    bundle = Bundle.load(model)
    if bundle.cascade:
        names = " and ".join(stage.bundle.name for stage in bundle.stages)
        raise BundleError(f"model {model}: is a cascade; name one of its models: {names}")
    return bundle
