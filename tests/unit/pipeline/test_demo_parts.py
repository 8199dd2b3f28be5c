"""The parts of the demo that need no broker: traffic, ledger, screen."""

from __future__ import annotations

import inspect
import io
import itertools

import msgspec
import pytest
from rich.cells import cell_len
from rich.console import Console

from pipeline.commands.demo import demo
from pipeline.demo.bus import Outgoing
from pipeline.demo.ledger import Ledger, Totals
from pipeline.demo.poison import POISON
from pipeline.demo.show import Show, bar, ok, summary
from pipeline.demo.traffic import mix, sample_news
from transforms.records import CategorizedItem, Message, dead_letter, now

NEWS = [Outgoing(b"news %d" % n, None) for n in range(7)]
BAD = {p.value for p in POISON}


def test_a_round_has_all_news_in_order_and_all_poison_once() -> None:
    news = [Outgoing(b"news %d" % n, None) for n in range(300)]
    mixed = mix(news, POISON, 300 + len(POISON))
    bad = [m.value for m in mixed if m.value in BAD]
    assert sorted(bad) == sorted(p.value for p in POISON)
    assert [m for m in mixed if m.value not in BAD] == news
    assert mixed[0] == news[0]


@pytest.mark.parametrize("total", [1, 5, 300, 5000])
def test_rounds_repeat_until_there_are_enough(total: int) -> None:
    length = len(NEWS) + len(POISON)
    mixed = mix(NEWS, POISON, total)
    assert len(mixed) == total
    assert mixed == [mixed[n % length] for n in range(total)]


def test_without_poison_there_is_news_alone() -> None:
    assert mix(NEWS, (), 9) == [*NEWS, *NEWS[:2]]


def test_default_demo_has_all_sample_news_and_all_poison() -> None:
    news = sample_news()
    defaults = inspect.signature(demo).parameters
    total = round(defaults["seconds"].default * defaults["rate"].default)
    values = {m.value for m in mix(news, POISON, total)}
    assert values >= BAD
    assert values >= {m.value for m in news}


def test_poison_is_spread_and_soon_of_many_kinds() -> None:
    mixed = mix(sample_news(), POISON, 299)
    places = [i for i, m in enumerate(mixed) if m.value in BAD]
    gaps = [b - a for a, b in itertools.pairwise(places)]
    assert max(gaps) - min(gaps) <= 1
    first = {m.value for m in mixed[:60]}
    assert {p.expected for p in POISON if p.value in first} == {"dead_letter", "categorized"}


def test_ledger_balances() -> None:
    ledger = Ledger()
    ledger.produced("news-0@0", 0.0, timed=False)
    ledger.categorized("news-0@0", "World", 5.0)
    ledger.categorized("news-0@1", "World", 10.2)  # before the broker's answer about it
    ledger.produced("news-0@1", 10.0)
    ledger.produced("news-0@2", 11.0)
    assert not ledger.settled
    assert ledger.waiting() == ["news-0@2"]
    ledger.dead_letter("news-0@2", "ParseNews", 11.1)
    assert ledger.settled
    totals = ledger.totals()
    assert (totals.produced, totals.categorized, totals.dead) == (3, 2, 1)
    assert totals.latencies == pytest.approx([0.1, 0.2])
    assert ok(totals)


def test_ledger_sees_what_is_lost_and_what_is_doubled() -> None:
    ledger = Ledger()
    for n in range(4):
        ledger.produced(f"news-0@{n}", 0.0)
    ledger.categorized("news-0@0", "World", 1.0)
    ledger.categorized("news-0@0", "World", 2.0)
    ledger.categorized("news-0@1", "World", 1.0)
    ledger.dead_letter("news-0@1", "ParseNews", 1.0)
    totals = ledger.totals()
    assert (totals.waiting, totals.doubled) == (2, 2)
    assert not ok(totals)


@pytest.mark.parametrize(("waiting", "doubled"), [(1, 0), (0, 1)])
def test_lost_or_doubled_is_not_ok(waiting: int, doubled: int) -> None:
    assert not ok(Totals(5, {}, {}, waiting, doubled, []))


def test_latency_percentiles() -> None:
    totals = Totals(101, {}, {}, 0, 0, [n / 1000 for n in range(101)])
    assert totals.latency(50) == 0.05
    assert totals.latency(99) == 0.099
    assert Totals(0, {}, {}, 0, 0, []).latency(50) is None


def test_bars_are_in_proportion_and_never_vanish() -> None:
    assert cell_len(bar(100, 100, 20)) == 20
    assert cell_len(bar(50, 100, 20)) == 10
    assert bar(1, 10_000, 20) == "▏"
    assert bar(0, 10_000, 20) == ""
    assert bar(0, 0, 20) == ""


def item(title: str) -> CategorizedItem:
    """A categorized item."""
    return CategorizedItem(
        "1", "Sci/Tech", 0.99, {}, (), 1, False, "m@1", now(), now(), None, {"title": title}
    )


TOTALS = Totals(1234, {"World": 40, "Sci/Tech": 20}, {"ParseNews": 3}, 2, 0, [0.02, 0.05])


@pytest.mark.parametrize(("width", "height"), [(80, 24), (100, 24), (200, 60)])
def test_screen_fits_the_terminal(width: int, height: int) -> None:
    out = io.StringIO()
    console = Console(file=out, width=width, height=height, color_system=None)
    show = Show(console, "newsbeam demo")
    for n in range(30):
        news = item(f"{n} 東京 株式 \x1b[2J " + "long " * 50)
        show._news.append(msgspec.structs.replace(news, truncated=n % 2 == 0))
        show._dead.append(dead_letter(Message(b"{" * 500), "ParseNews", ValueError("w" * 300)))
    console.print(show.screen(TOTALS, 65, "producing"))
    lines = out.getvalue().splitlines()
    assert len(lines) < height
    assert max(map(cell_len, lines)) <= width
    text = out.getvalue()
    for part in ("0:01:05  producing", "p50 ", "29 東京", "World", "40", "wwww", "produced 1,234"):
        assert part in text
    assert "\x1b" not in text


def test_plain_lines_where_there_is_no_terminal() -> None:
    out = io.StringIO()
    with Show(Console(file=out, width=100, force_terminal=False), "newsbeam demo") as show:
        show.categorized(item("Chip maker unveils faster processor"))
        show.categorized(
            msgspec.structs.replace(item("Vote in parliament"), tokens=94, truncated=True)
        )
        show.dead_letter(dead_letter(Message(b"{"), "ParseNews", ValueError("not JSON")))
        show.update(TOTALS, 1, "producing")
    assert out.getvalue().splitlines() == [
        "Sci/Tech   0.99  Chip maker unveils faster processor",
        "Sci/Tech   0.99  Vote in parliament  (94 tokens of a long text)",
        "dead letter at ParseNews: ValueError: not JSON <- {",
    ]


def test_summary_has_every_figure() -> None:
    out = io.StringIO()
    Console(file=out, width=100).print(summary(TOTALS))
    text = " ".join(out.getvalue().split())
    for part in ("produced 1,234", "categorized 60 World 40, Sci/Tech 20", "lost 2", "doubled 0"):
        assert part in text
