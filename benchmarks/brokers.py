"""The brokers that benchmarks run on: Apache Kafka where it can be had, else the embedded one."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from pipeline.demo.broker import EmbeddedBroker
from tests.servers.apache_kafka import KafkaCluster
from tests.servers.cache import Unavailable


@contextlib.contextmanager
def broker(topics: Mapping[str, int], kind: str = "kafka") -> Iterator[str]:
    """Starts a broker with topics, and says which.

    Args:
        topics: Names and numbers of partitions.
        kind: `kafka`, or `embedded`.

    Yields:
        Its bootstrap servers.
    """
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        try:
            if kind != "kafka":
                raise Unavailable("asked for the embedded broker")
            cluster = stack.enter_context(KafkaCluster(folder))
        except Unavailable as reason:
            print(f"broker: embedded ({reason})", flush=True)
            embedded = stack.enter_context(EmbeddedBroker())
            embedded.create_topics(topics)
            yield embedded.bootstrap_servers
        else:
            print("broker: Apache Kafka", flush=True)
            for name, partitions in topics.items():
                # Records of the output get the time at which the broker had them.
                cluster.create_topic(name, partitions, {"message.timestamp.type": "LogAppendTime"})
            yield cluster.bootstrap_servers
