"""Fuzz: random and mutated payloads through every step; each comes out once, with its bytes intact.

`NEWSBEAM_FUZZ=100000` runs more of them, `NEWSBEAM_FUZZ_SEED` others.
"""

from __future__ import annotations

import contextlib
import csv
import functools
import io
import json
import os
import random
from collections import Counter
from collections.abc import Iterator
from importlib import resources
from typing import Any

from models.errors import ModelError
from pipeline.demo.poison import POISON
from tests.unit.fakes import FakeModel
from transforms.classify import BATCH_SIZE, Categorize, OnnxTextClassifier
from transforms.coders import RecordCoder
from transforms.event_time import event_timestamp
from transforms.failures import PipelineFailure
from transforms.parse import ParseNews
from transforms.records import (
    CategorizedItem,
    DeadLetter,
    KafkaPosition,
    Message,
    NewsItem,
    categorized_from_json,
    categorized_to_json,
    dead_letter_from_headers,
    dead_letter_from_json,
    dead_letter_headers,
    dead_letter_to_json,
)
from transforms.rows import messages_of
from transforms.tokenize import TokenizeNews

COUNT = int(os.environ.get("NEWSBEAM_FUZZ", "5000"))
SEED = int(os.environ.get("NEWSBEAM_FUZZ_SEED", "4"))

SAMPLES = (resources.files("pipeline.demo") / "sample_news.jsonl").read_bytes().splitlines()
SMALL = [p.value for p in POISON if len(p.value) < 4096]
LARGE = [p.value for p in POISON if len(p.value) >= 4096]
#: What parsers trip over, in bytes.
PIECES = [
    b"\x00", b"\xff", b"\xed\xa0\x80", b"\xc0\xaf", b"\xef\xbb\xbf", b"\\ud800", b"\\udc00",
    b"\\u0000", b"\\", b'"', b"'", b"{", b"}", b"[", b"]", b",", b":", b"\n", b"\r\n", b"\t",
    b"NaN", b"-Infinity", b"1e999", b"-0", b"null", b"true", b"9" * 25, b"9" * 5000, b"[" * 300,
    b'{"title":', b'"id":', b'"published":', "\u202e⚽".encode(),
]  # fmt: skip
#: What a field of an item may be changed to.
VALUES: list[Any] = [
    None, True, False, 0, -1, 2**63, 2**64, 10**30, 0.5, 1e308, -1e-308, "", " ", "\x00", "\ud800",
    "a" * 3000, "⚽" * 50, "\u202e", "9999-12-31T23:59:59+23:59", "0001-01-01T00:00:00+14:00",
    "2026-02-30", "2026-01-31T24:00:00", [], {}, [[]], {"": {"": None}}, ["a", 1, None],
]  # fmt: skip
FIELDS = ["id", "title", "description", "body", "text", "published", "", "\x00", "url"]
TIMESTAMPS = [None, -1, 0, 1_700_000_000_000, 2**63 - 1, -(2**63), 1_700_000_000_000_000_000]
HEADERS: list[tuple[str, bytes | None]] = [
    ("traceparent", b"00-1"), ("a", None), ("", b""), ("a", b"\xff\x00"),
    ("newsbeam.attempt", b"3"), ("newsbeam.attempt", b"\xb2"), ("newsbeam.attempt", b"9" * 5000),
    ("newsbeam.attempt", None), ("newsbeam.stage", b"\xff"), ("newsbeam.time", b"never"),
]  # fmt: skip


def payloads(rng: random.Random) -> Iterator[bytes | None]:
    """Random and mutated payloads, without end."""
    while True:
        kind = rng.random()
        if kind < 0.01:
            yield rng.choice([None, b""])
        elif kind < 0.012:
            yield rng.choice(LARGE)
        elif kind < 0.15:
            yield rng.randbytes(rng.randrange(200))
        elif kind < 0.45:
            yield mutated_item(rng)
        else:
            yield mutated_bytes(rng, bytearray(rng.choice(SAMPLES if kind < 0.8 else SMALL)))


def mutated_item(rng: random.Random) -> bytes:
    """A sample whose fields were changed, taken away, or joined by others."""
    item = json.loads(rng.choice(SAMPLES))
    for _ in range(rng.randrange(1, 4)):
        field = rng.choice(FIELDS)
        if rng.random() < 0.3:
            item.pop(field, None)
        else:
            item[field] = rng.choice(VALUES)
    return json.dumps(item, ensure_ascii=rng.random() < 0.5).encode(errors="surrogatepass")


