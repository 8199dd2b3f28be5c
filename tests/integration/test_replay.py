"""`newsbeam replay` and `newsbeam dead-letters` on topics: what failed is categorized after the fix."""

from __future__ import annotations

import json
import random
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from signal import SIGCONT, SIGKILL, SIGSTOP, SIGTERM
from typing import Any

from kafka import KafkaConsumer, TopicPartition

from tests.integration.harness import (
    Got,
    Sent,
    Topics,
    finished,
    produce,
    read_topic,
    refused,
    running,
    succeeded,
)
from tests.servers.apache_kafka import KafkaCluster
from transforms.records import (
    DeadLetter,
    KafkaPosition,
    Message,
    dead_letter,
    dead_letter_headers,
)

#: Some time ago, but not so long that topics would not keep what is of then.
BEGAN = int(time.time() * 1000) - 86_400_000


def news(total: int) -> list[Sent]:
    """News whose text is in a field of another name than ours, with keys, headers and times."""
    return [
        Sent(
            json.dumps({"id": f"n{i}", "kop": f"Stocks fell by {i} points"}).encode(),
            f"key {i}".encode(),
            (("hop", b"\x00\xff"), ("hop", b""), ("n", str(i).encode())),
            BEGAN + i,
        )
        for i in range(total)
    ]


def letters(total: int, **changes: Any) -> list[Sent]:
    """Dead letters as newsbeam writes them."""
    return [
        as_sent(
            dead_letter(
                Message(m.value, m.key, m.headers, m.timestamp, KafkaPosition("news", i % 2, i)),
                changes.get("stage", "ParseNews"),
                ValueError(changes.get("error", f"wrong in place {i}")),
            )
        )
        for i, m in enumerate(news(total))
    ]


def as_sent(letter: DeadLetter) -> Sent:
    """A dead letter as a record."""
    m = letter.message
    headers = [(name, value or b"") for name, value in dead_letter_headers(letter)]
    return Sent(m.value or b"", m.key, tuple(headers), m.timestamp)


def replayed(topics: Topics) -> list[Got]:
    """What was replayed to the news."""
    got = read_topic(topics.servers, topics.news)
    return [g for g in got if "newsbeam.attempt" in dict(g.headers)]


def as_they_were(got: Sequence[Got]) -> Counter[Sent]:
    """Records replayed once, without the header that says so."""
    assert {g.headers[-1] for g in got} == {("newsbeam.attempt", b"1")}
    return Counter(Sent(g.value or b"", g.key, g.headers[:-1], g.timestamp) for g in got)


def replay_args(topics: Topics, *more: str, query: str = "") -> list[str]:
    """The arguments of `newsbeam replay` from the dead letters to the news."""
    at = f"kafka://{topics.servers}"
    return ["replay", f"{at}/{topics.dead}{query}", f"{at}/{topics.news}", *more]


def test_after_the_fix_what_failed_is_categorized(kafka: Topics) -> None:
    sent = news(100)
    kafka.produce(sent)
    succeeded(*kafka.args("--stop_at_end"))
    categorized, dead = kafka.outcomes()
    assert (len(categorized), len(dead)) == (0, 100)

    dry = succeeded(*replay_args(kafka, "--dry_run"))
    assert "would replay 100 of 100 dead letters" in dry.stderr
    [_, row] = dry.stdout.splitlines()
    assert row.split()[:3] == ["1", "100", "ParseNews"]
    assert "NotNews: no text" in row

    done = succeeded(*replay_args(kafka))
    assert "exactly once" in done.stderr
    assert "replayed 100 of 100 dead letters to" in done.stderr
    assert as_they_were(replayed(kafka)) == Counter(sent)

    # Not the right options yet: they fail again, and say that it was the second time.
    succeeded(*kafka.args("--stop_at_end"))
    again = kafka.outcomes()[1][100:]
    attempts = Counter(dict(g.headers)["newsbeam.attempt"] for g in again)
    assert attempts == {b"2": 100}
    left = succeeded(*replay_args(kafka, "--max_attempts", "2", "--dry_run"))
    assert "100 left out (100 by --max_attempts)" in left.stderr

    succeeded(*replay_args(kafka))
    succeeded(*kafka.args("--stop_at_end", "--text_fields", "kop"))
    categorized, dead = kafka.outcomes()
    assert (len(categorized), len(dead)) == (100, 200)
    results = [json.loads(got.value or b"") for got in categorized]
    assert {r["id"] for r in results} == {f"n{i}" for i in range(100)}
    assert {(g.key, g.headers, g.timestamp) for g in categorized} == {
        (m.key, m.headers, m.timestamp) for m in sent
    }
    nothing = succeeded(*replay_args(kafka))
    assert "nothing to replay" in nothing.stderr
    assert len(read_topic(kafka.servers, kafka.news)) == 300


