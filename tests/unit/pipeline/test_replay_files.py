"""How far files were replayed is kept, and found again."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from models.settings import SettingsSet
from pipeline.ends.files.replay import FileLetters
from pipeline.ends.kinds import KIND_OPTIONS, parse
from pipeline.ends.letters import Taking
from pipeline.replay.replay import Replay
from pipeline.replay.which import Sieve, WhichLetters
from tests.unit.pipeline.replay.letters import Written, letter
from transforms.errors import ConfigurationError
from transforms.failures import PipelineFailure
from transforms.files.parquet import write_rows
from transforms.records import dead_letter_to_json

ALL = Sieve(WhichLetters())


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where it is kept."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path / "state" / "newsbeam"


def lines(begin: int, end: int) -> bytes:
    """Dead letters of these numbers, and empty lines between them."""
    return b"".join(dead_letter_to_json(letter(n)) + b"\n\n" for n in range(begin, end))


def replayed(pattern: Path, limit: int | None = None, how: Taking = Taking()) -> list[int]:
    """Replays; the numbers of what was."""
    to, letters = Written(), FileLetters(str(pattern), how)
    letters.into(to)
    Replay(letters, to, ALL, limit).run()
    return [int((m.key or b"")[1:]) for m in to.messages]


@pytest.mark.parametrize("name", ["dead.jsonl", "dead.jsonl.gz"])
def test_it_goes_on_where_it_ended(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    pack = gzip.compress if name.endswith(".gz") else bytes
    path.write_bytes(pack(lines(0, 1200)))
    assert replayed(path, limit=700) == [*range(700)]
    assert replayed(path) == [*range(700, 1200)]
    assert replayed(path) == []
    # It grows.
    path.write_bytes(pack(lines(0, 1203)))
    assert replayed(path) == [1200, 1201, 1202]


@pytest.mark.parametrize("cut", [1, 2, 40, 100])
def test_a_line_that_is_being_written_is_for_the_next_time(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "dead.jsonl"
    path.write_bytes(lines(0, 3)[:-cut])
    first = replayed(path)
    path.write_bytes(lines(0, 4))
    assert first + replayed(path) == [0, 1, 2, 3]


@pytest.mark.parametrize("total", [2, 5], ids=["shorter", "longer"])
def test_another_file_of_that_name_is_read_anew(
    tmp_path: Path, total: int, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "dead.jsonl"
    path.write_bytes(lines(0, 3))
    assert replayed(path) == [0, 1, 2]
    path.write_bytes(lines(10, 10 + total))
    assert replayed(path) == [*range(10, 10 + total)]
    assert "another file" in caplog.text


def test_parquet_too(tmp_path: Path) -> None:
    path = tmp_path / "dead.parquet"
    with path.open("wb") as file:
        write_rows(file, "dead-letters", filter(None, lines(0, 3).splitlines()))
    assert replayed(path, limit=2) == [0, 1]
    assert replayed(path) == [2]


def test_each_file_of_a_pattern_has_its_own(tmp_path: Path) -> None:
    one, two = tmp_path / "a.jsonl", tmp_path / "b.jsonl"
    one.write_bytes(lines(0, 2))
    two.write_bytes(lines(2, 4))
    assert replayed(one) == [0, 1]
    assert replayed(tmp_path / "*.jsonl") == [2, 3]
    (tmp_path / "c.jsonl").write_bytes(lines(4, 6))
    assert replayed(tmp_path / "*.jsonl") == [4, 5]


def test_from_start_begins_anew_and_a_look_notes_nothing(tmp_path: Path, state: Path) -> None:
    path = tmp_path / "dead.jsonl"
    path.write_bytes(lines(0, 3))
    counts = Replay(FileLetters(str(path), Taking(look_only=True)), None, ALL).run()
    assert (counts.replayed, state.exists()) == (3, False)
    assert replayed(path) == [0, 1, 2]
    assert Replay(FileLetters(str(path), Taking(True, True)), None, ALL).run().replayed == 3
    assert replayed(path) == []
    assert replayed(path, how=Taking(from_start=True), limit=1) == [0]
    # That was a new beginning.
    assert replayed(path) == [1, 2]


def test_what_was_not_published_is_not_noted(tmp_path: Path) -> None:
    path = tmp_path / "dead.jsonl"
    path.write_bytes(lines(0, 3))
    letters, to = FileLetters(str(path), Taking()), Written(fails_at=b"k1")
    with pytest.raises(ConnectionError):
        Replay(letters, to, ALL).run()
    assert replayed(path) == [0, 1, 2]


def test_a_note_that_can_not_be_read_is_no_beginning(tmp_path: Path, state: Path) -> None:
    path = tmp_path / "dead.jsonl"
    path.write_bytes(lines(0, 3))
    replayed(path)
    [note] = state.iterdir()
    note.write_bytes(b"{")
    with pytest.raises(PipelineFailure, match="--from_start"):
        replayed(path)
    assert replayed(path, how=Taking(from_start=True)) == [0, 1, 2]


def test_a_note_that_can_not_be_kept_is_told_before(tmp_path: Path, state: Path) -> None:
    path = tmp_path / "dead.jsonl"
    path.write_bytes(lines(0, 3))
    state.parent.mkdir()
    state.write_bytes(b"no folder")
    with pytest.raises(ConfigurationError, match="set XDG_STATE_HOME"):
        replayed(path)


def test_what_can_not_be_replayed_or_to() -> None:
    options = SettingsSet(KIND_OPTIONS, {})
    with pytest.raises(ConfigurationError, match="no file matches"):
        parse("no-such-file.jsonl").letters(Taking(), options)
    for uri in ("news.jsonl", "-"):
        with pytest.raises(ConfigurationError, match=f"TO '{uri}' is no topic"):
            parse(uri).publisher(options)
    with pytest.raises(ConfigurationError, match="names 2 topics: give one"):
        parse("kafka://127.0.0.1:1/a,b").publisher(options)
    with pytest.raises(ConfigurationError, match="group is for sources only"):
        parse("kafka://127.0.0.1:1/a?group=g").publisher(options)
    with pytest.raises(ConfigurationError, match="start changes nothing here"):
        parse("kafka://127.0.0.1:1/a?start=earliest").letters(Taking(), options)
