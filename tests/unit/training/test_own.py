"""`newsbeam model train`, whole: from a file to a bundle that classifies, stopped on the way or not."""

from __future__ import annotations

import csv
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

for _needed in ("torch", "transformers", "onnx"):
    pytest.importorskip(_needed, reason="training needs newsbeam[train]")


from models.bundle import Bundle
from models.classifier import TextClassifier
from models.locate import PACKAGED
from pipeline import cli
from pipeline.commands import model_train
from training import data, export, finetune, own_model, own_news
from training.config import RunConfig
from training.own_folder import FILES, Asked

#: A bundle that is no cascade.
SMALL = PACKAGED["ag_news_small"]

TOPICS = {
    "cooking": [
        "bake",
        "boil",
        "butter",
        "flour",
        "garlic",
        "onion",
        "oven",
        "pan",
        "salt",
        "stew",
    ],
    "sailing": [
        "anchor",
        "buoy",
        "deck",
        "harbour",
        "keel",
        "mast",
        "rope",
        "sail",
        "tide",
        "wind",
    ],
    "chess": [
        "bishop",
        "board",
        "castle",
        "check",
        "knight",
        "mate",
        "pawn",
        "queen",
        "rook",
        "tempo",
    ],
}


@pytest.fixture(scope="module", autouse=True)
def _fast() -> Iterator[None]:
    """So small a model of random weights learns little in so few steps otherwise."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(own_model, "_LEARNING_RATE", 3e-3)
        patched.setattr(own_model, "_CHOOSING", 10)
        yield


@pytest.fixture(scope="module")
def start(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small int8 bundle, as `graph` writes them, that reads long texts in windows."""
    folder = tmp_path_factory.mktemp("bundles") / "tiny"
    reading = {"long_text": "average", "max_length": 64, "window_tokens": 32}
    export.write(checkpoint, folder, True, temperature=3.0, **reading)
    return folder


