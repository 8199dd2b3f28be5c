"""The records that flow through the pipeline, and their JSON forms.

Message -> NewsItem -> TokenizedNews -> CategorizedItem, or a DeadLetter at any step.

A `Message` is what a source read. It travels inside every later record, so that whatever happens to
an item, its original bytes, key and headers are still at hand.
"""

from __future__ import annotations

import datetime
import re
from typing import Any

import msgspec

from transforms import positions

KafkaPosition = positions.KafkaPosition
FilePosition = positions.FilePosition
PubSubPosition = positions.PubSubPosition
SourcePosition = positions.SourcePosition

#: Headers of ours on a Kafka record start with this; they are never passed on from a source.
HEADER_PREFIX = "newsbeam."

Headers = tuple[tuple[str, bytes | None], ...]


class Record(msgspec.Struct, frozen=True, tag=str.lower, tag_field="record"):
    """What the elements between our steps have in common: one coder encodes them all.

    The tag tells the classes apart inside the pipeline; the JSON forms below don't show it.
    """


class Message(Record, frozen=True):
    """One record as a source read it, untouched.

    Attributes:
        value: The bytes of the record; None is a Kafka tombstone.
        key: The Kafka key.
        headers: The Kafka headers, in order.
        timestamp: The time the record carries, in milliseconds since the epoch; None where its
            source gives none.
        source: Its place in the source; None for elements made in memory.
        follows: The offset the reader stood at before this record, in the same partition. Normally
            `source.offset`; less where offsets are missing from the log (compaction, transaction
            markers). A sink that commits offsets uses it to see a hole.
        columns: The column names of a CSV row.
        element_timestamp: The timestamp of the element that it was in a pipeline, in microseconds
            since the epoch; None where it has a time of its own, or the element had none.
        fault: Why its source could not read it whole; None for a good one.
        delimiter: What stands between the fields of a CSV row; None is a comma, or what fits.
    """

    value: bytes | None
    key: bytes | None = None
    headers: Headers = ()
    timestamp: int | None = None
    source: SourcePosition | None = None
    follows: int | None = None
    columns: tuple[str, ...] | None = None
    element_timestamp: int | None = None
    fault: str | None = None
    delimiter: str | None = None

    @property
    def attempt(self) -> int:
        """How often this record has been a dead letter before: 0 for a fresh one."""
        for name, value in self.headers:
            # Anyone can write headers: a number that nobody could count to is none.
            if name == HEADER_PREFIX + "attempt" and re.fullmatch(rb"[0-9]{1,9}", value or b""):
                return int(value or b"")
        return 0

    @property
    def user_headers(self) -> Headers:
        """The headers without those that newsbeam adds to dead letters."""
        return tuple(h for h in self.headers if not h[0].startswith(HEADER_PREFIX))


class NewsItem(Record, frozen=True):
    """A parsed news item.

    Attributes:
        message: The record it was parsed from.
        id: Its id: the id field, or else derived from its place in the source, so that it is the
            same after a restart.
        text: What is classified: the text fields, joined by a space, cleaned up as asked.
        fields: Every field of the original item.
        event_time: When it was published, or else the time its record carries.
    """

    message: Message
    id: str
    text: str
    fields: dict[str, Any]
    event_time: datetime.datetime


class TokenizedNews(Record, frozen=True):
    """A news item and its token ids.

    Attributes:
        news: The item.
        windows: The token ids of each window, special tokens included; at most the maximum length
            of them. One window, unless long texts are classified in several.
        tokens: How many tokens of the text the windows hold, special tokens included; those that
            windows have in common count once.
        truncated: Whether the text had more tokens than that.
        begun: The model's work on it, a `transforms.ahead.Begun`, where that has begun in this process;
            it stays there, and is nothing to the JSON form.
    """

    news: NewsItem
    windows: tuple[tuple[int, ...], ...]
    tokens: int
    truncated: bool
    begun: Any = None


