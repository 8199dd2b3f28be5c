"""Topics that are gone: what waits for them would wait for ever."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection

from kafka.errors import KafkaError, KafkaTimeoutError, UnknownTopicOrPartitionError

from transforms.kafka.faults import KafkaFailure
from transforms.kafka.settings import KafkaSettings, KafkaUnavailable

log = logging.getLogger("newsbeam.kafka")

#: How long a topic may be unknown to the brokers before it counts as deleted, in seconds.
DELETED_AFTER = 60.0


class MissingTopics:
    """Ends the pipeline where a topic stays away.

    Args:
        settings: How to reach the cluster.
        topics: The topics that have to be there.
        clock: Gives seconds that never go back.
    """

    def __init__(
        self,
        settings: KafkaSettings,
        topics: Collection[str],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._topics = set(topics)
        self._clock = clock
        self._since: float | None = None

    def found(self, there: Collection[str]) -> None:
        """Takes note of the topics that are there.

        Raises:
            KafkaFailure: One of ours has been gone for long.
        """
        gone = sorted(self._topics - set(there))
        if not gone:
            self._since = None
        elif self._since is None:
            self._since = self._clock()
        elif self._clock() - self._since > DELETED_AFTER:
            raise KafkaFailure(
                f"topic {gone[0]!r} is gone from {self._settings.servers}: was it deleted?"
            )

    def look(self, error: Exception) -> None:
        """Asks the brokers which topics there are, if an error may come of one that is not.

        Raises:
            KafkaFailure: One of ours has been gone for long.
        """
        if not isinstance(error, KafkaTimeoutError | UnknownTopicOrPartitionError):
            return
        try:
            admin = self._settings.admin()
            try:
                there = admin.list_topics()
            finally:
                admin.close()
        except (KafkaError, KafkaUnavailable) as e:
            log.debug("looking for topics: %s", e)
        else:
            self.found(there)
