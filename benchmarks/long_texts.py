"""How long texts are best read: accuracy against cost over ways to read them, with a picture.

    python -m benchmarks.long_texts [--model MODEL] [--news FILE] [--plot FILE.png]

Each way classifies the same texts, one after the other in one process; its speed is quoted as a ratio to
that of rows of 512 tokens, on the texts that have more than 128. What a bundle says itself is marked.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from models.bundle import Bundle
from models.classifier import Prediction, TextClassifier
from models.labelled_news import LabelledNews, read_csv
from models.long_text import MAX_WINDOWS
from models.reading import Reading
from models.scores import ScoreSettings

NEWS = Path(__file__).parents[1] / "../shared/data/out_of_domain/news.csv"
#: Columns of the table: a source's own name would be too long.
SOURCE = "source"
#: Texts with more tokens are whole articles.
LONG = 128
#: max_length, long_text, window_tokens, max_windows. The first is the yardstick.
WAYS: tuple[tuple[int, str | None, int | None, int | None], ...] = (
    (512, None, None, None),
    (256, None, None, None),
    (128, None, None, None),
    (96, None, None, None),
    (64, None, None, None),
    (32, None, None, None),
    (512, "average", None, 2),
    (128, "average", None, None),
    (128, "average", None, 2),
    (128, "average", 96, 2),
    (128, "average", 64, None),
    (128, "average", 64, 4),
    (128, "average", 64, 3),
    (128, "average", 64, 2),
    (128, "average", 56, 2),
    (128, "average", 48, 4),
    (128, "average", 48, 3),
    (128, "average", 48, 2),
    (128, "average", 32, 4),
    (128, "average", 32, 2),
    (128, "max", 48, 2),
)


@dataclass(frozen=True)
class Found:
    """What one way gave.

    Attributes:
        reading: The way.
        accuracy: By source.
        recall: Of the first label, on long texts.
        rate: Long texts a second.
    """

    reading: Reading
    accuracy: dict[str, float]
    recall: float
    rate: float


def measure(bundle: Bundle, reading: Reading, news: LabelledNews, long: np.ndarray) -> Found:
    """Classifies news in one way; what is long is timed apart from the rest."""
    settings = ScoreSettings(
        long_text=reading.long_text,
        window_tokens=None if reading.long_text == "truncate" else reading.window_tokens,
        max_windows=reading.max_windows,
    )
    classifier = TextClassifier(bundle, reading.max_length, settings)
    right = np.zeros(len(news), bool)
    seconds = {}
    for part in (False, True):
        places = np.flatnonzero(long == part)
        began = time.perf_counter()
        outcomes = classifier.outcomes([news.texts[i] for i in places])
        seconds[part] = time.perf_counter() - began
        for place, outcome in zip(places, outcomes, strict=True):
            assert isinstance(outcome, Prediction), outcome
            right[place] = bundle.labels.index(outcome.category) == news.targets[place]
    sources = np.array(news.values)
    first = long & (np.array(news.targets) == 0)
    return Found(
        reading,
        {str(source): float(right[sources == source].mean()) for source in np.unique(sources)},
        float(right[first].mean()),
        int(long.sum()) / seconds[True],
    )


def show(found: Sequence[Found], own: Reading, first_label: str) -> None:
    """Prints a table in Markdown."""
    sources = list(found[0].accuracy)
    heading = ["read", *sources, f"{first_label} recall, long", "long texts/s", "ratio"]
    print(f"| {' | '.join(heading)} |\n|{' --- |' * len(heading)}")
    for each in found:
        mark = "**" if each.reading == own else ""
        cells = [
            f"{mark}{each.reading}{mark}",
            *(f"{each.accuracy[source]:.3f}" for source in sources),
            f"{each.recall:.3f}",
            f"{each.rate:.1f}",
            f"{each.rate / found[0].rate:.2f}",
        ]
        print(f"| {' | '.join(cells)} |", flush=True)


def draw(found: Sequence[Found], own: Reading, source: str, target: Path, title: str) -> None:
    """Draws accuracy on a source against cost."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 5), layout="constrained")
    axes = figure.subplots()
    for kind in ("truncate", "average", "max"):
        of_kind = [each for each in found if each.reading.long_text == kind]
        if of_kind:
            costs = [found[0].rate / each.rate for each in of_kind]
            hits = [each.accuracy[source] for each in of_kind]
            axes.scatter(costs, hits, label=kind)
    for each in found:
        axes.annotate(
            _short(each.reading),
            (found[0].rate / each.rate, each.accuracy[source]),
            fontsize=8,
            fontweight="bold" if each.reading == own else "normal",
            xytext=(4, 3),
            textcoords="offset points",
        )
    axes.set(xscale="log", xlabel="cost of a long text, relative to its first 512 tokens")
    axes.set(ylabel=f"accuracy on {source}", title=title)
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(target, dpi=110)


def _short(reading: Reading) -> str:
    """A way in a few characters: `512`, `2 x 48`."""
    if reading.max_windows == 1:
        return str(reading.max_length)
    number = "all" if reading.max_windows == MAX_WINDOWS else str(reading.max_windows)
    return f"{number} x {reading.window_tokens}"


def main() -> None:
    """Measures and shows."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", help="default: the default bundle")
    parser.add_argument("--news", type=Path, default=NEWS, help="CSV with a column `source`")
    parser.add_argument("--plot", type=Path, help="where to draw accuracy against cost")
    args = parser.parse_args()
    bundle = Bundle.load(args.model)
    news = read_csv(args.news, bundle.labels, by=SOURCE)
    lengths = [len(e.ids) for e in bundle.tokenizer().encode_batch_fast(list(news.texts))]
    long = np.array(lengths) > LONG
    own = Reading.of(bundle)
    ways = [Reading.of(bundle, *way) for way in WAYS]
    print(f"{bundle.model_id}: {len(news)} texts, {int(long.sum())} of over {LONG} tokens\n")
    found = [measure(bundle, way, news, long) for way in dict.fromkeys([*ways, own])]
    show(found, own, bundle.labels[0])
    if args.plot:
        largest = max(found[0].accuracy, key=lambda source: list(news.values or ()).count(source))
        draw(found, own, largest, args.plot, bundle.model_id)


if __name__ == "__main__":
    main()