def test_a_kill_in_the_middle_loses_and_doubles_nothing(kafka: Topics, tmp_path: Path) -> None:
    sent = letters(10_000)
    produce(kafka.servers, kafka.dead, sent)
    killed_in_the_middle(kafka, replay_args(kafka), tmp_path)
    succeeded(*replay_args(kafka))
    got = read_topic(kafka.servers, kafka.news)
    assert as_they_were(got) == Counter(news(10_000))


def test_to_another_cluster_a_kill_loses_nothing(
    kafka: Topics, embedded: Topics, tmp_path: Path
) -> None:
    produce(kafka.servers, kafka.dead, letters(10_000))
    there = embedded._replace(dead=kafka.dead)
    at = f"kafka://{kafka.servers}/{kafka.dead}", f"kafka://{there.servers}/{there.news}"
    killed_in_the_middle(there, ["replay", *at], tmp_path)
    done = succeeded("replay", *at)
    assert "at least once" in done.stderr
    got = as_they_were(read_topic(there.servers, there.news))
    assert got.keys() == {*news(10_000)}
    doubled = got.total() - 10_000
    # What was published when it was killed, and not committed yet.
    assert 0 <= doubled <= 500


def test_at_least_once_by_choice_loses_nothing(kafka: Topics, tmp_path: Path) -> None:
    produce(kafka.servers, kafka.dead, letters(10_000))
    args = replay_args(kafka, "--delivery", "at_least_once")
    killed_in_the_middle(kafka, args, tmp_path)
    succeeded(*args)
    got = as_they_were(replayed(kafka))
    assert got.keys() == {*news(10_000)}
    assert 0 <= got.total() - 10_000 <= 500


def test_one_that_is_told_to_stop_says_how_to_go_on(kafka: Topics, tmp_path: Path) -> None:
    produce(kafka.servers, kafka.dead, letters(10_000))
    with running(replay_args(kafka), tmp_path) as process:
        process.wait_for(lambda: written(kafka) > 0, "first replayed messages", interval=0)
        process.signal(SIGTERM)
        done = process.wait()
    assert done.code == 0
    assert "interrupted: run it again to go on" in done.stderr
    assert 0 < written(kafka) < 10_000
    succeeded(*replay_args(kafka))
    assert as_they_were(replayed(kafka)) == Counter(news(10_000))


def test_a_second_one_takes_over(kafka: Topics, tmp_path: Path) -> None:
    produce(kafka.servers, kafka.dead, letters(10_000))
    with running(replay_args(kafka), tmp_path) as first:
        first.wait_for(lambda: written(kafka) > 0, "first replayed messages", interval=0)
        first.signal(SIGSTOP)
        succeeded(*replay_args(kafka))
        first.signal(SIGCONT)
        done = first.wait()
    assert done.code == 3, done.stderr
    assert "another instance" in done.stderr
    assert as_they_were(replayed(kafka)) == Counter(news(10_000))


def test_brokers_without_transactions_need_another_delivery(embedded: Topics) -> None:
    produce(embedded.servers, embedded.dead, letters(1_000))
    done = finished(*replay_args(embedded))
    assert done.code == 1
    assert "brokers without transactions need --delivery at_least_once" in done.stderr
    args = replay_args(embedded, "--delivery", "at_least_once")
    assert "replayed 1,000 of 1,000" in succeeded(*args).stderr
    assert "nothing to replay" in succeeded(*args).stderr
    assert as_they_were(replayed(embedded)) == Counter(news(1_000))
    wish = ("--delivery", "exactly_once")
    why = refused(*replay_args(embedded)[:1], "-", replay_args(embedded)[2], *wish)
    assert "--delivery exactly_once needs FROM and TO in one Kafka cluster" in why