@pytest.fixture(scope="module")
def news(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Made-up news: fewer of the last topic, and some longer than a row."""
    rng = np.random.default_rng(0)
    file = tmp_path_factory.mktemp("news") / "news.csv"
    with file.open("w", newline="") as opened:
        writer = csv.writer(opened)
        writer.writerow(["label", "title", "body"])
        for topic, words in TOPICS.items():
            for i in range(30 if topic == "chess" else 60):
                body = " ".join(rng.choice(words, 40 if i % 5 == 0 else 9))
                writer.writerow([topic, f"{words[i % 10]} {i}", body])
    return file


def train(*args: str | Path) -> int:
    return cli.main(["model", "train", *map(str, args)])


def learned(folder: Path) -> dict[str, object]:
    return {name: (folder / name).read_bytes() for name in ("model_quantized.onnx", "config.json")}


@pytest.fixture(scope="module")
def trained(start: Path, news: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that nobody stopped."""
    target = tmp_path_factory.mktemp("trained") / "own"
    assert train(news, "--from", start, "--to", target, "--epochs", "20") == 0
    return target


def test_a_bundle_with_the_labels_of_the_file(trained: Path, capsys):
    assert sorted(f.name for f in trained.iterdir()) == sorted(FILES)
    bundle = Bundle.load(trained)
    assert bundle.labels == ("chess", "cooking", "sailing")
    assert bundle.dynamic_int8
    # Long texts are read as the bundle that it began with reads them.
    assert (bundle.long_text, bundle.row_length, bundle.window_tokens) == ("average", 64, 32)
    assert bundle.temperature not in (1, 3)
    classifier = TextClassifier.load(trained)
    for topic, words in TOPICS.items():
        assert classifier.predict(" ".join(words)).category == topic
    assert cli.main(["model", "verify", str(trained)]) == 0
    card = (trained / "README.md").read_text()
    assert "# own: 3 categories" in card
    assert "$" not in card
    assert "**These are few rows**" in card
    assert "150 rows, 30 to 60 of each category" in card
    for picture in ("evaluation.png", "curves.png"):
        assert (trained / picture).read_bytes().startswith(b"\x89PNG")


def test_a_run_that_was_stopped_ends_as_if_it_had_not_been(
    trained: Path, start: Path, news: Path, tmp_path: Path, monkeypatch, capsys
):
    """Stopped twice: by Ctrl-C, and by a kill between two checkpoints."""
    target = tmp_path / "own"
    arguments = (news, "--from", start, "--to", target, "--epochs", "20")
    stepped = model_train._Reporter.stepped

    def interrupted(self, step: int, steps: int, loss: float) -> None:
        if step == 11:
            os.kill(os.getpid(), 2)
        stepped(self, step, steps, loss)

    with monkeypatch.context() as patched:
        patched.setattr(model_train._Reporter, "stepped", interrupted)
        assert train(*arguments) == 130
    said = capsys.readouterr().err
    assert "newsbeam: stopped at step 11 of 300; the same command goes on from there" in said
    assert not (target / "config.json").exists()

    class Killed(BaseException):
        pass

    def killed(self, step: int, steps: int, loss: float) -> None:
        if step == 30:
            raise Killed
        stepped(self, step, steps, loss)

    with monkeypatch.context() as patched:
        patched.setattr(model_train._Reporter, "stepped", killed)
        with pytest.raises(Killed):
            train(*arguments)
    capsys.readouterr()
    # What is going on there is not looked for in the file again.
    assert train(*arguments, "--json") == 0
    out, err = capsys.readouterr()
    assert "going on where the run was stopped" in err
    found = json.loads(out)
    assert (found["rows"], found["trained"], found["reporting"]) == (150, 120, 15)
    assert learned(target) == learned(trained)
    steps = (trained / "README.md").read_text().count("20 epochs")
    assert steps == (target / "README.md").read_text().count("20 epochs") == 1


def test_one_s_own_bundle_is_trained_on(trained: Path, news: Path, tmp_path: Path, capsys):
    """With the same labels its last layer stays: it knows them from the first step on."""
    target = tmp_path / "more"
    assert train(news, "--from", trained, "--to", target, "--epochs", "0.2", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["labels"] == ["chess", "cooking", "sailing"]
    assert found["accuracy"] > 0.8


def test_a_bundle_that_others_made_is_refused(news: Path, tmp_path: Path, capsys):
    other = tmp_path / "other"
    shutil.copytree(SMALL, other)
    import onnx

    onnx.save(
        onnx.helper.make_model(onnx.helper.make_graph([], "g", [], [])),
        str(other / "model_quantized.onnx"),
    )
    assert train(news, "--from", other, "--to", tmp_path / "own") == 2
    last = capsys.readouterr().err.strip().splitlines()[-1]
    assert "model_quantized.onnx is no int8 graph of newsbeam's own" in last
    assert "name ag_news_mini" in last


def test_settings_go_with_the_rows():
    asked = Asked("n", "d", "s", None, 0, 0.2)

    def of(rows: int, labels: int = 3, tokens: int = 40, same: bool = False) -> RunConfig:
        facts = own_news.Facts(("x",) * labels, rows, 0, 0, 0, rows, rows // 8, rows // 8, 8, 8)
        return own_model.settings(np.full(rows, tokens), facts, 512, asked, same_labels=same)

    assert of(40).epochs == 15
    assert of(40, same=True).epochs == 6
    assert of(4000).epochs == 6
    assert of(100_000).epochs == 3
    assert of(16_000, labels=1000).epochs == pytest.approx(3.8)
    # Few rows choose nothing.
    assert (of(40).keep_best, of(4000).keep_best) == ("", "held_out")
    assert of(4000).join_batches > 0
    # Long texts need none made of short ones.
    assert of(4000, tokens=300).join_batches == 0
    assert of(40).warmup_steps < of(40).epochs * 40 / of(40).batch_rows


def test_weights_of_labels_count_in_the_loss(checkpoint: Path, tmp_path: Path):
    """Of two labels in a batch the one that counts for more is what the loss is about."""
    rows = data.Tokens(
        np.array([0, 10, 11, 2, 0, 12, 13, 2], np.int32), np.array([0, 4, 8]), np.array([1, 2])
    )
    run = RunConfig(name="r", start="s", dropout=0.0, mask_tokens=0.0)
    losses = {}
    for name, weights in {
        "one": [1, 1, 1e-6, 1],
        "other": [1, 1e-6, 1, 1],
        "both": [1, 1, 1, 1],
    }.items():
        learned_rows = finetune.Rows(run, rows, label_weights=np.array(weights))
        trainer = finetune._Trainer(run, checkpoint, tmp_path, 0, 1, learned_rows.label_weights)
        batch = learned_rows.batch(np.arange(2), np.random.default_rng(0))
        losses[name] = trainer.train(batch, 1)
    assert losses["one"] != pytest.approx(losses["other"], rel=0.01)
    assert losses["both"] == pytest.approx((losses["one"] + losses["other"]) / 2, rel=1e-3)
