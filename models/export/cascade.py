"""Makes the folder of a cascade: a config.json that names its models, and those that lie here."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from models.bundle import Bundle
from models.export.target import load_new, new_folder
from models.locate import PACKAGED, is_elsewhere
from models.model_files import MODEL_FILES, WEIGHTS
from models.tokenizer_files import TOKENIZER_FILES


def write_cascade(target: Path, models: Sequence[tuple[str, Bundle]], min_score: float) -> Bundle:
    """Makes a cascade of models, whole or not at all.

    Models that come with newsbeam, and those at addresses, are named; any other is copied, without
    what a bundle does not need, so that the folder can be moved.

    Args:
        target: The folder to make; it may exist, but must be empty.
        models: What the user named for each, and the bundle: the cheapest first. Their names differ,
            or their hashes.
        min_score: The score from which on the answer of each but the last stands.

    Returns:
        The bundle in the folder.

    Raises:
        BundleError: The folder cannot be made, or the models do not go together.
    """
    with new_folder(target) as folder:
        stages: list[dict[str, Any]] = []
        for named, bundle in models:
            stages.append({"model": _named(named, bundle) or _copied(bundle, folder)})
        for stage in stages[:-1]:
            stage["min_score"] = min_score
        text = json.dumps({"cascade": stages}, indent=2, ensure_ascii=False)
        (folder / "config.json").write_text(text + "\n", encoding="utf-8")
        load_new(folder, target.name)
    return Bundle.load(target)


def _named(named: str, bundle: Bundle) -> str | None:
    """What a cascade anywhere may call a model; None for a folder of this machine."""
    if is_elsewhere(named):
        return named
    return next((name for name, folder in PACKAGED.items() if folder == bundle.path), None)


def _copied(bundle: Bundle, folder: Path) -> str:
    """Copies a bundle into the folder; gives its name there, by which records will call it."""
    name = bundle.name
    if name in PACKAGED or name == "config.json" or (folder / name).exists():
        name = f"{name}-{bundle.hash}"
    copy = folder / name
    copy.mkdir()
    for file in ("config.json", *TOKENIZER_FILES):
        if (bundle.path / file).is_file():
            shutil.copyfile(bundle.path / file, copy / file)
    model = bundle.model_file
    # A file that was named need not be called as one that is found by itself.
    known = model.name if model.name in MODEL_FILES else "model.onnx"
    shutil.copyfile(model, copy / known)
    for suffix in WEIGHTS:
        weights = model.with_name(model.name + suffix)
        if weights.is_file():  # the graph knows their name
            shutil.copyfile(weights, copy / weights.name)
    return name
