"""Reads a tokenizer from the files of a Hugging Face folder, whichever kind they are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Tokenizer, decoders, pre_tokenizers, processors
from tokenizers.models import BPE

from models.errors import TokenizerFilesError

#: Every file that a tokenizer may be made of.
TOKENIZER_FILES = ("tokenizer.json", "vocab.json", "merges.txt", "tokenizer_config.json")

_SPECIAL = {"bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>", "unk_token": "<unk>"}


def load_tokenizer(folder: Path, config: dict[str, Any]) -> Tokenizer:
    """Makes the tokenizer of a folder; it neither truncates nor pads.

    Args:
        folder: A folder with tokenizer.json, or with vocab.json and merges.txt, the older form of
            RoBERTa's byte-level BPE.
        config: The config.json beside them.

    Raises:
        TokenizerFilesError: The files are missing or broken.
    """
    file = folder / "tokenizer.json"
    vocab, merges = folder / "vocab.json", folder / "merges.txt"
    if file.is_file():
        try:
            tokenizer = Tokenizer.from_file(str(file))
        except Exception as e:  # tokenizers raises bare Exception
            raise TokenizerFilesError(f"tokenizer.json is broken ({e}); copy it again") from e
        tokenizer.no_truncation()
        tokenizer.no_padding()
        return tokenizer
    if not (vocab.is_file() and merges.is_file()):
        raise TokenizerFilesError(
            "has neither tokenizer.json nor vocab.json and merges.txt; copy them from the model it "
            "was exported from"
        )
    try:
        return _byte_level_bpe(vocab, merges, folder / "tokenizer_config.json", config)
    except TokenizerFilesError:
        raise
    except Exception as e:  # tokenizers raises bare Exception
        raise TokenizerFilesError(
            f"vocab.json or merges.txt is broken ({e}); copy both again"
        ) from e


def _byte_level_bpe(vocab: Path, merges: Path, settings: Path, config: dict[str, Any]) -> Tokenizer:
    """RoBERTa's tokenizer, from the files that came before tokenizer.json."""
    options: dict[str, Any] = json.loads(settings.read_bytes()) if settings.is_file() else {}
    special = {role: _token(options.get(role), default) for role, default in _SPECIAL.items()}
    tokenizer = Tokenizer(BPE.from_file(str(vocab), str(merges), unk_token=special["unk_token"]))
    bos, eos = special["bos_token"], special["eos_token"]
    bos_id, eos_id = tokenizer.token_to_id(bos), tokenizer.token_to_id(eos)
    if bos_id is None or eos_id is None:
        raise TokenizerFilesError(
            f"vocab.json lacks {bos} or {eos}; models of type "
            f"{config.get('model_type')!r} need tokenizer.json: save it with "
            "AutoTokenizer.from_pretrained(…).save_pretrained(…)"
        )
    space = bool(options.get("add_prefix_space", False))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=space)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.RobertaProcessing(
        (eos, eos_id), (bos, bos_id), trim_offsets=True, add_prefix_space=space
    )
    # <mask> takes the space before it along, as in transformers.
    names = [*special.values(), AddedToken("<mask>", lstrip=True, special=True)]
    known = [name for name in names if tokenizer.token_to_id(str(getattr(name, "content", name)))]
    tokenizer.add_special_tokens(known)
    return tokenizer


def _token(value: Any, default: str) -> str:
    """A special token's text; files give it plain or as an object."""
    if isinstance(value, dict):
        value = value.get("content")
    return value if isinstance(value, str) else default
