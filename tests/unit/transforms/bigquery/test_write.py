"""Writing a table: what arrives, what comes back, what is waited out, and what ends a pipeline."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

import apache_beam as beam
import msgspec
import pytest
from apache_beam.testing.util import assert_that, equal_to, is_empty

from tests.servers.bigquery import BigQueryFake, Fault
from tests.unit.fakes import world, world_named
from tests.unit.running import local_pipeline
from tests.unit.transforms.bigquery.test_rows import ITEM, MESSAGE
from transforms.bigquery.client import BigQueryTable
from transforms.bigquery.faults import BigQueryFailure
from transforms.bigquery.insert import NEW_TABLE, PatientInserts
from transforms.bigquery.write import ROWS, BigQuerySink, BigQueryWriter
from transforms.patience import DRAIN_PATIENCE
from transforms.reading import ReadUnbounded, drain
from transforms.records import (
    CategorizedItem,
    KafkaPosition,
    Message,
    dead_letter,
)
from transforms.writing import LETTERS, WriteOutcomes

LETTER = dead_letter(MESSAGE, "ParseNews", ValueError("no"))
MakeTable = Callable[[str], BigQueryTable]


def item(n: int, **changes: Any) -> CategorizedItem:
    """An item of a message of its own."""
    message = Message(b'{"n":%d}' % n, timestamp=1_700_000_000_000, source=KafkaPosition("t", 0, n))
    return msgspec.structs.replace(
        ITEM, id=str(n), source=message.source, message=message, **changes
    )


class Waits:
    """A clock that moves when somebody sleeps."""

    def __init__(self) -> None:
        self.now = 0.0
        self.each: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.each.append(seconds)
        self.now += seconds

    def writer(self, table: BigQueryTable) -> BigQueryWriter:
        return BigQueryWriter(table, PatientInserts(table, lambda: self.now, self.sleep))


@pytest.fixture
def waits() -> Waits:
    return Waits()


def ids(fake: BigQueryFake, table: BigQueryTable) -> list[str]:
    return sorted((row["id"] for row in fake.rows(table.name)), key=int)


def refuse(what: str, reason: str = "invalid") -> Callable[[Any], tuple[str, str] | None]:
    return lambda row: (reason, f"not {what}") if row.get("id") == what else None


def test_each_outcome_goes_to_its_table(bigquery: BigQueryFake, table: MakeTable) -> None:
    news, dead = table("items"), table("dead")
    with local_pipeline() as p:
        rest = (
            p
            | beam.Create([item(1), LETTER, item(2)])
            | "Items" >> WriteOutcomes(BigQuerySink(news))
            | "Dead letters" >> WriteOutcomes(BigQuerySink(dead), LETTERS)
        )
        assert_that(rest, is_empty())
    assert ids(bigquery, news) == ["1", "2"]
    [row] = bigquery.rows(dead.name)
    assert base64.b64decode(row["value"]) == MESSAGE.value


def test_a_refused_row_is_a_dead_letter_with_its_message(
    bigquery: BigQueryFake, table: MakeTable
) -> None:
    news, dead = table("items"), table("dead")
    bigquery.row_errors = refuse("7")
    with local_pipeline() as p:
        rest = (
            p
            | beam.Create([item(n) for n in range(10)])
            | "Items" >> WriteOutcomes(BigQuerySink(news))
            | "Dead letters" >> WriteOutcomes(BigQuerySink(dead), LETTERS)
        )
        assert_that(rest, is_empty())
    assert ids(bigquery, news) == [str(n) for n in range(10) if n != 7]
    [row] = bigquery.rows(dead.name)
    assert base64.b64decode(row["value"]) == b'{"n":7}'
    assert json.loads(row["source"])["offset"] == 7
    assert (row["stage"], row["error_type"]) == ("WriteToBigQuery", "RowRefused")
    assert row["error"] == "table my-project.news.items does not take it: invalid: not 7"
    assert row["model"] == ITEM.model


def test_refused_rows_come_back_without_a_sink_for_them(
    bigquery: BigQueryFake, table: MakeTable
) -> None:
    bigquery.row_errors = refuse("2")
    with local_pipeline() as p:
        rest = p | beam.Create([item(1), LETTER, item(2)]) | WriteOutcomes(BigQuerySink(table("a")))
        found = rest | beam.Map(lambda letter: (letter.stage, letter.message.value))
        expected = [("ParseNews", MESSAGE.value), ("WriteToBigQuery", b'{"n":2}')]
        assert_that(found, equal_to(expected))


def test_an_item_without_a_message_is_buried_as_it_is(
    bigquery: BigQueryFake, table: MakeTable, waits: Waits
) -> None:
    bigquery.row_errors = refuse("1")
    writer = waits.writer(table("a"))
    writer.add(msgspec.structs.replace(item(1), message=None))
    [letter] = writer.flush()
    assert json.loads(letter.message.value or b"")["id"] == "1"


def test_a_text_that_is_none_is_a_dead_letter_alone(
    bigquery: BigQueryFake, table: MakeTable, waits: Waits
) -> None:
    writer = waits.writer(there := table("a"))
    for each in (item(1), item(2, category="\ud800"), item(3)):
        writer.add(each)
    [letter] = writer.flush()
    assert letter.message.value == b'{"n":2}'
    assert ids(bigquery, there) == ["1", "3"]


def test_a_row_that_is_too_large_is_a_dead_letter_alone(
    bigquery: BigQueryFake, table: MakeTable, waits: Waits
) -> None:
    writer = waits.writer(there := table("a"))
    for each in (item(1), item(2, fields={"text": "x" * (10 << 20)}), item(3)):
        writer.add(each)
    [letter] = writer.flush()
    assert letter.message.value == b'{"n":2}'
    assert "bytes as JSON; less than 9437184 will do" in letter.error
    assert ids(bigquery, there) == ["1", "3"]


def test_a_request_that_is_refused_as_a_whole_is_taken_apart(
    bigquery: BigQueryFake, table: MakeTable, waits: Waits
) -> None:
    writer = waits.writer(there := table("a"))
    bigquery.most_bytes = 5000
    for n in range(20):
        writer.add(item(n, fields={"text": "x" * (10_000 if n == 13 else 10)}))
    [letter] = writer.flush()
    assert letter.message.value == b'{"n":13}'
    assert ids(bigquery, there) == [str(n) for n in range(20) if n != 13]
    assert waits.each == []


def test_a_request_that_is_refused_whatever_is_in_it_ends_the_pipeline(
    bigquery: BigQueryFake, table: MakeTable, waits: Waits
) -> None:
    writer = waits.writer(table("a"))
    bigquery.always = Fault(400, "invalid")
    for n in range(3):
        writer.add(item(n))
    with pytest.raises(BigQueryFailure, match=r"can't write to my-project.news.a: as asked"):
        writer.flush()


def test_memory_is_bounded(bigquery: BigQueryFake, table: MakeTable, waits: Waits) -> None:
    writer = waits.writer(table("a"))
    for n in range(ROWS):
        assert not writer.full
        writer.add(item(n))
    assert writer.full
    writer.flush()
    assert not writer.full
    assert bigquery.batches == [ROWS]
    for n in range(8):
        writer.add(item(n, fields={"text": "x" * (1 << 20)}))
    assert writer.full


def test_what_heals_is_waited_out(bigquery: BigQueryFake, table: MakeTable, waits: Waits) -> None:
    writer = waits.writer(there := table("a"))
    bigquery.faults = [
        Fault(503, "backendError"),
        Fault(500, "internalError"),
        Fault(502, "badGateway"),
        Fault(429, "rateLimitExceeded"),
        Fault(403, "rateLimitExceeded"),
        Fault(403, "quotaExceeded"),
    ]
    writer.add(item(1))
    assert list(writer.flush()) == []
    assert ids(bigquery, there) == ["1"]
    assert len(waits.each) == 6


def test_a_lost_answer_makes_no_double(
    bigquery: BigQueryFake, table: MakeTable, waits: Waits
) -> None:
    writer = waits.writer(there := table("a"))
    bigquery.faults = [Fault(503, "backendError", taken=True)]
    for n in range(5):
        writer.add(item(n))
    assert list(writer.flush()) == []
    assert bigquery.batches == [5, 5]
    assert ids(bigquery, there) == [str(n) for n in range(5)]


def test_rows_that_are_not_taken_for_now_are_tried_again(
    bigquery: BigQueryFake, table: MakeTable, waits: Waits
) -> None:
    writer = waits.writer(there := table("a"))
    tries = {"1": 3, "2": 1}

    def not_yet(row: Any) -> tuple[str, str] | None:
        tries[row["id"]] = left = tries.get(row["id"], 0) - 1
        if row["id"] == "3":
            return "invalid", "never"
        return ("backendError", "later") if left >= 0 else None

    bigquery.row_errors = not_yet
    for n in range(5):
        writer.add(item(n))
    [letter] = writer.flush()
    assert letter.message.value == b'{"n":3}'
    assert ids(bigquery, there) == ["0", "1", "2", "4"]
    # Only those that were left were sent again.
    assert bigquery.batches == [5, 2, 1, 1]


def test_a_new_table_is_waited_for(bigquery: BigQueryFake, table: MakeTable, waits: Waits) -> None:
    writer = waits.writer(there := table("a"))
    bigquery.faults = [Fault(404, "notFound")] * 5
    writer.add(item(1))
    assert list(writer.flush()) == []
    assert ids(bigquery, there) == ["1"]


def test_a_table_that_is_gone_ends_the_pipeline(
    bigquery: BigQueryFake, table: MakeTable, waits: Waits
) -> None:
    writer = waits.writer(there := table("a"))
    del bigquery.tables[there.name]
    writer.add(item(1))
    with pytest.raises(
        BigQueryFailure, match=r"can't write to my-project.news.a: Not found: Table"
    ):
        writer.flush()
    assert waits.now >= NEW_TABLE


def test_a_drain_is_patient_for_a_while(
    bigquery: BigQueryFake, table: MakeTable, waits: Waits
) -> None:
    """And then it fails: rows that were not taken for want of a server are no dead letters."""
    writer = waits.writer(table("a"))
    bigquery.faults = [Fault(503, "backendError")] * 1000
    writer.add(item(1))
    drain()
    with pytest.raises(BigQueryFailure, match=r"can't write to my-project.news.a: as asked"):
        writer.flush()
    assert waits.now >= DRAIN_PATIENCE


def test_a_right_that_is_gone_ends_the_pipeline(
    bigquery: BigQueryFake, table: MakeTable, waits: Waits
) -> None:
    writer = waits.writer(table("a"))
    bigquery.faults = [Fault(403, "accessDenied")]
    writer.add(item(1))
    with pytest.raises(BigQueryFailure, match=r"can't write to my-project.news.a: as asked"):
        writer.flush()
    assert waits.each == []


def test_a_dead_letter_that_is_refused_ends_the_pipeline(
    bigquery: BigQueryFake, table: MakeTable, waits: Waits
) -> None:
    bigquery.row_errors = lambda row: ("invalid", "no such field: stage.")
    writer = waits.writer(table("dead"))
    writer.add(LETTER)
    with pytest.raises(
        BigQueryFailure, match="does not take a dead letter: invalid: no such field"
    ):
        writer.flush()


def test_what_a_failed_bundle_left_is_forgotten(
    bigquery: BigQueryFake, table: MakeTable, waits: Waits
) -> None:
    writer = waits.writer(there := table("a"))
    bigquery.faults = [Fault(403, "accessDenied")]
    writer.add(item(1))
    with pytest.raises(BigQueryFailure):
        writer.flush()
    writer.forget()
    writer.add(item(2))
    assert list(writer.flush()) == []
    assert ids(bigquery, there) == ["2"]


def test_rows_are_in_the_table_before_the_source_is_committed(
    bigquery: BigQueryFake, table: MakeTable
) -> None:
    """What Beam's own transform does not hold: it commits first."""
    there = table("a")
    with world({"s": 300}, ends=False) as w:
        name = w.source.name
        w.on_empty = drain
        seen: list[tuple[int, int]] = []

        def note(what: str, shard: str, detail: Any) -> None:
            # In the table by now, of what is committed now.
            seen.append((detail, len(bigquery.tables[there.name].rows)))

        w.note = note  # type: ignore[method-assign]
        bigquery.faults = [Fault(503, "backendError"), Fault(500, "internalError")]
        with local_pipeline() as p:
            rest = (
                p
                | ReadUnbounded(world_named(name).source)
                | beam.Map(lambda m: item(m.source.offset)).with_output_types(CategorizedItem)
                | WriteOutcomes(BigQuerySink(there))
            )
            assert_that(rest, is_empty())
    assert seen
    assert all(there_by_then >= committed for committed, there_by_then in seen)
    assert seen[-1] == (300, 300)


def test_the_step_is_one_that_no_runner_splits(table: MakeTable) -> None:
    pipeline = beam.Pipeline()
    _ = pipeline | beam.Create([item(1)]) | "Sink" >> WriteOutcomes(BigQuerySink(table("a")))
    proto = pipeline.to_runner_api()
    steps = {
        t.unique_name: t.spec.urn
        for t in proto.components.transforms.values()
        if t.unique_name.startswith("Sink") and not t.subtransforms
    }
    assert steps == {"Sink/Write": "beam:transform:pardo:v1"}
