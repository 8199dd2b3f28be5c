"""Loads a Hugging Face checkpoint: the classifier in torch, its tokenizer and configuration."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from models.bundle import BundleError
from models.export.packages import package, quiet
from models.fetch import split_hub_uri

#: Families that are tested; others are tried, and kept if their results agree with torch's.
FAMILIES = ("bert", "deberta-v2", "distilbert", "mpnet", "roberta", "xlm-roberta")

_HUB_NAME = re.compile(r"(?:[\w.-]+/)?[\w.-]+", re.ASCII)


@dataclass(frozen=True)
class Checkpoint:
    """A classifier in torch.

    Attributes:
        name: The folder or the name on the hub, as it was given.
        revision: The revision on the hub, if one was named.
        model: The `PreTrainedModel`, in float32 and evaluation mode.
        tokenizer: The fast tokenizer.
    """

    name: str
    revision: str | None
    model: Any
    tokenizer: Any

    @property
    def family(self) -> str:
        """The `model_type` of its configuration."""
        return str(self.model.config.model_type)

    @property
    def activation(self) -> str:
        """`sigmoid` for a model that was trained to give several labels, else `softmax`."""
        several = self.model.config.problem_type == "multi_label_classification"
        return "sigmoid" if several else "softmax"

    def encode(self, text: str, max_length: int) -> list[int]:
        """Token ids of a text, special tokens included, as transformers makes them."""
        ids: list[int] = self.tokenizer(text, truncation=True, max_length=max_length)["input_ids"]
        return ids

    def logits(self, rows: Sequence[Sequence[int]]) -> np.ndarray:
        """What torch gives for rows of token ids, each alone: rows x labels, float32."""
        torch = package("torch")
        found = []
        with torch.inference_mode():
            for row in rows:
                ids = torch.tensor([list(row)])
                output = self.model(input_ids=ids, attention_mask=torch.ones_like(ids))
                found.append(output.logits[0].float().numpy())
        return np.stack(found)

    def write_settings(self, folder: Path) -> None:
        """Writes config.json and tokenizer.json."""
        config = self.model.config.to_dict()
        # Where it lay on this machine is nobody's business.
        config = {name: value for name, value in config.items() if name != "_name_or_path"}
        text = json.dumps(config, indent=2, ensure_ascii=False, default=str)
        (folder / "config.json").write_text(text + "\n", encoding="utf-8")
        self.tokenizer.backend_tokenizer.save(str(folder / "tokenizer.json"))


def load_checkpoint(source: str, revision: str | None = None) -> Checkpoint:
    """Loads a sequence classifier.

    Args:
        source: A folder, or a name on the hub (`org/name` or `hf://org/name[@revision]`).
        revision: A branch, tag or commit on the hub; None for its main branch.

    Raises:
        BundleError: There is none, it is no classifier, or the packages are missing.
    """
    package("torch")
    transformers = package("transformers")
    name = source
    if source.lower().startswith("hf://"):
        name, named = split_hub_uri(source)
        revision = revision or named
    else:
        folder = Path(source).expanduser()
        if folder.is_dir():
            name, revision = str(folder), None
        elif folder.is_file() or not _HUB_NAME.fullmatch(source) or source.startswith("."):
            what = "is a file, not a folder" if folder.is_file() else "no such folder"
            raise BundleError(
                f"model {source!r}: {what}; name the folder of a Hugging Face checkpoint, or its "
                "name on the hub"
            )
    if not sys.stderr.isatty():
        transformers.utils.logging.disable_progress_bar()
    with quiet():
        config = _load(transformers.AutoConfig, source, name, revision)
        _check_config(source, config)
        model, report = _load(
            transformers.AutoModelForSequenceClassification,
            source,
            name,
            revision,
            dtype=package("torch").float32,
            output_loading_info=True,
        )
        tokenizer = _load(transformers.AutoTokenizer, source, name, revision)
    if missing := sorted(report["missing_keys"]):
        raise BundleError(
            f"model {source!r}: has no weights for {missing[0]} and {len(missing) - 1} more, so "
            "it is no sequence classifier; fine-tune it as one first"
        )
    if not getattr(tokenizer, "is_fast", False):
        raise BundleError(
            f"model {source!r}: its tokenizer cannot be written as tokenizer.json; save it with "
            "AutoTokenizer.from_pretrained(…, use_fast=True).save_pretrained(…)"
        )
    return Checkpoint(source, revision, model.eval(), tokenizer)


def _check_config(source: str, config: Any) -> None:
    if getattr(config, "is_encoder_decoder", False):
        raise BundleError(
            f"model {source!r}: {config.model_type} generates texts; name a classifier, such as "
            f"one of {', '.join(FAMILIES)}"
        )
    if config.num_labels < 2 or config.problem_type == "regression":
        raise BundleError(
            f"model {source!r}: gives one number, not a choice of labels; name a classifier with "
            "at least 2 labels"
        )


def _load(kind: Any, source: str, name: str, revision: str | None, **options: Any) -> Any:
    try:
        return kind.from_pretrained(name, revision=revision or "main", **options)
    except Exception as e:  # transformers raises nearly everything
        what = kind.__name__.removeprefix("Auto")
        text = " ".join(str(e).split())
        raise BundleError(
            f"model {source!r}: transformers cannot load its {what} "
            f"({type(e).__name__}: {text if len(text) < 300 else text[:299] + '…'}); check the "
            "name and the files"
        ) from e