def mutated_bytes(rng: random.Random, data: bytearray) -> bytes:
    """Bytes that were changed, cut, repeated, or joined by others."""
    for _ in range(rng.randrange(1, 5)):
        at = rng.randrange(len(data) + 1)
        match rng.randrange(6):
            case 0 if data:
                data[at - 1] = rng.randrange(256)
            case 1 if data:
                data[at - 1] ^= 1 << rng.randrange(8)
            case 2:
                data[at:at] = rng.choice(PIECES)
            case 3:
                del data[at : at + rng.randrange(30)]
            case 4:
                data[at:at] = data[at : at + rng.randrange(60)]
            case _:
                other = rng.choice(SAMPLES)
                data[at:] = other[rng.randrange(len(other)) :]
    return bytes(data)


def messages(rng: random.Random) -> list[Message]:
    source = payloads(rng)
    return [
        Message(
            value=next(source),
            key=rng.choice([None, b"", b"k", b"\xff\x00"]),
            headers=tuple(rng.sample(HEADERS, rng.randrange(4))),
            timestamp=rng.choice(TIMESTAMPS),
            source=KafkaPosition("news", i % 3, i),
            follows=i,
        )
        for i in range(COUNT)
    ]


def test_every_payload_is_accounted_for() -> None:
    rng = random.Random(SEED)
    everything = messages(rng)

    def answer(row: Any) -> list[float]:
        if rng.random() < 0.02:
            raise ModelError("no")
        return [rng.uniform(-40, 40) for _ in range(4)]

    parse, tokenize, categorize = ParseNews(), TokenizeNews(), Categorize()
    tokenize.setup()
    classifier, model, coder = OnnxTextClassifier(), FakeModel(answer), RecordCoder()
    seen: Counter[int] = Counter()
    kinds: Counter[str] = Counter()
    for first in range(0, COUNT, BATCH_SIZE):
        # Lists, so that every step is seen to give one record for one.
        batch = everything[first : first + BATCH_SIZE]
        parsed = [next_only(parse.process(message)) for message in batch]
        tokenized = [next_only(tokenize.process(record)) for record in parsed]
        predicted = list(classifier.run_inference(tokenized, model))  # type: ignore[arg-type]
        assert len(predicted) == len(batch)
        for message, record in zip(batch, predicted, strict=True):
            stamped = next_only(categorize.process(record))
            outcome = stamped.value
            assert outcome.message == message
            assert stamped.timestamp.micros >= 0
            assert message.source is not None
            seen[outcome.message.source.offset] += 1
            check_written(outcome, coder)
            kinds[outcome.stage if isinstance(outcome, DeadLetter) else "categorized"] += 1
    assert seen == Counter(range(COUNT))
    # All ways were taken: otherwise the fuzzing is not worth its name.
    assert {"categorized", "ParseNews", "OnnxTextClassifier"} <= kinds.keys()
    assert min(kinds["categorized"], kinds["ParseNews"]) > COUNT / 20


# ---- files: CSV and JSON as they come ---------------------------------------------------------------

#: What fields and titles are made of: all that CSV and JSON have a meaning for.
_BITS = [
    *'ab ,;\t|"\\{}[]:',
    '""',
    "\n",
    "\r\n",
    "é",
    "⚽",
    '12" ',
    "<b>",
    "&amp;",
    "null",
    " #39;",
]


def random_text(rng: random.Random) -> str:
    return "".join(rng.choice(_BITS) for _ in range(rng.randrange(12))) + "x"


def outcomes_of(data: bytes, format: str, **more: Any) -> list[Any]:
    """What becomes of a file; each message comes out of parsing once, with its bytes."""
    parse = ParseNews(format=format, text_fields=["title"])
    found = []
    for message in messages_of(io.BytesIO(data), "f", format, **more):
        record = next_only(parse.process(message))
        assert record.message == message
        found.append(record)
    places = [record.message.source for record in found]
    assert len(set(places)) == len(places)
    return found


