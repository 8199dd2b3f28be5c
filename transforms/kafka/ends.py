"""Where topics end: once, for `--stop_at_end` and `start=latest`; and now and then, for lag and time."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Collection, Iterable, Mapping

from kafka import TopicPartition
from kafka.errors import KafkaError, KafkaTimeoutError

from transforms.failures import PipelineFailure
from transforms.kafka.arrivals import Look
from transforms.kafka.faults import KafkaFailure, heals, persistently
from transforms.kafka.offsets import OffsetsClient
from transforms.kafka.settings import KafkaSettings
from transforms.kafka.topics import MissingTopics
from transforms.kafka.words import said

log = logging.getLogger("newsbeam.kafka")

#: How long to wait for brokers to answer, in seconds.
TIMEOUT = 30.0
_WHAT = "looking where topics end"
#: Seconds between two looks: at least, more for each partition (a look at 1,000 takes 10 ms of CPU
#: time), and at most.
LOOK_EVERY, PER_PARTITION, AT_MOST = 0.25, 0.002, 4.0


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


class EndsWatch:
    """Looks where topics end, every so often, in a thread; brokers that are away are waited for.

    Args:
        offsets: Asks the brokers.
        topics: The topics.
        missing: Notices a topic that stays away.
    """

    def __init__(
        self, offsets: OffsetsClient, topics: Collection[str], missing: MissingTopics
    ) -> None:
        self._offsets = offsets
        self._topics = topics
        self._missing = missing
        self._lock = threading.Lock()
        self._look: Look | None = None
        self._known: dict[TopicPartition, int] = {}
        self._failure: PipelineFailure | None = None
        self._closed = threading.Event()

    def latest(self) -> Look:
        """The last look; the first one is waited for.

        Raises:
            KafkaFailure: A topic is gone, or may not be described.
        """
        with self._lock:
            if self._look is None:
                self._look = persistently(self._ask, _WHAT)
                threading.Thread(target=self._watch, name="newsbeam-ends", daemon=True).start()
        if self._failure is not None:
            raise self._failure
        return self._look

    def known(self) -> Mapping[TopicPartition, int]:
        """The last end that is known of each partition; nothing before the first look."""
        return self._known

    def _ask(self) -> Look:
        try:
            look = self._offsets.look(self._topics)
        except KafkaError as e:
            self._missing.look(e)
            raise
        self._missing.found(self._topics)
        ends = {tp: end for tp, end in look.ends.items() if end is not None}
        self._known = self._known | ends
        return look

    def _watch(self) -> None:
        assert self._look is not None
        while not self._closed.wait(
            min(LOOK_EVERY + len(self._look.ends) * PER_PARTITION, AT_MOST)
        ):
            try:
                self._look = self._ask()
            except PipelineFailure as e:
                self._failure = e
                return
            except Exception as e:
                if not heals(e) and not self._closed.is_set():
                    self._failure = KafkaFailure(f"{_WHAT}: {said(e)}")
                    return
                # The last look stays, and gets old: no watermark moves on while brokers are away.
                log.debug("%s: %s", _WHAT, e)

    def close(self) -> None:
        """Looks no more."""
        self._closed.set()
