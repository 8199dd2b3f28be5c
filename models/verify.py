"""Tries a model out before news come: its files, tokenizer and labels must fit together."""

from __future__ import annotations

import numpy as np

from models.bundle import Bundle
from models.errors import BundleError, one_line
from models.model_settings import MAX_LENGTH
from models.onnx import Logits, OnnxModel
from models.tokenize import TextTokenizer

#: What is classified.
TEST_SENTENCE = "Shares rise after the company reports record quarterly profit."
#: The most that padding may change a logit: more than rounding in half precision does.
MAX_PADDING_DIFFERENCE = 0.1


def verify(bundle: Bundle, thorough: bool = False) -> None:
    """Opens the models of a bundle and classifies a sentence with each: see `verify_model`.

    Args:
        bundle: The bundle.
        thorough: Also classify the longest row, and rows of different lengths together.

    Raises:
        BundleError: The model cannot be used.
    """
    for stage in bundle.stages:
        verify_model(OnnxModel(stage.bundle, threads=1), thorough)


def verify_model(model: OnnxModel, thorough: bool = False) -> None:
    """Classifies a sentence, to see that a model, its tokenizer and labels fit together.

    Args:
        model: The model.
        thorough: Also classify the longest row that there can be, and, unless rows run one by one,
            the sentence together with it: neither need work because the sentence does. This takes
            as long as dozens of sentences.

    Raises:
        BundleError: It could not be classified.
    """
    bundle = model.bundle
    sentence = bundle.token_ids(TEST_SENTENCE)[: bundle.max_length]
    alone = _classify(model, [sentence], "a test sentence", "copy or export the model again")
    if not thorough:
        return
    # Rows as long as they may be asked for, whatever the bundle reads by default.
    tokenizer = TextTokenizer(bundle, MAX_LENGTH)
    [longest] = tokenizer([f"{TEST_SENTENCE} " * MAX_LENGTH])[0].windows
    words = f"a text of {len(longest)} tokens"
    fix = "check max_position_embeddings in config.json, or export the model again"
    _classify(model, [longest], words, fix)
    if bundle.dynamic_int8:
        return
    words += f" and one of {len(sentence)} in one batch"
    fix = "export it with `newsbeam model export`"
    together = _classify(model, [longest, sentence], words, fix)
    difference = np.abs(together[1] - alone[0]).max()
    if not difference <= MAX_PADDING_DIFFERENCE:
        raise BundleError(
            f"model {bundle.path}: {bundle.model_file.name} gives a text other logits "
            f"beside a longer one (by {difference:.2g}): attention_mask is not heeded; {fix}"
        )


def _classify(model: OnnxModel, batch: list[tuple[int, ...]], what: str, fix: str) -> list[Logits]:
    """The logits of rows, longest first, which are run together."""
    try:
        return model.run_together(batch)
    except Exception as e:
        raise BundleError(
            f"model {model.bundle.path}: {model.bundle.model_file.name} cannot classify {what} "
            f"({one_line(e)}); {fix}"
        ) from e
