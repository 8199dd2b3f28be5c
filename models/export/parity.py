"""Compares a bundle with the torch model it was made of: the same texts, the same scores?"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

import numpy as np

from models.bundle import Bundle
from models.errors import BundleError
from models.export.checkpoint import Checkpoint
from models.model_settings import MAX_LENGTH
from models.onnx import OnnxModel
from models.tokenize import TextTokenizer

#: The most that a score of the float graph may differ from torch's.
TOLERANCE = 1e-4
#: The most that scores of the int8 graph may differ from torch's, on average over the texts. The
#: default model's differ by 0.02 on `TEXTS`, and by 0.003 on news: beyond, something is broken.
INT8_TOLERANCE = 0.05


@dataclass(frozen=True)
class Difference:
    """How one ONNX file's scores differ from torch's.

    Attributes:
        max_difference: The largest difference of a score, over all texts and labels.
        mean_difference: The mean, over the texts, of the largest difference of a score of each. (A
            mean over all labels says nothing where there are many: most scores are next to 0.)
        agreement: The share of texts with the same category, 0 to 1.
    """

    max_difference: float
    mean_difference: float
    agreement: float


@dataclass(frozen=True)
class Parity:
    """The report.

    Attributes:
        texts: How many texts were compared.
        longest: The tokens of the longest, special tokens included.
        activation: What made scores of logits: `softmax` or `sigmoid`.
        tolerance: The most that `fp32.max_difference` may be.
        int8_tolerance: The most that `int8.mean_difference` may be.
        fp32: How model.onnx differs.
        int8: How model_quantized.onnx differs; None if there is none.
    """

    texts: int
    longest: int
    activation: str
    tolerance: float
    int8_tolerance: float
    fp32: Difference
    int8: Difference | None

    def to_json(self) -> str:
        """The report as JSON."""
        return json.dumps(asdict(self), indent=2)


class Reference:
    """What torch makes of the texts.

    Args:
        checkpoint: The model in torch.
        bundle: The bundle made of it: its tokenizer has to agree.
        texts: The texts.

    Raises:
        BundleError: The bundle's tokenizer makes other tokens of a text than the checkpoint's.
    """

    def __init__(self, checkpoint: Checkpoint, bundle: Bundle, texts: list[str]) -> None:
        self.name = checkpoint.name
        self.activation = checkpoint.activation
        limit = min(bundle.max_length, MAX_LENGTH)
        self.rows = [text.windows[0] for text in TextTokenizer(bundle, limit)(texts)]
        for text, ids in zip(texts, self.rows, strict=True):
            if list(ids) != checkpoint.encode(text, limit):
                raise BundleError(
                    f"model {checkpoint.name!r}: tokenizer.json makes other tokens of "
                    f"{text[:40]!r} than the checkpoint's tokenizer; save that with "
                    "save_pretrained first"
                )
        self.scores = _scores(checkpoint.logits(self.rows), self.activation)

    def compare(self, bundle: Bundle) -> Difference:
        """How a bundle's scores differ, run as the pipeline runs it: in micro-batches, if it can.

        Raises:
            BundleError: The model cannot classify one of the texts.
        """
        found = []
        for result in OnnxModel(bundle).logits(self.rows):
            if isinstance(result, Exception):
                raise BundleError(
                    f"model {self.name!r}: {bundle.model_file.name} cannot classify a text that "
                    f"torch classifies ({result}); report it, with the name of the model"
                ) from result
            found.append(result)
        scores = _scores(np.stack(found), self.activation)
        largest = np.abs(scores - self.scores).max(1)
        same = scores.argmax(1) == self.scores.argmax(1)
        return Difference(float(largest.max()), float(largest.mean()), float(same.mean()))

    @property
    def longest(self) -> int:
        """The tokens of the longest text."""
        return max(map(len, self.rows))


def _scores(logits: np.ndarray, activation: str) -> np.ndarray:
    logits = logits.astype(np.float64)
    if activation == "sigmoid":
        return 1 / (1 + np.exp(-logits))
    powers = np.exp(logits - logits.max(1, keepdims=True))
    return powers / powers.sum(1, keepdims=True)
