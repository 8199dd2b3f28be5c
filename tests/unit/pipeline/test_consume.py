"""`newsbeam consume` on files and stdin, and how it decodes records."""

from __future__ import annotations

import gzip
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
import typer

from pipeline.commands.consume import consume
from pipeline.demo.poison import POISON
from pipeline.outcomes import UnreadableRecord, outcome_of
from pipeline.terminal import PIPED_WIDTH
from transforms.errors import ConfigurationError
from transforms.records import (
    CategorizedItem,
    DeadLetter,
    KafkaPosition,
    Message,
    categorized_to_json,
    dead_letter,
    dead_letter_headers,
    dead_letter_to_json,
    now,
)


def item(number: int, category: str = "Sports") -> CategorizedItem:
    """A categorized item."""
    return CategorizedItem(
        id=f"n{number}",
        category=category,
        score=0.875,
        scores={category: 0.875},
        labels=(category,),
        tokens=12,
        truncated=False,
        model="m@1",
        event_time=now().replace(year=2004, month=8, day=11, hour=7, minute=5, second=9),
        processed_time=now(),
        source=KafkaPosition("news", 0, number),
        fields={"id": f"n{number}", "title": f"Match {number} \x1b[2J ends"},
    )


def letter(value: bytes | None) -> DeadLetter:
    """A dead letter."""
    message = Message(value, source=KafkaPosition("news", 1, 7))
    return dead_letter(message, "ParseNews", ValueError("not valid JSON"))


ITEMS = [categorized_to_json(item(0)), categorized_to_json(item(1, "Sci/Tech"))]


@pytest.fixture
def run(capfdbinary: pytest.CaptureFixture[bytes]) -> Any:
    """Runs the command; gives stdout and stderr."""
    app = typer.Typer(pretty_exceptions_enable=False)
    app.command()(consume)

    def _run(*args: object) -> tuple[bytes, bytes]:
        assert app(args=[str(arg) for arg in args], standalone_mode=False) == 0
        out, err = capfdbinary.readouterr()
        return out, err

    return _run


def file_of(path: Path, lines: Sequence[bytes]) -> Path:
    """A file of these lines, packed if its name says so."""
    data = b"".join(line + b"\n" for line in lines)
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


@pytest.mark.parametrize("name", ["out.jsonl", "out.jsonl.gz"])
def test_json_is_untouched(run: Any, tmp_path: Path, name: str) -> None:
    odd = ITEMS[0].replace(b'"id":"n0"', b'"id" :  "n0"', 1)
    out, err = run(file_of(tmp_path / name, [odd, ITEMS[1]]), "--format", "json")
    assert out.splitlines() == [odd, ITEMS[1]]
    assert not err


def test_table_has_a_row_for_each_and_fits(run: Any, tmp_path: Path) -> None:
    out, _ = run(file_of(tmp_path / "out.jsonl", ITEMS))
    head, first, second = out.decode().splitlines()
    assert head.split() == ["time", "category", "score", "news", "id"]
    assert first.startswith("2004-08-11 07:05:09  Sports        0.875  Match 0 [2J ends")
    assert first.endswith("n0")
    assert "Sci/Tech" in second
    assert max(map(len, (head, first, second))) <= PIPED_WIDTH
    assert "\x1b" not in out.decode()


def test_dead_letters_show_stage_error_and_payload(run: Any, tmp_path: Path) -> None:
    lines = [dead_letter_to_json(letter(p.value)) for p in POISON]
    out, err = run(file_of(tmp_path / "dead.jsonl", [ITEMS[0], *lines]))
    rows = out.decode().splitlines()
    # A heading each for the item and for the dead letters.
    assert len(rows) == 3 + len(POISON)
    assert rows[2].split() == ["time", "stage", "error", "value"]
    assert all("ParseNews" in row and "ValueError: not valid JSON" in row for row in rows[3:])
    assert any("Ministers meet in Geneva" in row for row in rows[3:])
    assert not err


def test_category_in_any_case_and_several(run: Any, tmp_path: Path) -> None:
    lines = [*ITEMS, categorized_to_json(item(2, "World")), dead_letter_to_json(letter(b"x"))]
    path = file_of(tmp_path / "out.jsonl", lines)
    options = ("--category", "sci/tech", "--category", "World", "--format", "json")
    out, _ = run(path, *options)
    assert [json.loads(line)["category"] for line in out.splitlines()] == ["Sci/Tech", "World"]


