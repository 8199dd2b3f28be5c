"""Options that several commands share: which model, and how its scores are read."""

from __future__ import annotations

import enum
from typing import Annotated

import typer

from models.bundle import BundleError
from models.classifier import TextClassifier
from transforms.errors import ConfigurationError


class Activation(enum.StrEnum):
    """How logits become scores."""

    SOFTMAX = "softmax"
    SIGMOID = "sigmoid"


Model = Annotated[
    str | None,
    typer.Option(
        "--model",
        metavar="DIR",
        help="Folder of the model: a Hugging Face folder with config.json, tokenizer and "
        "model.onnx or model_quantized.onnx. Default: the model that comes with newsbeam.",
        envvar="NEWSBEAM_MODEL",
        rich_help_panel="Model",
    ),
]
MaxLength = Annotated[
    int,
    typer.Option(
        "--max_length",
        help="The most tokens of a text that are classified, 1 to 512; the rest is cut off. Long "
        "texts cost more than their share: lower is faster, and sees less.",
        envvar="NEWSBEAM_MAX_LENGTH",
        rich_help_panel="Model",
        show_default=True,
    ),
]
ActivationOption = Annotated[
    Activation,
    typer.Option(
        "--activation",
        help="softmax: one of the labels is right, the scores add up to 1. sigmoid: each label "
        "stands for itself.",
        envvar="NEWSBEAM_ACTIVATION",
        rich_help_panel="Scores",
    ),
]
Threshold = Annotated[
    float,
    typer.Option(
        "--threshold",
        help="The score, 0 to 1, from which on a label is listed in labels; higher lists fewer, "
        "and leaves the category as it is.",
        envvar="NEWSBEAM_THRESHOLD",
        rich_help_panel="Scores",
    ),
]
MultiLabel = Annotated[
    bool,
    typer.Option(
        "--multi_label",
        help="List every label from the threshold on, not the category alone; goes with "
        "--activation sigmoid. Default: off.",
        envvar="NEWSBEAM_MULTI_LABEL",
        rich_help_panel="Scores",
    ),
]


def load_classifier(
    model: str | None,
    max_length: int,
    activation: str = "softmax",
    threshold: float = 0.5,
    multi_label: bool = False,
) -> TextClassifier:
    """Loads a classifier with what was given on the command line.

    Raises:
        BundleError: The model cannot be used.
        ConfigurationError: A setting is out of range.
    """
    try:
        return TextClassifier.load(model, max_length, activation, threshold, multi_label)
    except BundleError:
        raise
    except ValueError as e:
        raise ConfigurationError(f"--{e}") from None
