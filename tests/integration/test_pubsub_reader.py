"""A reader of a subscription, against Google's fake: leases, acknowledgements, what is given back."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

import pytest
from google.pubsub_v1 import DeadLetterPolicy

from tests.integration.pubsub import News, commit, ids, take, wait_for_lease
from tests.servers.processes import wait_until
from tests.servers.pubsub import PROJECT, PubSubServer
from transforms.pubsub import reader as reader_module
from transforms.pubsub.faults import PubSubFailure
from transforms.pubsub.read import close_readers
from transforms.records import PubSubPosition


@pytest.fixture(autouse=True)
def _closed() -> Iterator[None]:
    yield
    close_readers()


@pytest.fixture
def news(pubsub: PubSubServer, unique: Callable[[str], str]) -> News:
    return News(pubsub, unique("t"))


@pytest.fixture
def exactly_once(pubsub: PubSubServer, unique: Callable[[str], str]) -> News:
    return News(pubsub, unique("t"), enable_exactly_once_delivery=True)


def test_messages_have_their_data_attributes_time_and_id(news: News) -> None:
    [sent] = news.server.publish(news.topic, [b"x"], lambda n: {"a": "1", "b": "é"})
    before = time.time()
    reader = news.reader()
    [message] = take(reader, 1)
    assert message.value == b"x"
    assert message.headers == (("a", b"1"), ("b", "é".encode()))
    assert message.key is None
    assert abs((message.timestamp or 0) / 1000 - before) < 60
    assert message.source == PubSubPosition(news.subscription, sent)
    assert str(message.source) == f"{news.subscription}:{sent}"


def test_the_time_of_an_attribute(news: News) -> None:
    times = ["2024-05-01T10:00:00Z", "2024-05-01T12:00:00.5+02:00", "1714557600000", "soon", ""]
    news.server.publish(news.topic, [b"x"] * 5, lambda n: {"at": times[n], "n": str(n)})
    messages = take(news.reader(time_attribute="at"), 5)
    by_number = {dict(m.headers)["n"]: m.timestamp or 0 for m in messages}
    assert [by_number[n] for n in (b"0", b"1", b"2")] == [
        1714557600000, 1714557600500, 1714557600000,
    ]  # fmt: skip
    # What can't be read has the time of publication.
    assert all(time.time() - by_number[n] / 1000 < 600 for n in (b"3", b"4"))


def test_only_what_is_final_is_acknowledged_and_closing_gives_the_rest_back(news: News) -> None:
    sent = news.publish(30)
    reader = news.reader()
    final = ids(take(reader, 10))
    commit(reader)
    take(reader, 5)  # of a bundle that is still under way when the process ends
    close_readers()
    assert sorted(news.left()) == sorted(set(sent) - set(final))


def test_a_bundle_that_becomes_final_while_the_reader_closes_is_acknowledged(news: News) -> None:
    sent = news.publish(3)
    reader = news.reader()
    take(reader, 3)
    done = reader.commit(reader.poll(0, 0).position)
    assert done is not None
    thread = wait_until_closing(reader, done)
    thread()
    assert news.left() == []
    assert len(sent) == 3


def wait_until_closing(reader: object, done: Callable[[], None]) -> Callable[[], None]:
    """Has `done` called once the reader is being closed; returns what closes it."""
    started = threading.Event()
    changed = reader._changed  # type: ignore[attr-defined]
    wait_for = changed.wait_for

    def noticing(*args: object) -> object:
        started.set()
        return wait_for(*args)

    changed.wait_for = noticing
    finalizer = threading.Thread(target=lambda: (started.wait(), done()))
    finalizer.start()

    def close() -> None:
        close_readers()
        finalizer.join()

    return close


def test_a_failed_bundle_comes_again_and_is_not_acknowledged_with_the_next(news: News) -> None:
    sent = news.publish(20)
    reader = news.reader()
    begun = reader.poll(0, 0).position
    first = ids(take(reader, 8))
    lost = reader.commit(reader.poll(0, 0).position)
    assert lost is not None  # is over, and then its sink fails: never called
    reader.resume(begun)
    again = ids(take(reader, 20))
    assert again[:8] == first
    assert sorted(again) == sorted(sent)
    close_readers()
    assert sorted(news.left()) == sorted(sent)


def test_the_batch_that_was_not_claimed_is_kept(news: News) -> None:
    sent = news.publish(10)
    reader = news.reader()
    claimed = reader.poll(5, 4)
    wait_until(lambda: reader._holding.waiting == 10 - len(claimed.messages), "the rest")
    unclaimed = reader.poll(0, 3)
    done = reader.commit(claimed.position)
    assert done is not None
    done()
    reader.resume(claimed.position)
    rest = take(reader, 10 - len(claimed.messages))
    assert ids(rest)[:3] == ids(unclaimed.messages)
    assert sorted(ids(claimed.messages) + ids(rest)) == sorted(sent)


def test_leases_are_extended(news: News) -> None:
    news.publish(3)
    began = time.monotonic()
    reader = news.reader(lease=4)
    take(reader, 3)
    wait_for_lease(began, 6)
    assert news.left() == []  # others get nothing
    commit(reader)
    close_readers()
    assert news.left() == []


def test_leases_are_given_up_in_the_end(news: News) -> None:
    sent = news.publish(3)
    reader = news.reader(lease=1, max_lease=1)
    take(reader, 3)
    late = reader.commit(reader.poll(0, 0).position)
    assert late is not None
    # They come again, and are handed out again: nobody can know what became of the bundle.
    assert sorted(ids(take(reader, 3))) == sorted(sent)
    late()
    commit(reader)
    close_readers()
    assert news.left() == []


def test_what_comes_again_while_it_is_worked_on_is_not_handed_out_twice(news: News) -> None:
    sent = news.publish(3)
    reader = news.reader()
    take(reader, 3)
    deliver_again(news, reader)
    wait_until(
        lambda: all(held.ack_id.endswith(":2") for held in reader._holding.leases()),
        "them to come again",
    )
    assert reader.poll(0, 10).messages == []
    commit(reader)
    close_readers()
    assert news.left() == []
    assert len(sent) == 3


def deliver_again(news: News, reader: reader_module.SubscriptionReader) -> None:
    """Ends the leases of all that a reader holds, behind its back."""
    news.server.settings.subscriber().modify_ack_deadline(
        subscription=news.path,
        ack_ids=[held.ack_id for held in reader._holding.leases()],
        ack_deadline_seconds=0,
    )


def test_exactly_once_the_newest_ack_id_wins(exactly_once: News) -> None:
    exactly_once.publish(3)
    reader = exactly_once.reader()
    take(reader, 3)
    deliver_again(exactly_once, reader)
    wait_until(
        lambda: all(held.ack_id.endswith(":2") for held in reader._holding.leases()),
        "them to come again",
    )
    commit(reader)
    assert len(reader._holding) == 0
    close_readers()
    assert exactly_once.left() == []


def test_exactly_once_a_stale_ack_id_is_made_good_when_the_message_comes_again(
    exactly_once: News,
) -> None:
    sent = exactly_once.publish(4)
    reader = exactly_once.reader()
    take(reader, 4)
    calls = reader._calls
    acknowledged: list[str] = []
    acknowledge = calls.acknowledge

    def noting(ack_ids: list[str]) -> dict[str, str]:
        if not acknowledged:
            # Their leases end at the last moment.
            deliver_again(exactly_once, reader)
        failed = acknowledge(ack_ids)
        acknowledged.extend(set(ack_ids) - set(failed))
        return failed

    calls.acknowledge = noting  # type: ignore[method-assign, assignment]
    commit(reader)
    wait_until(lambda: len(acknowledged) == 4, "the newer deliveries to be acknowledged")
    assert {ack_id.partition(":")[0] for ack_id in acknowledged} == set(sent)
    assert reader.poll(0, 10).messages == []
    close_readers()
    assert exactly_once.left() == []


def test_no_more_is_held_than_flow_control_lets(news: News) -> None:
    news.publish(50)
    reader = news.reader(max_messages=10)
    assert len(take(reader, 10)) == 10
    assert reader.poll(1.0, 10).messages == []
    commit(reader)
    assert len(take(reader, 10)) == 10
    assert len(reader._holding) == 10


def test_no_more_bytes_are_held_than_flow_control_lets(news: News) -> None:
    news.server.publish(news.topic, [b"x" * 100_000] * 20)
    reader = news.reader(max_bytes=500_000)
    total = 0
    while total < 20:
        held = wait_until(lambda: len(reader.poll(0.1, 100).messages), "more")
        total += held
        # The one that reaches the limit is the last; the fake sends a response at once.
        assert len(reader._holding) <= 20
        commit(reader)
    assert total == 20


def test_a_reader_that_nobody_asks_gives_back_what_waits(
    news: News, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader_module, "PARK_AFTER", 0.0)
    sent = news.publish(10)
    reader = news.reader(lease=3)
    taken = ids(take(reader, 2))
    position = reader.poll(0, 0).position
    wait_until(lambda: reader._holding.waiting == 8, "the rest")
    done = reader.commit(position)
    assert done is not None
    others: list[str] = []
    wait_until(lambda: others.extend(news.left()) or len(others) == 8, "others to get the rest")
    assert sorted(others + taken) == sorted(sent)
    done()  # its bundle is alive all the while
    reader.resume(position)  # and it goes on when it is asked again
    [more] = news.publish(1)
    assert ids(take(reader, 1)) == [more]


def test_a_reader_whose_shard_is_elsewhere_gives_everything_back(
    news: News, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader_module, "PARK_AFTER", 0.0)
    monkeypatch.setattr(reader_module, "ABANDONED_AFTER", 0.0)
    sent = news.publish(10)
    reader = news.reader(lease=3)
    assert ids(take(reader, 2))
    # It is over, and its job has failed: nobody makes it final.
    assert reader.commit(reader.poll(0, 0).position) is not None
    others: list[str] = []
    wait_until(lambda: others.extend(news.left()) or len(others) == 10, "others to get all")
    assert sorted(others) == sorted(sent)
    assert len(reader._holding) == 0


def test_two_readers_share_a_subscription(news: News) -> None:
    sent = news.publish(100)
    source = news.source(shard_count=2, max_messages=10)
    readers = [source.reader(shard) for shard in source.shards()]
    found: list[list[str]] = [[], []]
    for reader in readers:
        reader.resume(None)
    while sum(map(len, found)) < 100:
        for reader, theirs in zip(readers, found, strict=True):
            theirs += ids(reader.poll(0.05, 10).messages)
            commit(reader)
    assert sorted(found[0] + found[1]) == sorted(sent)
    assert all(found)


def test_a_bundle_that_ends_before_it_begins(news: News) -> None:
    [sent] = news.publish(1)
    reader = news.reader()
    assert reader.commit(None) is None
    reader.resume(None)
    assert ids(take(reader, 1)) == [sent]


def test_messages_of_a_key_stay_in_order(
    pubsub: PubSubServer, unique: Callable[[str], str]
) -> None:
    news = News(pubsub, unique("t"), enable_message_ordering=True)
    pubsub.publish(news.topic, [b"%d" % n for n in range(12)], None, lambda n: "ab"[n // 6])
    reader = news.reader()
    found: dict[bytes | None, list[bytes | None]] = {b"a": [], b"b": []}
    while sum(map(len, found.values())) < 12:
        for message in reader.poll(0.1, 10).messages:
            found[message.key].append(message.value)
        commit(reader)
    assert found == {
        b"a": [b"%d" % n for n in range(6)],
        b"b": [b"%d" % n for n in range(6, 12)],
    }


def test_it_is_at_its_end_when_nothing_comes_and_all_is_acknowledged(news: News) -> None:
    news.publish(3)
    reader = news.reader(end_after=0.5)
    assert not reader.at_end()
    take(reader, 3)
    wait_until(lambda: reader.quiet() > 1, "quiet")
    assert not reader.at_end()  # what it holds may come back yet
    commit(reader)
    assert reader.at_end()


def test_it_is_not_at_its_end_while_nobody_answers(unique: Callable[[str], str]) -> None:
    server = PubSubServer()
    try:
        news = News(server, unique("t"))
        reader = news.reader(end_after=0.2)
        wait_until(reader.at_end, "the end")
        # One that hangs for a while is gone on with.
        server.pause()
        reader.poll(0.1, 1)
        server.resume()
        sent = news.publish(2)
        assert sorted(ids(take(reader, 2))) == sorted(sent)
        commit(reader)
        server.kill()
        wait_until(lambda: reader.quiet() > 0.3, "quiet")
        assert not reader.at_end()
    finally:
        close_readers()
        server.close()


def test_a_subscription_that_is_deleted_ends_it_with_a_line(news: News) -> None:
    reader = news.reader()
    reader.poll(0, 1)
    news.server.settings.subscriber().delete_subscription(subscription=news.path)
    with pytest.raises(PubSubFailure, match=f"pulling from {news.path}: it does not exist"):
        take(reader, 1)


def test_doubles_are_dropped_and_acknowledged(news: News) -> None:
    for _ in range(2):
        news.publish(10, {})
    reader = news.reader(dedupe_attribute="n")
    assert len(take(reader, 10)) == 10
    wait_until(lambda: len(reader._holding) == 20, "the doubles")
    assert reader.poll(0, 10).messages == []
    commit(reader)
    news.publish(5, {})
    [other] = news.server.publish(news.topic, [b"x"], lambda n: {"n": "other"})
    assert ids(take(reader, 1)) == [other]
    commit(reader)
    wait_until(lambda: len(reader._holding) == 0, "them to be acknowledged")
    close_readers()
    assert news.left() == []


def test_a_policy_of_its_own_counts_our_attempts(
    pubsub: PubSubServer, unique: Callable[[str], str]
) -> None:
    """Why the checks warn of it."""
    name = unique("t")
    pubsub.create_topic(f"{name}-theirs")
    policy = DeadLetterPolicy(
        dead_letter_topic=f"projects/{PROJECT}/topics/{name}-theirs", max_delivery_attempts=5
    )
    news = News(pubsub, name, dead_letter_policy=policy)
    news.publish(1)

    def given_up() -> bool:
        # What was on its way when a reader closed has counted as well: it may take fewer than five.
        news.reader().poll(0.5, 1)
        close_readers()
        return bool(pubsub.read_all(f"{name}-theirs"))

    wait_until(given_up, "it to be given up")