def files(seed: int) -> Iterator[random.Random]:
    for n in range(COUNT // 10):
        yield random.Random(f"{SEED} {seed} {n}")


def test_every_row_of_a_csv_file_is_accounted_for() -> None:
    for rng in files(1):
        rows = [[str(n), random_text(rng), random_text(rng)] for n in range(rng.randrange(1, 9))]
        written = io.StringIO(newline="")
        delimiter = rng.choice(",;\t|")
        quoting = rng.choice([csv.QUOTE_ALL, csv.QUOTE_MINIMAL, csv.QUOTE_NONNUMERIC])
        end = rng.choice(["\n", "\r\n"])
        writer = csv.writer(written, delimiter=delimiter, quoting=quoting, lineterminator=end)
        writer.writerow(["id", "title", "text"])
        writer.writerows(rows)
        data = written.getvalue().encode()
        found = outcomes_of(data, "csv")
        assert [list(record.fields.values()) for record in found] == rows, data


def test_stray_quotes_cost_no_other_row() -> None:
    for rng in files(2):
        lines, good = [], []
        for n in range(rng.randrange(1, 20)):
            kind = rng.randrange(6)
            if kind == 0:
                lines.append(f'{n},"stray {n},x')
            elif kind == 1:
                lines.append(f'{n},stray,"x')
            elif kind == 2:
                lines.append(f'{n},"closed" and on,x')
            else:
                title = rng.choice(['12" screen', '"a, ""b"""', 'the "cup"', "plain"])
                lines.append(f"{n},{title},x")
                good.append(str(n))
        data = ("id,title,text\n" + "\n".join(lines)).encode()
        found = outcomes_of(data, "csv")
        assert [r.message.value for r in found] == [line.encode() for line in lines]
        assert [r.fields["id"] for r in found if isinstance(r, NewsItem)] == good


def test_every_item_of_a_json_file_is_accounted_for() -> None:
    for rng in files(3):
        items = [
            {"id": str(n), "title": random_text(rng), "more": [{"x": [random_text(rng), n, None]}]}
            for n in range(rng.randrange(1, 9))
        ]
        indent = rng.choice([None, 0, 1, 4])
        ascii_only = rng.random() < 0.5
        encode = functools.partial(json.dumps, indent=indent, ensure_ascii=ascii_only)
        kind, more = rng.randrange(4), {}
        if kind == 0:
            data = rng.choice(["\n", "\r\n", "\n\n"]).join(json.dumps(item) for item in items)
        elif kind == 1:
            data = encode(items)
        elif kind == 2:
            data = "\n".join(json.dumps(item, indent=2) for item in items)
        else:
            data = encode({"status": "[", "a": {"b": items, "c": [{"b": 1}]}, "d": [1]})
            more = {"items": "a.b"}
        found = outcomes_of(data.encode(), "json", **more)
        assert [record.fields for record in found] == items, data


def test_no_byte_of_a_damaged_file_is_lost_or_stops_it() -> None:
    kept = bytes(range(33, 127))
    for rng in files(4):
        rows = [f'{n},"{random_text(rng)}",{random_text(rng)}' for n in range(6)]
        data = mutated_bytes(rng, bytearray("\n".join(rows).encode()))
        found = outcomes_of(data, "csv", columns=["id", "title", "text"], delimiter=",")
        values = b"".join(record.message.value for record in found)
        data = data.removeprefix(b"\xef\xbb\xbf")
        everything = bytes(set(range(256)) - set(kept))
        assert values.translate(None, everything) == data.translate(None, everything)
        lines = [json.dumps({"title": random_text(rng), "n": [n]}) for n in range(6)]
        data = mutated_bytes(rng, bytearray("\n".join(lines).encode()))
        # What is left may look like one document with a list: that is said, then.
        with contextlib.suppress(PipelineFailure):
            outcomes_of(data, "json")


def next_only(records: Iterator[Any]) -> Any:
    [record] = records
    return record


def check_written(outcome: CategorizedItem | DeadLetter, coder: RecordCoder) -> None:
    """Asserts that sinks can write an outcome, and readers read it."""
    message = outcome.message
    assert message is not None
    assert event_timestamp(message).micros >= 0
    assert coder.decode(coder.encode(outcome)) == outcome
    if isinstance(outcome, CategorizedItem):
        back = categorized_from_json(categorized_to_json(outcome))
        assert (back.id, back.category, back.fields) == (
            outcome.id,
            outcome.category,
            outcome.fields,
        )
        return
    carried = Message(message.value, message.key, dead_letter_headers(outcome))
    letter = dead_letter_from_headers(carried)
    assert (letter.stage, letter.error, letter.attempt) == (
        outcome.stage,
        outcome.error,
        outcome.attempt,
    )
    assert letter.message.headers == message.user_headers
    assert dead_letter_from_json(dead_letter_to_json(outcome)).message.value == message.value
