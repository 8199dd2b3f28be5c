"""What `benchmarks.pubsub` measures, each in a process of its own: the bare loop, and newsbeam."""

from __future__ import annotations

import os
import queue
import signal
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import apache_beam as beam
import msgspec
import numpy as np
from apache_beam.options.pipeline_options import PipelineOptions
from google.pubsub_v1 import PublishRequest, PubsubMessage, StreamingPullRequest

from benchmarks import news
from models.bundle import Bundle
from models.onnx import OnnxModel
from transforms.classify_news import ClassifyNews
from transforms.pubsub.client import PubSubSettings
from transforms.pubsub.encode import PubSubTopic
from transforms.pubsub.read import PubSubSource, close_readers
from transforms.pubsub.write import PubSubSink
from transforms.reading import ReadUnbounded, drain
from transforms.writing import LETTERS, WriteOutcomes

PROJECT = "newsbeam-benchmark"
NEWS, OUT, DEAD = (f"projects/{PROJECT}/topics/{name}" for name in ("news", "out", "dead"))
SUBSCRIPTION, RESULTS = (
    f"projects/{PROJECT}/subscriptions/{name}" for name in ("news-sub", "results")
)
#: Messages that the bare loop publishes and acknowledges at once.
BATCH = 100


def bare_loop(settings: PubSubSettings, outstanding: int) -> None:
    """Pulls, tokenizes, runs, publishes and acknowledges until it is stopped."""
    bundle = Bundle.load()
    tokenizer, model = bundle.tokenizer(), OnnxModel(bundle)
    tokenizer.enable_truncation(bundle.max_length)
    requests: queue.SimpleQueue[Any] = queue.SimpleQueue()
    requests.put(
        StreamingPullRequest(
            subscription=SUBSCRIPTION,
            stream_ack_deadline_seconds=600,
            max_outstanding_messages=outstanding,
        )
    )
    stream = settings.subscriber().streaming_pull(requests=iter(requests.get, None))
    received: queue.SimpleQueue[Any] = queue.SimpleQueue()

    def pull() -> None:
        for response in stream:
            for message in response._pb.received_messages:
                received.put(message)

    def classify(one: Any) -> bytes:
        item = msgspec.json.decode(one.message.data)
        ids = np.array([tokenizer.encode(f"{item['title']} {item['description']}").ids], np.int64)
        feed = {"input_ids": ids, "attention_mask": np.ones_like(ids)}
        label = int(model._session.run(None, feed)[0].argmax())
        return msgspec.json.encode({**item, "category": news.LABELS[label]})

    def finish(batch: list[Any], results: list[bytes]) -> None:
        message = PubsubMessage.pb()
        request = PublishRequest.pb()(
            topic=OUT,
            messages=[
                message(data=data, attributes={"id": msgspec.json.decode(data)["id"]})
                for data in results
            ],
        )
        settings.publisher().transport.publish(request)
        settings.subscriber().acknowledge(
            subscription=SUBSCRIPTION, ack_ids=[one.ack_id for one in batch]
        )

    threading.Thread(target=pull, daemon=True).start()
    # One batch is published while the next one is worked on.
    with ThreadPoolExecutor(os.cpu_count()) as pool, ThreadPoolExecutor(1) as finishing:
        while True:
            batch = [received.get()]
            while len(batch) < BATCH and not received.empty():
                batch.append(received.get())
            results = list(pool.map(classify, batch))
            finishing.submit(finish, batch, results)


def newsbeam(settings: PubSubSettings, outstanding: int, args: list[str]) -> None:
    """The pipeline, until it is stopped."""
    signal.signal(signal.SIGTERM, lambda *_: drain())
    source = PubSubSource(settings, PROJECT, "news-sub", max_messages=outstanding)
    out, dead = (PubSubSink(PubSubTopic(settings, PROJECT, name)) for name in ("out", "dead"))
    with beam.Pipeline(options=PipelineOptions(["--streaming", *args])) as p:
        outcomes = (p | ReadUnbounded(source) | ClassifyNews()).outcomes
        _ = (
            outcomes
            | "Write items" >> WriteOutcomes(out)
            | "Write dead letters" >> WriteOutcomes(dead, LETTERS)
        )
    close_readers()


def main() -> None:
    kind, address, outstanding, *args = sys.argv[1:]
    settings = PubSubSettings(emulator=address)
    if kind == "bare":
        signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
        bare_loop(settings, int(outstanding))
    else:
        newsbeam(settings, int(outstanding), args or ["--runner=FnApiRunner"])


if __name__ == "__main__":
    main()
