"""`newsbeam classify`: classifies texts of the command line, or lines of stdin as they come."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Annotated, Any

import typer

from models.classifier import Prediction, TextClassifier
from pipeline.commands.model_options import (
    CLASSIFIER_OPTIONS,
    CLASSIFIER_SETTINGS,
    load_classifier,
)
from pipeline.flags import with_flags
from transforms.errors import ConfigurationError
from transforms.files.archives import check_piped
from transforms.streams import check_stdin, read_chunks, read_lines


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
    if sys.stdout.isatty():
        from pipeline.commands.classify_rows import Rows

        rows = Rows(labels, multi_label)
        if rows.wanted:
            return lambda line, prediction: rows.write(line.text, prediction)
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


def _note(text: str) -> None:
    sys.stdout.flush()
    print(f"newsbeam: {text}", file=sys.stderr)
