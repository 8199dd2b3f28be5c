"""The steps from news of the user's own to a bundle: tokens, training, int8, figures, card."""

from __future__ import annotations

import dataclasses
import json
import math
import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer

from models.bundle import Bundle
from models.classifier import TextClassifier
from models.errors import BundleError
from models.evaluate import evaluate
from models.plot import plot
from models.pool import cores
from models.verify import verify
from training import (
    calibrate,
    data,
    dequantize,
    export,
    finetune,
    own_card,
    own_news,
    pictures,
    prepare,
)
from training.config import RunConfig
from training.own_folder import FACTS, Asked, Work
from training.own_news import Facts, Parts
from training.own_report import Reporter, Trained

#: Rows that are seen in all, at least, unless that were more than `_MOST_EPOCHS`.
_ROWS_SEEN = 24_000
_LEARNING_RATE = 1e-4
_LEAST_EPOCHS, _MOST_EPOCHS = 3.0, 15.0
#: Where the categories are those of the bundle, which knows them.
_MOST_EPOCHS_OF_SAME = 6.0
#: With fewer rows to look at, what they choose is chance: the last weights are taken.
_CHOOSING = 50
#: Looks at the held-out rows on the way, and the most rows that are looked at.
_LOOKS, _LOOKED_AT = 10, 1000
#: Tokens of a text that train, where the bundle reads long texts in windows.
_MOST_TOKENS = 1024
#: Windows of longer texts, in tokens.
_SHORTEST_WINDOW, _LONGEST_WINDOW = 32, 256
#: Joined rows, in tokens; see `joined`.
_SHORTEST_JOINED, _LONGEST_JOINED = 32, 384
#: With fewer rows than these to calibrate on, one number is fitted, with care.
_FEW = 200

_LAST_LAYER = "classifier.out_proj"


def make(
    start: Bundle, parts: Parts | None, work: Work, asked: Asked, reporter: Reporter
) -> Trained:
    """Makes the bundle, from where the run was stopped on.

    Args:
        start: The bundle to begin with.
        parts: The news; None where an earlier run has written its tokens.
        work: The folder of the run.
        asked: What it is asked for.
        reporter: Is told how it goes.

    Raises:
        BundleError: The bundle is none to train on.
        KeyboardInterrupt: It was stopped.
    """
    began = time.monotonic()
    torch.set_num_threads(min(torch.get_num_threads(), cores()))
    tokens = work.folder / "tokens"
    config = json.loads((start.path / "config.json").read_text(encoding="utf-8"))
    if parts is not None:
        with reporter.doing("Preparing"):
            _start(start, config, parts.facts.labels, asked.seed, work.folder / "start")
            _write_tokens(parts, start, tokens)
            _write(work.folder / FACTS, json.dumps(dataclasses.asdict(parts.facts)))
    facts = _facts(work.folder / FACTS)
    trained = prepare.load(tokens, "train")
    same = facts.labels == start.labels
    run = settings(trained.lengths, facts, start.row_length, asked, same_labels=same)
    learned = finetune.Rows(
        run,
        trained,
        following=prepare.load(tokens, "train_following") if run.join_batches else None,
        label_weights=own_news.label_weights(trained.labels.tolist()),
    )
    looks = _some(prepare.load(tokens, "calibrating"), asked.seed).cut(max(run.window_lengths))
    folder = work.folder / "run"
    folder.mkdir(exist_ok=True)
    before = time.monotonic() - began
    with reporter.learning():
        finetune.learn(run, work.folder / "start", folder, learned, {"held_out": looks}, reporter)
    began = time.monotonic()
    made = work.folder / "bundle" / work.target.name
    calibrating, reporting = (prepare.news(tokens, name) for name in ("calibrating", "reporting"))
    looked_at = trained.cut(start.row_length)
    with reporter.doing("Writing the bundle in int8, and calibrating it"):
        export.parity(folder, looked_at)
        fit = calibrate.fit if len(calibrating) >= _FEW else calibrate.fit_few
        power, temperature = export.write_calibrated(folder, looked_at, calibrating, made, fit=fit)
        verify(Bundle.load(made), thorough=True)
    with reporter.doing(f"Measuring on {len(reporting):,} rows"):
        found = evaluate(TextClassifier.load(made), reporting)
        found_float = export.evaluate_float(folder, power, temperature, reporting)
        plot(found, made / "evaluation.png")
        pictures.curves([folder], made / "curves.png")
    report: dict[str, Any] = {
        "epochs": run.epochs,
        "chosen": bool(run.keep_best),
        "megabytes": round((made / "model_quantized.onnx").stat().st_size / 1e6, 2),
        "power": power,
        "test": found.as_dict(),
        "test_float": found_float.as_dict(),
    }
    own_card.write(made, report, facts, asked)
    seconds = before + finetune.seconds(folder) + time.monotonic() - began
    work.publish(made)
    return Trained(
        Bundle.load(work.target), facts, found, found_float.eval_accuracy, run.epochs, seconds
    )


