"""Write a bundle's model card: prose from `cards/NAME.md`, figures from its measurements."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from string import Template
from typing import Any

from models.groups import LENGTHS

CARDS = Path(__file__).with_name("cards")

#: What the model card of Spark NLP's `roberta_base_sequence_classifier_ag_news` states.
SPARK_NLP = {
    "eval_accuracy": "0.95184",
    "eval_precision": "0.95184",
    "eval_recall": "0.95184",
    "eval_f1": "0.95184",
    "eval_loss": "0.17386",
}


def write(bundle: Path, report: Mapping[str, Any]) -> None:
    """Write README.md into a bundle; nothing where `cards/` has no text of its name.

    Args:
        bundle: the folder; its name is that of the text.
        report: the measurements that `export` wrote.

    Raises:
        KeyError: the text asks for a figure that there is not.
    """
    text = CARDS / f"{bundle.name}.md"
    if text.is_file():
        filled = Template(text.read_text(encoding="utf-8")).substitute(figures(report))
        (bundle / "README.md").write_text(filled, encoding="utf-8")


def figures(report: Mapping[str, Any]) -> dict[str, str]:
    """What a card's text may name with a dollar: figures and tables in Markdown."""
    test = report["test"]
    headlines, held_out = report["test_headlines"], report["calibrated_on"]
    return common(report) | {
        "headline_accuracy": f"{headlines['eval_accuracy']:.4f}",
        "held_out_rows": f"{held_out['samples']:,}",
        "figures": _figures(test),
        "labels": labels_table(test["per_label"]),
        "confusion": confusion_table(test),
        "worst_pair": _worst_pair(test),
        "reads": report["reads"],
        "by_length": _by_length(report["by_length"], test["labels"][0]),
    }


def common(report: Mapping[str, Any]) -> dict[str, str]:
    """The figures that every card names."""
    test, float_test = report["test"], report["test_float"]
    low, high = test["accuracy_interval"]
    return {
        "accuracy": f"{test['eval_accuracy']:.5f}",
        "interval": f"{low:.4f} to {high:.4f}",
        "loss": f"{test['eval_loss']:.5f}",
        "calibration_error": f"{test['expected_calibration_error']:.4f}",
        "power": f"{report['power']:.2f}",
        "temperature": f"{test['temperature']:.4f}",
        "float_accuracy": f"{float_test['eval_accuracy']:.5f}",
        "int8_points": f"{(test['eval_accuracy'] - float_test['eval_accuracy']) * 100:+.2f}",
        "megabytes": f"{report['megabytes']:.1f}",
    }


def table(heading: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in Markdown."""

    def cells(line: Sequence[str]) -> list[str]:
        return [cell.replace("|", "\\|") for cell in line]

    lines = [cells(heading), ["---"] * len(heading), *map(cells, rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _figures(test: Mapping[str, Any]) -> str:
    rows = [[name, f"{test[name]:.5f}", stated] for name, stated in SPARK_NLP.items()]
    low, high = test["accuracy_interval"]
    rows[0][1] += f" (95%: {low:.4f} to {high:.4f})"
    rows.append(
        [
            "expected calibration error, 15 bins",
            f"{test['expected_calibration_error']:.5f}",
            "not stated",
        ]
    )
    return table(["metric", "this model", "Spark NLP's card"], rows)


def labels_table(found: Sequence[Mapping[str, Any]], support: bool = False) -> str:
    """Figures of labels, in Markdown; with how many rows each has, where that is asked for."""
    names = ("precision", "recall", "f1")
    more = ("support",) if support else ()
    rows = [
        [each["label"], *(f"{each[n]:.4f}" for n in names), *(f"{each[n]:,}" for n in more)]
        for each in found
    ]
    return table(["label", *names, *more], rows)


def confusion_table(test: Mapping[str, Any]) -> str:
    """The confusion matrix, in Markdown."""
    labels = test["labels"]
    rows = [
        [label, *(f"{count:,}" for count in row)]
        for label, row in zip(labels, test["confusion"], strict=True)
    ]
    return table(["label (row), category given (column)", *labels], rows)


def _by_length(found: Sequence[Mapping[str, Any]], first_label: str) -> str:
    """Accuracy, recall of the first label and calibration by length, in Markdown."""
    rows = []
    for each in found:
        longest = each["longest"]
        whole = longest == 0
        recall = "–" if each["recall"] is None else f"{each['recall']:.3f}"
        rows.append(
            [
                f"**{each['texts']}**" if whole else each["texts"],
                "all" if whole else f"up to {longest}" if longest else f"over {LENGTHS[-1]}",
                f"{each['samples']:,}",
                f"{each['accuracy']:.3f}",
                recall,
                f"{each['calibration_error']:.3f}",
            ]
        )
    heading = ["texts", "tokens", "rows", "accuracy", f"{first_label} recall", "ECE"]
    return table(heading, rows)


def _worst_pair(test: Mapping[str, Any]) -> str:
    """The two labels that are taken for each other most, with how often, of how many errors."""
    labels, confusion = test["labels"], test["confusion"]
    size = range(len(labels))
    wrong = sum(confusion[i][j] for i in size for j in size if i != j)
    count, i, j = max((confusion[i][j] + confusion[j][i], i, j) for i in size for j in size[:i])
    return f"{labels[j]} against {labels[i]}: {count} of {wrong}"
