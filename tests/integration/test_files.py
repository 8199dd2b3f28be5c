"""Files in, files out: JSON lines, CSV and plain text, zipped or not, with their dead letters."""

from __future__ import annotations

import base64
import csv
import gzip
import io
import json
from pathlib import Path
from typing import Any

import pytest

from models.bundle import Bundle
from pipeline.demo.poison import POISON
from pipeline.demo.traffic import sample_news
from tests.integration.harness import DEAD_POISON, finished, mixed, refused, succeeded
from tests.unit.models.conftest import write_bundle


def lines_of(path: Path) -> list[dict[str, Any]]:
    data = path.read_bytes()
    if path.suffix == ".gz":
        data = gzip.decompress(data)
    return [json.loads(line) for line in data.splitlines()]


def run(source: str | Path, sink: Path, *more: str) -> str:
    return succeeded("run", "--source", str(source), "--sink", str(sink), *more).stderr


def test_json_lines_with_poison(tmp_path: Path) -> None:
    values = [m.value for m in mixed(300) if b"\n" not in m.value and m.value.strip()]
    # Spaces before and after a record are its own; the file may end in none.
    (tmp_path / "news.jsonl").write_bytes(b"\r\n".join(values))
    run(tmp_path / "news.jsonl", tmp_path / "out.jsonl")
    categorized = lines_of(tmp_path / "out.jsonl")
    dead = lines_of(tmp_path / "out.dead_letters.jsonl")
    by_line = {record["source"]["line"]: record for record in (*categorized, *dead)}
    assert sorted(by_line) == list(range(1, len(values) + 1))
    assert len(by_line) == len(categorized) + len(dead)
    for number, value in enumerate(values, 1):
        record = by_line[number]
        if value in DEAD_POISON:
            assert base64.b64decode(record["value"]) == value
            assert (record["stage"], record["attempt"]) == ("ParseNews", 1)
            assert record["error"]
        else:
            assert record["fields"] == json.loads(value)
    assert sum(value in DEAD_POISON for value in values) > len(POISON) // 3


def test_csv_with_a_header(tmp_path: Path) -> None:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(["id", "title", "description"])
    writer.writerow(["a", "Stocks fell", 'Oil "rose"\nagain, on Tuesday'])
    writer.writerow(["b", "Striker scores twice", "über 90 minutes"])
    rows = text.getvalue() + 'c,too,many,columns\r\nd,"bad"quote,here\r\n\r\ne,Parliament,votes\r\n'
    (tmp_path / "news.csv").write_text(rows, newline="")
    run(tmp_path / "news.csv", tmp_path / "out.jsonl")
    found = {r["id"]: (r["source"]["line"], r["fields"]) for r in lines_of(tmp_path / "out.jsonl")}
    assert found == {
        "a": (
            2,
            {"id": "a", "title": "Stocks fell", "description": 'Oil "rose"\nagain, on Tuesday'},
        ),
        "b": (
            4,
            {"id": "b", "title": "Striker scores twice", "description": "über 90 minutes"},
        ),
        "e": (8, {"id": "e", "title": "Parliament", "description": "votes"}),
    }
    dead = lines_of(tmp_path / "out.dead_letters.jsonl")
    assert sorted(base64.b64decode(letter["value"]) for letter in dead) == [
        b"c,too,many,columns",
        b'd,"bad"quote,here',
    ]
    assert all(letter["columns"] == ["id", "title", "description"] for letter in dead)


def test_csv_without_a_header(tmp_path: Path) -> None:
    """Like the AG News files: class, title, description."""
    (tmp_path / "news.csv").write_text(
        '"3","Stocks fell","Oil rose"\n"2","Cup final","Hosts win"\n'
    )
    run(f"file://{tmp_path}/news.csv?columns=class,title,description", tmp_path / "out.jsonl")
    found = {r["fields"]["title"]: r for r in lines_of(tmp_path / "out.jsonl")}
    assert found.keys() == {"Stocks fell", "Cup final"}
    assert found["Cup final"]["fields"] == {
        "class": "2",
        "title": "Cup final",
        "description": "Hosts win",
    }
    assert found["Cup final"]["id"] == f"{tmp_path}/news.csv:2"


def test_text(tmp_path: Path) -> None:
    (tmp_path / "news.txt").write_bytes(
        "Stocks fell\n\n  \nCafé owners strike\r\n\xff\n".encode("latin-1")
    )
    run(tmp_path / "news.txt", tmp_path / "out.jsonl", "--dead_letters", str(tmp_path / "bad"))
    [item] = lines_of(tmp_path / "out.jsonl")
    assert (item["fields"], item["source"]["line"]) == ({"text": "Stocks fell"}, 1)
    dead = {base64.b64decode(x["value"]): x["error"] for x in lines_of(tmp_path / "bad")}
    assert dead.keys() == {"Café owners strike".encode("latin-1"), b"\xff"}
    assert all("not UTF-8" in error for error in dead.values())


