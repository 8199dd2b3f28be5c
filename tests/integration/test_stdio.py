"""stdin and stdout: a filter for pipes, one line out for each line in, as soon as it can be."""

from __future__ import annotations

import json
import os
import tempfile
import threading
from pathlib import Path

from pipeline.demo.traffic import sample_news
from tests.integration.harness import running, succeeded
from tests.servers import starter

PIPE = ("run", "--source", "-", "--sink", "-")


def test_a_line_comes_out_before_stdin_is_closed(tmp_path: Path) -> None:
    with running(PIPE, tmp_path, piped=True, anew=True) as process:
        for n in range(3):
            process.stdin.write(b'{"id": "%d", "title": "Stocks fell"}\n' % n)
            process.stdin.flush()
            item = json.loads(process.stdout.readline())
            assert (item["id"], item["source"]["line"]) == (str(n), n + 1)
        process.stdin.close()
        assert process.stdout.read() == b""
        done = process.wait()
    assert done.code == 0, done.stderr
    assert "newsbeam: 3 records in" in done.stderr


def test_dead_letters_go_to_stderr_unless_told(tmp_path: Path) -> None:
    values = [m.value for m in sample_news()[:30]]
    lines = b"\n".join([*values[:15], b"{broken", *values[15:]])
    done = succeeded(*PIPE, stdin=lines)
    assert [json.loads(line)["id"] for line in done.stdout.splitlines()] == [
        json.loads(value)["id"] for value in values
    ]
    [letter] = [json.loads(s) for s in done.stderr.splitlines() if s.startswith("{")]
    assert (letter["value"], letter["source"]["line"]) == ("e2Jyb2tlbg==", 16)
    bad = tmp_path / "bad.jsonl"
    done = succeeded(*PIPE, "--dead_letters", str(bad), stdin=b"{broken\n")
    assert (done.stdout, json.loads(bad.read_text())["value"]) == ("", "e2Jyb2tlbg==")


def test_lines_of_text_and_of_csv() -> None:
    texts = ["Stocks fell", "Hosts win the cup final"]
    done = succeeded(*PIPE, "--format", "text", stdin="\n".join(texts).encode())
    assert [json.loads(s)["fields"] for s in done.stdout.splitlines()] == [
        {"text": text} for text in texts
    ]
    done = succeeded(*PIPE, "--format", "csv", stdin=b'title,id\n"Stocks\nfell",a\n')
    [item] = [json.loads(s) for s in done.stdout.splitlines()]
    assert item["fields"] == {"title": "Stocks\nfell", "id": "a"}


def test_nothing_in_nothing_out() -> None:
    done = succeeded(*PIPE)
    assert done.stdout == ""
    assert "newsbeam: 0 records in" in done.stderr


def test_a_signal_finishes_what_was_read(tmp_path: Path) -> None:
    with running(PIPE, tmp_path, piped=True) as process:
        process.stdin.write(b'{"id": "1", "title": "Stocks fell"}\n')
        process.stdin.flush()
        assert json.loads(process.stdout.readline())["id"] == "1"
        process.drain()


def test_a_reader_that_goes_away_is_told_in_one_line(tmp_path: Path) -> None:
    with running(PIPE, tmp_path, piped=True) as process:
        process.stdin.write(b'{"id": "1", "title": "Stocks fell"}\n')
        process.stdin.flush()
        process.stdout.readline()
        process.stdout.close()
        process.stdin.write(b'{"id": "2", "title": "Stocks fell"}\n')
        process.stdin.flush()
        done = process.wait()
    assert done.code == 1
    assert "who reads stdout has ended" in done.error
    assert "Traceback" not in done.stderr


def test_pipes_that_do_not_block() -> None:
    """As an event loop makes them: nothing is lost where one is empty or full."""
    news = b"".join(
        b'{"id": "%d", "title": "Stocks fell", "body": "%s"}\n' % (i, b"x" * 5000)
        for i in range(50)
    )
    theirs, to_stdin = os.pipe()
    from_stdout, out = os.pipe()
    for end in (theirs, out):
        os.set_blocking(end, False)
    with tempfile.TemporaryFile() as stderr:
        process = starter.start(PIPE, stdin=theirs, stdout=out, stderr=stderr)
        os.close(theirs)
        os.close(out)
        feeder = threading.Thread(target=_feed, args=(to_stdin, news))
        feeder.start()
        with os.fdopen(from_stdout, "rb") as results:
            ids = [json.loads(line)["id"] for line in results]
        feeder.join()
        assert process.wait() == 0
    assert ids == [str(i) for i in range(50)]


def _feed(pipe: int, data: bytes) -> None:
    with os.fdopen(pipe, "wb") as file:
        file.write(data)


def test_a_run_that_failed_says_so_last(tmp_path: Path) -> None:
    with running(PIPE, tmp_path, piped=True) as process:
        process.stdin.write(b'{"id": "1", "title": "Stocks fell"}\n')
        process.stdin.flush()
        process.stdout.readline()
        process.stdout.close()
        process.stdin.write(b'{"id": "2", "title": "Stocks fell"}\n')
        process.stdin.flush()
        done = process.wait()
    *_, summary, last = done.stderr.splitlines()
    assert "newsbeam: failed after 0:00:0" in summary
    assert "categorized" not in summary
    assert last.startswith("newsbeam: ")
    assert done.code == 1
