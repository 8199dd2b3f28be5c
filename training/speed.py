"""Time our graph against the exporter's, at the same weights, side by side."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime as ort

from models.bundle import Bundle
from models.export.export import export
from models.onnx import OnnxModel
from training import data, prepare, smooth
from training.export import write

ROUNDS = 5
ROWS = 400

Run = Callable[[np.ndarray], object]


def speed(runs: list[Path], tokens_folder: Path, target: Path) -> dict[str, list[float]]:
    """Rows per CPU second of each graph in each round, one row a call, one thread, test articles.

    Args:
        runs: finished runs; the first is also exported as any checkpoint is (`newsbeam model
            export`), to compare with.
        tokens_folder: what `prepare` wrote.
        target: a folder for the graphs.
    """
    target.mkdir(parents=True, exist_ok=True)
    first = runs[0]
    exported = target / f"{first.name}_exported"
    if not exported.exists():
        export(str(first), exported)
    candidates: dict[str, Run] = {
        f"{first.name}: the exporter's graph": _plain(exported / "model_quantized.onnx"),
        f"{first.name}: the exporter's graph as newsbeam loads it": _newsbeam(exported),
    }
    tokens = prepare.load(tokens_folder, "test")
    for run in runs:
        write(run, target / run.name, True, smooth.reaches(run, tokens))
        candidates[f"{run.name}: our graph as newsbeam loads it"] = _newsbeam(target / run.name)
    return _time(candidates, tokens)


def _plain(model: Path) -> Run:
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])

    def run(ids: np.ndarray) -> object:
        row = ids[None].astype(np.int64)
        return session.run(["logits"], {"input_ids": row, "attention_mask": np.ones_like(row)})

    return run


def _newsbeam(folder: Path) -> Run:
    model = OnnxModel(Bundle.load(folder), threads=1)
    return lambda ids: model.logits([ids.tolist()])


def _time(candidates: dict[str, Run], tokens: data.Tokens) -> dict[str, list[float]]:
    rows = [tokens.row(i) for i in range(min(ROWS, len(tokens)))]
    found: dict[str, list[float]] = {name: [] for name in candidates}
    for number in range(ROUNDS + 1):
        for name, run in candidates.items():
            began = time.process_time()
            for row in rows:
                run(row)
            if number:  # the first round warms up
                found[name].append(len(rows) / (time.process_time() - began))
    base, *_ = found
    for name, rates in found.items():
        ratio = float(np.median(np.array(rates) / np.array(found[base])))
        print(f"{name}: {np.median(rates):.0f} rows/CPU s, {ratio:.2f}x", flush=True)
    return found