def test_globs_and_gzip(tmp_path: Path) -> None:
    values = [m.value for m in sample_news()[:60]]
    for n in range(3):
        data = b"\n".join(values[n * 20 : n * 20 + 20]) + b"\n"
        (tmp_path / f"news-{n}.jsonl.gz").write_bytes(gzip.compress(data))
    run(tmp_path / "news-*.jsonl.gz", tmp_path / "out.jsonl.gz")
    found = lines_of(tmp_path / "out.jsonl.gz")
    assert sorted(r["id"] for r in found) == sorted(json.loads(v)["id"] for v in values)
    assert {r["source"]["file"] for r in found} == {
        str(tmp_path / f"news-{n}.jsonl.gz") for n in range(3)
    }
    assert lines_of(tmp_path / "out.dead_letters.jsonl.gz") == []


def test_fields_and_clean_up_of_ones_own(tmp_path: Path) -> None:
    (tmp_path / "news.jsonl").write_text(
        json.dumps({"nr": 7, "head": "Stocks\n\n fell", "when": "2012-05-01T12:00:00+02:00"})
    )
    flags = ("--text_fields", "head", "--id_field", "nr", "--time_field", "when")
    clean_up = ("--text_clean_up", "shrink", "--max_length", "3", "--activation", "sigmoid")
    run(tmp_path / "news.jsonl", tmp_path / "out.jsonl", *flags, *clean_up)
    [item] = lines_of(tmp_path / "out.jsonl")
    assert (item["id"], item["event_time"]) == ("7", "2012-05-01T10:00:00Z")
    assert (item["tokens"], item["truncated"]) == (3, True)


def test_long_texts_are_read_as_the_model_says(tmp_path: Path) -> None:
    """Run and classify give the same, by the model's word and by what is given in its place."""
    says = {"long_text": "average", "max_length": 8, "max_windows": 2, "temperature": 20}
    model = str(write_bundle(tmp_path / "tiny", config=says))
    bodies = ["goal", "ball " * 8 + "bank " * 3, "ball " * 8 + "bank " * 40]
    news = tmp_path / "news.jsonl"
    news.write_text(
        "".join(json.dumps({"id": str(n), "body": b}) + "\n" for n, b in enumerate(bodies))
    )
    for options, reads, tokens, truncated in (
        ((), "up to 2 windows of 8 tokens, averaged", [3, 13, 14], [False, False, True]),
        (("--max_length", "10"), "the first 10 tokens", [3, 10, 10], [False, True, True]),
        (
            ("--long_text", "max"),
            "up to 64 windows of 8 tokens, their highest scores",
            [3, 13, 50],
            [False, False, False],
        ),
        (
            ("--max_windows", "3"),
            "up to 3 windows of 8 tokens, averaged",
            [3, 13, 20],
            [False, False, True],
        ),
    ):
        out = tmp_path / f"out{len(list(tmp_path.iterdir()))}.jsonl"
        given = ("--model", model, *options)
        done = succeeded("run", "--source", str(news), "--sink", str(out), *given)
        assert f"; model tiny@{Bundle.load(model).hash} reads {reads}; delivery" in done.stderr
        found = sorted(lines_of(out), key=lambda item: item["id"])
        assert [item["tokens"] for item in found] == tokens
        assert [item["truncated"] for item in found] == truncated
        classified = succeeded("classify", *bodies, "--json", *given).stdout.splitlines()
        for item, line in zip(found, classified, strict=True):
            alone = json.loads(line)
            assert item["scores"] == pytest.approx(alone["scores"], abs=1e-5, rel=0)
            assert (item["tokens"], item["truncated"]) == (alone["tokens"], alone["truncated"])


def test_a_damaged_archive_is_told_and_leaves_no_output(tmp_path: Path) -> None:
    whole = gzip.compress(b"\n".join(m.value for m in sample_news()[:60]))
    (tmp_path / "news.jsonl.gz").write_bytes(whole[: len(whole) // 2])
    done = finished(
        "run", "--source", str(tmp_path / "news.jsonl.gz"), "--sink", str(tmp_path / "out.jsonl")
    )
    assert (done.code, "Traceback" in done.stderr) == (1, False), done.stderr
    assert done.error.startswith(f"newsbeam: {tmp_path}/news.jsonl.gz is damaged: ")
    assert not (tmp_path / "out.jsonl").exists()


def test_what_cannot_be_read_or_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "news.jsonl").write_text('{"title": "Stocks fell"}')
    news = ("run", "--source", str(tmp_path / "news.jsonl"), "--sink")
    assert "matches no file" in refused(
        "run", "--source", str(tmp_path / "*.csv"), "--sink", str(tmp_path / "out.jsonl")
    )
    assert "there is no folder" in refused(*news, str(tmp_path / "no" / "out.jsonl"))
    assert "is also the source" in refused(*news, str(tmp_path))
    assert "is also the source" in refused(*news, str(tmp_path / "news.jsonl"))
