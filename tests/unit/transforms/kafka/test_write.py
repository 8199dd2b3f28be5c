"""Writing topics at least once: what arrives where, and what comes back."""

from __future__ import annotations

from collections.abc import Callable

import apache_beam as beam
from apache_beam.testing.util import assert_that, equal_to, is_empty

from pipeline.ends.kafka.peek import read_topics
from tests.unit.running import local_pipeline
from tests.unit.transforms.kafka.test_encode import MESSAGE, categorized
from transforms.kafka.encode import KafkaTopic
from transforms.kafka.settings import KafkaSettings
from transforms.kafka.write import KafkaSink
from transforms.records import (
    Message,
    categorized_from_json,
    dead_letter,
    dead_letter_from_headers,
)
from transforms.writing import LETTERS, WriteOutcomes

LETTER = dead_letter(MESSAGE, "ParseNews", ValueError("no"))


def read_all(settings: KafkaSettings, topic: str) -> list[Message]:
    return [message for batch in read_topics("", settings, [topic]) for message in batch]


def test_each_outcome_goes_to_its_topic(
    settings: KafkaSettings, topics: Callable[..., str]
) -> None:
    out, dead = topics("out"), topics("dead")
    outcomes = [categorized(), LETTER, categorized()]
    with local_pipeline() as p:
        rest = (
            p
            | beam.Create(outcomes)
            | "Items" >> WriteOutcomes(KafkaSink(KafkaTopic(settings, out)))
            | "Dead letters" >> WriteOutcomes(KafkaSink(KafkaTopic(settings, dead)), LETTERS)
        )
        assert_that(rest, is_empty())
    written = read_all(settings, out)
    assert [categorized_from_json(m.value or b"").id for m in written] == ["1", "1"]
    assert all((m.key, m.timestamp) == (b"k", MESSAGE.timestamp) for m in written)
    assert all(m.headers == (("traceparent", b"00-1"),) for m in written)
    [buried] = read_all(settings, dead)
    assert (buried.value, buried.key, buried.timestamp) == (
        MESSAGE.value,
        MESSAGE.key,
        MESSAGE.timestamp,
    )
    assert dead_letter_from_headers(buried).error == "no"


def test_what_is_not_its_own_is_passed_on(
    settings: KafkaSettings, topics: Callable[..., str]
) -> None:
    out = topics("out")
    with local_pipeline() as p:
        sink = KafkaSink(KafkaTopic(settings, out))
        unwritten = p | beam.Create([categorized(), LETTER]) | WriteOutcomes(sink)
        assert_that(unwritten, equal_to([LETTER]))
    assert len(read_all(settings, out)) == 1


def test_dead_letters_alone(settings: KafkaSettings, topics: Callable[..., str]) -> None:
    dead = topics("dead")
    with local_pipeline() as p:
        write = WriteOutcomes(KafkaSink(KafkaTopic(settings, dead)), LETTERS)
        assert_that(p | beam.Create([LETTER] * 3) | write, is_empty())
    assert [m.value for m in read_all(settings, dead)] == [MESSAGE.value] * 3
