"""The status line of `newsbeam run`."""

from __future__ import annotations

import io
import logging
import threading

import pytest
from rich.console import Console

from pipeline import status
from pipeline.status import RateMeter, Status, View
from pipeline.terminal import is_terminal
from transforms.tally import Backlog, BytesRead, Counts, Tally


class Clock:
    """A clock that tests move."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


COUNTS = Counts(
    read=1300,
    categories={"World": 200, "Sports": 1000},
    dead_letters={"ParseNews": 3},
    backlog=Backlog(42, None),
)


def test_rate_is_that_of_the_window() -> None:
    meter = RateMeter(window=5)
    assert meter.add(0, 0) == 0
    assert meter.add(1, 100) == 100
    assert meter.add(2, 100) == 50
    for second in range(3, 8):
        rate = meter.add(second, 100)
    assert rate == 0  # nothing came in the last 5 seconds
    assert meter.add(8, 400) == pytest.approx(300 / 5)


def test_rate_with_samples_further_apart_than_the_window() -> None:
    meter = RateMeter(window=5)
    meter.add(0, 0)
    assert meter.add(10, 1000) == 100
    assert meter.add(20, 1500) == 50


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0:00:00"), (65.9, "0:01:05"), (90061, "25:01:01")]
)
def test_elapsed(seconds: float, text: str) -> None:
    assert status.format_elapsed(seconds) == text


def test_counts_name_the_largest_first_and_sum_up_the_rest() -> None:
    counts = {f"label{i}": i for i in range(1, 10)}
    assert status.format_counts({"b": 2, "a": 2, "c": 1000}) == "c 1,000, a 2, b 2"
    assert status.format_counts(counts).startswith("label9 9, label8 8, ")
    assert status.format_counts(counts).endswith(", 3 more 6")


def test_plain_line() -> None:
    assert status.format_line(View(COUNTS, 65, 123.45)) == (
        "123.5 records/s | 1,203 done | lag 42 | Sports 1,000, World 200 | "
        "3 dead letters (ParseNews 3) | 0:01:05"
    )


def test_plain_line_before_anything_came() -> None:
    assert status.format_line(View(Counts(), 0, 0)) == (
        "0.0 records/s | 0 done | 0 dead letters | 0:00:00"
    )


def test_summary_has_the_average() -> None:
    assert status.format_summary(View(COUNTS, 10, 0)) == (
        "1,203 records in 0:00:10 (120.3/s): 1,200 categorized (Sports 1,000, World 200), "
        "3 dead letters (ParseNews 3); lag 42"
    )


def test_summary_of_what_is_done_says_nothing_of_what_waits() -> None:
    done = Counts(categories={"World": 2}, backlog=Backlog(0, None))
    assert status.format_summary(View(done, 1, 0)).endswith("(World 2), 0 dead letters")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.4, "lag 3"),
        (45.9, "lag 3, 45 s behind"),
        (119, "lag 3, 119 s behind"),
        (12.5 * 60, "lag 3, 12 min behind"),
        (119 * 60, "lag 3, 119 min behind"),
        (3 * 3600, "lag 3, 3 h behind"),
        (2 * 86_400, "lag 3, 2 d behind"),
        (-3600, "lag 3"),  # by a clock that is ahead
    ],
)
def test_how_far_behind_in_time(monkeypatch: pytest.MonkeyPatch, seconds: float, text: str) -> None:
    monkeypatch.setattr("transforms.tally.time.time", lambda: 1_000_000.0)
    assert status.format_backlog(Backlog(3, 1_000_000.0 - seconds)) == text


def test_times_that_cannot_be_read_are_shown() -> None:
    counts = Counts(categories={"World": 20}, unreadable_times=12)
    assert "0 dead letters, 12 times unreadable" in status.format_line(View(counts, 1, 0))
    assert format_summary_of(counts).endswith("0 dead letters, 12 times unreadable")


def format_summary_of(counts: Counts) -> str:
    return status.format_summary(View(counts, 1, 0))


def test_terminal_line_says_the_same() -> None:
    line = status.render(View(COUNTS, 65, 123.45)).plain
    for part in ("0:01:05", "123.5/s", "1,203 done", "lag 42", "Sports 1,000", "ParseNews 3"):
        assert part in line
    assert "\n" not in line


def test_log_lines_where_there_is_no_terminal(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="newsbeam")
    tally, clock = Tally(), Clock()
    console = Console(file=io.StringIO(), force_terminal=False)
    with Status(tally, interval=3600, clock=clock, console=console) as shown:
        for _ in range(20):
            tally.categorized("Sports")
        tally.dead_letter("ParseNews")
        tally.follow("news", lambda: Backlog(7, None))
        clock.seconds += 2
        shown.show()
        clock.seconds += 2
    assert caplog.messages == [
        "10.5 records/s | 21 done | lag 7 | Sports 20 | 1 dead letter (ParseNews 1) | 0:00:02",
        "21 records in 0:00:04 (5.2/s): 20 categorized (Sports 20), 1 dead letter (ParseNews 1); lag 7",
    ]


def test_its_thread_shows_it_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = threading.Event()
    monkeypatch.setattr(Status, "show", lambda self: shown.set())
    console = Console(file=io.StringIO(), force_terminal=False)
    with Status(Tally(), interval=0.001, console=console):
        assert shown.wait(60)


def test_live_line_on_a_terminal_then_a_summary(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    tally, clock, screen = Tally(), Clock(), Screen()
    console = Console(file=screen, force_terminal=True, width=200, color_system=None)
    with Status(tally, clock=clock, console=console) as shown:
        tally.categorized("World")
        clock.seconds += 61
        shown.show()
        assert "0:01:01" in screen.getvalue()
        assert "World 1" in screen.getvalue()
    assert (
        screen.getvalue()
        .rstrip()
        .endswith("1 record in 0:01:01 (0.0/s): 1 categorized (World 1), 0 dead letters")
    )


def test_nothing_is_drawn_between_objects(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="newsbeam")
    monkeypatch.setattr("pipeline.status.is_json", lambda: True)
    tally, clock, screen = Tally(), Clock(), Screen()
    console = Console(file=screen, force_terminal=True, width=200, color_system=None)
    with Status(tally, interval=3600, clock=clock, console=console):
        tally.categorized("World")
        tally.follow("news", lambda: Backlog(7, None))
        clock.seconds += 2
    assert screen.getvalue() == ""
    [record] = caplog.records
    said = {name: getattr(record, name) for name in ("rate", "done", "categories", "lag", "behind")}
    assert said == {"rate": 0.5, "done": 1, "categories": {"World": 1}, "lag": 7, "behind": 0.0}


class Screen(io.StringIO):
    """A terminal."""

    def isatty(self) -> bool:
        return True


def test_colour_that_is_forced_makes_no_terminal(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="newsbeam")
    monkeypatch.setenv("FORCE_COLOR", "1")
    out = io.StringIO()
    with Status(Tally(), interval=3600, console=Console(file=out)):
        pass
    assert out.getvalue() == ""
    assert len(caplog.messages) == 1


@pytest.mark.parametrize(
    ("file", "environment", "found"),
    [
        (Screen, {"TERM": "xterm"}, True),
        (Screen, {"TERM": "xterm", "NO_COLOR": "1"}, True),
        (Screen, {"TERM": "dumb"}, False),
        (Screen, {"TERM": "xterm", "TTY_COMPATIBLE": "0"}, False),
        (io.StringIO, {"TERM": "xterm"}, False),
        (io.StringIO, {"TERM": "xterm", "FORCE_COLOR": "1"}, False),
        (io.StringIO, {"TERM": "xterm", "TTY_COMPATIBLE": "1", "COLUMNS": "40"}, False),
    ],
)
def test_what_is_a_terminal(
    file: type[io.StringIO], environment: dict[str, str], found: bool
) -> None:
    assert is_terminal(Console(file=file(), _environ=environment)) is found


def test_a_run_that_failed_does_not_say_that_it_is_done(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="newsbeam")
    tally, clock = Tally(), Clock()
    console = Console(file=io.StringIO(), force_terminal=False)
    shown = Status(tally, interval=3600, clock=clock, console=console)
    shown.__enter__()
    tally.categorized("Sports")
    clock.seconds += 4
    shown.__exit__(RuntimeError, RuntimeError(), None)
    assert caplog.messages == [
        "failed after 0:00:04, with 1 record worked out; those of them that were not written yet are "
        "not in the sink"
    ]


def test_the_share_of_files() -> None:
    read = BytesRead(now=42, total=100, begun=22)
    assert status.format_bytes_read(read, 100.0) == "42% read, 4 min left"
    assert "42% read, 4 min left" in status.format_line(View(Counts(bytes_read=read), 100.0, 1.0))
    assert "42% read, 4 min left" in status.render(View(Counts(bytes_read=read), 100.0, 1.0)).plain
    assert status.format_bytes_read(BytesRead(22, 100, 22), 5.0) == "22% read"
    assert status.format_bytes_read(BytesRead(100, 100), 5.0) == "100% read"
    assert status.format_bytes_read(BytesRead(0, 0), 5.0) == "100% read"
