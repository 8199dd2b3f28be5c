"""Loads a Hugging Face checkpoint: the classifier in torch, its tokenizer and configuration."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from models.errors import BundleError
from models.export.packages import package, reason
from models.fetch import snapshot, split_hub_uri
from models.quiet import quiet

#: Families that are tested; others are tried, and kept if their results agree with torch's.
FAMILIES = ("bert", "deberta-v2", "distilbert", "mpnet", "roberta", "xlm-roberta")

#: A tokenizer that knows fewer words, special tokens aside, is none. (DeBERTa's, made up, has 2.)
FEWEST_WORDS = 10

# On the hub, a checkpoint often has its weights twice, and those of other frameworks.
_SETTINGS = ("*.json", "*.txt", "*.model")
_SAFETENSORS = ("model.safetensors", "model-*.safetensors")
_PICKLED = ("pytorch_model.bin", "pytorch_model-*.bin")
# What newsbeam reads in config.json, and transformers takes for settings of text generation, which it
# drops. A `max_length` without `long_text` is one of those.
_OURS = ("temperature", "long_text", "max_length", "window_tokens", "max_windows")
_HUB_NAME = re.compile(r"(?:[\w.-]+/)?[\w.-]+", re.ASCII)


@dataclass(frozen=True)
class Checkpoint:
    """A classifier in torch.

    Attributes:
        name: The folder or the name on the hub, as it was given.
        model: The `PreTrainedModel`, in float32 and evaluation mode.
        tokenizer: The fast tokenizer.
        ours: What config.json says to newsbeam: `temperature`, and how long texts are read.
    """

    name: str
    model: Any
    tokenizer: Any
    ours: Mapping[str, Any] = field(default_factory=dict)

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
        """What torch gives for rows of token ids, each alone: rows x labels, float32.

        Raises:
            BundleError: It cannot classify one of them.
        """
        torch = package("torch")
        found = []
        try:
            with torch.inference_mode():
                for row in rows:
                    ids = torch.tensor([list(row)])
                    output = self.model(input_ids=ids, attention_mask=torch.ones_like(ids))
                    found.append(output.logits[0].float().numpy())
        except Exception as e:  # whatever the model's own code raises
            raise BundleError(
                f"model {self.name!r}: torch cannot classify a text of {len(row)} tokens "
                f"({reason(e)}); check max_position_embeddings and vocab_size in config.json"
            ) from e
        return np.stack(found)

    def write_settings(self, folder: Path) -> None:
        """Writes config.json and tokenizer.json."""
        config = self.model.config.to_dict()
        # Where it lay on this machine is nobody's business.
        config = {name: value for name, value in config.items() if name != "_name_or_path"}
        config |= self.ours
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
    folder = _find(source, revision)
    if not (folder / "config.json").is_file():
        raise BundleError(
            f"model {source!r}: has no config.json; name a Hugging Face checkpoint, as "
            "save_pretrained writes it"
        )
    if not sys.stderr.isatty():
        transformers.utils.logging.disable_progress_bar()
    with quiet():
        config = _load(transformers.AutoConfig, source, folder)
        _check_config(source, config)
        model, report = _load(
            transformers.AutoModelForSequenceClassification,
            source,
            folder,
            dtype=package("torch").float32,
            output_loading_info=True,
        )
        tokenizer = _load(transformers.AutoTokenizer, source, folder)
        settings, _ = transformers.PreTrainedConfig.get_config_dict(folder)
    if missing := sorted(report["missing_keys"]):
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise BundleError(
            f"model {source!r}: has no weights for {missing[0]}{more}, so it is no sequence "
            "classifier; fine-tune it as one first"
        )
    _check_tokenizer(source, tokenizer)
    return Checkpoint(source, model.eval(), tokenizer, _ours(settings))


def _ours(settings: Mapping[str, Any]) -> dict[str, Any]:
    names = _OURS if settings.get("long_text") is not None else _OURS[:1]
    return {name: settings[name] for name in names if settings.get(name) is not None}


def _find(source: str, revision: str | None) -> Path:
    """The folder of a checkpoint. What is on the hub is brought here, so that transformers asks
    nobody: its files are of one version then, and without a connection it does not keep trying.
    """
    if source.lower().startswith("hf://"):
        name, named = split_hub_uri(source)
        return _download(source, name, revision or named)
    folder = Path(source).expanduser()
    if folder.is_dir() and source:
        if revision:
            raise BundleError(
                f"--revision {revision!r}: {source!r} is a folder, which has none; leave it out, "
                "or name a model on the hub"
            )
        return folder
    if folder.is_file() or not _HUB_NAME.fullmatch(source) or source.startswith("."):
        what = "is a file, not a folder" if folder.is_file() else "no such folder"
        raise BundleError(
            f"model {source!r}: {what}; name the folder of a Hugging Face checkpoint, or its "
            "name on the hub"
        )
    return _download(source, source, revision)


def _download(source: str, name: str, revision: str | None) -> Path:
    folder = snapshot(source, name, revision, [*_SETTINGS, *_SAFETENSORS])
    if not any(folder.glob("model*.safetensors")):
        # The folder is called by its commit.
        folder = snapshot(source, name, folder.name, [*_SETTINGS, *_PICKLED])
    return folder


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


def _check_tokenizer(source: str, tokenizer: Any) -> None:
    if not getattr(tokenizer, "is_fast", False):
        raise BundleError(
            f"model {source!r}: its tokenizer cannot be written as tokenizer.json; save it with "
            "AutoTokenizer.from_pretrained(…, use_fast=True).save_pretrained(…)"
        )
    # Where the files of a tokenizer are missing, transformers 5 makes up one that knows no words.
    words = set(tokenizer.get_vocab()) - set(tokenizer.all_special_tokens)
    if len(words) < FEWEST_WORDS:
        raise BundleError(
            f"model {source!r}: its tokenizer knows no words; copy tokenizer.json, or the files of "
            "the vocabulary, from the model that it was fine-tuned from"
        )


def _load(kind: Any, source: str, folder: Path, **options: Any) -> Any:
    try:
        # Without a word on remote code, transformers would ask on the terminal and wait.
        return kind.from_pretrained(folder, trust_remote_code=False, **options)
    except Exception as e:  # transformers raises nearly everything
        if "tiktoken" in str(e).lower() or "sentencepiece" in str(e).lower():
            # What it says where it cannot read SentencePiece's files, whatever the reason.
            raise BundleError(
                f"model {source!r}: its SentencePiece files cannot be read ({reason(e)}); pip "
                "install 'newsbeam[export]', or copy them again"
            ) from e
        what = kind.__name__.removeprefix("Auto")
        raise BundleError(
            f"model {source!r}: transformers cannot load its {what} ({reason(e)}); check the name "
            f"and the files; tested are {', '.join(FAMILIES)}"
        ) from e
