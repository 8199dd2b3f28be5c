"""Writing topics at least once: what arrives where, and what comes back."""

from __future__ import annotations

from collections.abc import Callable

import apache_beam as beam
import pytest
from apache_beam.testing.util import assert_that, equal_to, is_empty

from pipeline.endpoints import KafkaEndpoint
from pipeline.outcomes import read_topics
from tests.unit.running import local_pipeline
from tests.unit.transforms.kafka.test_encode import MESSAGE, categorized
from transforms.kafka.encode import KafkaTopic
from transforms.kafka.settings import KafkaSettings
from transforms.kafka.write import WriteDeadLettersToKafka, WriteToKafka
from transforms.records import (
    Message,
    categorized_from_json,
    dead_letter,
    dead_letter_from_headers,
)

LETTER = dead_letter(MESSAGE, "ParseNews", ValueError("no"))


def read_all(settings: KafkaSettings, topic: str) -> list[Message]:
    endpoint = KafkaEndpoint("", settings.servers, (topic,))
    return [message for batch in read_topics(endpoint) for message in batch]


def test_each_outcome_goes_to_its_topic(
    settings: KafkaSettings, topics: Callable[..., str]
) -> None:
    out, dead = topics("out"), topics("dead")
    outcomes = [categorized(), LETTER, categorized()]
    with local_pipeline() as p:
        write = WriteToKafka(KafkaTopic(settings, out), KafkaTopic(settings, dead))
        assert_that(p | beam.Create(outcomes) | write, is_empty())
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


def test_without_a_topic_for_them_dead_letters_are_the_output(
    settings: KafkaSettings, topics: Callable[..., str]
) -> None:
    out = topics("out")
    with local_pipeline() as p:
        unwritten = (
            p | beam.Create([categorized(), LETTER]) | WriteToKafka(KafkaTopic(settings, out))
        )
        assert_that(unwritten, equal_to([LETTER]))
    assert len(read_all(settings, out)) == 1


def test_dead_letters_alone(settings: KafkaSettings, topics: Callable[..., str]) -> None:
    dead = topics("dead")
    with local_pipeline() as p:
        write = WriteDeadLettersToKafka(KafkaTopic(settings, dead))
        assert_that(p | beam.Create([LETTER] * 3) | write, is_empty())
    assert [m.value for m in read_all(settings, dead)] == [MESSAGE.value] * 3


def test_exactly_once_needs_a_topic_for_dead_letters(settings: KafkaSettings) -> None:
    from transforms.kafka.read import KafkaSource

    source = KafkaSource(settings, ["news"], shards=1)
    with pytest.raises(ValueError, match="dead letters"):
        WriteToKafka(KafkaTopic(settings, "out"), None, source)
