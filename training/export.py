"""Turn a checkpoint into a calibrated int8 bundle, check it against torch, and measure it."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import torch
from safetensors.numpy import load_file

from models.classifier import TextClassifier
from models.evaluate import Evaluation, evaluate
from models.labelled_news import LabelledNews
from training import calibrate, card, data, graph, lengths, prepare, scores, smooth
from training.config import BundleConfig

#: The most that a logit of the float graph may differ from torch's.
_TOLERANCE = 1e-4


def session(model: bytes) -> ort.InferenceSession:
    """The graph in ONNX Runtime, on one thread."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    return ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def parity(folder: Path, tokens: data.Tokens, rows: int = 32) -> float:
    """Largest difference between the float graph and torch in float32, over one padded batch.

    Raises:
        ValueError: they differ by more than 1e-4: the graph is wrong.
    """
    weights = load_file(folder / "model.safetensors")
    config = json.loads((folder / "config.json").read_text())
    model = scores.build(folder)
    model.load_state_dict({name: torch.from_numpy(array) for name, array in weights.items()})
    model.eval()
    ids = data.pad(tokens, np.arange(min(rows, len(tokens))), scores.PAD)
    mask = (ids != scores.PAD).astype(np.int64)
    with torch.inference_mode():
        wanted = model(torch.from_numpy(ids), torch.from_numpy(mask)).logits.numpy()
    made = session(graph.build(weights, config, quantized=False).SerializeToString())
    found = made.run(["logits"], {"input_ids": ids, "attention_mask": mask})[0]
    difference = float(np.abs(found - wanted).max())
    if difference > _TOLERANCE:
        raise ValueError(f"{folder}: the graph differs from torch by {difference}")
    return difference


def write(
    run: Path,
    target: Path,
    quantized: bool,
    reaches: Mapping[str, np.ndarray] | None = None,
    power: float = 0.0,
    **more: Any,
) -> None:
    """Write the bundle `target` from the checkpoint `run`; `more` goes into its config.json."""
    config = json.loads((run / "config.json").read_text())
    weights = load_file(run / "model.safetensors")
    made = graph.build(weights, config, quantized, reaches, power)
    target.mkdir(parents=True, exist_ok=True)
    name = "model_quantized.onnx" if quantized else "model.onnx"
    (target / name).write_bytes(made.SerializeToString())
    shutil.copyfile(run / "tokenizer.json", target / "tokenizer.json")
    (target / "config.json").write_text(json.dumps(config | more, indent=2) + "\n")


def write_calibrated(
    run: Path,
    looked_at: data.Tokens,
    held_out: LabelledNews,
    target: Path,
    reads: Mapping[str, Any] | None = None,
    fit: Callable[[np.ndarray, np.ndarray, np.ndarray, str], tuple[float, float]] = calibrate.fit,
) -> tuple[float, float]:
    """Write the bundle `target` in int8, smoothed and calibrated with its own logits.

    Args:
        run: the finished run.
        looked_at: rows that it was trained on, to see how far inputs reach.
        held_out: rows that fit what scores mean.
        target: the folder.
        reads: what its config.json says of long texts; None leaves that as the run's says it.
        fit: fits power and temperature, as `calibrate.fit` does.

    Returns:
        The power and the temperature.
    """
    reaches = smooth.reaches(run, looked_at)
    reads = reads or {}
    write(run, target, True, reaches, **reads)
    classifier = TextClassifier.load(target)
    raw = classifier.logits(list(held_out.texts))
    power, temperature = fit(
        raw.logits,
        np.array(held_out.targets),
        np.array(raw.windows),
        classifier.reading.long_text,
    )
    write(run, target, True, reaches, power, temperature=temperature, **reads)
    return power, temperature


def evaluate_float(
    run: Path,
    power: float,
    temperature: float,
    news: LabelledNews,
    reads: Mapping[str, Any] | None = None,
) -> Evaluation:
    """What the same bundle does in float."""
    with tempfile.TemporaryDirectory() as folder:
        write(run, Path(folder), False, None, power, temperature=temperature, **(reads or {}))
        return evaluate(TextClassifier.load(folder), news)


def export(
    run: Path,
    tokens_folder: Path,
    target: Path,
    config: BundleConfig,
    others: Mapping[str, LabelledNews],
) -> Evaluation:
    """Write the bundle `target` from the finished run, and its measurements beside it.

    Its scores are calibrated with the int8 graph's own logits; the test part only reports.
    `TARGET.json` has the figures of the int8 graph, of the float one, of headlines alone and by
    length of text; so has the model card.

    Args:
        run: the finished run.
        tokens_folder: what `prepare` wrote.
        target: the folder.
        config: which part calibrates, and how long texts are read.
        others: news of other kinds, to report on, by their source.
    """
    calibrate_on = config.calibrate_on
    difference = parity(run, prepare.load(tokens_folder, calibrate_on))
    held_out = prepare.news(tokens_folder, calibrate_on)
    looked_at = prepare.load(tokens_folder, "train")
    power, temperature = write_calibrated(run, looked_at, held_out, target, config.reads)
    test = prepare.news(tokens_folder, "test")
    headlines = prepare.news(tokens_folder, "test_headlines")
    classifier = TextClassifier.load(target)
    found = evaluate(classifier, test)
    found_float = evaluate_float(run, power, temperature, test, config.reads)
    joined = lengths.joined(test, classifier.bundle.tokenizer())
    sources = {"AG News test": test, "joined rows of it": joined, **others}
    report = {
        "reads": str(classifier.reading),
        "by_length": lengths.by_length(classifier, sources),
        "megabytes": round((target / "model_quantized.onnx").stat().st_size / 1e6, 2),
        "float_graph_against_torch": difference,
        "power": power,
        "calibrated_on": evaluate(classifier, held_out).as_dict(),
        "test": found.as_dict(),
        "test_float": found_float.as_dict(),
        "test_headlines": evaluate(classifier, headlines).as_dict(),
    }
    target.with_suffix(".json").write_text(json.dumps(report, indent=2) + "\n")
    card.write(target, report)
    return found
