"""Runs of programs: what each gave, and where what they say goes."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks import news
from benchmarks.peers.environments import BUILD, REPOSITORY
from benchmarks.peers.texts_job import STARTED
from benchmarks.usage import Usage, stop, used


class Failed(Exception):
    """A program did not do its job; the message is one line."""


@dataclass(frozen=True)
class Measured:
    """What a run gave.

    Attributes:
        rows: How many were classified.
        rate: Rows a second, start-up left out.
        accuracy: The share of the rows whose label was found.
        first_result_s: Seconds from the command to the first result.
        memory: The most resident memory of the program and its children, in bytes.
    """

    rows: int
    rate: float
    accuracy: float
    first_result_s: float
    memory: int


@contextmanager
def running(
    name: str, command: Sequence[str], stdout: int = subprocess.DEVNULL
) -> Iterator[tuple[subprocess.Popen[bytes], Usage]]:
    """A program while a block runs; what it says goes to a log of build/peers.

    Raises:
        Failed: It cannot be started.
    """
    log = BUILD / "logs" / f"{name}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as stderr:
        run = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
            cwd=REPOSITORY,
            env={**os.environ, STARTED: repr(time.time())},
        )
        try:
            with used(run) as usage:
                yield run, usage
        finally:
            if run.poll() is None:
                stop(run)


def classify_texts(name: str, command: list[str], rows: Sequence[news.Row]) -> Measured:
    """Runs a program of `Job.TEXTS` to its end.

    Raises:
        Failed: It ended otherwise.
    """
    with tempfile.NamedTemporaryFile("w", suffix=".jsonl", encoding="utf-8") as file:
        file.writelines(json.dumps({"text": r.text, "label": r.label}) + "\n" for r in rows)
        file.flush()
        with running(name, [*command, file.name], subprocess.PIPE) as (run, usage):
            assert run.stdout is not None
            # Libraries print, too: what was measured is the last line.
            lines = run.stdout.read().splitlines()
            code = run.wait()
    if code or not lines:
        raise Failed(f"ended with {code}; see {_shown(name)}")
    return Measured(**json.loads(lines[-1]), memory=usage.memory)


def _shown(name: str) -> Path:
    return (BUILD / "logs" / f"{name}.log").relative_to(REPOSITORY)
