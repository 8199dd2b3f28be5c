"""What came out against what went in, as a reader of committed records sees it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Self

import msgspec
from kafka import KafkaConsumer, TopicPartition
from kafka.consumer.fetcher import ConsumerRecord

from tests.chaos.news import Input
from tests.servers.processes import wait_until


class Record(NamedTuple):
    """What a sink holds: the key names the message that it came of."""

    key: bytes | None
    value: bytes
    place: str

    @classmethod
    def of(cls, record: ConsumerRecord) -> Self:
        """That of Kafka. What has no key, since Pub/Sub has none, has it as a header."""
        key = record.key or dict(record.headers).get("chaos")
        return cls(key, record.value, f"{record.topic}-{record.partition}@{record.offset}")


@dataclass(frozen=True)
class Verdict:
    """The books of a run.

    Attributes:
        outputs: Categorized items.
        dead_letters: Dead letters.
        lost: Messages that came out nowhere.
        doubled: Records that came out although their message was out already.
        wrong: Records that are not what their message had to become: another id, other bytes,
            poison categorized, news refused; or that belong to no message.
    """

    outputs: int
    dead_letters: int
    lost: int
    doubled: int
    wrong: int
    examples: tuple[str, ...] = ()


def judge(inputs: Sequence[Input], outputs: Sequence[Record], letters: Sequence[Record]) -> Verdict:
    """Compares the input with what came out."""
    expected = {message.key: message for message in inputs}
    arrived = Counter(record.key for record in (*outputs, *letters))
    lost = expected.keys() - arrived.keys()
    doubled = {key: n - 1 for key, n in arrived.items() if n > 1}
    wrong = [r for r in outputs if not _is_news(r, expected.get(r.key))]
    wrong += [r for r in letters if not _is_poison(r, expected.get(r.key))]
    return Verdict(
        outputs=len(outputs),
        dead_letters=len(letters),
        lost=len(lost),
        doubled=sum(doubled.values()),
        wrong=len(wrong),
        examples=(
            *(f"lost: {_name(key)}" for key in sorted(lost)[:5]),
            *(f"doubled: {_name(key)}" for key in sorted(doubled)[:5]),
            *(f"wrong: {_name(r.key)} at {r.place}" for r in wrong[:5]),
        ),
    )


def _name(key: bytes | None) -> str:
    return "no key" if key is None else key.decode(errors="replace")


def _is_news(record: Record, message: Input | None) -> bool:
    if message is None or message.poison:
        return False
    item = msgspec.json.decode(record.value)
    return bool(item["id"] == message.key.decode() and item["category"])


def _is_poison(record: Record, message: Input | None) -> bool:
    return message is not None and message.poison and record.value == message.value


def read(servers: str, topic: str) -> list[Record]:
    """Reads all committed records of a topic, once no transaction is open in it."""
    committed, uncommitted = (
        KafkaConsumer(
            bootstrap_servers=servers,
            group_id=None,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            isolation_level=level,
        )
        for level in ("read_committed", "read_uncommitted")
    )
    try:
        partitions = [
            TopicPartition(topic, p) for p in sorted(committed.partitions_for_topic(topic))
        ]
        # An open transaction keeps readers back; the broker aborts one that nobody goes on with.
        wait_until(
            lambda: committed.end_offsets(partitions) == uncommitted.end_offsets(partitions),
            f"open transactions in {topic} to end",
        )
        ends = committed.end_offsets(partitions)
        committed.assign(partitions)
        committed.seek_to_beginning(*partitions)
        records: list[Record] = []
        while any(committed.position(tp) < ends[tp] for tp in partitions):
            for fetched in committed.poll(timeout_ms=500, max_records=5_000).values():
                records += map(Record.of, fetched)
        return records
    finally:
        committed.close()
        uncommitted.close()
