"""Options that several commands share: which model, and how its scores are read."""

from __future__ import annotations

import enum
from typing import Annotated

import typer

from models.classifier import TextClassifier
from models.errors import BundleError
from transforms.errors import ConfigurationError


class Activation(enum.StrEnum):
    """How logits become scores."""

    SOFTMAX = "softmax"
    SIGMOID = "sigmoid"


class LongText(enum.StrEnum):
    """What becomes of texts with more tokens than a row has."""

    TRUNCATE = "truncate"
    AVERAGE = "average"
    MAX = "max"


Model = Annotated[
    str | None,
    typer.Option(
        "--model",
        metavar="MODEL",
        help="The model: a Hugging Face folder with config.json, tokenizer and model.onnx or "
        "model_quantized.onnx (int8, which is taken where both are there); one of these two files; or "
        "the address of a folder: hf://org/name\\[@revision], gs://bucket/folder, "
        "s3://bucket/folder. Addresses are fetched once a machine. Or one of those that come with "
        "newsbeam: ag_news_small (default), ag_news_mini (faster, a little less accurate).",
        envvar="NEWSBEAM_MODEL",
        rich_help_panel="Model",
    ),
]
MaxLength = Annotated[
    int,
    typer.Option(
        "--max_length",
        help="The most tokens of a row, 1 to 512; --long_text says what becomes of texts that have "
        "more. Long rows cost more than their share: lower is faster, and sees less.",
        envvar="NEWSBEAM_MAX_LENGTH",
        rich_help_panel="Model",
        show_default=True,
    ),
]
LongTextOption = Annotated[
    LongText,
    typer.Option(
        "--long_text",
        help="What becomes of a text with more than --max_length tokens. truncate: its beginning "
        "is classified. average, max: overlapping windows are, at most 64, and the average of "
        "their scores counts, or the maximum for each label; a text then costs as much as it has "
        "windows.",
        envvar="NEWSBEAM_LONG_TEXT",
        rich_help_panel="Model",
    ),
]
ActivationOption = Annotated[
    Activation | None,
    typer.Option(
        "--activation",
        help="softmax: one of the labels is right, the scores add up to 1. sigmoid: each label "
        "stands for itself. Default: sigmoid for a multi-label model (problem_type in its "
        "config.json), else softmax.",
        envvar="NEWSBEAM_ACTIVATION",
        rich_help_panel="Scores",
        show_default=False,
    ),
]
Temperature = Annotated[
    float | None,
    typer.Option(
        "--temperature",
        help="What the model's logits are divided by: higher makes scores less sure of themselves, "
        "and leaves the category as it is. Default: temperature in the model's config.json, else 1.",
        envvar="NEWSBEAM_TEMPERATURE",
        rich_help_panel="Scores",
        show_default=False,
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
TextCleanUp = Annotated[
    str,
    typer.Option(
        "--text_clean_up",
        metavar="MODE",
        help="Clean-up before tokenizing, with the names of Spark NLP's DocumentAssembler: "
        "`disabled`; `inplace` (line breaks and tabs become spaces); `shrink` (and runs of "
        "spaces one); `inplace_full`, `shrink_full` (written-out breaks such as \\n, too); or "
        "`html` (drops tags, resolves entities, shrinks). Costs microseconds.",
        envvar="NEWSBEAM_TEXT_CLEAN_UP",
        rich_help_panel="News items",
    ),
]
MultiLabel = Annotated[
    bool | None,
    typer.Option(
        "--multi_label",
        help="List every label from the threshold on, not the category alone; goes with "
        "--activation sigmoid. Default: on for a multi-label model without --activation softmax, "
        "else off.",
        envvar="NEWSBEAM_MULTI_LABEL",
        rich_help_panel="Scores",
        show_default=False,
    ),
]


def load_classifier(
    model: str | None,
    max_length: int,
    activation: Activation | None = None,
    threshold: float = 0.5,
    multi_label: bool | None = None,
    temperature: float | None = None,
    long_text: LongText = LongText.TRUNCATE,
    text_clean_up: str = "disabled",
) -> TextClassifier:
    """Loads a classifier with what was given on the command line.

    Raises:
        BundleError: The model cannot be used.
        ConfigurationError: A setting is out of range.
    """
    try:
        return TextClassifier.load(
            model,
            max_length,
            activation.value if activation else None,
            threshold,
            multi_label,
            temperature=temperature,
            long_text=long_text.value,
            text_clean_up=text_clean_up,
        )
    except BundleError:
        raise
    except ValueError as e:
        raise ConfigurationError(f"--{e}") from None
