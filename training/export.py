"""Turn a checkpoint into a calibrated int8 bundle, and check it against torch."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import onnxruntime as ort
import torch
from safetensors.numpy import load_file

from training import data, graph, measure, pause, prepare, scores


def session(model: bytes | Path) -> ort.InferenceSession:
    """A session as the pipeline makes it: one thread a call, no spinning."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    source = model if isinstance(model, bytes) else str(model)
    return ort.InferenceSession(source, options, providers=["CPUExecutionProvider"])


def logits(model: ort.InferenceSession, tokens: data.Tokens, threads: int = 2) -> np.ndarray:
    """Logits (rows, labels), one row a call, as a dynamic-int8 bundle is run."""

    def one(row: int) -> np.ndarray:
        pause.while_quiet()
        ids = tokens.row(row)[None].astype(np.int64)
        feed = {"input_ids": ids, "attention_mask": np.ones_like(ids)}
        found: np.ndarray = model.run(["logits"], feed)[0][0]
        return found

    with ThreadPoolExecutor(threads) as pool:
        return np.stack(list(pool.map(one, range(len(tokens)))))


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
    if difference > 1e-4:
        raise ValueError(f"{folder}: the graph differs from torch by {difference}")
    return difference


def export(folder: Path, tokens_folder: Path, target: Path, calibrate_on: str) -> dict[str, object]:
    """Write the bundle `target` from the checkpoint `folder` and return its measurements.

    The temperature is fitted on the part `calibrate_on` with the int8 graph's own logits;
    the test part only reports.
    """
    weights = load_file(folder / "model.safetensors")
    config = json.loads((folder / "config.json").read_text())
    held_out = prepare.load(tokens_folder, calibrate_on)
    test = prepare.load(tokens_folder, "test")
    difference = parity(folder, held_out)
    made = graph.build(weights, config, quantized=True).SerializeToString()
    held_out_logits = logits(session(made), held_out)
    fitted = measure.temperature(held_out_logits, held_out.labels)
    made = graph.build(weights, config, True, fitted).SerializeToString()
    target.mkdir(parents=True, exist_ok=True)
    (target / "model_quantized.onnx").write_bytes(made)
    (target / "tokenizer.json").write_bytes((folder / "tokenizer.json").read_bytes())
    (target / "config.json").write_text(
        json.dumps(config | {"calibration_temperature": fitted}, indent=2) + "\n"
    )
    found = logits(session(target / "model_quantized.onnx"), test)
    np.savez(target.parent / f"{target.name}.npz", logits=found, held_out=held_out_logits)
    report: dict[str, object] = {
        "megabytes": round(len(made) / 1e6, 2),
        "float_graph_against_torch": difference,
        "temperature": fitted,
        "calibrated_on": measure.report(held_out_logits / fitted, held_out.labels).as_json(),
        "test": measure.report(found, test.labels).as_json(),
    }
    (target.parent / f"{target.name}.json").write_text(json.dumps(report, indent=2) + "\n")
    return report
