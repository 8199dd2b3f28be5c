"""All that a process has open for a subscription, however often runners make and drop readers."""

from __future__ import annotations

import threading

from transforms.kafka.ends import EndsWatch
from transforms.kafka.faults import persistently
from transforms.kafka.fetcher import Fetcher, connect
from transforms.kafka.offsets import OffsetsClient
from transforms.kafka.shard_reader import ShardReader
from transforms.kafka.subscription import Subscription
from transforms.kafka.topics import MissingTopics
from transforms.kafka.transactional_ids import forget_fenced
from transforms.kafka.transactions import ShardTransactions
from transforms.per_process import PerProcess
from transforms.tally import TALLY, Backlog


class Session:
    """Clients, readers and transactions of a subscription in this process.

    Args:
        subscription: The subscription.
    """

    def __init__(self, subscription: Subscription) -> None:
        s = subscription
        self._subscription = subscription
        self._offsets = OffsetsClient(s.settings, s.group, s.isolation_level)
        self._ends = EndsWatch(self._offsets, s.topics, MissingTopics(s.settings, s.topics))
        self._fetcher = Fetcher(
            lambda: connect(s.settings, s.isolation_level, len(self._ends.latest().ends))
        )
        self._fetcher.start()
        self._transactions: PerProcess[str, ShardTransactions] = PerProcess()
        self._readers: dict[str, ShardReader] = {}
        self._lock = threading.Lock()

    def reader(self, shard: str) -> ShardReader:
        """The reader of a shard."""
        with self._lock:
            if not self._readers:
                TALLY.follow(self._subscription.run, self._backlog_of_all)
            if shard not in self._readers:
                once = self._subscription.exactly_once
                self._readers[shard] = ShardReader(
                    self._subscription,
                    shard,
                    self._offsets,
                    self._fetcher,
                    self._ends,
                    self.transactions(shard) if once else None,
                )
            return self._readers[shard]

    def transactions(self, shard: str) -> ShardTransactions:
        """The transactions of a shard."""
        return self._transactions.get(
            shard, lambda: ShardTransactions(self._subscription, shard, self._offsets)
        )

    def backlog(self, shard: str) -> Backlog | None:
        """What waits in a shard that is read in this process; None where that is not known."""
        reader = self._readers.get(shard)
        return None if reader is None else reader.backlog()

    def _backlog_of_all(self) -> Backlog | None:
        """What waits in all shards; None while one of them is not read here."""
        return Backlog.together([self.backlog(shard) for shard in self._subscription.shards()])

    def close(self) -> None:
        """Closes all clients."""
        for transactions in self._transactions.clear():
            transactions.close()
        self._fetcher.close()
        self._ends.close()
        self._offsets.close()


_sessions: PerProcess[str, Session] = PerProcess()


def session_of(subscription: Subscription) -> Session:
    """What this process has open for a subscription.

    Raises:
        KafkaFailure: Its settings can't be, or the brokers refuse the login.
    """
    return persistently(
        lambda: _sessions.get(subscription.run, lambda: Session(subscription)), "starting to read"
    )


def open_session(subscription: Subscription) -> Session | None:
    """What this process has open for a subscription already, if anything."""
    return _sessions.peek(subscription.run)


def close_sessions() -> None:
    """Closes all that this process has open: the next use opens it anew."""
    for session in _sessions.clear():
        session.close()
    forget_fenced()
