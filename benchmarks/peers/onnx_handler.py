"""Beam's own `OnnxModelHandlerNumpy`, as Beam's RoBERTa example has it, on the same runner.

The example takes one row a batch, since rows of a batch must be of one length; who wants batches pads
all rows to the most tokens.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks.peers import texts_job
from benchmarks.peers.environments import bundle, python_with
from benchmarks.peers.peer import Job, Peer

MOST_TOKENS = 512
#: What came out, and when. The runner's workers are threads of this process.
FOUND: list[tuple[str, int]] = []
TIMES: list[float] = []


def python() -> str:
    """The interpreter that has Beam, of our version, and what its handler needs."""
    packages = (
        f"apache-beam=={version('apache-beam')}",
        "onnx",
        "onnxruntime>=1.20,<2",
        "tokenizers",
    )
    return python_with("beam", packages)


def prepare(kind: str) -> list[str]:
    """Installs it."""
    # Not as a main module: what Beam pickles of that has other globals.
    program = "from benchmarks.peers import onnx_handler; onnx_handler.main()"
    return [python(), "-c", program, kind, str(bundle())]


PEERS = [
    Peer(
        "onnx-handler",
        "Beam OnnxModelHandlerNumpy, one row a batch",
        Job.TEXTS,
        partial(prepare, "one-row"),
        rows=1500,
    ),
    Peer(
        "onnx-handler-padded",
        f"Beam OnnxModelHandlerNumpy, padded to {MOST_TOKENS}",
        Job.TEXTS,
        partial(prepare, "padded"),
        rows=150,
    ),
]


def handler(folder: str, kind: str) -> Any:
    """Beam's handler for the bundle: `one-row`, or `padded`."""
    import numpy as np
    from apache_beam.ml.inference.onnx_inference import OnnxModelHandlerNumpy

    pad = json.loads((Path(folder) / "config.json").read_text())["pad_token_id"]

    def run(session: Any, batch: Sequence[Any], _: Any = None) -> Any:
        # Its own passes one input only.
        ids = np.stack(batch)
        return session.run(None, {"input_ids": ids, "attention_mask": (ids != pad).astype(int)})[0]

    most = {"max_batch_size": 1} if kind == "one-row" else {}
    return OnnxModelHandlerNumpy(f"{folder}/model_quantized.onnx", inference_fn=run, **most)


def tokenizer_of(folder: str, kind: str) -> Any:
    """The bundle's tokenizer, which truncates or pads."""
    from tokenizers import Tokenizer

    config = json.loads((Path(folder) / "config.json").read_text())
    tokenizer = Tokenizer.from_file(f"{folder}/tokenizer.json")
    tokenizer.enable_truncation(config["max_length"])
    if kind == "padded":
        tokenizer.enable_padding(
            pad_id=config["pad_token_id"], pad_token="<pad>", length=MOST_TOKENS
        )
    return tokenizer


def collect(keyed: tuple[str, Any]) -> None:
    """Notes what came out."""
    FOUND.append((keyed[0], int(keyed[1].inference.argmax())))
    TIMES.append(time.time())


def main() -> None:
    """`one-row|padded FOLDER ROWS`."""
    import apache_beam as beam
    import numpy as np
    from apache_beam.ml.inference.base import KeyedModelHandler, RunInference
    from apache_beam.options.pipeline_options import PipelineOptions

    kind, folder, rows = sys.argv[1:]
    texts, labels = texts_job.read(rows)
    names = json.loads((Path(folder) / "config.json").read_text())["id2label"]
    tokenizer = tokenizer_of(folder, kind)
    with beam.Pipeline(options=PipelineOptions(["--runner=FnApiRunner"])) as p:
        _ = (
            p
            | beam.Create(list(enumerate(texts)), reshuffle=False)
            | beam.MapTuple(lambda i, text: (i, np.array(tokenizer.encode(text).ids)))
            | RunInference(KeyedModelHandler(handler(folder, kind)))
            | beam.Map(collect)
        )
    found = [names[str(best)] for _, best in sorted(FOUND)]
    rate = (len(TIMES) - 1) / (TIMES[-1] - TIMES[0])
    first = texts_job.since_start() - (time.time() - TIMES[0])
    texts_job.report(first, rate, found, labels)
