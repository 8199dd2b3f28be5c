"""Reads a tokenizer from the files of a Hugging Face folder, whichever kind they are."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Tokenizer, decoders, pre_tokenizers, processors
from tokenizers.models import BPE

from models.errors import TokenizerFilesError

#: Every file that a tokenizer may be made of.
TOKENIZER_FILES = ("tokenizer.json", "vocab.json", "merges.txt", "tokenizer_config.json")

_SPECIAL = {"bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>", "unk_token": "<unk>"}
#: A tokenizer that was read and only looked at, by what its files hold.
_spare: dict[bytes, Tokenizer] = {}


def load_tokenizer(folder: Path, config: dict[str, Any]) -> Tokenizer:
    """Makes the tokenizer of a folder; it neither truncates nor pads, and is the caller's own.

    Args:
        folder: A folder with tokenizer.json, or with vocab.json and merges.txt, the older form of
            RoBERTa's byte-level BPE.
        config: The config.json beside them.

    Raises:
        TokenizerFilesError: The files are missing or broken.
    """
    spare = _spare.pop(_content(folder, config), None)
    return spare if spare is not None else _read(folder, config)


@contextlib.contextmanager
def lent_tokenizer(folder: Path, config: dict[str, Any]) -> Iterator[Tokenizer]:
    """A tokenizer to look at, which must not be changed: whoever loads it next gets the same.

    Making one is most of what opening a small model takes.

    Args:
        folder: As for `load_tokenizer`.
        config: As there.

    Raises:
        TokenizerFilesError: As there.
    """
    content = _content(folder, config)
    tokenizer = _spare.pop(content, None)
    if tokenizer is None:
        tokenizer = _read(folder, config)
    yield tokenizer
    _spare.clear()  # no more than one waits
    _spare[content] = tokenizer


def _content(folder: Path, config: dict[str, Any]) -> bytes:
    """What tells files of a tokenizer from others."""
    digest = hashlib.sha256()
    for name in TOKENIZER_FILES:
        file = folder / name
        try:
            data = file.read_bytes() if file.is_file() else b""
        except OSError as e:
            raise TokenizerFilesError(f"cannot read {name} ({e.strerror}); make it readable") from e
        digest.update(b"%d " % len(data))
        digest.update(data)
    # The older form goes by it.
    digest.update(repr(config.get("model_type")).encode())
    return digest.digest()


def _read(folder: Path, config: dict[str, Any]) -> Tokenizer:
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
