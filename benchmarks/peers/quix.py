"""Quix Streams: as many instances as cores in one consumer group, which is how it scales."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks.peers.environments import bundle, python_with
from benchmarks.peers.hand_written import Model, text_of
from benchmarks.peers.peer import Job, Peer

_MODULE = "benchmarks.peers.quix"


def prepare() -> list[str]:
    """Installs it."""
    packages = ("quixstreams>=3,<4", "onnxruntime>=1.20,<2", "tokenizers>=0.20,<1")
    return [python_with("quix", packages), "-m", _MODULE, "all", str(bundle())]


PEERS = [Peer("quix", "Quix Streams, an instance a core, onnxruntime", Job.KAFKA, prepare)]


def instance(folder: str, servers: str, source: str, sink: str, group: str) -> None:
    """One instance, until SIGTERM."""
    from quixstreams import Application

    model = Model(Path(folder))

    def classify(item: dict[str, Any]) -> dict[str, Any]:
        label, score = model.classify(model.tokenizer.encode(text_of(item)).ids)
        return {**item, "category": label, "score": score}

    app = Application(
        broker_address=servers,
        consumer_group=group,
        auto_offset_reset="earliest",
        auto_create_topics=False,
        loglevel="WARNING",
    )
    news = app.dataframe(app.topic(source, value_deserializer="json"))
    news.apply(classify).to_topic(app.topic(sink, value_serializer="json"))
    app.run()


def main() -> None:
    """`all|one FOLDER SERVERS SOURCE SINK GROUP`."""
    what, *args = sys.argv[1:]
    if what == "one":
        instance(*args)
        return
    command = [sys.executable, "-m", _MODULE, "one", *args]
    instances = [subprocess.Popen(command) for _ in range(os.cpu_count() or 1)]

    def stop(*_: object) -> None:
        for each in instances:
            each.terminate()

    signal.signal(signal.SIGTERM, stop)
    sys.exit(max(abs(each.wait()) for each in instances))


if __name__ == "__main__":
    main()