def settings(
    lengths: np.ndarray, facts: Facts, reads: int, asked: Asked, *, same_labels: bool
) -> RunConfig:
    """How to train: as the bundles that ship, fitted to how many rows there are.

    Args:
        lengths: Tokens of each row.
        facts: What the rows are.
        reads: The most tokens that the bundle reads at once.
        asked: What the user asked for.
        same_labels: Whether the categories are those of the bundle.
    """
    rows = len(lengths)
    batch_rows = 32 if rows >= 512 else 8
    wanted = max(_ROWS_SEEN, 60 * len(facts.labels))
    most = _MOST_EPOCHS_OF_SAME if same_labels else _MOST_EPOCHS
    epochs = asked.epochs or round(min(max(wanted / rows, _LEAST_EPOCHS), most), 1)
    steps = math.ceil(epochs * rows / batch_rows)
    longest = min(reads, _LONGEST_WINDOW)
    # Where texts are short, longer ones are made of them; where they are not, they are there.
    short = float(np.minimum(lengths, longest).mean()) < longest / 2
    longest_joined = min(reads, _LONGEST_JOINED)
    return RunConfig(
        name="own",
        start="start",
        seed=asked.seed,
        batch_rows=batch_rows,
        epochs=epochs,
        learning_rate=_LEARNING_RATE,
        embedding_rate_factor=2.0,
        head_rate_factor=1.0 if same_labels else 10.0,
        warmup_steps=min(100, max(1, steps // 10)),
        label_smoothing=0.05,
        mask_tokens=0.08,
        crop_batches=0.25,
        window_lengths=(min(_SHORTEST_WINDOW, longest), longest),
        join_batches=0.15 if short else 0.0,
        join_tokens=(min(_SHORTEST_JOINED, longest_joined), longest_joined),
        evaluate_every=max(1, math.ceil(steps / _LOOKS)),
        evaluate_start=True,
        watch=("held_out",),
        keep_best="held_out" if facts.calibrating >= _CHOOSING else "",
        checkpoint_every=100,
    )


def _some(tokens: data.Tokens, seed: int) -> data.Tokens:
    """As many of the rows as are looked at on the way."""
    if len(tokens) <= _LOOKED_AT:
        return tokens
    chosen = np.random.default_rng(seed).choice(len(tokens), _LOOKED_AT, replace=False)
    return tokens.take(np.sort(chosen))


def _start(
    start: Bundle, config: dict[str, Any], labels: tuple[str, ...], seed: int, target: Path
) -> None:
    """Writes the checkpoint to begin with: the bundle's weights, and a last layer for the labels."""
    try:
        weights = dequantize.state_dict(start.model_file)
    except Exception as e:  # onnx has an exception for each way in which a file is none of its own
        raise BundleError(
            f"--from {start.path}: {start.model_file.name} is no int8 graph of newsbeam's own, which "
            "training goes on from; name ag_news_mini, ag_news_small, or a bundle that `newsbeam "
            "model train` made"
        ) from e
    if labels != start.labels:
        generator = torch.Generator().manual_seed(seed)
        size = (len(labels), config["hidden_size"])
        weights[f"{_LAST_LAYER}.weight"] = torch.randn(size, generator=generator) * 0.02
        weights[f"{_LAST_LAYER}.bias"] = torch.zeros(len(labels))
    target.mkdir(exist_ok=True)
    save_file(weights, target / "model.safetensors")
    own = {
        "id2label": {str(number): label for number, label in enumerate(labels)},
        "label2id": {label: number for number, label in enumerate(labels)},
    }
    kept = {key: value for key, value in config.items() if key != "temperature"}
    _write(target / "config.json", json.dumps(kept | own, indent=2) + "\n")
    start.tokenizer().save(str(target / "tokenizer.json"))


def _write_tokens(parts: Parts, start: Bundle, target: Path) -> None:
    target.mkdir(exist_ok=True)
    tokenizer: Tokenizer = start.tokenizer()
    most = start.row_length if start.long_text == "truncate" else _MOST_TOKENS
    following = data.Articles([f" {text}" for text in parts.train.texts], parts.train.labels)
    for name, part in (
        ("train", parts.train),
        ("train_following", following),
        ("calibrating", parts.calibrating),
    ):
        prepare.write(part, tokenizer, most, target / f"{name}.npz")
    for name, part in (("calibrating", parts.calibrating), ("reporting", parts.reporting)):
        prepare.write_news(part, target / f"{name}.json")


def _facts(file: Path) -> Facts:
    values = json.loads(file.read_text(encoding="utf-8"))
    return Facts(**values | {"labels": tuple(values["labels"])})


def _write(file: Path, text: str) -> None:
    """Writes a file whole or not at all."""
    new = file.with_name(f"{file.name}.new")
    new.write_text(text, encoding="utf-8")
    os.replace(new, file)
