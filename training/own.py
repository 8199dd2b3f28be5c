"""A bundle with labels of the user's own: `newsbeam model train`, on what makes the shipped ones.

No torch here before it is needed: it takes seconds to load.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import IO

from models.bundle import Bundle
from models.labelled_news import read_named
from models.quiet import quiet
from training import own_folder, own_news
from training.own_news import Facts
from training.own_report import Reporter, Trained


def train(
    news: Path,
    start: Bundle,
    target: Path,
    reporter: Reporter,
    *,
    epochs: float | None = None,
    seed: int = 0,
    held_out: float = 0.2,
    open_file: Callable[[Path], AbstractContextManager[IO[str]]] | None = None,
) -> Trained:
    """Trains a bundle on news of the user's own.

    Args:
        news: A CSV file of labelled news.
        start: The bundle to begin with: one of those that come with newsbeam, or one made here.
        target: The folder to make; it may hold a run of the same that was stopped.
        reporter: Is told how it goes.
        epochs: How often each row is seen; None goes by how many there are.
        seed: What is drawn at random is drawn by it.
        held_out: The share of the rows that doesn't train.
        open_file: Opens the file, for those who read archives.

    Raises:
        BundleError: The news are too few, the bundle is none to train on, or the folder cannot be
            used.
        CsvError: The file cannot be read.
        KeyboardInterrupt: It was stopped, and goes on when it is called again.
    """
    asked = own_folder.Asked(
        news.name, own_folder.digest(news), start.model_id, epochs, seed, held_out
    )
    with own_folder.work_in(target, asked) as work, quiet():
        parts = None
        if work.resumed:
            reporter.say(f"{work.target}: going on where the run was stopped")
        else:
            with reporter.doing(f"Reading {news.name}"):
                found = (
                    read_named(news) if open_file is None else read_named(news, open_file=open_file)
                )
                parts = own_news.divide(found, start.labels, held_out, seed)
            for line in describe(parts.facts, news.name):
                reporter.say(line)
        with reporter.doing("Loading torch"):
            from training import own_model
        return own_model.make(start, parts, work, asked, reporter)


def describe(facts: Facts, news: str) -> list[str]:
    """What is to be known of a file, in lines."""
    span = (
        f"{facts.fewest:,}" if facts.fewest == facts.most else f"{facts.fewest:,} to {facts.most:,}"
    )
    lines = [
        f"{news}: {facts.rows:,} rows of {len(facts.labels):,} categories, {span} each: "
        f"{facts.trained:,} train, {facts.calibrating:,} calibrate, {facts.reporting:,} report"
    ]
    if facts.repeated:
        lines.append(f"{facts.repeated:,} rows are the same as another one, and left out")
    if facts.near:
        lines.append(
            f"{facts.near:,} rows nearly repeat one that is held out, and are left out of training"
        )
    if facts.contradicted:
        lines.append(f"{facts.contradicted:,} texts have several labels: look at them")
    return lines
