"""A shard's transactions, and `deliver`, on Apache Kafka: who may commit what, what is refused."""

from __future__ import annotations

import contextlib
import dataclasses
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from kafka import TopicPartition
from kafka.errors import InvalidTxnStateError, KafkaConnectionError

from tests.integration.harness import Topics, read_topic, short
from tests.servers.apache_kafka import KafkaCluster
from transforms.kafka.encode import KafkaTopic, Origin, Outgoing
from transforms.kafka.faults import Fenced, Hole, KafkaFailure, Patience
from transforms.kafka.offsets import OffsetsClient
from transforms.kafka.producers import close_producers, deliver
from transforms.kafka.read import KafkaSource
from transforms.kafka.session import close_sessions, session_of
from transforms.kafka.settings import KafkaSettings
from transforms.kafka.transactional_ids import forget_fenced
from transforms.kafka.transactions import ShardTransactions
from transforms.reading import Batch, Reader
from transforms.records import KafkaPosition, Message


@contextlib.contextmanager
def shard(
    topics: Topics, number: int = 0, shards: int = 1, run: str = "run"
) -> Iterator[ShardTransactions]:
    """The transactions of a shard, taken over, with partition 0 of the source at its start."""
    settings = KafkaSettings.of(topics.servers)
    offsets = OffsetsClient(settings, topics.group, "read_committed")
    source = KafkaSource(settings, [topics.news], topics.group, shards=shards)
    subscription = dataclasses.replace(source.subscription, run=run)
    transactions = ShardTransactions(subscription, source.shards()[number], offsets)
    try:
        transactions.take_over()
        transactions.start_at({TopicPartition(topics.news, 0): 0})
        yield transactions
    finally:
        transactions.close()
        offsets.close()


def outgoing(topics: Topics, offset: int, follows: int | None = None) -> Outgoing:
    """The outcome of the message at an offset of partition 0."""
    source = KafkaPosition(topics.news, 0, offset)
    message = Message(b"{}", source=source, follows=offset if follows is None else follows)
    topic = KafkaTopic(KafkaSettings.of(topics.servers), topics.out)
    return Outgoing(topic, b"%d" % offset, None, (), None, message)


def values(topics: Topics) -> list[bytes | None]:
    """What the sink holds, in order."""
    return sorted((got.value for got in read_topic(topics.servers, topics.out)), key=str)


@contextlib.contextmanager
def reading(source: KafkaSource) -> Iterator[Reader]:
    """The reader of a source's first shard, begun by a process of its own."""
    reader = source.reader(source.shards()[0])
    try:
        reader.resume(None)
        yield reader
    finally:
        close_sessions()


def poll_until(reader: Reader, records: int) -> Batch:
    """Reads so many records; gives back the batch with the last of them."""
    read = 0
    while True:
        batch = reader.poll(0.5, 100)
        read += len(batch.messages)
        if read >= records:
            return batch


def forget_offset(cluster: KafkaCluster, topics: Topics) -> None:
    """Has the brokers forget where the group stands, as they do by themselves after a week."""
    with cluster.admin() as admin:
        admin.delete_group_offsets(topics.group, [TopicPartition(topics.news, 0)])


def test_a_hole_is_refused(kafka: Topics) -> None:
    with shard(kafka) as transactions:
        transactions.commit([outgoing(kafka, 0), outgoing(kafka, 1)])
        with pytest.raises(Hole, match=r"committed up to 2, but the next record follows 3"):
            transactions.commit([outgoing(kafka, 3)])
        with pytest.raises(Hole, match=r"committed up to 3, but the next record follows 4"):
            transactions.commit([outgoing(kafka, 2), outgoing(kafka, 4)])
        with pytest.raises(Hole, match=r"committed up to 2, but the next record follows 1"):
            transactions.commit([outgoing(kafka, 1)])
        with pytest.raises(Hole, match=r"-0@2 came twice"):
            transactions.commit([outgoing(kafka, 2), outgoing(kafka, 2)])
        assert values(kafka) == [b"0", b"1"]
        # A gap that the reader knows of is none; in any order, the bundle being whole.
        transactions.commit([outgoing(kafka, 9, follows=5), outgoing(kafka, 4, follows=2)])
    assert values(kafka) == [b"0", b"1", b"4", b"9"]


