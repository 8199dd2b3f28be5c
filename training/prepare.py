"""Tokenize the training, validation and test rows once, for every run."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer

from models.labelled_news import LabelledNews, read_csv
from training import data
from training.config import DataConfig
from training.plain import plain

#: The parts that runs learn from; they are there in other forms, too.
TRAINED = ("train", "extra")
#: Forms: without the marks of sources, see `plain`; and the same with a space before.
PLAIN, FOLLOWING = "_plain", "_following"

_HEADLINE_WORDS = 8  # train.csv does not say where a title ends; most have five to ten words


def articles(config: DataConfig) -> dict[str, data.Articles]:
    """The parts: `train`, `extra` (description only), `validation`, `unseen`, `test`, headlines.

    `validation` is from `train.csv`, `unseen` from the description-only rows. The published
    weights have seen most of `train.csv`, and nobody knows which rows, but none of the
    description-only ones: what starts from them is chosen and calibrated on `unseen`.
    `headlines` are the first words of `validation`, `test_headlines` the titles of `test`.
    """
    folder = Path(config.folder)
    if not (folder / "train.csv").is_file():
        raise FileNotFoundError(f"no AG News in {folder}: set [data] folder to where train.csv is")
    known = data.read_train(folder / "train.csv")
    described = data.read_train(folder / "train_description_only.csv")
    if config.train_rows:
        known = known.take(range(config.train_rows + config.validation_rows))
        described = described.take(range(config.train_rows // 5 + config.unseen_rows))
    train, validation = data.split(known, config.validation_rows, config.seed)
    extra, unseen = data.split(described, config.unseen_rows, config.seed)
    train = data.without_near_duplicates(train, unseen)
    unseen = data.without_near_duplicates(unseen, known)
    extra = data.without_near_duplicates(extra, validation)
    test = data.read_test(folder / "test.csv")
    titles = data.read_test(folder / "test.csv", titles_only=True)
    if config.test_rows:
        test, titles = (part.take(range(config.test_rows)) for part in (test, titles))
    headlines = [" ".join(text.split()[:_HEADLINE_WORDS]) for text in validation.texts]
    return {
        "train": train,
        "extra": extra,
        "validation": validation,
        "unseen": unseen,
        "headlines": data.Articles(headlines, validation.labels),
        "test": test,
        "test_headlines": titles,
    }


def out_of_domain(config: DataConfig) -> dict[str, LabelledNews]:
    """News of other kinds, by their source; none where the configuration names no file."""
    if not config.out_of_domain:
        return {}
    news = read_csv(config.out_of_domain, data.LABELS, by="source")
    rows: dict[str, list[tuple[str, int]]] = {}
    for text, target, source in zip(news.texts, news.targets, news.values or (), strict=True):
        rows.setdefault(source, []).append((text, target))
    return {
        source: LabelledNews(tuple(t for t, _ in found), tuple(n for _, n in found))
        for source, found in rows.items()
    }


def prepare(config: DataConfig, tokenizer: Tokenizer, target: Path) -> None:
    """Write each part into `target`: tokens, and texts to measure bundles with."""
    target.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(target / "tokenizer.json"))
    for name, part in articles(config).items():
        tokens = write(part, tokenizer, config.max_length, target / f"{name}.npz")
        if name in TRAINED:
            unmarked = [plain(text) for text in part.texts]
            for form, texts in (
                (PLAIN, unmarked),
                (FOLLOWING, [f" {text}" for text in unmarked]),
            ):
                form_part = data.Articles(texts, part.labels)
                write(form_part, tokenizer, config.max_length, target / f"{name}{form}.npz")
        write_news(part, target / f"{name}.json")
        print(f"{name}: {len(tokens)} rows, {tokens.lengths.mean():.1f} tokens a row")


def write(part: data.Articles, tokenizer: Tokenizer, max_length: int, file: Path) -> data.Tokens:
    """Write a part's tokens."""
    tokens = data.tokenize(part, tokenizer, max_length)
    np.savez(file, ids=tokens.ids, starts=tokens.starts, labels=tokens.labels)
    return tokens


def write_news(part: data.Articles, file: Path) -> None:
    """Write a part's texts, to measure bundles with."""
    news = {"texts": part.texts, "targets": part.labels}
    file.write_text(json.dumps(news), encoding="utf-8")


def check_tokenizer(folder: Path, start: Path) -> None:
    """Compare the tokenizer that made the tokens with that of a checkpoint.

    Raises:
        ValueError: it is another one, to which the ids mean other words.
    """
    files = (folder / "tokenizer.json", start / "tokenizer.json")
    made, wanted = (Tokenizer.from_file(str(file)).get_vocab() for file in files)
    if made != wanted:
        raise ValueError(f"{folder} has tokens of another vocabulary than {start}: run `tokens`")


def news(folder: Path, name: str) -> LabelledNews:
    """Read the texts of a part."""
    part = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
    return LabelledNews(tuple(part["texts"]), tuple(part["targets"]))


def load_trained(folder: Path, form: str = "") -> data.Tokens:
    """Read the rows that runs learn from, in one of their forms."""
    return load(folder, *(name + form for name in TRAINED))


def load(folder: Path, *names: str) -> data.Tokens:
    """Read the named parts, one after the other, as one."""
    parts = [np.load(folder / f"{name}.npz") for name in names]
    ids = np.concatenate([part["ids"] for part in parts])
    lengths = np.concatenate([np.diff(part["starts"]) for part in parts])
    labels = np.concatenate([part["labels"] for part in parts])
    return data.Tokens(ids, np.concatenate([[0], np.cumsum(lengths)]), labels)
