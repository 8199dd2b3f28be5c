"""Tokenize the training, validation and test rows once, for every run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from tokenizers import Tokenizer

from training import data
from training.config import DataConfig

PARTS = ("train", "extra", "validation", "unseen", "test")


def articles(config: DataConfig) -> dict[str, data.Articles]:
    """The parts: `train`, `extra` (description only), `validation`, `unseen`, `test`.

    `validation` is from `train.csv`, `unseen` from the description-only rows. The published
    weights have seen most of `train.csv`, and nobody knows which rows, but none of the
    description-only ones: what starts from them is chosen and calibrated on `unseen`.
    """
    folder = Path(config.folder)
    if not (folder / "train.csv").is_file():
        raise FileNotFoundError(f"no AG News in {folder}: set [data] folder to where train.csv is")
    train, validation = data.split(
        data.read_train(folder / "train.csv"), config.validation_rows, config.seed
    )
    extra, unseen = data.split(
        data.read_train(folder / "train_description_only.csv"), config.unseen_rows, config.seed
    )
    train = data.without_near_duplicates(train, unseen)
    unseen = data.without_near_duplicates(unseen, data.read_train(folder / "train.csv"))
    extra = data.without_near_duplicates(extra, validation)
    if config.train_rows:
        train = train.take(range(config.train_rows))
        extra = extra.take(range(config.train_rows // 5))
    test = data.read_test(folder / "test.csv")
    if config.test_rows:
        test = test.take(range(config.test_rows))
    return {
        "train": train,
        "extra": extra,
        "validation": validation,
        "unseen": unseen,
        "test": test,
    }


def prepare(config: DataConfig, tokenizer: Tokenizer, target: Path) -> None:
    """Write one `.npz` of tokens for each part into `target`."""
    target.mkdir(parents=True, exist_ok=True)
    for name, part in articles(config).items():
        tokens = data.tokenize(part, tokenizer, config.max_length)
        np.savez(target / f"{name}.npz", ids=tokens.ids, starts=tokens.starts, labels=tokens.labels)
        print(f"{name}: {len(tokens)} rows, {tokens.lengths.mean():.1f} tokens a row")


def load(folder: Path, *names: str) -> data.Tokens:
    """Read the named parts, one after the other, as one."""
    parts = [np.load(folder / f"{name}.npz") for name in names]
    ids = np.concatenate([part["ids"] for part in parts])
    lengths = np.concatenate([np.diff(part["starts"]) for part in parts])
    labels = np.concatenate([part["labels"] for part in parts])
    return data.Tokens(ids, np.concatenate([[0], np.cumsum(lengths)]), labels)
