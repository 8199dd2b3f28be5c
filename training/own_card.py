"""Write the model card of a bundle with labels of the user's own, from `cards/own_labels.md`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from string import Template
from typing import Any

from training import card
from training.own_folder import Asked
from training.own_news import Facts

#: With more labels, tables name those that say most.
_MOST_LABELS = 20
#: With fewer rows, a card says that its figures are rough.
_FEW = 300


def write(bundle: Path, report: Mapping[str, Any], facts: Facts, asked: Asked) -> None:
    """Write README.md into a bundle.

    Args:
        bundle: the folder, complete but for its card.
        report: its measurements, as those of the bundles that ship, `epochs` among them.
        facts: what became of the rows.
        asked: what the user asked for.
    """
    text = (card.CARDS / "own_labels.md").read_text(encoding="utf-8")
    config = json.loads((bundle / "config.json").read_text(encoding="utf-8"))
    filled = Template(text).substitute(figures(bundle.name, report, facts, asked, config))
    (bundle / "README.md").write_text(filled, encoding="utf-8")


def figures(
    name: str, report: Mapping[str, Any], facts: Facts, asked: Asked, config: Mapping[str, Any]
) -> dict[str, str]:
    """What the text may name with a dollar."""
    test = report["test"]
    low, high = test["accuracy_interval"]
    left_out = [
        f"{count:,} {why}"
        for count, why in (
            (facts.repeated, "were the same as another"),
            (facts.near, "nearly repeated one that was held out"),
        )
        if count
    ]
    rough = (
        f"**These are few rows**: another {facts.reporting:,} would give an accuracy from {low:.2f} "
        f"to {high:.2f}. With more rows of your own, `newsbeam evaluate --csv` says more.\n\n"
        if facts.reporting < _FEW
        else ""
    )
    return card.common(report) | {
        "name": name,
        "news": asked.news,
        "start": asked.start,
        "count": f"{len(facts.labels):,}",
        "categories": _categories(facts.labels),
        "rows": f"{facts.rows:,}",
        "left_out": f" ({'; '.join(left_out)})" if left_out else "",
        "trained": f"{facts.trained:,}",
        "calibrating": f"{facts.calibrating:,}",
        "reporting": f"{facts.reporting:,}",
        "several": f"; {facts.contradicted:,} texts have several labels"
        if facts.contradicted
        else "",
        "span": f"{facts.fewest:,}"
        if facts.fewest == facts.most
        else f"{facts.fewest:,} to {facts.most:,}",
        "epochs": f"{report['epochs']:g}",
        "seed": str(asked.seed),
        "share": f"{asked.held_out:g}",
        "layers": str(config["num_hidden_layers"]),
        "hidden": str(config["hidden_size"]),
        "heads": str(config["num_attention_heads"]),
        "rough": rough,
        "chosen": " They chose which of the weights on the way are the bundle's, too."
        if report["chosen"]
        else "",
        "figures": _figures(test),
        "labels": _labels(test),
        "confusion": _confusion(test),
    }


def _categories(labels: Sequence[str]) -> str:
    shown = ", ".join(f"**{label}**" for label in labels[:_MOST_LABELS])
    rest = len(labels) - _MOST_LABELS
    return f"{shown}, and {rest:,} more (`id2label` in config.json)" if rest > 0 else shown


def _figures(test: Mapping[str, Any]) -> str:
    low, high = test["accuracy_interval"]
    return card.table(
        ["metric", "value"],
        [
            ["accuracy", f"{test['eval_accuracy']:.4f} (95%: {low:.4f} to {high:.4f})"],
            ["precision, macro", f"{test['eval_precision']:.4f}"],
            ["recall, macro", f"{test['eval_recall']:.4f}"],
            ["F1, macro", f"{test['eval_f1']:.4f}"],
            ["loss", f"{test['eval_loss']:.4f}"],
            ["expected calibration error, 15 bins", f"{test['expected_calibration_error']:.4f}"],
        ],
    )


def _labels(test: Mapping[str, Any]) -> str:
    every = test["per_label"]
    shown = sorted(every, key=lambda found: found["f1"])[:_MOST_LABELS]
    if len(every) <= _MOST_LABELS:
        return card.labels_table(every, support=True)
    table = card.labels_table(shown, support=True)
    return f"The {_MOST_LABELS} that it knows least, of {len(every):,}:\n\n{table}"


def _confusion(test: Mapping[str, Any]) -> str:
    """The confusion matrix; of many labels the pairs that are taken for each other most."""
    labels, confusion = test["labels"], test["confusion"]
    if len(labels) <= _MOST_LABELS:
        return card.confusion_table(test)
    wrong = [
        (count, labels[i], labels[j])
        for i, row in enumerate(confusion)
        for j, count in enumerate(row)
        if i != j and count
    ]
    most = sorted(wrong, key=lambda found: -found[0])[:_MOST_LABELS]
    rows = [[label, given, f"{count:,}"] for count, label, given in most]
    return card.table(["label", "category given instead", "texts"], rows)