def test_limit_counts_what_is_shown(run: Any, tmp_path: Path) -> None:
    path = file_of(tmp_path / "out.jsonl", [*ITEMS, *ITEMS])
    out, _ = run(path, "--category", "Sci/Tech", "--limit", "1", "--format", "json")
    assert out.splitlines() == [ITEMS[1]]


def test_patterns_name_several_files(run: Any, tmp_path: Path) -> None:
    file_of(tmp_path / "out-1.jsonl", ITEMS[:1])
    file_of(tmp_path / "out-2.jsonl.gz", ITEMS[1:])
    out, _ = run(tmp_path / "out-*", "--format", "json")
    assert out.splitlines() == ITEMS


def test_stdin(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"\n".join(ITEMS))))
    out, _ = run("-", "--format", "json")
    assert out.splitlines() == ITEMS


def test_unreadable_records_are_a_line_each_on_stderr(run: Any, tmp_path: Path) -> None:
    path = file_of(tmp_path / "out.jsonl", [b"\x1b[31mno", ITEMS[0], b'{"a": 1}', b"[" * 100_000])
    out, err = run(path, "--format", "json")
    assert out.splitlines() == ITEMS[:1]
    first, second, third = err.decode().splitlines()
    assert f"{path}:1 is neither" in first
    assert f"{path}:3 is neither" in second
    assert f"{path}:4 is neither" in third
    assert "\x1b" not in err.decode()


def test_many_unreadable_records_are_counted(run: Any, tmp_path: Path) -> None:
    _, err = run(file_of(tmp_path / "out.jsonl", [b"no"] * 25))
    lines = err.decode().splitlines()
    assert len(lines) == 11
    assert lines[-1] == ("newsbeam: 15 more records are neither categorized items nor dead letters")


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("nowhere-*.jsonl",), "no file matches 'nowhere-*.jsonl'"),
        (("some.jsonl", "--follow"), "--follow can't wait for more of 'some.jsonl'"),
        (("kafka://h:1/t", "--from", "latest"), "add --follow"),
        (("kafka://h/t",), "is no host:port"),
        (("ftp://h/t",), "unknown scheme 'ftp'"),
    ],
)
def test_what_can_not_work_is_one_line(run: Any, args: tuple[str, ...], message: str) -> None:
    with pytest.raises(ConfigurationError) as error:
        run(*args)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_a_broken_gzip_file_is_one_line(run: Any, tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl.gz"
    path.write_bytes(gzip.compress(b"\n".join(ITEMS * 100))[:-20])
    with pytest.raises(ConfigurationError, match="is damaged"):
        run(path)


def kafka_record(value: bytes | None, headers: Any = ()) -> Message:
    """A record as a consumer of an output topic gets it."""
    return Message(value, headers=headers, source=KafkaPosition("out", 0, 3))


def test_a_dead_letter_is_told_by_its_headers() -> None:
    original = letter(b'{"id": 1}')
    found = outcome_of(kafka_record(b'{"id": 1}', dead_letter_headers(original)))
    assert isinstance(found, DeadLetter)
    assert (found.stage, found.error) == (original.stage, original.error)
    assert found.message.value == b'{"id": 1}'


@pytest.mark.parametrize(
    ("value", "headers", "why"),
    [
        (None, (), "tombstone"),
        (b"", (), "out-0@3"),
        (b"{", (), "out-0@3"),
        (b"42", (), "out-0@3"),
        (b"x", (("newsbeam.stage", b"S"), ("newsbeam.attempt", b"x")), "out-0@3"),
        (b"x", (("newsbeam.stage", b"S"), ("newsbeam.time", b"\xff")), "out-0@3"),
    ],
)
def test_what_can_not_be_decoded_says_where(value: bytes | None, headers: Any, why: str) -> None:
    with pytest.raises(UnreadableRecord, match=why):
        outcome_of(kafka_record(value, headers))


def test_items_come_back_whole() -> None:
    original = item(4)
    assert outcome_of(kafka_record(categorized_to_json(original))) == msgspec.structs.replace(
        original, message=None
    )
