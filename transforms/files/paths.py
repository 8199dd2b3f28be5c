"""Which files a name stands for, and whether two names are one file."""

from __future__ import annotations

import fnmatch
import glob
import logging
import os
import re
import sys
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from transforms.files.archives import ENDINGS as ARCHIVE_ENDINGS
from transforms.files.remote import file_systems

log = logging.getLogger("newsbeam")

#: What writers leave beside their files: markers, check sums, what is not complete yet.
_NO_NEWS = (
    ".*", "*~", "*.tmp", "*.temp", "*.part", "*.partial", "*.crdownload", "*.swp", "*.crc",
    "*.inprogress", "*.filepart", "_success", "_temporary", "_committed_*", "_started_*",
    "_metadata", "_common_metadata", "_delta_log", "thumbs.db", "desktop.ini",
    "beam-temp-*",
)  # fmt: skip
_FORMATS = {
    "jsonl": "json", "json": "json", "ndjson": "json",
    "csv": "csv", "tsv": "csv", "tab": "csv", "txt": "text",
    "parquet": "json",
}  # fmt: skip
#: How Hive names the folders of a partition.
_HIVE = re.compile(r"\w+=")
#: File systems that take names in any case for one file.
_ANY_CASE = sys.platform in {"darwin", "win32"}


class Found(NamedTuple):
    """What a source's name stands for.

    Attributes:
        files: The files to read, in order.
        passed_over: Files that it matches, but that hold no news: hidden or temporary ones.
    """

    files: tuple[str, ...]
    passed_over: tuple[str, ...] = ()


def is_local(name: str) -> bool:
    """Whether a name is one of this machine's files."""
    return "://" not in name


def find(name: str) -> Found:
    """Finds the files of a source: the file of that very name, those of a folder, or of a pattern.

    Of a folder's own folders only those are looked into that Hive names: `category=Sports`.

    Args:
        name: A path or glob pattern (`**` for folders at any depth).
    """
    if not is_local(name):
        return _find_remote(name)
    if os.path.isdir(name):
        folder = name.rstrip("/") + "/"
        return _sift(folder, _entries(folder))
    if os.path.exists(name):
        return Found((name,))
    return _sift(name, glob.glob(_pattern(name), recursive=True, include_hidden=True))


def _entries(folder: str) -> Iterator[str]:
    for entry in os.listdir(folder):
        if _HIVE.match(entry) and os.path.isdir(folder + entry):
            yield from _entries(f"{folder}{entry}/")
        else:
            yield folder + entry


def _pattern(name: str) -> str:
    """A pattern in which folders that exist by their very names are those, whatever their brackets."""
    folder, rest = "", name
    while (cut := rest.find("/")) >= 0 and os.path.isdir(folder + rest[: cut + 1]):
        folder, rest = folder + rest[: cut + 1], rest[cut + 1 :]
    return glob.escape(folder) + rest


def find_and_tell(name: str) -> tuple[str, ...]:
    """Finds files as `find` does; one log line tells of those that are passed over."""
    found = find(name)
    if found.passed_over:
        log.info(
            "passed over %d hidden or temporary file%s of %r: %s%s",
            len(found.passed_over),
            "" if len(found.passed_over) == 1 else "s",
            name,
            found.passed_over[0],
            "" if len(found.passed_over) == 1 else ", …",
        )
    return found.files


def covers(name: str, path: str) -> bool:
    """Whether a source's name would find a file, were it there."""
    if os.path.isfile(name) or not is_local(name):
        return same_file(name, path)
    if _is_no_news(os.path.basename(path)):
        return False
    here = os.path.realpath(os.path.dirname(path) or ".")
    if os.path.isdir(name):
        top = os.path.realpath(name)
        below = os.path.relpath(here, top).split(os.sep)
        return here == top or all(map(_HIVE.match, below))
    folder, pattern = os.path.split(_pattern(name))
    # With a slash behind, `**` is the folder itself, too.
    folders = glob.glob(os.path.join(".", folder, ""), recursive=True)
    return (pattern == "**" or fnmatch.fnmatch(os.path.basename(path), pattern)) and any(
        os.path.realpath(each) == here for each in folders
    )


def same_file(one: str, other: str) -> bool:
    """Whether two names are one file: through links, too, whether or not it exists."""
    if not (is_local(one) and is_local(other)):
        return one == other
    a, b = os.path.realpath(one), os.path.realpath(other)
    if a == b or (_ANY_CASE and a.casefold() == b.casefold()):
        return True
    try:
        return os.path.samefile(a, b)
    except OSError:
        return False


def format_of(name: str) -> str:
    """What a file holds, by its name: `json`, `csv` or `text`; JSON where that says nothing."""
    return format_by_name(name) or "json"


def format_by_name(name: str) -> str | None:
    """What a name without the endings of archives says of what a file holds; None if it doesn't."""
    return _FORMATS.get(_ending(name))


def delimiter_of(name: str) -> str | None:
    """The delimiter that a file's name tells."""
    return "\t" if _ending(name) in {"tsv", "tab"} else None


def _ending(name: str) -> str:
    stem, _, ending = name.lower().rpartition(".")
    while ending in ARCHIVE_ENDINGS:
        stem, _, ending = stem.rpartition(".")
    return ending


def _find_remote(name: str) -> Found:
    systems = file_systems()
    [match] = systems.match([name])
    if not match.metadata_list:
        folder = name.rstrip("/") + "/"
        [match] = systems.match([folder + "**"])
        paths = [metadata.path for metadata in match.metadata_list]
        below = {path: path.removeprefix(folder).split("/")[:-1] for path in paths}
        return _sift(folder, (path for path in paths if all(map(_HIVE.match, below[path]))))
    return _sift(name, (metadata.path for metadata in match.metadata_list))


def _sift(name: str, paths: Iterable[str]) -> Found:
    *asked_folders, asked = name.split("/")
    files: list[str] = []
    passed_over: list[str] = []
    for path in sorted(paths):
        if is_local(path) and not os.path.isfile(path):
            continue
        *folders, last = path.split("/")
        # What the name itself says is asked for: `.cache/*.jsonl`, `*.tmp`.
        hidden = any(_is_no_news(f) for f in folders if f not in asked_folders) or (
            _is_no_news(last) and not _is_no_news(asked)
        )
        (passed_over if hidden else files).append(path)
    return Found(tuple(files), tuple(passed_over))


def _is_no_news(part: str) -> bool:
    return part not in {".", ".."} and any(
        fnmatch.fnmatchcase(part.lower(), pattern) for pattern in _NO_NEWS
    )
