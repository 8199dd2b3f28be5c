"""Files of a run: what is one file, what may be written over, what is refused before the start."""

from __future__ import annotations

import bz2
import json
import os
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pipeline.connect import connect
from pipeline.ends.files.checks import check_files
from pipeline.options import RunOptions
from pipeline.preflight import check
from pipeline.run import beam_options, execute
from transforms.errors import ConfigurationError
from transforms.files.write import _Append, to_line
from transforms.records import Message, dead_letter


def checked(source: str, sink: str, *beam_args: str, **others: Any) -> Any:
    return check(RunOptions(source, sink, **others), beam_options(beam_args))


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "b.jsonl").write_bytes(b'{"id":"1","title":"Chelsea win at home"}\n')
    (tmp_path / "link.jsonl").symlink_to("b.jsonl")
    os.link("b.jsonl", "hard.jsonl")
    (tmp_path / "d").mkdir()
    (tmp_path / "folder").symlink_to("d")
    return tmp_path


@pytest.mark.parametrize(
    ("source", "sink"),
    [
        ("b.jsonl", "b.jsonl"),
        ("b.jsonl", "./b.jsonl"),
        ("b.jsonl", "d/../b.jsonl"),
        ("b.jsonl", "{here}/b.jsonl"),
        ("b.jsonl", "file://{here}/b.jsonl"),
        ("file://{here}/b.jsonl", "b.jsonl"),
        ("b.jsonl", "link.jsonl"),
        ("link.jsonl", "b.jsonl"),
        ("b.jsonl", "hard.jsonl"),
        ("*.jsonl", "b.jsonl"),
        ("*.jsonl", "new.jsonl"),
        ("**/*.jsonl", "d/new.jsonl"),
        (".", "new.jsonl"),
        ("./", "{here}/new.jsonl"),
    ],
)
def test_the_source_is_never_written_over(here: Path, source: str, sink: str) -> None:
    source, sink = source.format(here=here), sink.format(here=here)
    before = (here / "b.jsonl").read_bytes()
    for ends in ({"sink": sink}, {"sink": "d/o.csv", "dead_letters": sink}):
        with pytest.raises(ConfigurationError, match="is also the source"):
            checked(source, **ends)
    assert (here / "b.jsonl").read_bytes() == before


@pytest.mark.parametrize("dead", ["o.jsonl", "./o.jsonl", "d/../o.jsonl", "file://{here}/o.jsonl"])
def test_results_and_dead_letters_are_two_files(here: Path, dead: str) -> None:
    with pytest.raises(ConfigurationError, match="is also the sink"):
        checked("b.jsonl", "o.jsonl", dead_letters=dead.format(here=here))


def test_through_a_linked_folder(here: Path) -> None:
    with pytest.raises(ConfigurationError, match="is also the sink"):
        checked("b.jsonl", "d/o.jsonl", dead_letters="folder/o.jsonl")


@pytest.mark.parametrize(
    "content", [b"my notes\n", b'{"id":"1"}\n', b"\x89PNG\r\n", b"\x1f\x8b\x08 no archive"]
)
def test_a_file_that_is_not_ours_is_not_written_over(here: Path, content: bytes) -> None:
    (here / "o.jsonl").write_bytes(content)
    with pytest.raises(ConfigurationError, match="no output of newsbeam"):
        checked("b.jsonl", "o.jsonl")
    with pytest.raises(ConfigurationError, match="no output of newsbeam"):
        checked("b.jsonl", "new.jsonl", dead_letters="o.jsonl")
    assert (here / "o.jsonl").read_bytes() == content


def test_what_is_appended_spoils_no_file_either(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (here / "o.jsonl").write_bytes(b"my notes\n")
    read, write = os.pipe()
    with open(read, "rb") as reader, open(write, "wb"):
        monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=reader))
        with pytest.raises(ConfigurationError, match="no output of newsbeam"):
            checked("-", "o.jsonl")


