"""`newsbeam model train`, timed: how good and how fast on three files of labelled news.

    python -m benchmarks.own_categories halves|made_up|eight [--rows 5000] [--from MODEL]

`halves` is the out-of-domain file: half of it trains, the other half reports. `made_up` are words
at random in 20 categories, some of each about one thing. `eight` are rows of AG News, each of its four
categories divided in two by what is mentioned. Everything is made in a temporary folder and thrown away.
Needs what `pip install 'newsbeam[train]'` brings; run it in .venv-torch.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import random
import re
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from models.locate import PACKAGED

ROOT = Path(__file__).resolve().parent.parent
DATA = ROOT.parent / "shared" / "data"
#: What divides each category of AG News: it is mentioned, or it is not.
MENTIONED = {
    "World": "iraq|israel|palestin|gaza|baghdad|afghan",
    "Sports": "olympic|athens|medal|soccer|cup|champions league",
    "Business": "oil|stock|shares|wall street|profit",
    "Sci/Tech": "microsoft|google|software|internet|web",
}

Row = tuple[str, str]


def halves() -> tuple[list[Row], list[Row]]:
    """The out-of-domain file: one half at random, and the other."""
    with (DATA / "out_of_domain" / "news.csv").open(newline="", encoding="utf-8") as file:
        found = [(r["label"], f"{r['title']} {r['body']}".strip()) for r in csv.DictReader(file)]
    random.Random(1).shuffle(found)
    return found[::2], found[1::2]


def made_up(rows: int, labels: int = 20) -> list[Row]:
    """Texts of words at random; a quarter of each are near its category's word, as others' are, too.

    Near is what ag_news_mini's table of words has beside it: some categories share words.
    """
    from training import dequantize

    rng = random.Random(2)
    folder = PACKAGED["ag_news_mini"]
    vocabulary = json.loads((folder / "tokenizer.json").read_text())["model"]["vocab"]
    # Words with a space before them, as the tokenizer writes it; the frequent ones come first.
    words = [w[1:] for w in vocabulary if re.fullmatch("\u0120[a-z]{4,}", w)][:6000]
    table = dequantize.state_dict(folder / "model_quantized.onnx")[
        "roberta.embeddings.word_embeddings.weight"
    ][[vocabulary[f"\u0120{w}"] for w in words]]
    table = table / table.norm(dim=1, keepdim=True)
    near = [
        (table @ table[place]).topk(60).indices.tolist()
        for place in rng.sample(range(len(words)), labels)
    ]
    own = [[words[i] for i in places] for places in near]

    def text(label: int, length: int) -> str:
        drawn = [rng.choice(own[label] if rng.random() < 0.25 else words) for _ in range(length)]
        return f"{' '.join(drawn).capitalize()}."

    return [
        (f"topic {i % labels}", f"{text(i % labels, 7)} {text(i % labels, rng.randint(10, 50))}")
        for i in range(rows)
    ]


def eight(rows: int) -> list[Row]:
    """Rows of AG News in eight categories."""
    names = list(MENTIONED)
    with (DATA / "ag_news" / "train.csv").open(newline="", encoding="utf-8") as file:
        found = [(names[int(r["label"]) - 1], r["text"]) for r in csv.DictReader(file)]
    chosen = random.Random(3).sample(found, rows)
    return [
        (f"{label}: {'with' if re.search(MENTIONED[label], text.lower()) else 'without'}", text)
        for label, text in chosen
    ]


def write(rows: list[Row], file: Path) -> None:
    with file.open("w", newline="", encoding="utf-8") as opened:
        csv.writer(opened).writerows([("label", "text"), *rows])


def newsbeam(*args: str | Path) -> dict[str, object]:
    """What a command prints as JSON."""
    command = [sys.executable, "-m", "pipeline", *map(str, args), "--json"]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, check=True)
    return json.loads(done.stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("which", choices=("halves", "made_up", "eight"))
    parser.add_argument("--rows", type=int, default=5000)
    parser.add_argument("--from", dest="start", default="ag_news_mini")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        other: list[Row] = []
        if args.which == "halves":
            rows, other = halves()
        else:
            rows = (made_up if args.which == "made_up" else eight)(args.rows)
        write(rows, folder / "news.csv")
        began = time.monotonic()
        target = folder / "own"
        found = newsbeam(
            "model", "train", folder / "news.csv", "--from", args.start, "--to", target
        )
        wall = time.monotonic() - began
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        low, high = found["accuracy_interval"]  # type: ignore[misc]
        print(
            f"{args.which}, from {args.start}: {len(rows):,} rows, {len(found['labels'])} labels, "  # type: ignore[arg-type]
            f"{found['epochs']} epochs: {wall / 60:.1f} min, {used.ru_utime + used.ru_stime:.0f} CPU "
            f"seconds, load {os.getloadavg()[0]:.1f}, {used.ru_maxrss / 1e6:.1f} GB\n"
            f"accuracy {found['accuracy']:.4f} ({low:.4f} to {high:.4f}) on {found['reporting']:,} "
            f"rows; in float {found['float_accuracy']:.4f}; loss {found['loss']:.4f}, calibration "
            f"error {found['expected_calibration_error']:.4f}"
        )
        if other:
            write(other, folder / "other.csv")
            for model in (args.start, target):
                whole = newsbeam("evaluate", "--csv", folder / "other.csv", "--model", model)
                print(
                    f"the other half ({whole['samples']:,} rows) by {Path(model).name}: accuracy "
                    f"{whole['eval_accuracy']:.4f}, loss {whole['eval_loss']:.4f}"
                )


if __name__ == "__main__":
    main()
