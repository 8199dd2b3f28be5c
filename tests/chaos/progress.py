"""How far a run has come, as the broker knows it."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaError

#: How long an answer may take before the last one counts on, in milliseconds.
TIMEOUT = 5_000


class Progress:
    """Asks for committed offsets and for the ends of the output topics.

    While the broker does not answer, what it said last stands.

    Args:
        servers: Where the brokers are.
        group: The consumer group of the pipeline.
        source: The partitions that it reads.
        sinks: The partitions that it writes.
    """

    def __init__(
        self,
        servers: str,
        group: str,
        source: Sequence[TopicPartition],
        sinks: Sequence[TopicPartition],
    ) -> None:
        self._source = source
        self._sinks = sinks
        self._committed = dict.fromkeys(source, 0)
        self._written = 0
        self._settings = {
            "bootstrap_servers": servers,
            "group_id": group,
            "enable_auto_commit": False,
            "isolation_level": "read_uncommitted",
            "reconnect_backoff_max_ms": 500,
        }
        self._consumer = KafkaConsumer(**self._settings)

    def committed(self) -> int:
        """How many source records were committed as done."""
        try:
            for tp in self._source:
                offset = self._consumer.committed(tp, timeout_ms=TIMEOUT)
                self._committed[tp] = max(0, offset or 0)
        except KafkaError:
            pass  # It does not answer now.
        return sum(self._committed.values())

    def written(self) -> int:
        """How many records the sinks hold, those of open transactions and markers included."""
        try:
            ends = self._consumer.end_offsets(self._sinks, timeout_ms=TIMEOUT)
            self._written = sum(ends.values())
        except KafkaError:
            # A client without an assignment asks a former leader for ever: make a new one, when there
            # is somebody to answer.
            with contextlib.suppress(KafkaError):
                consumer = KafkaConsumer(**self._settings)
                self._consumer.close()
                self._consumer = consumer
        return self._written

    def close(self) -> None:
        """Closes the client."""
        self._consumer.close()