def test_filters_limit_and_from_start(kafka: Topics) -> None:
    others = letters(6, stage="WriteToKafka", error="too large")
    produce(kafka.servers, kafka.dead, [*letters(10), *others, *letters(10, error="no text")])
    place = f"kafka://{kafka.servers}/{kafka.news}"
    first = succeeded(*replay_args(kafka, "--stage", "parsenews", "--limit", "12"))
    assert f"replayed 12 of 18 dead letters to {place}: 6 left out (6 by --stage)" in first.stderr
    assert "--from_start, or another ?group=NAME; ended at --limit" in first.stderr
    # It stopped right there; what was left out is passed.
    rest = succeeded(*replay_args(kafka))
    assert "replayed 8 of 8 dead letters" in rest.stderr
    assert len(replayed(kafka)) == 20
    # Another group has passed nothing.
    for more, query in (("--from_start",), ""), ((), "?group=mine"):
        done = succeeded(*replay_args(kafka, "--error", "TOO LARGE", *more, query=query))
        assert "replayed 6 of 26 dead letters" in done.stderr
    assert len(replayed(kafka)) == 32


def test_what_can_not_be_replayed_is_left_and_told(
    apache_kafka: KafkaCluster, kafka: Topics
) -> None:
    whole, *_ = sent = letters(3)
    cut = whole._replace(headers=(*whole.headers, ("newsbeam.cut_from_bytes", b"9999")))
    large = whole._replace(value=random.Random(1).randbytes(2_000))
    produce(kafka.servers, kafka.dead, [cut, large, *sent, Sent(b"who is this")])
    small = f"{kafka.news}-small"
    apache_kafka.create_topic(small, 1, {"max.message.bytes": "1000"})
    to = kafka._replace(news=small)
    done = succeeded(*replay_args(to))
    assert "replayed 3 of 5 dead letters" in done.stderr
    assert "2 left out (1 cut when they were written" in done.stderr
    assert "1 too large for the topic" in done.stderr
    assert f"1 record is no dead letter (the first: {kafka.dead}-0@5 is neither" in done.stderr
    assert len(replayed(to)) == 3


def test_one_line_says_what_is_wrong(kafka: Topics) -> None:
    at = f"kafka://{kafka.servers}"
    produce(kafka.servers, kafka.news, [Sent(b"{}")])
    assert "is also FROM" in refused("replay", f"{at}/{kafka.dead}", f"{at}/{kafka.dead}")
    assert "FROM: no topic 'nope'" in refused("replay", f"{at}/nope", f"{at}/{kafka.news}")
    missing = refused("replay", f"{at}/{kafka.dead}", f"{at}/nope")
    assert "TO: no topic 'nope'" in missing
    assert "--create_topics" in missing
    # What is no dead letter is left.
    done = finished("replay", f"{at}/{kafka.news}", f"{at}/{kafka.out}")
    assert (done.code, read_topic(kafka.servers, kafka.out)) == (2, [])
    assert "1 record is no dead letter" in done.stderr


def test_dead_letters_are_shown_by_reason(kafka: Topics) -> None:
    others = letters(2, stage="WriteToKafka", error="too large")
    produce(kafka.servers, kafka.dead, [*letters(5), *others, Sent(b"who is this")])
    uri = f"kafka://{kafka.servers}/{kafka.dead}"
    done = succeeded("dead-letters", uri)
    assert "7 dead letters, 2 reasons" in done.stdout
    assert "ValueError: wrong in place N" in done.stdout
    assert "1 record passed over" in done.stderr
    found = json.loads(succeeded("dead-letters", uri, "--json", "--id", "news-1@3").stdout)
    assert [group["count"] for group in found["groups"]] == [5, 2]
    assert found["shown"]["source"] == "news-1@3"
    assert found["no_dead_letters"] == 1


def killed_in_the_middle(topics: Topics, args: Sequence[str], folder: Path) -> None:
    """Runs until some was written, then kills."""
    with running(args, folder) as process:
        process.wait_for(lambda: written(topics) > 0, "first replayed messages", interval=0)
        process.signal(SIGKILL)
        process.wait()
    assert 0 < written(topics) < 10_000


def written(topics: Topics) -> int:
    """How much is in the news by now, markers of transactions included."""
    with closing(
        KafkaConsumer(bootstrap_servers=topics.servers, isolation_level="read_committed")
    ) as consumer:
        partitions = [TopicPartition(topics.news, p) for p in range(4)]
        return sum(consumer.end_offsets(partitions).values())