def test_the_next_one_sees_nothing_that_was_left_open(
    kafka: Topics, unique: Callable[[str], str]
) -> None:
    with shard(kafka) as first:
        first.commit([outgoing(kafka, 0)])
        producer = first._producer
        assert producer is not None
        producer.begin_transaction()
        producer.send(kafka.out, b"left open").get()
        with shard(kafka) as second:
            committed = second._offsets.committed([TopicPartition(kafka.news, 0)])
            assert committed == {TopicPartition(kafka.news, 0): 1}
            second.start_at(committed)
            second.commit([outgoing(kafka, 1)])
    assert values(kafka) == [b"0", b"1"]


def test_whoever_starts_at_the_same_time_with_other_shards_is_seen(kafka: Topics) -> None:
    """Neither saw the other's first shard when it looked first; the later one does."""
    with shard(kafka, 0, 2) as ours, shard(kafka, 0, 3) as theirs, shard(kafka, 1, 2):
        for fenced in (ours, theirs):
            with pytest.raises(Fenced, match="another instance has taken over shard"):
                fenced.commit([outgoing(kafka, 0)])
    assert values(kafka) == []


def test_two_that_have_seen_each_other_before_are_not_both_left(kafka: Topics) -> None:
    """Both layouts have run before, and each has fenced the other's shards once already."""
    with contextlib.ExitStack() as stack:

        def start(number: int, shards: int, fenced: dict) -> ShardTransactions:
            with pytest.MonkeyPatch.context() as patch:  # two processes remember each their own
                patch.setattr("transforms.kafka.transactional_ids._fenced", fenced)
                return stack.enter_context(shard(kafka, number, shards))

        for shards in (2, 3):
            for number in range(shards):
                with shard(kafka, number, shards):
                    pass
        ours: dict = {}
        theirs: dict = {}
        start(1, 2, ours)
        start(1, 3, theirs)
        first = start(0, 2, ours)
        second = start(0, 3, theirs)
        with pytest.raises(Fenced, match="another instance has taken over shard"):
            first.commit([outgoing(kafka, 0)])
        with contextlib.suppress(Fenced):
            second.commit([outgoing(kafka, 0)])
    assert values(kafka) in ([], [b"0"])


def test_who_fenced_once_does_not_fence_again(
    kafka: Topics, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "newsbeam.kafka")
    forget_fenced()
    with shard(kafka, 0, 3), shard(kafka, 0, 2), shard(kafka, 1, 2):
        pass
    assert sum("fencing" in message for message in caplog.messages) == 1


@pytest.mark.parametrize("run", ["another", "run"])  # or a worker of the same pipeline
def test_who_was_cut_off_does_not_fence_the_one_who_has_gone_on(
    kafka: Topics, monkeypatch: pytest.MonkeyPatch, run: str
) -> None:
    with shard(kafka) as first, shard(kafka, run=run) as second:

        def cut_off(*_: object) -> None:
            second.commit([outgoing(kafka, 0), outgoing(kafka, 1)])
            monkeypatch.undo()
            raise KafkaConnectionError("gone")

        monkeypatch.setattr(first, "_attempt", cut_off)
        with pytest.raises(Fenced, match=r"another instance has committed .* up to 2"):
            first.commit([outgoing(kafka, 0)])
        second.commit([outgoing(kafka, 2)])
    assert values(kafka) == [b"0", b"1", b"2"]


@pytest.mark.parametrize("shards", [1, 2])  # 2: it fences the first one's shard as another's
def test_who_is_told_of_the_state_of_a_transaction_does_not_fence_its_successor(
    kafka: Topics, monkeypatch: pytest.MonkeyPatch, shards: int
) -> None:
    """What brokers say while they abort what a fenced producer had begun."""
    with shard(kafka) as first, shard(kafka, shards=shards, run="another") as second:

        def too_late(*_: object) -> None:
            monkeypatch.undo()
            raise InvalidTxnStateError("not in a proper state")

        monkeypatch.setattr(first, "_attempt", too_late)
        with pytest.raises(Fenced, match="another instance has taken over shard"):
            first.commit([outgoing(kafka, 0)])
        second.commit([outgoing(kafka, 0)])
    assert values(kafka) == [b"0"]


