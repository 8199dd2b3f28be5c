"""One of several instances works, the others wait: they are a consumer group of their own, which elects.

The group is named after the one that reads, and its members are assigned no partition; what its
assignments say is who leads. A leader that is gone without a word is noticed by the brokers after
`SESSION_TIMEOUT`, and the member that waits longest leads next. Who comes back after it was taken for
gone is a new member, and does not lead.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence

import msgspec
from kafka import KafkaConsumer
from kafka.coordinator.assignors.abstract import AbstractPartitionAssignor
from kafka.errors import InvalidSessionTimeoutError, KafkaError
from kafka.protocol.consumer.metadata import (
    ConsumerProtocolAssignment,
    ConsumerProtocolSubscription,
)

from transforms.kafka.faults import KafkaFailure, Patience, heals, persistently
from transforms.kafka.settings import KafkaSettings
from transforms.kafka.words import said

#: How long a member may be silent, in seconds: the shortest time that brokers allow by default.
SESSION_TIMEOUT = 6.0
_HEARTBEAT = 0.5
_POLL = 0.1


class _Heard(msgspec.Struct, frozen=True):
    """What a member has last been told, and tells when it joins."""

    #: When it joined first, in seconds since the epoch.
    since: float = 0.0
    #: The member that leads, and the how many-eth leader it is.
    leader: str = ""
    term: int = 0
    #: Whether that is the one who is told.
    leads: bool = False


_encode = msgspec.msgpack.encode


def _decode(data: bytes | None) -> _Heard:
    return msgspec.msgpack.decode(data, type=_Heard) if data else _Heard()


class _Election(AbstractPartitionAssignor):
    """Assigns nothing, and says who leads: who did, or else who waits longest."""

    name = "newsbeam-leader"

    def __init__(self) -> None:
        self.heard = _Heard(since=time.time())

    def metadata(self, topics: Sequence[str]) -> ConsumerProtocolSubscription:
        """What this member tells when it joins."""
        return ConsumerProtocolSubscription(0, list(topics), _encode(self.heard))

    def assign(self, cluster: object, members: Sequence[object]) -> dict[str, object]:
        """What each member is told, asked of one of them."""
        told = {m.member_id: _decode(m.metadata.user_data) for m in members}  # type: ignore[attr-defined]
        last = max(told.values(), key=lambda heard: heard.term)
        leader, term = last.leader, last.term
        if leader not in told:
            leader, term = min(told, key=lambda member: (told[member].since, member)), term + 1
        return {
            member: ConsumerProtocolAssignment(
                0, [], _encode(_Heard(heard.since, leader, term, member == leader))
            )
            for member, heard in told.items()
        }

    def on_assignment(self, assignment: ConsumerProtocolAssignment, generation: int) -> None:
        """What this member is told."""
        self.heard = _decode(assignment.user_data)


class Leader:
    """This process as a member of the group of instances. Close it when its work is done.

    Args:
        settings: How to reach the cluster.
        topics: What the instances read.
        group: The group that they read with.
    """

    def __init__(self, settings: KafkaSettings, topics: Sequence[str], group: str) -> None:
        self.group = f"{group}-standby"
        self._settings = settings
        self._topics = topics
        self._election = _Election()
        self._failure: Exception | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._stay, name="newsbeam-standby", daemon=True)
        self._thread.start()

    def leads(self) -> bool:
        """Whether this instance is the one that works.

        Raises:
            KafkaFailure: The brokers refuse.
        """
        if self._failure is not None:
            raise self._failure
        return self._election.heard.leads

    def waits(self) -> bool:
        """Whether another instance is known to work."""
        heard = self._election.heard
        return heard.term > 0 and not heard.leads

    def _stay(self) -> None:
        try:
            consumer = persistently(self._join, f"joining group {self.group!r}")
            try:
                what = f"waiting in group {self.group!r}"
                patience = Patience(what)
                while not self._stop.is_set():
                    try:
                        consumer.poll(timeout_ms=int(_POLL * 1000))
                        patience = Patience(what)
                    except KafkaError as e:
                        if not heals(e):
                            raise
                        patience.wait(e)
            finally:
                consumer.close(autocommit=False)
        except KafkaFailure as e:
            self._failure = e
        except InvalidSessionTimeoutError:
            self._failure = KafkaFailure(
                f"--standby: brokers allow group {self.group!r} no session of so many seconds: give "
                "session_timeout_ms in --kafka_config as they allow"
            )
        except Exception as e:
            self._failure = KafkaFailure(f"--standby, group {self.group!r}: {said(e)}")

    def _join(self) -> KafkaConsumer:
        consumer = self._settings.consumer(
            group_id=self.group,
            enable_auto_commit=False,
            partition_assignment_strategy=[self._election],
            session_timeout_ms=int(SESSION_TIMEOUT * 1000),
            heartbeat_interval_ms=int(_HEARTBEAT * 1000),
        )
        consumer.subscribe(list(self._topics))
        return consumer

    def close(self) -> None:
        """Leaves the group: another one leads from now on."""
        self._stop.set()
        self._thread.join()
