"""`newsbeam dead-letters` on files, and how one letter is shown in full."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pipeline.cli import main
from pipeline.replay.found import found_in
from pipeline.replay.reasons import Groups
from pipeline.replay.show import in_full, table
from pipeline.terminal import PIPED_WIDTH
from tests.unit.pipeline.replay.letters import found, letter
from transforms.records import Message, dead_letter_to_json


@pytest.fixture
def dead(tmp_path: Path) -> Path:
    """A file of dead letters of three reasons, and a stranger."""
    letters = [
        *(letter(n, f"not valid JSON (byte {n})") for n in range(5)),
        letter(5, "no text", stage="TokenizeNews"),
        letter(6, "field 'title' \x1b[2J is odd"),
    ]
    path = tmp_path / "dead.jsonl"
    path.write_bytes(b"".join(dead_letter_to_json(each) + b"\n" for each in letters) + b"junk\n")
    return path


def test_reasons_then_the_newest_in_full(dead: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["dead-letters", str(dead)]) == 0
    out, err = capfd.readouterr()
    assert "7 dead letters, 3 reasons" in out
    lines = out.splitlines()
    first = next(line for line in lines if "not valid JSON" in line)
    assert first.split()[:3] == ["1", "5", "ParseNews"]
    assert "ValueError: not valid JSON (byte N)" in first
    assert 'news-0@4  {"id": 4' in lines[lines.index(first) + 1]
    assert "dead letter  " in out
    assert "attempt      1" in out
    assert "header       hop = \x00" not in out  # nothing that a terminal would obey
    assert "\x1b" not in out
    assert max(map(len, lines)) <= PIPED_WIDTH
    assert err.startswith("newsbeam: 1 record passed over, being no dead letters: the first is ")


def test_one_by_group_or_by_place(dead: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["dead-letters", str(dead), "--show", "1"]) == 0
    assert "source       news-0@4" in capfd.readouterr().out
    assert main(["dead-letters", str(dead), "--id", "news-0@2"]) == 0
    assert "error        ValueError: not valid JSON (byte 2)" in capfd.readouterr().out
    assert main(["dead-letters", str(dead), "--id", f"{dead}:6"]) == 0
    assert "stage        TokenizeNews" in capfd.readouterr().out


@pytest.mark.parametrize(
    ("args", "why"),
    [
        (["--show", "4"], "--show 4: there are 3 groups"),
        (["--id", "news-0@99"], "--id 'news-0@99'"),
        (["--show", "1", "--id", "x"], "give one of them"),
        (["--since", "soon"], "--since 'soon' is no time"),
    ],
    ids=["group", "place", "both", "time"],
)
def test_what_is_not_there(
    dead: Path, args: list[str], why: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["dead-letters", str(dead), *args]) == 2
    out, err = capfd.readouterr()
    assert (out, len(err.splitlines())) == ("", 1)
    assert why in err


def test_filters_say_what_they_leave_out(dead: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["dead-letters", str(dead), "--stage", "TokenizeNews"]) == 0
    out, err = capfd.readouterr()
    assert "1 dead letter, 1 reason" in out
    assert "6 more are not among those asked for" in err
    assert main(["dead-letters", str(dead), "--error", "unheard of"]) == 0
    assert f"no dead letters of these in {dead}" in capfd.readouterr().out


def test_json_has_all_of_it(dead: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["dead-letters", str(dead), "--json"]) == 0
    said = json.loads(capfd.readouterr().out)
    assert (said["dead_letters"], said["no_dead_letters"], said["other_reasons"]) == (7, 1, 0)
    assert [group["count"] for group in said["groups"]] == [5, 1, 1]
    assert said["groups"][0]["error"] == "not valid JSON (byte N)"
    assert said["groups"][0]["newest"]["source"] == "news-0@4"
    assert said["shown"]["letter"]["stage"] == "ParseNews"


def shown(value: bytes | None) -> list[str]:
    """The lines of a dead letter with this value, from the value on."""
    in_topic = Message(
        value, headers=(("newsbeam.stage", b"S"), ("newsbeam.time", b"2026-02-01T12:00:00Z"))
    )
    lines = [row.plain for row in in_full(found_in(in_topic))]
    return lines[next(i for i, line in enumerate(lines) if line.startswith("value")) :]


def test_a_value_is_text_or_bytes() -> None:
    assert shown(None) == ["value        (null)"]
    assert shown(b"") == ["value        (empty)"]
    assert shown("one\n\ttwo é".encode()) == ["value        11 bytes", "one", "two é"]
    first, dump, *_ = shown(b"ab\xff\x00" * 5)
    assert first == "value        20 bytes, not UTF-8 from byte 2 on"
    assert dump.startswith("00000000  61 62 ff 00 61 62")
    assert dump.endswith("ab..ab..ab..ab..")


def test_a_large_value_is_shown_in_part() -> None:
    *_, last = shown(b"x" * 10_000)
    assert last == "… 2,000 more characters: --json has all of it"
    *_, last = shown(b"\xff" * 10_000)
    assert last == "… 9,488 more bytes: --json has all of it"


@pytest.mark.parametrize("width", [80, 160])
def test_rows_fit(width: int) -> None:
    groups = Groups(most=1)
    groups.add_all([found(error="a long reason " * 30), found(error="another")])
    head, *rows, last = [row.plain for row in table(groups, width)]
    assert max(map(len, (head, *rows))) <= width
    assert ("first" in head.split()) == (width == 160)
    assert last.strip() == "1 more, of reasons that came after these"