@pytest.mark.parametrize(
    ("stream", "source", "sink", "dead_letters", "also"),
    [
        ("stdin", "-", "b.jsonl", "d/dead.jsonl", "--sink 'b.jsonl' is also the source"),
        ("stdin", "-", "d/o.jsonl", "hard.jsonl", "--dead_letters 'hard.jsonl' is also the source"),
        ("stdout", "b.jsonl", "-", "d/dead.jsonl", "--sink '-' is also the source"),
        ("stdout", "*.jsonl", "-", "d/dead.jsonl", "--sink '-' is also the source"),
        ("stderr", "b.jsonl", "d/o.jsonl", "-", "--dead_letters '-' is also the source"),
        ("stdout", "d/a.jsonl", "-", "b.jsonl", "--dead_letters 'b.jsonl' is also the sink"),
        ("stderr", "d/a.jsonl", "b.jsonl", "-", "--dead_letters '-' is also the sink"),
    ],
)
def test_files_that_the_shell_opened(
    here: Path,
    stream: str,
    source: str,
    sink: str,
    dead_letters: str,
    also: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (here / "d" / "a.jsonl").write_bytes(b"{}\n")
    with open("b.jsonl", "r+b") as opened:
        monkeypatch.setattr(sys, stream, SimpleNamespace(buffer=opened))
        with pytest.raises(ConfigurationError, match=also):
            checked(source, sink, dead_letters=dead_letters)


def test_an_earlier_output_may_be_written_over(here: Path) -> None:
    letter = to_line(dead_letter(Message(b"x"), "ParseNews", ValueError("no"))) + b"\n"
    for content in (b"", letter):
        (here / "o.jsonl").write_bytes(content)
        checked("b.jsonl", "o.jsonl")


@pytest.mark.parametrize(
    ("name", "format"),
    [("n.csv.bz2", "csv"), ("N.CSV", "csv"), ("n.tsv", "csv"), ("n.txt.xz", "text"), ("n", "json")],
)
def test_formats_by_name(here: Path, name: str, format: str) -> None:
    (here / "d" / name).write_bytes(bz2.compress(b"title\n1\n") if "bz2" in name else b"title\n1\n")
    for source in (f"d/{name}", "d", "d/*"):
        assert checked(source, "-").source.run.news.format == format
    assert checked(f"d/{name}", "-", format="text").source.run.news.format == "text"


def test_a_folder_of_several_formats(here: Path) -> None:
    (here / "d" / "a.csv").write_bytes(b"title\n1\n")
    (here / "d" / "b.jsonl").write_bytes(b"{}\n")
    with pytest.raises(ConfigurationError, match=r"csv \(d/a.csv\) and json \(d/b.jsonl\)"):
        checked("d", "-")


@pytest.mark.parametrize("source", ["d", "d/n\udcff.jsonl"])
def test_a_name_that_is_not_utf8(here: Path, source: str) -> None:
    (here / "d" / "n\udcff.jsonl").write_bytes(b"{}\n")
    with pytest.raises(ConfigurationError, match=r"file b'd/n\\xff.jsonl' is not UTF-8: rename it"):
        checked(source, "o/")


@pytest.mark.parametrize("name", ["o.zip", "o.jsonl.lzma"])
def test_sinks_that_cannot_be_written(here: Path, name: str) -> None:
    with pytest.raises(ConfigurationError, match="can't write"):
        checked("b.jsonl", name)


def test_where_the_progress_is_kept(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(here / "state"))

    def kept(sink: str, source: str = "b.jsonl", **others: Any) -> Any:
        options = RunOptions(source, sink, **others)
        return check_files(connect(options)).source.progress.path

    assert kept("d/o.jsonl") == f"{here}/d/.o.jsonl.newsbeam-progress"
    assert kept("kafka://localhost:9092/news").startswith(f"{here}/state/newsbeam/")
    assert kept("kafka://localhost:9092/news") != kept("kafka://localhost:9092/others")
    assert kept("-") is None
    assert kept("/dev/null") is None
    # What is in a folder is known there: it may be removed, or be another one from elsewhere.
    assert kept("d/").startswith(f"{here}/d/.newsbeam/progress-")
    routed = {"source": f"{here}/b.jsonl", "route": ["Sports=gs://bucket/out"]}
    there = kept("d/", **routed)
    monkeypatch.chdir(here / "d")
    assert kept("d/", **routed) != there


def test_brackets_in_a_sink(here: Path) -> None:
    assert checked("b.jsonl", "o[1].jsonl").source.parts
    # There Beam's own sink writes it, which would delete what the name matches as a pattern.
    with pytest.raises(ConfigurationError, match="pattern on this runner"):
        checked("b.jsonl", "o[1].jsonl", "--runner=FlinkRunner", "--job_endpoint=h:1")


def test_what_a_bundle_that_failed_wrote_is_not_there_twice(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (here / "b.jsonl").write_bytes(b'{"id":"1","title":"Chelsea win at home"}\nno news\n')
    options = RunOptions("b.jsonl", "d/o.jsonl")
    append = _Append.__call__

    def full(self: _Append, lines: list[bytes]) -> None:
        if "dead_letters" in self._path:
            raise OSError("no space left")
        append(self, lines)

    with monkeypatch.context() as patch:
        patch.setattr(_Append, "__call__", full)
        with pytest.raises(Exception, match="no space left"):
            execute(options)
    execute(options)
    [item] = (here / "d/o.jsonl").read_bytes().splitlines()
    assert json.loads(item)["id"] == "1"
    assert len((here / "d/o.dead_letters.jsonl").read_bytes().splitlines()) == 1
