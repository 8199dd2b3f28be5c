"""What kafka-python's clients make of a broker's absence, and what it must not turn into.

kafka-python 3.0 drops a transactional request whose broker just went away, and its caller waits for
ever; and it gives a producer up for lost when a request runs into its time-out. Both are what happens
while a broker restarts. The `kafka_client` setting lets us say it better.
"""

from __future__ import annotations

import logging
from typing import Any

from kafka import KafkaConsumer
from kafka.errors import (
    KafkaConnectionError,
    KafkaError,
    NodeNotReadyError,
    RequestTimedOutError,
)
from kafka.future import Future
from kafka.net.compat import KafkaNetClient

log = logging.getLogger("newsbeam.kafka")


class SteadyClient(KafkaNetClient):
    """A client that takes a broker that is away for a lost connection: asked again elsewhere."""

    def await_ready(self, node_id: Any, timeout_ms: int = 30000) -> bool:
        """Whether a broker can be asked; the producer looks for another where it can't."""
        try:
            return super().await_ready(node_id, timeout_ms)
        except KafkaConnectionError:
            return False

    def send(self, node_id: Any, request: Any, **kwargs: Any) -> Future:
        """Sends a request; a time-out fails it as a lost connection does, as in the Java client."""
        outcome = Future()

        def fail(error: Exception) -> None:
            lost = isinstance(error, RequestTimedOutError | NodeNotReadyError)
            outcome.failure(KafkaConnectionError(str(error)) if lost else error)

        super().send(node_id, request, **kwargs).add_callback(outcome.success).add_errback(fail)
        return outcome


def close_consumer(consumer: KafkaConsumer) -> None:
    """Closes a consumer; it commits nothing by itself, so there is nothing to wait for."""
    try:
        consumer.close()
    except KafkaError as e:
        log.debug("closing a consumer: %s", e)
