"""What a source's name stands for."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from transforms.files.paths import Found, covers, delimiter_of, find, format_of, same_file


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "d" / "e").mkdir(parents=True)
    for name in ("a.jsonl", "d/news1.jsonl", "d/news[1].jsonl", "d/e/b.jsonl"):
        (tmp_path / name).touch()
    return tmp_path


@pytest.mark.parametrize(
    ("name", "files"),
    [
        ("a.jsonl", ["a.jsonl"]),
        ("*.jsonl", ["a.jsonl"]),
        ("./*.jsonl", ["./a.jsonl"]),
        ("**/*.jsonl", ["a.jsonl", "d/e/b.jsonl", "d/news1.jsonl", "d/news[1].jsonl"]),
        ("d/*", ["d/news1.jsonl", "d/news[1].jsonl"]),
        ("d/../*.jsonl", ["d/../a.jsonl"]),
        ("?.jsonl", ["a.jsonl"]),
        ("d/news[1].jsonl", ["d/news[1].jsonl"]),
        ("d/news[12].jsonl", ["d/news1.jsonl"]),
        ("d", ["d/news1.jsonl", "d/news[1].jsonl"]),
        ("d/", ["d/news1.jsonl", "d/news[1].jsonl"]),
        ("none", []),
        ("none*", []),
    ],
)
def test_names_and_patterns(here: Path, name: str, files: list[str]) -> None:
    assert find(name) == Found(tuple(files))


NO_NEWS = ["._a.jsonl", ".a.jsonl.crc", "_SUCCESS", "a.jsonl.tmp", "a.jsonl~", "a.crc"]


@pytest.mark.parametrize("name", ["d/*", "d", "./d/", "**"])
def test_what_is_no_news_is_passed_over(here: Path, name: str) -> None:
    before = find(name).files
    for no_news in NO_NEWS:
        (here / "d" / no_news).touch()
    (here / "d" / "_temporary").mkdir()
    (here / "d" / "_temporary" / "part.jsonl").touch()
    found = find(name)
    assert found.files == before
    assert {os.path.basename(path) for path in found.passed_over} >= set(NO_NEWS)


@pytest.mark.parametrize("no_news", NO_NEWS)
def test_a_file_named_by_its_very_name_is_read(here: Path, no_news: str) -> None:
    (here / no_news).touch()
    assert find(no_news).files == (no_news,)


def test_a_pattern_may_ask_for_hidden_files(here: Path) -> None:
    (here / ".news.jsonl").touch()
    (here / "a.tmp").touch()
    (here / ".cache").mkdir()
    (here / ".cache" / "c.jsonl").touch()
    assert find(".n*").files == (".news.jsonl",)
    assert find("*.tmp").files == ("a.tmp",)
    assert find(".cache/*").files == (".cache/c.jsonl",)


@pytest.mark.parametrize(
    ("name", "path", "expected"),
    [
        ("*.jsonl", "out.jsonl", True),
        ("./*.jsonl", "out.jsonl", True),
        ("**/*.jsonl", "d/e/out.jsonl", True),
        ("**/*.jsonl", "out.jsonl", True),
        ("d/**/*.jsonl", "d/out.jsonl", True),
        ("d/**/*.jsonl", "out.jsonl", False),
        ("d", "d/out.jsonl", True),
        ("*.jsonl", "d/out.jsonl", False),
        ("*.csv", "out.jsonl", False),
        ("a.jsonl", "d/../a.jsonl", True),
        ("a.jsonl", "out.jsonl", False),
    ],
)
def test_a_pattern_covers(here: Path, name: str, path: str, expected: bool) -> None:
    assert covers(name, path) is expected
    assert covers(name, str(here / path)) is expected


def test_one_file_by_several_names(here: Path) -> None:
    (here / "link").symlink_to("a.jsonl")
    (here / "folder").symlink_to("d")
    os.link("a.jsonl", "hard")
    for name in ("./a.jsonl", "d/../a.jsonl", str(here / "a.jsonl"), "link", "hard"):
        assert same_file("a.jsonl", name)
    assert same_file("d/new.jsonl", "folder/new.jsonl")
    assert not same_file("a.jsonl", "b.jsonl")


@pytest.mark.parametrize(
    ("name", "format", "delimiter"),
    [
        ("news.csv.bz2", "csv", None),
        ("NEWS.CSV.GZ", "csv", None),
        ("news.tsv", "csv", "\t"),
        ("news.tsv.xz", "csv", "\t"),
        ("news.txt.zst", "text", None),
        ("news.ndjson", "json", None),
        ("news", "json", None),
        ("news.gz", "json", None),
    ],
)
def test_endings(name: str, format: str, delimiter: str | None) -> None:
    assert (format_of(name), delimiter_of(name)) == (format, delimiter)


@pytest.mark.parametrize("begin", ["", "./", "{here}/"])
def test_brackets_of_a_folder_before_a_pattern(
    begin: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    begin = begin.format(here=tmp_path)
    for folder in ("d[1]", "d1", "e2"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "a.jsonl").write_bytes(b"{}\n")
    assert find(f"{begin}d[1]/*.jsonl").files == (f"{begin}d[1]/a.jsonl",)
    assert find(f"{begin}d[1]/**").files == (f"{begin}d[1]/a.jsonl",)
    assert find(f"{begin}e[12]/*.jsonl").files == (f"{begin}e2/a.jsonl",)
    assert covers(f"{begin}d[1]/*.jsonl", "d[1]/new.jsonl")
    assert not covers(f"{begin}d[1]/*.jsonl", "d1/new.jsonl")
    assert covers(f"{begin}e[12]/*.jsonl", "e2/new.jsonl")
