"""A run goes on where the one before it ended; where a first one begins can be said."""

from __future__ import annotations

import json
import time

from tests.integration.harness import Sent, Topics, assert_each_once, mixed, short, succeeded


def test_it_resumes_from_the_committed_offsets(embedded: Topics) -> None:
    """On the embedded broker, at least once: but nothing fails, so nothing comes twice."""
    at_end = embedded.args("--delivery", "at_least_once", "--stop_at_end")
    messages = mixed(200)
    sent = embedded.produce(messages[:120])
    succeeded(*at_end)
    assert_each_once(sent, embedded)
    sent |= embedded.produce(messages[120:])
    succeeded(*at_end)
    assert_each_once(sent, embedded)
    # With other shards, too: offsets belong to partitions. And there is nothing left.
    done = succeeded(*at_end, "--shards", "1")
    assert "newsbeam: 0 records in" in done.stderr
    assert_each_once(sent, embedded)


def test_another_group_begins_anew(embedded: Topics) -> None:
    embedded.produce(short(10))
    for group in (embedded.group, f"{embedded.group}-2"):
        topics = embedded._replace(group=group)
        succeeded(*topics.args("--delivery", "at_least_once", "--stop_at_end"))
    assert embedded.count() == 20


def test_it_starts_at_a_time(kafka: Topics) -> None:
    # Brokers delete records of long ago, and refuse those of the future.
    begin = 1_000 * (int(time.time()) - 600)
    messages = [Sent(m.value, m.key, (), begin + 1_000 * i) for i, m in enumerate(short(60))]
    kafka.produce(messages)
    succeeded(*kafka.args("--stop_at_end", source_query=f"&start={begin + 40_000}"))
    ids = {json.loads(got.value or b"")["id"] for got in kafka.outcomes()[0]}
    assert ids == {f"n{i}" for i in range(40, 60)}
