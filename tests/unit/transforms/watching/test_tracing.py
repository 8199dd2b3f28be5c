"""Traces are continued: a span for each message that carries a sampled traceparent, and only those."""

from __future__ import annotations

from typing import Any

import apache_beam as beam
import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind

from tests.unit.running import local_pipeline
from transforms.classify_news import ClassifyNews
from transforms.errors import ConfigurationError
from transforms.kafka.encode import KafkaTopic, Outgoing, encode
from transforms.kafka.settings import KafkaSettings
from transforms.records import CategorizedItem, DeadLetter, Headers, KafkaPosition, Message, now
from transforms.watching import tracing
from transforms.watching.tracing import BeginSpans, EndSpans, check_tracing, sampled

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
TRACEPARENT = f"00-{TRACE}-{PARENT}-01".encode()
NEWS = b'{"title": "Stocks fell", "id": "n1"}'


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> InMemorySpanExporter:
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(tracing, "_provider", provider)
    return exporter


_results: list[Any] = []


def message(value: bytes, *headers: tuple[str, bytes | None], offset: int = 0) -> Message:
    return Message(value, headers=headers, source=KafkaPosition("news", 0, offset))


def test_a_span_continues_the_trace(spans: InMemorySpanExporter) -> None:
    other = ("hop", b"\x00\xff")
    ends = tracing._End()
    ends.setup()
    [begun] = tracing._Begin().process(
        message(NEWS, ("traceparent", TRACEPARENT), ("tracestate", b"v=1"), other)
    )
    [item] = ends.process(_item(begun))
    [span] = spans.get_finished_spans()
    assert (span.name, span.kind) == ("newsbeam.classify", SpanKind.CONSUMER)
    assert span.parent is not None
    assert (f"{span.parent.trace_id:032x}", f"{span.parent.span_id:016x}") == (TRACE, PARENT)
    assert span.context.trace_state.get("v") == "1"
    assert span.attributes is not None
    assert span.attributes["newsbeam.category"] == "Business"
    assert span.attributes["newsbeam.outcome"] == "categorized"
    assert span.attributes["newsbeam.model"] == "m@1"
    assert span.attributes["newsbeam.source"] == "news-0@0"
    assert span.start_time is not None
    assert span.end_time is not None
    assert span.start_time <= span.end_time
    assert item.message is not None
    named = f"00-{TRACE}-{span.context.span_id:016x}-01".encode()
    assert item.message.headers == (("traceparent", named), ("tracestate", b"v=1"), other)


def _item(of: Message) -> CategorizedItem:
    return CategorizedItem(
        id="n1",
        category="Business",
        score=0.9,
        scores={"Business": 0.9},
        labels=("Business",),
        tokens=4,
        truncated=False,
        model="m@1",
        event_time=now(),
        processed_time=now(),
        source=of.source,
        fields={},
        message=of,
    )


def test_through_the_whole_chain(spans: InMemorySpanExporter) -> None:
    with local_pipeline() as pipeline:
        read = (
            pipeline
            | beam.Create(
                [
                    message(NEWS, ("traceparent", TRACEPARENT)),
                    message(b"poison", ("traceparent", TRACEPARENT), offset=1),
                    message(NEWS, offset=2),
                ]
            ).with_output_types(Message)
            | BeginSpans()
        )
        made = (read | ClassifyNews()).outcomes | EndSpans()
        _ = made | beam.Map(_written) | beam.Map(_keep)
    found = spans.get_finished_spans()
    assert sorted(str((s.attributes or {})["newsbeam.outcome"]) for s in found) == [
        "categorized",
        "dead_letter",
    ]
    [bad] = [s for s in found if not s.status.is_ok and s.status.description]
    assert (bad.attributes or {})["newsbeam.stage"] == "ParseNews"
    named = {f"00-{TRACE}-{s.context.span_id:016x}-01".encode() for s in found if s.context}
    assert {headers["traceparent"] for headers in _results if "traceparent" in headers} == named
    assert len(_results) == 3
    # When it was read is nobody's business elsewhere.
    assert not any("newsbeam.read_at" in headers for headers in _results)


def _keep(headers: dict[str, bytes]) -> None:
    _results.append(headers)


def _written(outcome: CategorizedItem | DeadLetter) -> dict[str, bytes]:
    topic = KafkaTopic(KafkaSettings("h:1", {}), "out")
    record = encode(outcome, topic, topic)
    assert isinstance(record, Outgoing)
    return dict(record.sent_headers)


@pytest.mark.parametrize(
    "value",
    [
        None,
        b"",
        b"nonsense",
        TRACEPARENT[:-1] + b"0",
        TRACEPARENT.upper(),
        b"ff" + TRACEPARENT[2:],
        TRACEPARENT + b"-more",
        f"00-{'0' * 32}-{PARENT}-01".encode(),
        f"00-{TRACE}-{'0' * 16}-01".encode(),
    ],
)
def test_what_is_not_sampled_or_no_traceparent_is_passed_on(
    spans: InMemorySpanExporter, value: bytes | None
) -> None:
    untouched = message(NEWS, ("traceparent", value))
    [begun] = tracing._Begin().process(untouched)
    assert begun == untouched
    ends = tracing._End()
    ends.setup()
    item = _item(begun)
    assert list(ends.process(item)) == [item]
    assert not spans.get_finished_spans()


def test_later_versions_and_more_flags_are_sampled_too() -> None:
    later: Headers = (("traceparent", f"01-{TRACE}-{PARENT}-03-more".encode()),)
    assert sampled(later)
    assert sampled((("traceparent", TRACEPARENT), ("traceparent", TRACEPARENT))) is None


def test_a_read_time_that_somebody_else_wrote_is_not_believed() -> None:
    [begun] = tracing._Begin().process(
        message(NEWS, ("newsbeam.read_at", b"1"), ("traceparent", TRACEPARENT))
    )
    assert int(dict(begun.headers)["newsbeam.read_at"] or b"") > 10**18


def test_without_opentelemetry_a_line_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    check_tracing()
    monkeypatch.setattr(tracing.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ConfigurationError, match=r"pip install 'newsbeam\[tracing\]'"):
        check_tracing()
