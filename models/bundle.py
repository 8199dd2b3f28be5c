"""The model bundle: a Hugging Face folder with a classifier in ONNX, checked on loading.

A folder may hold a cascade instead: a config.json which names bundles that are asked in turn, the
cheapest first, and the score from which the answer of each stands.

    {"cascade": [{"model": "ag_news_mini", "min_score": 0.95}, {"model": "ag_news_small"}]}
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import logging
import mmap
import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from models.checks import is_number, is_whole
from models.errors import BundleError, TokenizerFilesError
from models.locate import DEFAULT_BUNDLE, beside, resolve
from models.long_text import LONG_TEXT, MAX_WINDOWS
from models.model_files import MODEL_FOLDERS, WEIGHTS, model_places, no_model
from models.model_settings import MAX_LENGTH
from models.tokenizer_files import TOKENIZER_FILES, lent_tokenizer, load_tokenizer

log = logging.getLogger("newsbeam")

#: Families whose positions start after the padding id, as RoBERTa's do.
_OFFSET_POSITIONS = {"roberta", "xlm-roberta", "xlm-roberta-xl", "camembert", "mpnet", "longformer"}
#: What config.json says of a model, and not of a cascade of models.
_OF_ONE = (
    "id2label",
    "problem_type",
    "temperature",
    "max_position_embeddings",
    "long_text",
    "max_length",
    "window_tokens",
    "max_windows",
)
# Operators that take the range of their activations at run time, over the whole batch. In an ONNX
# file (protobuf) a node's operator stands as field 4 of its NodeProto: the byte 0x22, the length,
# the name. Looking for that needs no onnx package, and finds neither node names nor tensors.
# MatMulInteger and QAttention are not in the list: they take ranges somebody else computed, which
# may well be static or per row; where the ranges are dynamic, one of these stands before them.
_DYNAMIC_OPERATORS = (b"DynamicQuantizeLinear", b"DynamicQuantizeMatMul", b"DynamicQuantizeLSTM")
_DYNAMIC = re.compile(
    b"|".join(re.escape(b"\x22" + bytes([len(name)]) + name) for name in _DYNAMIC_OPERATORS)
)


@dataclass(frozen=True)
class Stage:
    """A bundle that is asked, and from which score on its answer stands.

    Attributes:
        bundle: The bundle.
        min_score: The least score of an answer that stands, 0 to 1: see `models.cascade`.
    """

    bundle: Bundle
    min_score: float


@dataclass(frozen=True)
class Bundle:
    """A classifier as files: what `optimum-cli export onnx` writes is a bundle.

    A cascade is all that its last bundle is, but for its name and hash.

    Attributes:
        path: The folder.
        name: The name of the folder, whichever of its ONNX files is used: the hash tells them apart.
        hash: 8 hexadecimal digits over the model, the tokenizer and the configuration.
        labels: The categories, in the order of the logits.
        max_length: The most tokens the model takes, special tokens included.
        pad_id: The token id that pads rows of a batch.
        model_file: The ONNX file.
        dynamic_int8: Whether the model quantizes activations with ranges taken over the whole
            batch. A score then depends on who shares the batch, so rows must run one by one.
        temperature: What logits are divided by, so that scores mean what they say; measured by
            the model's training. 1 leaves them as they are.
        multi_label: Whether the model was trained to give a text several labels, or none.
        row_length: The most tokens of a row unless somebody asks for another number (see
            `models.reading`): `max_length` of config.json, where that has `long_text`, too.
        long_text: What becomes of longer texts unless somebody asks for something else.
        window_tokens: The tokens of a window unless somebody asks for another number; None for as
            many as a row has.
        max_windows: The most windows of a text unless somebody asks for another number.
        special_tokens: The special tokens that its tokenizer puts around a text.
        cascade: The bundles that are asked in turn, the cheapest first; none where it is one.
    """

    path: Path
    name: str
    hash: str
    labels: tuple[str, ...]
    max_length: int
    pad_id: int
    model_file: Path
    dynamic_int8: bool
    temperature: float = 1.0
    multi_label: bool = False
    row_length: int = MAX_LENGTH
    long_text: str = "truncate"
    window_tokens: int | None = None
    max_windows: int = MAX_WINDOWS
    special_tokens: int = 0
    cascade: tuple[Stage, ...] = ()

    @property
    def stages(self) -> tuple[Stage, ...]:
        """The bundles that are asked in turn: itself, or those of the cascade."""
        return self.cascade or (Stage(self, 0.0),)

    @property
    def model_id(self) -> str:
        """Name and hash: what a record says about the model that made it."""
        return f"{self.name}@{self.hash}"

    @classmethod
    def load(cls, path: str | os.PathLike[str] | None = None) -> Bundle:
        """Reads a bundle; the model itself is opened by `OnnxModel`, and tried by `models.verify`.

        Args:
            path: See `models.locate.resolve`; None is the default bundle.

        Raises:
            BundleError: A file is missing or broken, or the labels make no sense.
        """
        place = resolve(path) if path is not None else DEFAULT_BUNDLE
        folder, named = _folder_of(place)
        if named is None and (stages := _cascade(folder, path)):
            return in_turn(folder, stages)
        try:
            state = tuple(
                sorted(
                    (subfolder + e.name, *_state(e))
                    for subfolder in MODEL_FOLDERS
                    if (folder / subfolder).is_dir()
                    for e in os.scandir(folder / subfolder)
                )
            )
        except OSError as e:
            raise BundleError(f"model {folder}: cannot read it ({e.strerror})") from e
        return cls._load(folder, named, state)

    def model_files(self) -> list[Path]:
        """The ONNX files of the folder that could be used, in order of preference."""
        return [self.path / place for place in model_places(_files(self.path))]

    @classmethod
    @functools.lru_cache(maxsize=16)
    def _load(cls, folder: Path, named: str | None, state: tuple[Any, ...]) -> Bundle:
        """Reads a folder once for each state of its files: hashing and parsing them takes time."""
        config = _read_config(folder)
        there = _files(folder)
        places = [named] if named else model_places(there)
        if not places:
            others = [f"`--model {folder / name}`" for name in sorted(there) if _is_onnx(name)]
            fix = (
                f"choose one with {others[0]}"
                if others
                else "export one with `newsbeam model export`"
            )
            raise BundleError(f"model {folder}: {no_model(there)}; {fix}")
        model_file = folder / places[0]
        if len(places) > 1:
            log.info("model %s: of %s the first is used", folder.name, ", ".join(places))
        labels = _labels(folder, config)
        vocabulary = config.get("vocab_size")
        pad_id, max_length = _positions(folder, config)
        row_length, long_text, window_tokens, max_windows = _reading(folder, config, max_length)
        try:
            with lent_tokenizer(folder, config) as tokenizer:
                tokens = tokenizer.get_vocab_size()
                special_tokens = tokenizer.num_special_tokens_to_add(False)
            digest, dynamic_int8 = _read_model(folder, model_file)
        except TokenizerFilesError as e:
            raise BundleError(f"model {folder}: {e}") from e
        except OSError as e:
            raise BundleError(
                f"model {folder}: cannot read {e.filename} ({e.strerror}); make it readable"
            ) from e
        if window_tokens is not None and window_tokens <= special_tokens:
            raise BundleError(
                f"model {folder}: window_tokens in config.json is {window_tokens}, and special "
                f"tokens alone are {special_tokens}; make it more, or leave it out"
            )
        if isinstance(vocabulary, int) and tokens > vocabulary:
            raise BundleError(
                f"model {folder}: the tokenizer knows {tokens} tokens, the model {vocabulary}; "
                "they belong to different models, copy both from one"
            )
        return cls(
            path=folder,
            name=folder.name,
            hash=digest,
            labels=labels,
            max_length=max_length,
            pad_id=pad_id,
            model_file=model_file,
            dynamic_int8=dynamic_int8,
            temperature=_temperature(folder, config),
            multi_label=_multi_label(folder, config),
            row_length=row_length,
            long_text=long_text,
            window_tokens=window_tokens,
            max_windows=max_windows,
            special_tokens=special_tokens,
        )

    def tokenizer(self) -> Tokenizer:
        """A new tokenizer of this bundle, which neither truncates nor pads.

        Raises:
            BundleError: Its files are missing or broken.
        """
        try:
            return load_tokenizer(self.path, _read_config(self.path))
        except TokenizerFilesError as e:
            raise BundleError(f"model {self.path}: {e}") from e

    def token_ids(self, text: str) -> tuple[int, ...]:
        """The token ids of a text, special tokens included, whole: for a look, not for news.

        Raises:
            BundleError: As of `tokenizer`.
        """
        try:
            with lent_tokenizer(self.path, _read_config(self.path)) as tokenizer:
                return tuple(tokenizer.encode(text).ids)
        except TokenizerFilesError as e:
            raise BundleError(f"model {self.path}: {e}") from e


def _cascade(folder: Path, path: str | os.PathLike[str] | None) -> list[tuple[Bundle, float]]:
    """The bundles of a folder that holds a cascade, and the least scores of their answers."""
    found = _named_in_turn(folder)
    if found is None:
        return []
    example = '[{"model": "CHEAP", "min_score": 0.95}, {"model": "FULL"}]'
    if not (isinstance(found, list) and len(found) > 1 and all(map(_is_stage, found[:-1]))):
        raise BundleError(
            f"model {folder}: cascade in config.json is {json.dumps(found)[:100]}; name two models or "
            f"more, and the score, 0 to 1, from which the answer of each but the last stands: {example}"
        )
    if not _is_stage({"min_score": 0.0, **found[-1]} if isinstance(found[-1], dict) else None):
        raise BundleError(
            f"model {folder}: the last model of cascade in config.json is "
            f"{json.dumps(found[-1])[:100]}; name it: {example}"
        )
    if ignored := [name for name in _OF_ONE if name in _read_config(folder)]:
        raise BundleError(
            f"model {folder}: {' and '.join(ignored)} in config.json of a cascade would count for "
            "nothing; leave it out, and set it in config.json of its models"
        )
    stages = []
    for entry in found:
        named = beside(folder, path, entry["model"])
        # Looked at before it is loaded: it might name this one.
        inner, file = _folder_of(resolve(named))
        if file is None and _named_in_turn(inner) is not None:
            raise BundleError(
                f"model {folder}: {entry['model']} of its cascade is a cascade itself; name the "
                "models of that"
            )
        stages.append((Bundle.load(named), float(entry.get("min_score", 0.0))))
    return stages


def _named_in_turn(folder: Path) -> Any:
    """What config.json says of a cascade; None where it is none."""
    return _read_config(folder).get("cascade") if (folder / "config.json").is_file() else None


def _is_stage(entry: Any) -> bool:
    return (
        isinstance(entry, dict)
        and isinstance(entry.get("model"), str)
        and bool(entry["model"])
        and is_number(entry.get("min_score"))
        and 0 <= entry["min_score"] <= 1
    )


def in_turn(folder: Path, stages: list[tuple[Bundle, float]]) -> Bundle:
    """The bundle that is a cascade of others.

    Args:
        folder: The folder that names them: the cascade is called as it is.
        stages: The bundles, the cheapest first, and from which score on the answer of each stands.

    Raises:
        BundleError: They do not go together.
    """
    full, _ = stages[-1]
    for bundle, _ in stages[:-1]:
        for what, one, other in (
            ("labels", bundle.labels, full.labels),
            ("problem types", bundle.multi_label, full.multi_label),
        ):
            if one != other:
                raise BundleError(
                    f"model {folder}: the {what} of {bundle.name} and {full.name} differ, so one "
                    "can't stand in for the other; name models that were trained for the same"
                )
        if bundle.special_tokens != full.special_tokens or not _same_tokenizer(bundle, full):
            raise BundleError(
                f"model {folder}: {bundle.name} and {full.name} have different tokenizers, and a text "
                "is tokenized once for both; name models that share one"
            )
    most = min(bundle.max_length for bundle, _ in stages)
    row_length = min(full.row_length, most)
    digest = hashlib.sha256(repr([(b.hash, score) for b, score in stages]).encode())
    return dataclasses.replace(
        full,
        name=folder.name,
        hash=digest.hexdigest()[:8],
        max_length=most,
        row_length=row_length,
        window_tokens=full.window_tokens and min(full.window_tokens, row_length),
        cascade=tuple(Stage(bundle, score) for bundle, score in stages),
    )


def _same_tokenizer(one: Bundle, other: Bundle) -> bool:
    """Whether two bundles give a text the same ids."""
    files = [(bundle.path / "tokenizer.json") for bundle in (one, other)]
    if all(file.is_file() for file in files) and files[0].read_bytes() == files[1].read_bytes():
        return one.pad_id == other.pad_id
    return one.tokenizer().to_str() == other.tokenizer().to_str()


def _folder_of(place: Path) -> tuple[Path, str | None]:
    """The folder of a bundle, and which of its files was named, out of what was named.

    ONNX files may lie in a folder beside config.json: that folder may be named, or a file in it.
    """
    folder, named = (place.parent, place.name) if place.is_file() else (place, None)
    for above in MODEL_FOLDERS:
        beside = folder.name == above.rstrip("/") and not (folder / "config.json").exists()
        if above and beside and (folder.parent / "config.json").exists():
            return folder.parent, above + named if named else None
    return folder, named


def _files(folder: Path) -> set[str]:
    """The files of a folder, and of those in it that may hold models."""
    return {
        subfolder + entry.name
        for subfolder in MODEL_FOLDERS
        if (folder / subfolder).is_dir()
        for entry in (folder / subfolder).iterdir()
        if entry.is_file()
    }


def _is_onnx(name: str) -> bool:
    return name.endswith(".onnx")


def _state(entry: os.DirEntry[str]) -> tuple[int, int]:
    found = entry.stat()
    return found.st_size, found.st_mtime_ns


def _read_config(folder: Path) -> dict[str, Any]:
    file = folder / "config.json"
    try:
        config = json.loads(file.read_bytes())
    except FileNotFoundError:
        raise BundleError(
            f"model {folder}: config.json is missing; copy it from the model it was exported from"
        ) from None
    except OSError as e:
        raise BundleError(
            f"model {folder}: cannot read config.json ({e.strerror}); make it a readable file"
        ) from e
    except ValueError as e:
        raise BundleError(f"model {folder}: config.json is not JSON ({e}); copy it again") from e
    if not isinstance(config, dict):
        raise BundleError(f"model {folder}: config.json is not a JSON object; copy it again")
    return config


def _labels(folder: Path, config: dict[str, Any]) -> tuple[str, ...]:
    """The labels in the order of the logits."""
    id2label = config.get("id2label")
    if not isinstance(id2label, dict) or not id2label:
        raise BundleError(
            f"model {folder}: config.json has no id2label; add one, such as "
            '{"0": "World", "1": "Sports"}'
        )
    ids = [str(i) for i in range(len(id2label))]
    if set(id2label) != set(ids):
        raise BundleError(
            f"model {folder}: id2label in config.json has the ids {', '.join(sorted(id2label))}; "
            f"number its labels 0 to {len(ids) - 1} without a gap"
        )
    labels = tuple(id2label[i] for i in ids)
    if not all(isinstance(name, str) and name for name in labels) or len(set(labels)) < len(labels):
        raise BundleError(
            f"model {folder}: the labels in config.json are {list(labels)}; each must be a text, "
            "none twice"
        )
    if len(labels) == 1 and not _multi_label(folder, config):
        raise BundleError(
            f"model {folder}: has one label, {labels[0]!r}, whose score would always be 1; export a "
            "model with two labels or more, or, if it says yes or no to its one, set problem_type to "
            "multi_label_classification in config.json"
        )
    return labels


def _positions(folder: Path, config: dict[str, Any]) -> tuple[int, int]:
    """The padding id, and how many tokens have a position."""
    offset = config.get("model_type") in _OFFSET_POSITIONS
    pad_id = config.get("pad_token_id")
    if pad_id is None:
        pad_id = 1 if offset else 0  # what transformers takes where a config leaves it out
    positions = config.get("max_position_embeddings", 514 if offset else 512)
    if not isinstance(pad_id, int) or pad_id < 0:
        raise BundleError(
            f"model {folder}: pad_token_id in config.json is {pad_id!r}; make it the id of <pad>"
        )
    taken = pad_id + 1 if offset else 0
    if not isinstance(positions, int) or positions <= taken:
        raise BundleError(
            f"model {folder}: max_position_embeddings in config.json is {positions!r}; make it the "
            "number of positions that the model was trained with"
        )
    return pad_id, positions - taken


def _temperature(folder: Path, config: dict[str, Any]) -> float:
    """What the logits are divided by."""
    value = config.get("temperature")
    if value is None:
        return 1.0
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not 0 < value <= sys.float_info.max:
        raise BundleError(
            f"model {folder}: temperature in config.json is {value!r}; make it a number above 0, "
            "such as `newsbeam evaluate --calibrate` gives, or leave it out"
        )
    return float(value)


def _multi_label(folder: Path, config: dict[str, Any]) -> bool:
    """Whether several labels may hold at once."""
    value = config.get("problem_type")
    if value == "regression":
        raise BundleError(
            f"model {folder}: problem_type in config.json is 'regression': it gives a number, no "
            "category; name a classifier, with single_label_classification or "
            "multi_label_classification"
        )
    if value not in (None, "single_label_classification", "multi_label_classification"):
        raise BundleError(
            f"model {folder}: problem_type in config.json is {value!r}; a classifier has "
            "single_label_classification or multi_label_classification"
        )
    return value == "multi_label_classification"


def _reading(
    folder: Path, config: dict[str, Any], positions: int
) -> tuple[int, str, int | None, int]:
    """The most tokens of a row, what becomes of longer texts, tokens and number of their windows.

    They count where there is `long_text`: a `max_length` without it is of text generation, as
    transformers used to write it into every config.json.
    """
    most = min(positions, MAX_LENGTH)
    long_text = config.get("long_text")
    if long_text is None:
        return most, "truncate", None, MAX_WINDOWS
    if long_text not in LONG_TEXT:
        raise BundleError(
            f"model {folder}: long_text in config.json is {long_text!r}; make it one of "
            f"{', '.join(LONG_TEXT)}, or leave it out"
        )
    length = _number(folder, config, "max_length", most, "tokens, which is what a row may have")
    of_windows = {
        "window_tokens": (length or most, "tokens, which is what a row has"),
        "max_windows": (MAX_WINDOWS, "windows"),
    }
    for name in of_windows:
        if config.get(name) is not None and long_text == "truncate":
            raise BundleError(
                f"model {folder}: {name} in config.json is {config[name]!r}, and with long_text "
                f"truncate there are no windows; make that average or max, or leave {name} out"
            )
    size, windows = (
        _number(folder, config, name, *largest) for name, largest in of_windows.items()
    )
    return length or most, long_text, size, windows or MAX_WINDOWS


def _number(folder: Path, config: dict[str, Any], name: str, most: int, unit: str) -> int | None:
    value = config.get(name)
    if value is not None and not (is_whole(value) and 1 <= value <= most):
        raise BundleError(
            f"model {folder}: {name} in config.json is {value!r}; make it 1 to {most} {unit}, or "
            "leave it out"
        )
    return value


def _read_model(folder: Path, model_file: Path) -> tuple[str, bool]:
    """The hash of everything that makes a score, and whether the model is dynamic int8."""
    if not model_file.stat().st_size:
        raise BundleError(f"model {folder}: {model_file.name} is empty; copy or export it again")
    digest = hashlib.sha256()
    with model_file.open("rb") as f, mmap.mmap(f.fileno(), 0, access=mmap.ACCESS_READ) as data:
        digest.update(data)
        dynamic = _DYNAMIC.search(data) is not None
    weights = [model_file.with_name(model_file.name + suffix) for suffix in WEIGHTS]
    others = [folder / name for name in (*TOKENIZER_FILES, "config.json")]
    for file in (*weights, *others):
        if file.is_file():
            with file.open("rb") as f:
                digest.update(hashlib.file_digest(f, "sha256").digest())
    return digest.hexdigest()[:8], dynamic
