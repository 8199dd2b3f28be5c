"""Continues the traces of messages: a span each for those that carry a sampled `traceparent`.

    messages | BeginSpans | … | EndSpans | sinks

Both are steps of the same stage, one record in, one out, and keep nothing: when a message was read
travels in a header of ours, and the span is made once its outcome is known. So a bundle that fails and
comes again leaves no span open. The result's `traceparent` names the span, so that who reads it
continues from there. Messages without one, or with one that is not sampled, are passed on untouched.

Needs OpenTelemetry (the extra `tracing`), whose own environment variables say where spans go.
"""

from __future__ import annotations

import importlib.util
import re
import threading
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import apache_beam as beam
import msgspec

from transforms.errors import ConfigurationError
from transforms.records import (
    HEADER_PREFIX,
    CategorizedItem,
    DeadLetter,
    Headers,
    Message,
    Outcome,
    Record,
)

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider

TRACEPARENT, TRACESTATE = "traceparent", "tracestate"
#: When a message was read, in nanoseconds since the epoch. It is of ours, so that no sink writes it.
_READ_AT = HEADER_PREFIX + "read_at"
#: W3C's form: version, trace, parent, flags; later versions may add more.
_FORM = re.compile(rb"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
SPAN = "newsbeam.classify"


def check_tracing() -> None:
    """Checks that OpenTelemetry is there.

    Raises:
        ConfigurationError: It isn't; says how to get it.
    """
    for module in ("opentelemetry.sdk", "opentelemetry.exporter.otlp.proto.http"):
        try:
            found = importlib.util.find_spec(module)
        except ModuleNotFoundError:
            found = None
        if found is None:
            raise ConfigurationError(
                "--tracing needs OpenTelemetry: pip install 'newsbeam[tracing]'"
            )


def sampled(headers: Headers) -> bytes | None:
    """The `traceparent` of a message, if it has one that is valid and sampled."""
    found = [value for name, value in headers if name == TRACEPARENT]
    if len(found) != 1 or found[0] is None:
        return None
    match = _FORM.fullmatch(found[0])
    if match is None or match[1] == b"ff" or (match[1] == b"00" and match[5]):
        return None
    if not int(match[2], 16) or not int(match[3], 16) or not int(match[4], 16) & 1:
        return None
    return found[0]


class _Begin(beam.DoFn):
    def process(self, element: Any) -> Iterator[Any]:
        if isinstance(element, Message) and sampled(element.headers):
            # A header of that name that somebody else has written goes.
            headers = tuple(h for h in element.headers if h[0] != _READ_AT)
            now = str(time.time_ns()).encode()
            element = msgspec.structs.replace(element, headers=(*headers, (_READ_AT, now)))
        yield element


class _End(beam.DoFn):
    def setup(self) -> None:
        self._provider = provider()
        self._tracer = self._provider.get_tracer("newsbeam")

    def process(self, element: Outcome) -> Iterator[Outcome]:
        message = element.message
        began = None if message is None else dict(message.headers).get(_READ_AT)
        parent = None if message is None else sampled(message.headers)
        if message is None or parent is None or began is None or not began.isdigit():
            yield element
            return
        new = self._span(element, message, parent, int(began))
        headers = tuple(
            (name, new if name == TRACEPARENT else value)
            for name, value in message.headers
            if name != _READ_AT
        )
        yield msgspec.structs.replace(
            element, message=msgspec.structs.replace(message, headers=headers)
        )

    def _span(self, outcome: Outcome, message: Message, parent: bytes, began: int) -> bytes:
        """Makes the span of an outcome; gives the `traceparent` that names it."""
        from opentelemetry.trace import SpanKind, Status, StatusCode
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        carrier = {TRACEPARENT: parent.decode()}
        for name, value in message.headers:
            if name == TRACESTATE and value is not None:
                carrier[TRACESTATE] = value.decode(errors="replace")
        propagator = TraceContextTextMapPropagator()
        attributes: dict[str, str | float | int | bool] = {
            "messaging.operation.type": "process",
            "newsbeam.source": str(message.source or ""),
        }
        if isinstance(outcome, CategorizedItem):
            attributes |= {
                "newsbeam.outcome": "categorized",
                "newsbeam.category": outcome.category,
                "newsbeam.score": outcome.score,
                "newsbeam.model": outcome.model,
                "newsbeam.tokens": outcome.tokens,
                "newsbeam.truncated": outcome.truncated,
            }
        else:
            attributes |= {
                "newsbeam.outcome": "dead_letter",
                "newsbeam.stage": outcome.stage,
                "error.type": outcome.error_type,
            }
        span = self._tracer.start_span(
            SPAN,
            context=propagator.extract(carrier),
            kind=SpanKind.CONSUMER,
            attributes=attributes,
            start_time=began,
        )
        if isinstance(outcome, DeadLetter):
            span.set_status(Status(StatusCode.ERROR, outcome.error))
        span.end()
        context = span.get_span_context()
        flags = int(context.trace_flags)
        return f"00-{context.trace_id:032x}-{context.span_id:016x}-{flags:02x}".encode()


class BeginSpans(beam.PTransform):
    """Notes when messages were read that have a trace to be continued."""

    def expand(self, messages: beam.PCollection[Any]) -> beam.PCollection[Any]:
        return messages | "Note" >> beam.ParDo(_Begin()).with_output_types(Message)


class EndSpans(beam.PTransform):
    """Makes the spans of outcomes whose messages `BeginSpans` has seen."""

    def expand(self, outcomes: beam.PCollection[Outcome]) -> beam.PCollection[Outcome]:
        return outcomes | "Make" >> beam.ParDo(_End()).with_output_types(Record)


_lock = threading.Lock()
_provider: TracerProvider | None = None


def provider() -> TracerProvider:
    """The tracer provider of this process: spans go in batches where OTEL_ variables say."""
    global _provider
    with _lock:
        if _provider is None:
            _provider = _new_provider()
        return _provider


def _new_provider() -> TracerProvider:
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import OTELResourceDetector, Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    # A name given by OTEL_SERVICE_NAME or OTEL_RESOURCE_ATTRIBUTES goes first.
    resource = Resource({"service.name": "newsbeam"}).merge(OTELResourceDetector().detect())
    made = TracerProvider(resource=Resource.create().merge(resource))
    made.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return made


def flush_spans() -> None:
    """Sends what is left, if there were any spans."""
    if _provider is not None:
        _provider.force_flush(10_000)