@pytest.mark.parametrize("delivery", ["exactly_once", "at_least_once"])
@pytest.mark.parametrize("place", [0, 1])
def test_a_time_that_its_topic_refuses_is_the_time_of_writing(
    kafka: Topics, delivery: str, place: int
) -> None:
    """Brokers take none of an hour ahead and more; what shares its batch is refused with it."""
    began = int(time.time() * 1000)
    records = [outgoing(kafka, offset)._replace(timestamp=began) for offset in range(3)]
    records[place] = records[place]._replace(timestamp=began + 24 * 3600 * 1000)
    if delivery == "at_least_once":
        deliver(records)
        close_producers()
    else:
        with shard(kafka) as transactions:
            transactions.commit(records)
    assert values(kafka) == [b"0", b"1", b"2"]
    times = [got.timestamp for got in read_topic(kafka.servers, kafka.out)]
    assert all(began <= t < began + 3600 * 1000 for t in times)


def test_what_a_topic_never_takes_is_a_dead_letter(
    kafka: Topics, apache_kafka: KafkaCluster
) -> None:
    apache_kafka.create_topic(f"{kafka.out}-compacted", configs={"cleanup.policy": "compact"})
    compacted = KafkaTopic(KafkaSettings.of(kafka.servers), f"{kafka.out}-compacted")
    # Its neighbour comes first, and only says that somebody else was refused.
    records = [
        outgoing(kafka, 0)._replace(topic=compacted, key=b"k"),
        outgoing(kafka, 1)._replace(topic=compacted),
    ]
    dead = KafkaTopic(compacted.settings, kafka.dead)
    records[1] = records[1]._replace(origin=Origin(dead, "World", "m@1"))
    with shard(kafka) as transactions:
        transactions.commit(records)
    [good] = read_topic(kafka.servers, compacted.name)
    assert (good.key, good.value) == (b"k", b"0")
    [letter] = read_topic(kafka.servers, kafka.dead)
    error = dict(letter.headers)["newsbeam.error"]
    assert b"Compacted topic cannot accept message without key" in error


def test_a_dead_letter_without_a_key_gets_one_where_it_needs_one(
    kafka: Topics, apache_kafka: KafkaCluster
) -> None:
    apache_kafka.create_topic(f"{kafka.dead}-compacted", configs={"cleanup.policy": "compact"})
    compacted = KafkaTopic(KafkaSettings.of(kafka.servers), f"{kafka.dead}-compacted")
    with shard(kafka) as transactions:
        transactions.commit([outgoing(kafka, 0)._replace(topic=compacted)])
    [letter] = read_topic(kafka.servers, compacted.name)
    assert letter.key == f"{kafka.news}-0@0".encode()


