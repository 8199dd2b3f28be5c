"""Runs of programs: what each gave, and where what they say goes."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from benchmarks import news
from benchmarks.peers.environments import BUILD, REPOSITORY
from benchmarks.peers.texts_job import STARTED
from benchmarks.usage import Usage, stop, used

#: How long a run may take, in seconds.
LIMIT = 300.0


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


def log_of(name: str) -> Path:
    """Where a peer's last run said what it had to say, from the repository's root."""
    return BUILD.relative_to(REPOSITORY) / "logs" / f"{name}.log"


@contextmanager
def running(
    name: str, command: Sequence[str], stdout: int = subprocess.DEVNULL
) -> Iterator[tuple[subprocess.Popen[bytes], Usage]]:
    """A program while a block runs; what it says goes to a log of build/peers.

    Raises:
        Failed: It cannot be started.
    """
    log = REPOSITORY / log_of(name)
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
                children = psutil.Process(run.pid).children(recursive=True)
                stop(run)
                for process in children:  # JVMs that a program did not take along
                    with contextlib.suppress(psutil.NoSuchProcess):
                        process.kill()


def classify_texts(name: str, command: list[str], rows: Sequence[news.Row]) -> Measured:
    """Runs a program of `Job.TEXTS` to its end.

    Raises:
        Failed: It ended otherwise.
    """
    with tempfile.NamedTemporaryFile("w", suffix=".jsonl", encoding="utf-8") as file:
        file.writelines(json.dumps({"text": r.text, "label": r.label}) + "\n" for r in rows)
        file.flush()
        with running(name, [*command, file.name], subprocess.PIPE) as (run, usage):
            try:
                said, _ = run.communicate(timeout=LIMIT)
            except subprocess.TimeoutExpired:
                raise Failed(f"took more than {LIMIT:.0f} s") from None
    # Libraries print, too: what was measured is the last line.
    lines = said.splitlines()
    if run.returncode or not lines:
        raise Failed(f"ended with {run.returncode}")
    return Measured(**json.loads(lines[-1]), memory=usage.memory)
