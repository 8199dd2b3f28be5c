"""Kafka in, Kafka out, with the embedded broker: every message is in exactly one of two topics."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from pipeline.demo.broker import EmbeddedBroker
from pipeline.demo.poison import POISON
from tests.integration.harness import (
    SUMMARY,
    Sent,
    Topics,
    assert_each_once,
    make_topics,
    mixed,
    read_topic,
    running,
    short,
    succeeded,
)

ONCE = ("--delivery", "at_least_once", "--stop_at_end")


def test_news_and_poison_come_out_once_each_and_whole(embedded: Topics) -> None:
    messages = mixed(320)
    assert {p.value for p in POISON} <= {m.value for m in messages}
    sent = embedded.produce(messages)
    done = succeeded(*embedded.args(*ONCE))
    assert_each_once(sent, embedded)
    ((total, categorized),) = SUMMARY.findall(done.stderr)
    assert (int(total), int(categorized)) == (320, sum(not m.dead for m in messages))
    assert "delivery at least once: as asked" in done.stderr


def test_dead_letters_are_replayed_by_reading_them(
    embedded: Topics, embedded_broker: EmbeddedBroker, unique: Callable[[str], str]
) -> None:
    letters = [m for m in mixed(300) if m.dead][:8]
    sent = embedded.produce(letters)
    succeeded(*embedded.args(*ONCE))
    again = make_topics(
        lambda name, n: embedded_broker.create_topics({name: n}), embedded.servers, unique
    )._replace(news=embedded.dead)
    succeeded(*again.args(*ONCE))
    replayed = read_topic(embedded.servers, again.dead)
    assert sorted((g.value, g.key) for g in replayed) == sorted((m.value, m.key) for m in letters)
    for got in replayed:
        names = [name for name, _ in got.headers]
        assert len(names) == len(set(names)) + 1, "only `hop` was there twice"
        assert dict(got.headers)["newsbeam.attempt"] == b"2"
    assert len(sent) == len(replayed)


def test_tombstones_are_dead_letters(embedded: Topics) -> None:
    sent = embedded.produce([Sent(None, b"gone")])  # type: ignore[arg-type]
    succeeded(*embedded.args(*ONCE))
    categorized, [letter] = embedded.outcomes()
    assert categorized == []
    assert (letter.value, letter.key, letter.source) == (None, b"gone", *sent)


def test_several_topics_are_one_source(
    embedded: Topics, embedded_broker: EmbeddedBroker, unique: Callable[[str], str]
) -> None:
    other = unique("more-news")
    embedded_broker.create_topics({other: 3})
    sent = embedded.produce(short(40)) | embedded._replace(news=other).produce(short(40, 40))
    both = embedded._replace(news=f"{embedded.news},{other}")
    succeeded(*both.args(*ONCE, "--shards", "3"))
    assert_each_once(sent, embedded)


def test_missing_sinks_are_created_if_asked(embedded: Topics, unique: Callable[[str], str]) -> None:
    sent = embedded.produce(short(10))
    topics = embedded._replace(out=unique("new-out"))
    args = topics.args(*ONCE, "--create_topics")
    del args[args.index("--dead_letters") : args.index("--dead_letters") + 2]
    succeeded(*args)
    assert_each_once(sent, topics._replace(dead=f"{topics.out}-dead-letters"))


def test_earliest_begins_at_the_beginning_again(embedded: Topics) -> None:
    embedded.produce(short(20))
    for _ in range(2):
        succeeded(*embedded.args(*ONCE, source_query="&start=earliest"))
    ids = [json.loads(got.value or b"")["id"] for got in embedded.outcomes()[0]]
    assert sorted(ids) == sorted(2 * [f"n{i}" for i in range(20)])


def test_latest_leaves_out_what_was_there(embedded: Topics, tmp_path: Path) -> None:
    embedded.produce(short(20))
    args = embedded.args("--delivery", "at_least_once", source_query="&start=latest")
    with running(args, tmp_path) as process:

        def one_came() -> bool:
            # Nobody can tell from outside when it stands at the end: so produce until one comes.
            # One record a batch: Tansu names the start of the last batch as the end of a topic.
            for n in range(4):
                embedded.produce(short(1, 100 + n), partition=n)
            return embedded.count() > 0

        process.wait_for(one_came, "a late message to come out")
        process.drain()
    early = {f"n{i}" for i in range(20)}
    assert not early & {json.loads(got.value or b"")["id"] for got in embedded.outcomes()[0]}