def test_offsets_are_renewed_before_brokers_forget_them(
    kafka: Topics, apache_kafka: KafkaCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    tp = TopicPartition(kafka.news, 0)
    with shard(kafka) as transactions:
        transactions.commit([outgoing(kafka, 0)])
        forget_offset(apache_kafka, kafka)
        transactions.renew()
        assert transactions._offsets.committed([tp]) == {}
        monkeypatch.setattr("transforms.kafka.transactions.RENEW_AFTER", -1.0)
        transactions.renew()
        assert transactions._offsets.committed([tp]) == {tp: 1}
        transactions.commit([outgoing(kafka, 1)])


@pytest.mark.parametrize("exactly_once", [True, False])
def test_a_quiet_reader_renews_its_offsets(
    kafka: Topics, apache_kafka: KafkaCluster, exactly_once: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("transactions", "shard_reader"):
        monkeypatch.setattr(f"transforms.kafka.{module}.RENEW_AFTER", -1.0)
    monkeypatch.setattr("transforms.kafka.shard_reader.RENEW_EVERY", 0.0)
    kafka.produce(short(3), partition=0)
    tp = TopicPartition(kafka.news, 0)
    settings = KafkaSettings.of(kafka.servers)
    source = KafkaSource(settings, [kafka.news], kafka.group, shards=1, exactly_once=exactly_once)
    with reading(source) as reader:
        batch = poll_until(reader, 3)
        for _ in range(2):
            if commit := reader.commit(batch.position):
                commit()
            reader.resume(batch.position)
            stands = session_of(source.subscription)._offsets.committed([tp])
            assert stands == {tp: 0 if exactly_once else 3}
            forget_offset(apache_kafka, kafka)


def test_latest_is_where_a_run_began_even_if_it_begins_anew(kafka: Topics) -> None:
    kafka.produce(short(2), partition=0)
    settings = KafkaSettings.of(kafka.servers)
    source = KafkaSource(
        settings, [kafka.news], kafka.group, start="latest", shards=1, exactly_once=True
    )
    with reading(source):
        kafka.produce(short(5), partition=0)
    with reading(source) as reader:
        poll_until(reader, 5)


def test_who_was_away_does_not_fence_the_one_who_has_gone_on(
    kafka: Topics, monkeypatch: pytest.MonkeyPatch
) -> None:
    with shard(kafka) as first, shard(kafka, run="another") as second:
        second.commit([outgoing(kafka, 0), outgoing(kafka, 1)])
        # As if the first one had hung in its commit for so long.
        monkeypatch.setattr("transforms.kafka.transactions.TRANSACTION_TIMEOUT", -1.0)
        with pytest.raises(Fenced, match=r"another instance has committed .* up to 2"):
            first.commit([outgoing(kafka, 0)])
        monkeypatch.undo()
        second.commit([outgoing(kafka, 2)])
    assert values(kafka) == [b"0", b"1", b"2"]


def test_what_an_earlier_run_has_committed_is_no_commit_of_ours(kafka: Topics) -> None:
    tp = TopicPartition(kafka.news, 0)
    with shard(kafka) as earlier:
        earlier.commit([outgoing(kafka, 0), outgoing(kafka, 1)])
    with shard(kafka) as again:
        again.move_to({tp: 0})
        assert again._offsets.committed([tp]) == {tp: 0}
        # The commit fails before it has begun, so these two are not written yet.
        assert again._producer is not None
        again._producer.close()
        again.commit([outgoing(kafka, 0), outgoing(kafka, 1)])
    assert values(kafka) == [b"0", b"0", b"1", b"1"]


def read_to(source: KafkaSource, end: int) -> list[bytes | None]:
    """What is read of partition 0 before an offset, and handed over, by a process of its own."""
    source = source.ending_at({TopicPartition(source.subscription.topics[0], 0): end})
    read: list[bytes | None] = []
    with reading(source) as reader:
        while not reader.at_end():
            batch = reader.poll(0.5, 100)
            read += [message.value for message in batch.messages]
        if commit := reader.commit(batch.position):
            commit()
    return read


def test_a_run_that_begins_anew_goes_on_from_what_it_has_committed(kafka: Topics) -> None:
    """As when a worker is lost before its runner's first checkpoint."""
    values = [message.value for message in short(8)]
    kafka.produce(short(8), partition=0)
    settings = KafkaSettings.of(kafka.servers)
    run, later_run = (
        KafkaSource(settings, [kafka.news], kafka.group, start="earliest", shards=1)
        for _ in range(2)
    )
    assert read_to(run, 5) == values[:5]
    assert read_to(run, 8) == values[5:]
    assert read_to(later_run, 8) == values


def test_a_deleted_topic_ends_it(
    kafka: Topics, apache_kafka: KafkaCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("transforms.kafka.producers.STEP_TIMEOUT", 1.0)
    monkeypatch.setattr("transforms.kafka.transactions.STEP_TIMEOUT", 1.0)
    monkeypatch.setattr("transforms.kafka.topics.DELETED_AFTER", 0.0)
    monkeypatch.setenv("NEWSBEAM_KAFKA_MAX_BLOCK_MS", "10000")  # a new producer needs some time
    with shard(kafka) as transactions:
        transactions.commit([outgoing(kafka, 0)])
        apache_kafka.delete_topic(kafka.out)
        with pytest.raises(KafkaFailure, match=f"topic '{kafka.out}' is gone"):
            transactions.commit([outgoing(kafka, 1)])


@pytest.mark.long
def test_a_broker_that_was_away_for_longer_than_producers_wait(
    kafka: Topics, apache_kafka: KafkaCluster
) -> None:
    """By default they give up after two minutes, and then the client gets nothing more across."""
    waits = {"producer_delivery_timeout_ms": 2500, "producer_request_timeout_ms": 1000}
    topic = KafkaTopic(KafkaSettings(kafka.servers, waits), kafka.out)
    given_up = threading.Event()
    try:
        deliver([outgoing(kafka, 0)._replace(topic=topic)])
        with ThreadPoolExecutor(1) as pool, pytest.MonkeyPatch.context() as patch:
            patch.setattr(Patience, "wait", lambda *_: given_up.set())
            apache_kafka.pause()
            try:
                delivered = pool.submit(deliver, [outgoing(kafka, 1)._replace(topic=topic)])
                given_up.wait()
            finally:
                apache_kafka.resume()
            delivered.result()
    finally:
        close_producers()
    assert set(values(kafka)) == {b"0", b"1"}