class CategorizedItem(Record, frozen=True):
    """A classified news item: the record that consumers of the output read.

    Attributes:
        id: The id of the item.
        category: The label with the highest score.
        score: That score, 0 to 1.
        scores: The score of every label.
        labels: The labels at or above the threshold, highest first (multi-label classification).
        tokens: How many tokens were classified, special tokens included.
        truncated: Whether the text had more tokens: what came after them was not looked at.
        model: Name and short hash of the model that made the scores, as `name@hash`.
        event_time: When the item was published (UTC).
        processed_time: When it was classified (UTC).
        source: Where its record stood in the source.
        fields: Every field of the original item.
        message: The record it came from; not part of the JSON form.
    """

    id: str
    category: str
    score: float
    scores: dict[str, float]
    labels: tuple[str, ...]
    tokens: int
    truncated: bool
    model: str
    event_time: datetime.datetime
    processed_time: datetime.datetime
    source: SourcePosition | None
    fields: dict[str, Any]
    message: Message | None = None


class DeadLetter(Record, frozen=True):
    """A record that could not be processed, whole, and why.

    Attributes:
        message: The record as it was read; its bytes are untouched.
        stage: The step that could not process it.
        error_type: The class of the error.
        error: What was wrong, in one line.
        attempt: 1 for the first time, one more each time it was replayed and failed again.
        time: When it failed (UTC).
        model: Name and short hash of the model, where the model was at fault.
    """

    message: Message
    stage: str
    error_type: str
    error: str
    attempt: int
    time: datetime.datetime
    model: str | None = None


#: What the last step gives for each message: exactly one of the two.
Outcome = CategorizedItem | DeadLetter


def now() -> datetime.datetime:
    """The current time, in UTC."""
    return datetime.datetime.now(datetime.UTC)


def dead_letter(
    message: Message, stage: str, error: BaseException, model: str | None = None
) -> DeadLetter:
    """Makes the dead letter of a message that `stage` could not process."""
    return DeadLetter(
        message=message,
        stage=stage,
        error_type=type(error).__name__,
        error=" ".join(str(error).split())[:1000] or type(error).__name__,
        attempt=message.attempt + 1,
        time=now(),
        model=model,
    )


class _CategorizedJson(msgspec.Struct, frozen=True, omit_defaults=True):
    """The JSON form of a `CategorizedItem`: its fields, then key and headers where asked for."""

    id: str
    category: str
    score: float
    scores: dict[str, float]
    labels: tuple[str, ...]
    tokens: int
    truncated: bool
    model: str
    event_time: datetime.datetime
    processed_time: datetime.datetime
    source: SourcePosition | None
    fields: dict[str, Any]
    key: bytes | None = None
    headers: Headers = ()


class _DeadLetterJson(msgspec.Struct, frozen=True, omit_defaults=True):
    """The JSON form of a `DeadLetter`; `value`, `key` and header values are base64."""

    value: bytes | None
    stage: str
    error_type: str
    error: str
    attempt: int
    time: datetime.datetime
    model: str | None = None
    source: SourcePosition | None = None
    key: bytes | None = None
    headers: Headers = ()
    timestamp: int | None = None
    columns: tuple[str, ...] | None = None
    delimiter: str | None = None


_encoder = msgspec.json.Encoder()
_categorized_decoder = msgspec.json.Decoder(_CategorizedJson)
_dead_letter_decoder = msgspec.json.Decoder(_DeadLetterJson)


def categorized_to_json(item: CategorizedItem, *, envelope: bool = False) -> bytes:
    """Encodes a categorized item as one line of JSON.

    Args:
        item: The item.
        envelope: Add the Kafka key and headers (base64), for sinks that have no place of their own
            for them.
    """
    message = item.message if envelope else None
    return _encoder.encode(
        _CategorizedJson(
            id=item.id,
            category=item.category,
            score=item.score,
            scores=item.scores,
            labels=item.labels,
            tokens=item.tokens,
            truncated=item.truncated,
            model=item.model,
            event_time=item.event_time,
            processed_time=item.processed_time,
            source=item.source,
            fields=item.fields,
            key=message.key if message else None,
            headers=message.user_headers if message else (),
        )
    )


