"""Checks files before a pipeline starts: which they are, whether they can be read and written."""

from __future__ import annotations

import dataclasses
import glob
import hashlib
import itertools
import logging
import os
import re
from pathlib import Path
from typing import Any

import msgspec

from pipeline.ends.end import End, Ends, Role, Run, SinkEnd, also_the_sink, also_the_source
from pipeline.ends.files.end import FileEnd, FileFrom, FileTo, FolderTo
from pipeline.ends.std import StdEnd, StdTo
from transforms.errors import ConfigurationError
from transforms.failures import PipelineFailure
from transforms.files.archives import OpenFile
from transforms.files.archives import check as check_archive
from transforms.files.partitions import ITEMS, LETTERS
from transforms.files.paths import covers, find_and_tell, format_of, is_local, same_file
from transforms.files.places import HIDDEN
from transforms.files.progress import Part, Progress, fingerprint
from transforms.files.read import Cut, FileSource
from transforms.files.remote import check_source as check_remote_source
from transforms.news_settings import NewsSettings
from transforms.records import categorized_from_json, dead_letter_from_json
from transforms.streams import regular_file

log = logging.getLogger("newsbeam")

_NO_SINK = re.compile(r"\.(lzma|deflate|zlib|zz|zip|tar|7z|lz4|snappy)$", re.IGNORECASE)


def check_files(ends: Ends) -> Ends:
    """Checks files, and streams that a shell opened, against the world; prepares a run over files.

    Args:
        ends: The ends of the graph.

    Raises:
        ConfigurationError: A file can't be what it is used as.
    """
    sinks = [sink for sink in ends.written if isinstance(sink, FileTo)]
    run = ends.source.run
    bounded, local = ends.source.bounded, run.local
    for sink in sinks:
        _check_file_sink(sink, bounded, local)
    _check_no_file_twice(sinks)
    source = ends.source if isinstance(ends.source, FileFrom) else None
    files = _check_source(source.end) if source is not None else ()
    _check_streams(ends, files)
    for folder in (sink for sink in ends.written if isinstance(sink, FolderTo)):
        inside = f"{folder.end.path.rstrip('/')}/news.jsonl"
        if source is not None and covers(source.end.path, inside):
            raise also_the_source(folder)
    for sink in sinks:
        if source is not None:
            _check_not_the_source(source.end, files, sink)
        # What comes from a topic or a pipe is appended: that, too, spoils a file of the user's.
        _check_ours(sink)
    if source is None:
        return ends
    # Only now: what a name may not be is a matter of names.
    for path in files:
        check_archive(path)
    news = dataclasses.replace(run.news, format=_format(source.end, run, files))
    source = dataclasses.replace(source, run=dataclasses.replace(run, news=news))
    if not local:
        written = [_over(sink, bounded=True) for sink in ends.written]
        return ends.replacing(source, written)
    written = [_over(sink, part=_part(sink)) for sink in ends.written]
    parts = tuple(sink.part for sink in written if isinstance(sink, FileTo) and sink.part)
    assert news.format is not None
    reading = FileSource(files, Cut(news.format, news.columns, news.delimiter, news.items))
    ends = ends.replacing(source, written)
    progress = _progress(ends, run, files, parts)
    return ends.replacing(
        dataclasses.replace(source, reading=reading, parts=parts, progress=progress), written
    )


def _over(sink: SinkEnd, **changes: Any) -> SinkEnd:
    """A sink as it is in a run over files."""
    return dataclasses.replace(sink, **changes) if isinstance(sink, FileTo) else sink


def _part(sink: SinkEnd) -> Part | None:
    if isinstance(sink, FileTo) and sink.is_regular:
        return Part(sink.end.path, LETTERS if sink.role is Role.DEAD_LETTERS else ITEMS)
    return None


def _check_source(source: FileEnd) -> tuple[str, ...]:
    check_remote_source("--source", source.path)
    try:
        files = find_and_tell(source.path)
    except Exception as e:  # each file system has errors of its own
        raise ConfigurationError(f"--source {source.uri!r} can't be read: {e}") from None
    if not files:
        what = (
            "is a folder without files to read"
            if os.path.isdir(source.path)
            else ("matches no file")
        )
        raise ConfigurationError(f"--source {source.uri!r} {what}: check the path")
    for path in files:
        try:
            path.encode()
        except UnicodeEncodeError:
            # It is in each of its results.
            raise ConfigurationError(
                f"--source {source.uri!r}: the name of file {os.fsencode(path)!r} is not UTF-8: "
                "rename it"
            ) from None
    return files


def _format(source: FileEnd, run: Run, files: tuple[str, ...]) -> str:
    """What the files hold: as was said, or by their names."""
    said, news = run.options.of(NewsSettings).format or source.records.format, run.news
    if said or news.columns or news.delimiter:
        assert news.format is not None
        return news.format
    formats = {format_of(path): path for path in reversed(files)}
    if len(formats) > 1:
        first, second, *_ = sorted(formats.items())
        raise ConfigurationError(
            f"--source {source.uri!r} has files of several formats, {first[0]} ({first[1]}) and "
            f"{second[0]} ({second[1]}): give a pattern for one of them, or --format"
        )
    return next(iter(formats))


