"""The card of a model with labels of the user's own says what its figures were measured on."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from models.metrics import confusion_matrix, label_figures
from training import own_card
from training.own_folder import Asked
from training.own_news import Facts

ASKED = Asked("news.csv", "0" * 64, "ag_news_mini@12345678", None, 0, 0.2)


def write(folder: Path, labels: tuple[str, ...], reporting: int, **more: int) -> str:
    """The card of a model of these labels that takes every seventh text for the next label's."""
    folder.mkdir()
    config = {"num_hidden_layers": 3, "hidden_size": 384, "num_attention_heads": 12}
    (folder / "config.json").write_text(json.dumps(config))
    targets = np.arange(reporting) % len(labels)
    given = (targets + (np.arange(reporting) % 7 == 0)) % len(labels)
    confusion = confusion_matrix(targets, given, len(labels))
    names = ("eval_accuracy", "eval_precision", "eval_recall", "eval_f1", "eval_loss")
    test = dict.fromkeys((*names, "expected_calibration_error", "temperature"), 0.5) | {
        "accuracy_interval": (0.4, 0.6),
        "labels": labels,
        "confusion": confusion.tolist(),
        "per_label": [vars(each) for each in label_figures(confusion, labels)],
    }
    report = {
        "epochs": 6.0,
        "chosen": reporting > 100,
        "megabytes": 16.2,
        "power": 0.1,
        "test": test,
        "test_float": test,
    }
    counts = {"repeated": 0, "contradicted": 0, "near": 0} | more
    facts = Facts(labels, 2 * reporting, trained=5, calibrating=6, reporting=reporting,
                  fewest=8, most=8, **counts)  # fmt: skip
    own_card.write(folder, report, facts, ASKED)
    return (folder / "README.md").read_text()


def test_few_rows_are_said_to_be_few(tmp_path: Path):
    card = write(tmp_path / "own", ("a|b", "c"), 20)
    assert "On 20 rows of `news.csv` that were held out at random" in card
    assert "**These are few rows**: another 20 would give an accuracy from 0.40 to 0.60" in card
    assert "calibrated on 6 other rows" in card
    assert "They chose which of the weights" not in card
    assert "`news.csv` has 40 rows, 8 of each category. 5 trained" in card
    # A bar would end the cell.
    assert "| a\\|b | 8 | 2 |" in card
    assert "$" not in card


def test_what_was_left_out_is_said(tmp_path: Path):
    card = write(tmp_path / "own", ("a", "b"), 400, repeated=3, near=2, contradicted=1)
    assert (
        "8 of each category (3 were the same as another; 2 nearly repeated one that was held out); 1 "
        "texts have several labels. 5 trained"
    ) in card
    assert "few rows" not in card
    assert "They chose which of the weights on the way are the bundle's, too." in card


@pytest.mark.parametrize("count", [20, 21, 1000])
def test_tables_do_not_grow_with_the_labels(tmp_path: Path, count: int):
    card = write(tmp_path / "own", tuple(f"l{i}" for i in range(count)), 7000)
    lines = card.splitlines()
    assert len(lines) < 130
    assert max(map(len, lines)) < 500
    assert ("| label (row), category given (column) |" in card) == (count == 20)
    assert ("The 20 that it knows least, of " in card) == (count > 20)
    assert (f"and {count - 20:,} more (`id2label`" in card) == (count > 20)
