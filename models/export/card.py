"""Writes the beginning of a model card: README.md of an exported bundle."""

from __future__ import annotations

from pathlib import Path

from models.bundle import Bundle
from models.export.parity import Difference, Parity
from models.reading import Reading


def write_card(bundle: Bundle, source: str, family: str, parity: Parity | None) -> None:
    """Writes README.md, unless there is one.

    Args:
        bundle: The bundle.
        source: What it was made of: a name on the hub, or the name of a folder.
        family: The type of the model, such as `roberta`.
        parity: How it compares with what it was made of, if that was measured.
    """
    file = bundle.path / "README.md"
    if file.exists():
        return
    labels = ", ".join(f"`{label}`" for label in bundle.labels)
    lines = [
        "---",
        "library_name: onnx",
        "pipeline_tag: text-classification",
        "---",
        "",
        f"# {bundle.name}",
        "",
        f"A text classifier ({family}) for newsbeam and ONNX Runtime, made of `{source}`.",
        "",
        f"- Labels: {labels}",
        f"- At most {bundle.max_length} tokens a row, special tokens included",
        f"- Of a text it reads {Reading.of(bundle)}, unless asked otherwise",
        "- Data, licence, accuracy: see the model that it was made of",
        "",
        "```",
        f"newsbeam classify --model {bundle.name} 'Shares rise after a record quarter'",
        "```",
    ]
    if parity is not None:
        lines += ["", "## Against torch", "", *_table(parity)]
    file.write_text("\n".join([*lines, ""]), encoding="utf-8")


def _table(parity: Parity) -> list[str]:
    def row(name: str, found: Difference) -> str:
        return (
            f"| {name} | {found.max_difference:.2e} | {found.mean_difference:.2e} | "
            f"{found.agreement:.1%} |"
        )

    lines = [
        f"Scores ({parity.activation}) of {parity.texts} texts, the longest of {parity.longest} "
        "tokens; of each text the score that differs most counts:",
        "",
        "| file | largest difference | mean difference | same category |",
        "|---|---|---|---|",
        row("model.onnx", parity.fp32),
    ]
    return lines if parity.int8 is None else [*lines, row("model_quantized.onnx", parity.int8)]


def public_name(source: str) -> str:
    """The source as a card may name it: a folder by its last part, for paths are private."""
    path = Path(source).expanduser()
    return path.resolve().name if path.exists() else source
