"""Texts to labels in a process: the program's side. Nothing but Python's own library."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

#: When the command was started, in seconds since the epoch: the variable that says so.
STARTED = "NEWSBEAM_PEER_STARTED"
#: Rows that are classified before the ones that count.
WARM_UP = 100


class Texts(NamedTuple):
    """What is to be classified.

    Attributes:
        texts: The texts.
        labels: What they are.
    """

    texts: list[str]
    labels: list[str]


def read(path: str) -> Texts:
    """Reads the file of rows: an object with `text` and `label` a line."""
    rows = [json.loads(line) for line in Path(path).read_text(encoding="utf-8").splitlines()]
    return Texts([row["text"] for row in rows], [row["label"] for row in rows])


def since_start() -> float:
    """Seconds since the command was started."""
    return time.time() - float(os.environ[STARTED])


def report(first_result_s: float, rate: float, found: Sequence[str], labels: Sequence[str]) -> None:
    """Prints what was measured, as a line of JSON.

    Args:
        first_result_s: Seconds from the command to the first result.
        rate: Rows a second, start-up left out.
        found: The label that each text was given.
        labels: The one that it has.
    """
    right = sum(a == b for a, b in zip(found, labels, strict=True))
    measured: dict[str, Any] = {
        "first_result_s": first_result_s,
        "rows": len(found),
        "rate": rate,
        "accuracy": right / len(found),
    }
    print(json.dumps(measured), flush=True)


def measure(classify: Callable[[list[str]], list[str]], path: str) -> None:
    """Classifies one text, some to warm up, then all of them; reports."""
    texts, labels = read(path)
    classify(texts[:1])
    first = since_start()
    classify(texts[-WARM_UP:])
    began = time.perf_counter()
    found = classify(texts)
    report(first, len(texts) / (time.perf_counter() - began), found, labels)
