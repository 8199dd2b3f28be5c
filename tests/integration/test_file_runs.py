"""Runs over files that are interrupted, killed and run again: each record once, no file half there."""

from __future__ import annotations

import json
from pathlib import Path
from signal import SIGINT, SIGKILL, SIGTERM, Signals

import pytest

from tests.integration.harness import SUMMARY, finished, refused, running, succeeded

MODEL = str(Path(__file__).parents[2] / "models" / "ag_news_mini")
RECORDS = 3000


@pytest.fixture
def news(tmp_path: Path) -> Path:
    """Records, of which some are dead letters."""
    path = tmp_path / "in" / "news.jsonl"
    path.parent.mkdir()
    with path.open("w") as file:
        for n in range(RECORDS):
            file.write(
                "no json\n" if n % 100 == 7 else json.dumps({"id": str(n), "title": f"Cup {n}"})
            )
            file.write("\n")
    (tmp_path / "out").mkdir()
    return path


def lines_read(*paths: Path) -> list[int]:
    return sorted(json.loads(line)["source"]["line"] for path in paths for line in path.open("rb"))


def lines_of(news: Path) -> list[int]:
    return [n for n, line in enumerate(news.open("rb"), 1) if line.strip()]


@pytest.mark.parametrize(
    "how", [*(pytest.param(n, marks=pytest.mark.long) for n in (SIGTERM, SIGINT)), SIGKILL]
)
def test_one_that_is_interrupted_is_gone_on_with(news: Path, tmp_path: Path, how: Signals) -> None:
    out = tmp_path / "out"
    args = ("run", "--source", str(news), "--sink", str(out / "o.jsonl"), "--model", MODEL)
    progress, part = out / ".o.jsonl.newsbeam-progress", out / ".o.jsonl.newsbeam-part"

    def begun() -> bool:
        return progress.exists() and part.exists() and part.stat().st_size > 0

    with running(args, tmp_path) as process:
        process.wait_for(begun, "first outcomes")
        process.signal(how)
        done = process.wait()
    assert "Traceback" not in done.stderr
    # Nothing half is put in place as if it were whole.
    assert not (out / "o.jsonl").exists()
    assert progress.exists()
    if how != SIGKILL:
        assert done.code == 0
        assert "run it again to go on" in done.stderr
        assert int(SUMMARY.findall(done.stderr)[0][0].replace(",", "")) < RECORDS
    again = succeeded(*args)
    if how != SIGKILL:
        assert "going on where the last run ended" in again.stderr
    assert {path.name for path in out.iterdir()} == {"o.jsonl", "o.dead_letters.jsonl"}
    assert lines_read(out / "o.jsonl", out / "o.dead_letters.jsonl") == lines_of(news)


def test_names_with_brackets_and_what_is_left_behind(tmp_path: Path) -> None:
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    (tmp_path / "news1.jsonl").write_text('{"id": "wrong", "title": "Stocks fell"}\n')
    (tmp_path / "news[1].jsonl").write_text('{"id": "right", "title": "Stocks fell"}\n')
    (tmp_path / "out1.jsonl").write_text("mine\n")
    source, sink = str(tmp_path / "news[1].jsonl"), str(tmp_path / "out[1].jsonl")
    done = succeeded(
        "run", "--source", source, "--sink", sink, "--model", MODEL, env={"TMPDIR": str(temporary)}
    )
    assert "100% read" not in done.stderr.splitlines()[-1]
    assert (tmp_path / "out1.jsonl").read_text() == "mine\n"
    assert [json.loads(line)["id"] for line in (tmp_path / "out[1].jsonl").open()] == ["right"]
    # ONNX Runtime keeps a file of its own there.
    assert [path.name for path in temporary.iterdir() if path.name != ".ses"] == []
    assert not [path.name for path in tmp_path.iterdir() if path.name.startswith((".", "beam"))]
    # What was written is read by its very name, too, and a folder is a source like any other.
    assert '"right"' in succeeded("consume", sink, "--format", "json").stdout


def test_an_archive_of_each_kind_as_a_sink(tmp_path: Path) -> None:
    (tmp_path / "news.jsonl").write_text('{"id": "1", "title": "Stocks fell"}\n')
    for ending in ("gz", "bz2", "xz", "zst"):
        sink = str(tmp_path / f"out.jsonl.{ending}")
        succeeded("run", "--source", str(tmp_path / "news.jsonl"), "--sink", sink, "--model", MODEL)
        assert (tmp_path / f"out.dead_letters.jsonl.{ending}").exists()
        assert '"id":"1"' in succeeded("consume", sink, "--format", "json").stdout


def test_nothing_is_written_over(tmp_path: Path) -> None:
    (tmp_path / "news.jsonl").write_text('{"id": "1", "title": "Stocks fell"}\n')
    (tmp_path / "mine.jsonl").write_text("mine\n")
    source = ("run", "--source", str(tmp_path / "news.jsonl"), "--sink")
    assert "no output of newsbeam" in refused(*source, str(tmp_path / "mine.jsonl"))
    assert (tmp_path / "mine.jsonl").read_text() == "mine\n"


def test_a_damaged_archive_in_the_middle(news: Path, tmp_path: Path) -> None:
    import bz2

    whole = bz2.compress(news.read_bytes())
    (news.parent / "news.jsonl.bz2").write_bytes(whole[:-20])
    news.unlink()
    sink = tmp_path / "out" / "o.jsonl"
    done = finished("run", "--source", str(news.parent), "--sink", str(sink), "--model", MODEL)
    assert (done.code, "Traceback" in done.stderr) == (1, False), done.stderr
    assert done.error.startswith(f"newsbeam: {news.parent}/news.jsonl.bz2 is damaged: ")
    assert not sink.exists()
