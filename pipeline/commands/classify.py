"""`newsbeam classify`: classifies texts of the command line, or lines of stdin as they come."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.style import Style
from rich.text import Text

from models.classifier import Prediction, TextClassifier
from pipeline.commands.model_options import (
    CLASSIFIER_OPTIONS,
    CLASSIFIER_SETTINGS,
    load_classifier,
)
from pipeline.flags import with_flags
from pipeline.printing import fit, printable
from pipeline.terminal import is_terminal
from transforms.errors import ConfigurationError
from transforms.files.archives import check_piped
from transforms.streams import check_stdin, read_chunks, read_lines

#: Width of the bar of scores, in characters.
BAR_WIDTH = 20

_COLORS = ("cyan", "green", "yellow", "magenta", "blue", "red")
# By rank, so that the bar can be read without colors.
_SHADES = "█▓▒░"


@dataclass(frozen=True)
class Line:
    """A text to classify.

    Attributes:
        number: Its line of stdin, from 1; None for a text of the command line.
        text: The text.
    """

    number: int | None
    text: str


Write = Callable[[Line, Prediction], None]


@with_flags(*CLASSIFIER_SETTINGS, only=CLASSIFIER_OPTIONS)
def classify(
    texts: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="TEXT",
            help="Texts to classify. Without one, or for -, the lines of stdin are, each as it comes; "
            "empty lines are skipped.",
            show_default=False,
        ),
    ] = None,
    as_json: Annotated[
        bool,
        typer.Option(
            "--json",
            help="Print one JSON object a line: text, category, score, scores, labels, tokens, "
            "truncated, model, and line (of stdin). Default: off; category, score and text, "
            "separated by tabs unless on a terminal.",
            envvar="NEWSBEAM_JSON",
            rich_help_panel="Output",
        ),
    ] = False,
    **given: Any,
) -> int:
    """Classify texts: category and scores of each.

    Exit code 1 if the model could not classify one of them.
    """
    if texts == ["-"]:  # as for `run` and `consume`
        texts = None
    if texts:
        for number, text in enumerate(texts, 1):
            if not text.strip():
                raise ConfigurationError(f"text {number} is empty: give it words to classify")
    classifier = load_classifier(given)
    # News may hold characters that the terminal's encoding lacks.
    sys.stdout.reconfigure(errors="replace")  # type: ignore[union-attr]
    several = bool(classifier.settings.multi_label)
    write = _writer(as_json, classifier.labels(), several)
    source = iter([[Line(None, text) for text in texts]]) if texts else _stdin_lines()
    try:
        failed, cut = _classify(classifier, source, write)
        if cut:
            what = "text was" if cut == 1 else "texts were"
            _note(f"{cut:,} {what} longer than {classifier.reading.limit}; the rest was not read")
    except BrokenPipeError:
        # The reader went away (`newsbeam classify … | head`): what is buffered has nowhere to go.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        failed = 0
    return 1 if failed else 0


def _classify(
    classifier: TextClassifier, source: Iterator[list[Line]], write: Write
) -> tuple[int, int]:
    """Classifies lines as they come; returns how many could not be, and how many were cut off."""
    failed = cut = 0
    for lines in source:
        outcomes = classifier.outcomes([line.text for line in lines])
        for line, outcome in zip(lines, outcomes, strict=True):
            if isinstance(outcome, Exception):
                failed += 1
                where = f"line {line.number}" if line.number else "a text"
                _note(f"{where} could not be classified: {outcome}")
            else:
                cut += outcome.truncated
                write(line, outcome)
        sys.stdout.flush()
    return failed, cut


def _stdin_lines() -> Iterator[list[Line]]:
    """The lines of stdin that are there, as soon as one is; notes what is left out."""
    check_stdin()
    if sys.stdin.isatty():
        _note("type news, one per line; Ctrl-D ends")
    empty = number = 0
    try:
        for chunk in read_lines(check_piped(read_chunks(sys.stdin.buffer), "stdin")):
            lines = []
            for data in chunk:
                number += 1
                data = data.removesuffix(b"\n").removesuffix(b"\r")
                try:
                    text = data.decode()
                except UnicodeDecodeError:
                    _note(f"line {number} is not UTF-8; bytes that are not were read as \ufffd")
                    text = data.decode(errors="replace")
                if text.strip():
                    lines.append(Line(number, text))
                else:
                    empty += 1
            if lines:
                yield lines
    except BrokenPipeError:  # of the output
        raise
    except OSError as e:
        raise ConfigurationError(f"can't read stdin: {e.strerror}") from None
    finally:
        if empty:
            _note(f"{empty:,} empty {'line' if empty == 1 else 'lines'} skipped")


def _writer(as_json: bool, labels: tuple[str, ...], multi_label: bool) -> Write:
    if as_json:
        return _write_json
    console = Console(highlight=False, soft_wrap=False)
    if is_terminal(console):
        return _TerminalWriter(console, labels, multi_label)
    return _write_labels if multi_label else _write_plain


def _write_json(line: Line, prediction: Prediction) -> None:
    values = prediction.as_dict()
    if line.number is not None:
        values = {"line": line.number, **values}
    # ASCII: a text may hold what cannot be encoded.
    print(json.dumps(values))


def _write_plain(line: Line, prediction: Prediction) -> None:
    print(prediction.category, f"{prediction.score:.4f}", _one_line(line.text), sep="\t")


def _write_labels(line: Line, prediction: Prediction) -> None:
    labels = ",".join(prediction.labels)
    print(labels, f"{prediction.score:.4f}", _one_line(line.text), sep="\t")


def _one_line(text: str) -> str:
    """The text without what would break a line of columns."""
    return " ".join(text.split())


class _TerminalWriter:
    """Writes rows for people: category, score, a bar of all scores, the text."""

    def __init__(self, console: Console, labels: tuple[str, ...], multi_label: bool) -> None:
        self._console = console
        self._multi_label = multi_label
        self._width = min(max(len(label) for label in labels), 24)
        self._colors = {label: _COLORS[i % len(_COLORS)] for i, label in enumerate(labels)}

    def __call__(self, line: Line, prediction: Prediction) -> None:
        row = Text(no_wrap=True, overflow="ellipsis")
        color = Style(color=self._colors[prediction.category], bold=True)
        row.append(fit(prediction.category, self._width), color)
        row.append(f"  {prediction.score:5.1%} ")
        row.append_text(self._bar(prediction.scores))
        if self._multi_label:
            row.append(f"  [{', '.join(prediction.labels)}]")
        row.append(f"  {printable(line.text)}", Style(dim=True))
        self._console.print(row, no_wrap=True, overflow="ellipsis")

    def _bar(self, scores: dict[str, float]) -> Text:
        """A bar divided between the labels, as their scores are to each other."""
        total = sum(scores.values()) or 1.0
        ranked = sorted(scores.items(), key=lambda item: -item[1])
        bar = Text()
        done = 0.0
        for rank, (label, score) in enumerate(ranked):
            begin, done = done, done + score / total * BAR_WIDTH
            shade = _SHADES[min(rank, len(_SHADES) - 1)]
            bar.append(shade * (round(done) - round(begin)), Style(color=self._colors[label]))
        return bar


def _note(text: str) -> None:
    sys.stdout.flush()
    print(f"newsbeam: {text}", file=sys.stderr)
