"""What a folder of files is told by its URI: `?format=parquet&partition_by=category,hour&every=5m`."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from transforms.errors import ConfigurationError
from transforms.files.partitions import NAMES

#: What the query of a folder may say, `format` apart, which a source's may, too.
FOLDER_QUERY = ("partition_by", "every", "max_size")
#: The formats, and the ending of their files: compressed or not, and what reads them back knows it.
FORMATS = {
    "json": "jsonl",
    "jsonl": "jsonl",
    "jsonl.gz": "jsonl.gz",
    "jsonl.zst": "jsonl.zst",
    "parquet": "parquet",
}
#: Seconds after which a file is complete, and bytes of JSON lines that it holds at most.
EVERY, MAX_SIZE = 300.0, 128 * 1000**2

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_BYTES = {
    "kb": 1000, "mb": 1000**2, "gb": 1000**3,
    "kib": 1024, "mib": 1024**2, "gib": 1024**3,
}  # fmt: skip
_AMOUNT = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,3})?)([a-z]+)", re.IGNORECASE)
_SHORTEST, _LONGEST = 1.0, 86400.0
_SMALLEST, _LARGEST = 1000, 4 * 1000**3


@dataclass(frozen=True)
class FolderOptions:
    """A folder that files are written to, one after the other.

    Attributes:
        path: The folder, local or `gs://`, `s3://`; no slash at its end.
        ending: The ending of its files: `jsonl`, `jsonl.gz`, `jsonl.zst` or `parquet`.
        partition_by: What its folders are named by, from the outermost: of `category`, `date`, `day`
            and `hour`; `stage` for dead letters.
        every: Seconds after which a file is complete.
        max_size: The bytes of JSON lines, before they are compressed or made Parquet, after which a
            file is complete, too.
        uri: As given, for messages.
    """

    path: str
    ending: str = "jsonl"
    partition_by: tuple[str, ...] = ()
    every: float = EVERY
    max_size: int = MAX_SIZE
    uri: str = field(default="", compare=False)

    @classmethod
    def of(cls, uri: str, path: str, query: Mapping[str, str]) -> FolderOptions:
        """Reads them from a URI's path and query.

        Raises:
            ConfigurationError: One of them can't be.
        """
        unknown = sorted(query.keys() - {"format", *FOLDER_QUERY})
        if unknown:
            raise ConfigurationError(
                f"{unknown[0]!r} in {uri!r} is unknown: a folder's URI takes format, "
                f"{', '.join(FOLDER_QUERY)}"
            )
        return cls(
            path=path.rstrip("/") or path[:1],
            ending=_ending(uri, path, query.get("format")),
            partition_by=_partition_by(uri, query.get("partition_by", "")),
            every=_every(uri, query["every"]) if "every" in query else EVERY,
            max_size=_max_size(uri, query["max_size"]) if "max_size" in query else MAX_SIZE,
            uri=uri,
        )

    @property
    def name(self) -> str:
        """The folder, as messages name it."""
        return self.uri or self.path


def is_folder(path: str, query: Mapping[str, str], *, bounded: bool = False) -> bool:
    """Whether a sink's path is a folder of files, and not one file.

    It is one that ends with a slash, or is there already, or has a query that only folders take. A
    `.parquet` is one, too, as long as the stream has no end: in a run over files it is one file, which
    appears when the run is complete.

    Args:
        path: The path of the sink.
        query: What its URI asks for.
        bounded: Whether the run has an end: a run over files.
    """
    if path.endswith("/") or any(name in query for name in FOLDER_QUERY):
        return True
    if "://" not in path and os.path.isdir(path):
        return True
    if path.lower().endswith(".parquet"):
        return not bounded
    # Objects can't be appended to.
    return "://" in path and not bounded


def _ending(uri: str, path: str, form: str | None) -> str:
    if form is None:
        name = path.rstrip("/").lower()
        return next(
            (e for e in ("parquet", "jsonl.gz", "jsonl.zst") if name.endswith("." + e)), "jsonl"
        )
    if form.lower() not in FORMATS:
        raise ConfigurationError(
            f"format={form!r} in {uri!r} can't be written: give {', '.join(FORMATS)}"
        )
    return FORMATS[form.lower()]


def _partition_by(uri: str, text: str) -> tuple[str, ...]:
    names = tuple(name.strip().lower() for name in text.split(",") if name.strip())
    for name in names:
        if name not in NAMES:
            raise ConfigurationError(
                f"partition_by={name!r} in {uri!r} is unknown: give some of {', '.join(NAMES)}"
            )
        if names.count(name) > 1:
            raise ConfigurationError(
                f"{name} stands twice in partition_by of {uri!r}: give it once"
            )
    if {"date", "day"} <= {*names}:
        raise ConfigurationError(f"date and day in {uri!r} are the same: give one of them")
    return names


def _every(uri: str, text: str) -> float:
    try:
        seconds = duration(text)
    except ValueError:
        seconds = 0.0
    if not _SHORTEST <= seconds <= _LONGEST:
        raise ConfigurationError(
            f"every={text!r} in {uri!r} is no time from 1s to 24h: write it as 90s, 5m or 1h"
        )
    return seconds


def _max_size(uri: str, text: str) -> int:
    try:
        found = size(text)
    except ValueError:
        found = 0
    if not _SMALLEST <= found <= _LARGEST:
        raise ConfigurationError(
            f"max_size={text!r} in {uri!r} is no size from 1kB to 4GB: write it as 10MB or 1GiB"
        )
    return found


def duration(text: str) -> float:
    """The seconds of `90s`, `5m`, `1.5h` or `1d`.

    Raises:
        ValueError: It is none of these.
    """
    return _amount(text, _SECONDS)


def size(text: str) -> int:
    """The bytes of `500kB`, `128MB` or `1GiB`.

    Raises:
        ValueError: It is none of these.
    """
    return int(_amount(text, _BYTES))


def _amount(text: str, units: Mapping[str, int]) -> float:
    found = _AMOUNT.fullmatch(text.strip())
    if found is None or found[2].lower() not in units:
        raise ValueError(f"{text!r} is no number with a unit of {', '.join(units)}")
    return float(found[1]) * units[found[2].lower()]
