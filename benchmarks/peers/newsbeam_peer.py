"""Newsbeam itself: `newsbeam run`, and its classifier in a process, with each of its models."""

from __future__ import annotations

import os
import sys
from functools import partial

from benchmarks.peers.peer import Job, Peer
from benchmarks.peers.texts_job import measure

DELIVERIES = ("exactly_once", "at_least_once")


def peers(models: list[str]) -> list[Peer]:
    """Newsbeam with each of the models, at each job."""
    return [peer for model in models for peer in _peers(model)]


def _peers(model: str) -> list[Peer]:
    module = [sys.executable, "-m", "benchmarks.peers.newsbeam_peer"]
    run = [
        Peer(
            f"newsbeam-{delivery.replace('_', '-')}-{model}",
            f"newsbeam run, {delivery.replace('_', ' ')}, {model}",
            Job.KAFKA,
            partial(list, [*module, "run", model, delivery]),
        )
        for delivery in DELIVERIES
    ]
    classifier = Peer(
        f"newsbeam-classifier-{model}",
        f"newsbeam TextClassifier, {model}",
        Job.TEXTS,
        partial(list, [*module, "classifier", model]),
    )
    return [*run, classifier]


def main() -> None:
    """`run MODEL DELIVERY SERVERS SOURCE SINK GROUP`, or `classifier MODEL ROWS`."""
    what, model, *args = sys.argv[1:]
    if what == "run":
        delivery, servers, source, sink, group = args
        command = [sys.executable, "-m", "pipeline", "run"]
        ends = ["--source", f"kafka://{servers}/{source}?group={group}"]
        ends += ["--sink", f"kafka://{servers}/{sink}"]
        os.execv(sys.executable, [*command, *ends, "--model", model, "--delivery", delivery])
    from models.classifier import TextClassifier

    classifier = TextClassifier.load(model)
    measure(lambda texts: [p.category for p in classifier.predict(texts)], *args)


if __name__ == "__main__":
    main()
