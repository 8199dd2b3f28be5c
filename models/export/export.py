"""Turns a Hugging Face checkpoint into a bundle, and proves that it gives the same scores."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from models.bundle import Bundle
from models.errors import BundleError
from models.export.card import public_name, write_card
from models.export.checkpoint import load_checkpoint
from models.export.graph import write_graph
from models.export.parity import INT8_TOLERANCE, TOLERANCE, Parity, Reference
from models.export.quantize import quantize
from models.export.target import load_new, new_folder
from models.export.texts import TEXTS


class ParityError(BundleError):
    """An exported graph gives other scores than the checkpoint.

    Attributes:
        parity: The report.
    """

    def __init__(self, message: str, parity: Parity) -> None:
        super().__init__(message)
        self.parity = parity


def _silent(_: str) -> None:
    pass


def export(
    source: str,
    target: Path,
    *,
    revision: str | None = None,
    int8: bool = True,
    texts: Sequence[str] = TEXTS,
    tolerance: float = TOLERANCE,
    int8_tolerance: float = INT8_TOLERANCE,
    say: Callable[[str], None] = _silent,
) -> tuple[Bundle, Parity]:
    """Makes a bundle: config.json, tokenizer.json, model.onnx, model_quantized.onnx, parity.json
    and README.md.

    Args:
        source: A folder with a checkpoint, or a name on the hub.
        target: The folder to make, or an empty one; filled last, once everything is proven.
        revision: A branch, tag or commit on the hub.
        int8: Whether to make model_quantized.onnx, too.
        texts: The texts on which the bundle is compared with torch.
        tolerance: The most that a score of model.onnx may differ from torch's.
        int8_tolerance: The most that scores of model_quantized.onnx may differ from torch's on
            average: see `Difference.mean_difference`.
        say: Is told what is being done.

    Returns:
        The bundle, and how it compares.

    Raises:
        ParityError: model.onnx differs by more than `tolerance`, or model_quantized.onnx by more
            than `int8_tolerance`.
        BundleError: The model cannot be loaded or exported, the folder cannot be made, or a
            package is missing.
    """
    with new_folder(target) as folder:
        say(f"Loading {source}")
        checkpoint = load_checkpoint(source, revision)
        checkpoint.write_settings(folder)
        say(f"Exporting a {checkpoint.family} of {checkpoint.model.num_parameters():,} parameters")
        write_graph(checkpoint, folder / "model.onnx")
        bundle = load_new(folder, source)
        say(f"Comparing {len(texts)} texts with torch")
        reference = Reference(checkpoint, bundle, list(texts))
        fp32 = reference.compare(bundle)
        parity = Parity(
            texts=len(texts),
            longest=reference.longest,
            activation=checkpoint.activation,
            tolerance=tolerance,
            int8_tolerance=int8_tolerance,
            fp32=fp32,
            int8=None,
        )
        if not fp32.max_difference <= tolerance:
            raise ParityError(
                f"model {source!r}: scores of model.onnx differ from torch's by up to "
                f"{fp32.max_difference:.2e}, more than {tolerance:g}, and no bundle was made; raise "
                "--tolerance if that is good enough",
                parity,
            )
        if int8:
            say("Quantizing to int8")
            quantize(folder / "model.onnx", folder / "model_quantized.onnx")
            bundle = load_new(folder, source)  # which prefers it
            compared = reference.compare(bundle)
            parity = replace(parity, int8=compared)
            if not compared.mean_difference <= int8_tolerance:
                raise ParityError(
                    f"model {source!r}: scores of model_quantized.onnx differ from torch's by "
                    f"{compared.mean_difference:.3f} on average, more than {int8_tolerance:g}, and "
                    "no bundle was made; export it with --no-int8, or raise --int8_tolerance",
                    parity,
                )
        (folder / "parity.json").write_text(parity.to_json() + "\n", encoding="utf-8")
        write_card(bundle, public_name(source), checkpoint.family, parity)
    return Bundle.load(target), parity
