"""Pub/Sub to Pub/Sub as a process, for tests that kill it: `python -m … ADDRESS NAME [BEAM OPTIONS]`."""

from __future__ import annotations

import signal
import sys

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions

from tests.servers.pubsub import PROJECT
from transforms.classify_news import ClassifyNews
from transforms.pubsub.client import PubSubSettings
from transforms.pubsub.encode import PubSubTopic
from transforms.pubsub.read import PubSubSource, close_readers
from transforms.pubsub.write import PubSubSink
from transforms.reading import ReadUnbounded, drain
from transforms.writing import LETTERS, WriteOutcomes


def main() -> None:
    address, name, *options = sys.argv[1:]
    signal.signal(signal.SIGTERM, lambda *_: drain())
    settings = PubSubSettings(emulator=address)
    source = PubSubSource(settings, PROJECT, f"{name}-sub", lease=2)
    out, dead = (
        PubSubSink(PubSubTopic(settings, PROJECT, f"{name}-{end}")) for end in ("out", "dead")
    )
    try:
        with beam.Pipeline(options=PipelineOptions(["--streaming", *options])) as p:
            outcomes = (p | ReadUnbounded(source) | ClassifyNews()).outcomes
            _ = (
                outcomes
                | "Write items" >> WriteOutcomes(out)
                | "Write dead letters" >> WriteOutcomes(dead, LETTERS)
            )
    finally:
        close_readers()


if __name__ == "__main__":
    main()