def _check_file_sink(sink: FileTo, bounded: bool, local: bool) -> None:
    endpoint, flag = sink.end, sink.role
    if not is_local(endpoint.path):
        if not bounded or local:
            raise ConfigurationError(
                f"{flag} {endpoint.uri!r}: results can only be appended to a local file; "
                "give a local path or a topic"
            )
        return
    if bounded and not local and glob.has_magic(endpoint.path):
        raise ConfigurationError(
            f"{flag} {endpoint.uri!r}: Beam takes this for a pattern on this runner and deletes what it "
            "matches: give a name without *, ? and ["
        )
    path = Path(os.path.realpath(endpoint.path))
    if path.is_dir() or endpoint.path.endswith("/"):
        raise ConfigurationError(f"{flag} {endpoint.uri!r} is a folder: name a file")
    if not path.parent.exists():
        raise ConfigurationError(
            f"{flag} {endpoint.uri!r}: can't write: there is no folder {path.parent}: make "
            "it, or check the path"
        )
    if not path.parent.is_dir() or not os.access(path.parent, os.W_OK):
        raise ConfigurationError(
            f"{flag} {endpoint.uri!r}: can't write to the folder {path.parent}"
        )
    if ending := _NO_SINK.search(endpoint.path):
        raise ConfigurationError(
            f"{flag} {endpoint.uri!r}: can't write {ending[0]}: name it .jsonl, or .jsonl with "
            ".gz, .bz2, .xz or .zst behind"
        )


def _check_no_file_twice(sinks: list[FileTo]) -> None:
    for one, other in itertools.combinations(sinks, 2):
        path, others = one.end.path, other.end.path
        if any(same_file(a, b) for a, b in itertools.product(_places(path), _places(others))) and (
            one.is_regular or same_file(path, others)
        ):
            raise also_the_sink(other, one)


def _places(path: str) -> tuple[str, ...]:
    """A sink and the part file that grows beside it."""
    return (path, Part(path).path) if is_local(path) else (path,)


def _check_not_the_source(source: FileEnd, files: tuple[str, ...], sink: FileTo) -> None:
    path = sink.end.path
    if covers(source.path, path) or any(
        same_file(file, place) for file in files for place in _places(path)
    ):
        raise also_the_source(sink)


def _check_streams(ends: Ends, files: tuple[str, ...]) -> None:
    """Refuses one file in two places where the shell opened it: `--source - --sink a <a`."""
    source = _stats(ends.source.end, "stdin", files)
    found = [
        (sink, _stats(sink.end, sink.stream if isinstance(sink, StdTo) else ""))
        for sink in ends.written
    ]
    for sink, stats in found:
        if _share(source, stats):
            raise also_the_source(sink)
    for (one, stats), (other, others) in itertools.combinations(found, 2):
        # Both in one by `>all 2>&1` is what was asked for: as lines, they can be told apart.
        both_streams = isinstance(one.end, StdEnd) and isinstance(other.end, StdEnd)
        if not both_streams and _share(stats, others):
            raise also_the_sink(other, one)


def _stats(end: End, stream: str, files: tuple[str, ...] = ()) -> list[os.stat_result]:
    """What is known of the regular files that an end of the graph reads or writes."""
    if isinstance(end, StdEnd):
        found = regular_file(stream)
        return [found] if found is not None else []
    paths = files or (_places(end.path) if isinstance(end, FileEnd) else ())
    return [os.stat(path) for path in paths if is_local(path) and os.path.isfile(path)]


def _share(some: list[os.stat_result], others: list[os.stat_result]) -> bool:
    return any(os.path.samestat(one, other) for one, other in itertools.product(some, others))


def _check_ours(sink: FileTo) -> None:
    """Refuses to write to a file that is not an output of newsbeam's."""
    path = sink.end.path
    if not (is_local(path) and os.path.isfile(path) and os.path.getsize(path)):
        return
    try:
        with OpenFile(path) as file:
            first = next(file.lines(), b"")
    except (ConfigurationError, PipelineFailure, OSError):
        first = b"?"
    for decode in (categorized_from_json, dead_letter_from_json):
        try:
            if first:
                decode(first)
            return
        except (ValueError, msgspec.MsgspecError, RecursionError):
            continue
    raise ConfigurationError(
        f"{sink.role} {sink.end.uri!r} is there and is no output of newsbeam: name another file, or "
        "move it away"
    )


def _progress(ends: Ends, run: Run, files: tuple[str, ...], parts: tuple[Part, ...]) -> Progress:
    """Where the progress of a run is kept; nowhere, if its output goes to where nothing is kept."""
    key = fingerprint(files, repr(run.options))
    first = ends.written[0]
    if any(isinstance(sink, StdTo) for sink in ends.written[:-1]):
        return Progress(None, key, parts)
    if isinstance(first, FileTo):
        if first.part is None:
            return Progress(None, key, parts)
        folder, name = os.path.split(first.part.target)
        return Progress(os.path.join(folder, f".{name}.newsbeam-progress"), key, parts)
    uris = "\0".join(_place(end) for end in (ends.source.end, *(s.end for s in ends.written[:-1])))
    name = hashlib.sha256(uris.encode()).hexdigest()[:32]
    if isinstance(first, FolderTo) and is_local(first.end.path):
        # With the folder goes what says that something is in there.
        return Progress(
            os.path.join(_place(first.end), HIDDEN, f"progress-{name}.json"), key, parts
        )
    state = os.environ.get("XDG_STATE_HOME") or os.path.expanduser("~/.local/state")
    return Progress(os.path.join(state, "newsbeam", f"{name}.json"), key, parts)


def _place(end: End) -> str:
    """An end as it is named from any folder."""
    if isinstance(end, FileEnd) and is_local(end.path):
        return os.path.realpath(end.path)
    return end.uri
