"""Hugging Face `pipeline` on torch: float32, and quantized dynamically to int8.

Its weights are those of the bundle, in float again.
"""

from __future__ import annotations

import json
import sys
from functools import partial
from pathlib import Path

from benchmarks.peers.environments import REPOSITORY, bundle, digest_of_bundle, made
from benchmarks.peers.peer import Job, Peer
from benchmarks.peers.texts_job import measure
from tests.servers.cache import Unavailable, run_or_unavailable

#: The batch sizes that are fastest on two cores: rows of a batch are padded to its longest.
BATCH_SIZES = {"float32": 1, "int8": 8}


def prepare(kind: str) -> list[str]:
    """Writes the checkpoint, in the environment of `training`."""
    python = REPOSITORY / ".venv-torch" / "bin" / "python"
    if not python.exists():
        raise Unavailable("there is no .venv-torch; `make .venv-torch/.ready` makes it")

    def write(folder: Path) -> None:
        command = [str(python), "-m", "training", "--root", str(folder), "from-bundle"]
        run_or_unavailable([*command, str(bundle())], "writing a checkpoint of the bundle")

    root = made("checkpoint", digest_of_bundle(), write)
    module = [str(python), "-m", "benchmarks.peers.transformers_pipeline", kind]
    return [*module, str(root / "runs" / bundle().name)]


PEERS = [
    Peer(
        f"transformers-{kind}",
        f"Hugging Face pipeline on torch, {kind}",
        Job.TEXTS,
        partial(prepare, kind),
        rows=1500,
    )
    for kind in BATCH_SIZES
]


def main() -> None:
    """`float32|int8 CHECKPOINT ROWS`."""
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer, pipeline

    kind, folder, rows = sys.argv[1:]
    # transformers keeps it to itself, where text is not generated.
    config = json.loads(Path(folder, "config.json").read_text(encoding="utf-8"))
    model = AutoModelForSequenceClassification.from_pretrained(folder)
    if kind == "int8":
        model = torch.ao.quantization.quantize_dynamic(model, {torch.nn.Linear}, torch.qint8)
    classifier = pipeline(
        "text-classification",
        model=model,
        tokenizer=AutoTokenizer.from_pretrained(folder),
        batch_size=BATCH_SIZES[kind],
        truncation=True,
        max_length=config["max_length"],
    )
    measure(lambda texts: [found["label"] for found in classifier(texts)], rows)


if __name__ == "__main__":
    main()
