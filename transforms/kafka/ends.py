"""Where topics end now: for `--stop_at_end` and `start=latest`."""

from __future__ import annotations

import time
from collections.abc import Iterable

from kafka import TopicPartition
from kafka.errors import KafkaTimeoutError

from transforms.kafka.settings import KafkaSettings

#: How long to wait for brokers to answer, in seconds.
TIMEOUT = 30.0


def end_of(
    settings: KafkaSettings, partitions: Iterable[TopicPartition], isolation_level: str
) -> dict[TopicPartition, int]:
    """The offset after the last record of each partition.

    Asks for the end offsets, then fetches there, and believes what the fetch says: some brokers
    (Tansu 0.6) name an offset within the last batch.

    Raises:
        KafkaTimeoutError: A partition's leader does not answer.
    """
    wanted = list(partitions)
    consumer = settings.consumer(
        group_id=None,
        enable_auto_commit=False,
        isolation_level=isolation_level,
        auto_offset_reset="none",
        # There is nothing to wait for at the end of a topic.
        fetch_max_wait_ms=10,
    )
    try:
        ends: dict[TopicPartition, int] = consumer.end_offsets(wanted)
        consumer.assign(wanted)
        for tp, offset in ends.items():
            consumer.seek(tp, offset)
        deadline = time.monotonic() + TIMEOUT

        def fetch(timeout_ms: int) -> None:
            for tp in consumer.poll(timeout_ms=timeout_ms):
                ends[tp] = max(ends[tp], consumer.highwater(tp) or 0)

        # The high watermark is known as soon as a fetch was answered.
        while unknown := [tp for tp in wanted if consumer.highwater(tp) is None]:
            if time.monotonic() > deadline:
                raise KafkaTimeoutError(f"no answer about {unknown[0]} at {settings.servers}")
            fetch(timeout_ms=100)
        for _ in wanted:
            fetch(timeout_ms=0)  # A poll may answer for one partition at a time.
        return ends
    finally:
        consumer.close()