def categorized_from_json(data: bytes | str) -> CategorizedItem:
    """Decodes what `categorized_to_json` wrote.

    Raises:
        msgspec.ValidationError: The JSON is not a categorized item; the message names the field.
    """
    j = _categorized_decoder.decode(data)
    envelope = None
    if j.key is not None or j.headers:
        envelope = Message(value=None, key=j.key, headers=j.headers, source=j.source)
    return CategorizedItem(
        id=j.id,
        category=j.category,
        score=j.score,
        scores=j.scores,
        labels=j.labels,
        tokens=j.tokens,
        truncated=j.truncated,
        model=j.model,
        event_time=j.event_time,
        processed_time=j.processed_time,
        source=j.source,
        fields=j.fields,
        message=envelope,
    )


def dead_letter_to_json(letter: DeadLetter) -> bytes:
    """Encodes a dead letter as one line of JSON, the original bytes as base64."""
    m = letter.message
    return _encoder.encode(
        _DeadLetterJson(
            value=m.value,
            stage=letter.stage,
            error_type=letter.error_type,
            error=letter.error,
            attempt=letter.attempt,
            time=letter.time,
            model=letter.model,
            source=m.source,
            key=m.key,
            headers=m.user_headers,
            timestamp=m.timestamp,
            columns=m.columns,
            delimiter=m.delimiter,
        )
    )


def dead_letter_from_json(data: bytes | str) -> DeadLetter:
    """Decodes what `dead_letter_to_json` wrote, `follows` and newsbeam's own headers excepted.

    Raises:
        msgspec.ValidationError: The JSON is not a dead letter; the message names the field.
    """
    j = _dead_letter_decoder.decode(data)
    message = Message(
        value=j.value,
        key=j.key,
        headers=j.headers,
        timestamp=j.timestamp,
        source=j.source,
        columns=j.columns,
        delimiter=j.delimiter,
    )
    return DeadLetter(message, j.stage, j.error_type, j.error, j.attempt, j.time, j.model)


def dead_letter_headers(letter: DeadLetter) -> Headers:
    """The Kafka headers of a dead letter: the message's own, then `newsbeam.*`.

    The value of the Kafka record is the original value, so that replaying a dead letter is
    producing it again.
    """
    ours = {
        "stage": letter.stage,
        "error_type": letter.error_type,
        "error": letter.error,
        "attempt": str(letter.attempt),
        "time": letter.time.isoformat(),
        "model": letter.model or "",
        "source": str(letter.message.source or ""),
    }
    return letter.message.user_headers + tuple(
        (HEADER_PREFIX + name, value.encode()) for name, value in ours.items() if value
    )


def dead_letter_from_headers(message: Message) -> DeadLetter:
    """Reads a dead letter back from the Kafka record that carried it.

    Args:
        message: The record of the dead-letter topic: original value, `newsbeam.*` headers.

    Raises:
        ValueError: The record has no `newsbeam.stage` header.
    """
    ours = {
        name.removeprefix(HEADER_PREFIX): (value or b"").decode(errors="replace")
        for name, value in message.headers
        if name.startswith(HEADER_PREFIX)
    }
    if "stage" not in ours:
        raise ValueError(f"record {message.source} is not a dead letter: no newsbeam.stage header")
    return DeadLetter(
        message=msgspec.structs.replace(message, headers=message.user_headers),
        stage=ours["stage"],
        error_type=ours.get("error_type", ""),
        error=ours.get("error", ""),
        attempt=int(ours.get("attempt", "1")),
        time=datetime.datetime.fromisoformat(ours["time"]) if "time" in ours else now(),
        model=ours.get("model"),
    )
