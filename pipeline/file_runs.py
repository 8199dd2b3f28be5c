"""Runs over files: which files, whether they can be read and written, where a run goes on."""

from __future__ import annotations

import dataclasses
import glob
import hashlib
import itertools
import logging
import os
import re
from pathlib import Path

import msgspec

from pipeline.connect import Ends
from pipeline.endpoints import Endpoint, FileEndpoint, StdEndpoint
from pipeline.options import RunOptions
from transforms.errors import ConfigurationError
from transforms.failures import PipelineFailure
from transforms.files.archives import OpenFile
from transforms.files.archives import check as check_archive
from transforms.files.paths import covers, find_and_tell, format_of, is_local, same_file
from transforms.files.progress import Part, Progress, Share, fingerprint
from transforms.files.read import Cut, FileSource
from transforms.records import categorized_from_json, dead_letter_from_json
from transforms.streams import regular_file
from transforms.tally import TALLY, BytesRead

log = logging.getLogger("newsbeam")

_NO_SINK = re.compile(r"\.(lzma|deflate|zlib|zz|zip|tar|parquet|7z|lz4|snappy)$", re.IGNORECASE)


def check_files(ends: Ends, options: RunOptions, *, local: bool) -> Ends:
    """Checks files against the world, and prepares a run over them.

    Args:
        ends: The ends of the graph.
        options: The options.
        local: Whether the runner works in this process: then files are read by micro-batches.

    Raises:
        ConfigurationError: A file can't be what it is used as.
    """
    sinks = (("--sink", ends.sink), ("--dead_letters", ends.dead_letters))
    for flag, endpoint in sinks:
        if isinstance(endpoint, FileEndpoint):
            _check_file_sink(endpoint, flag, ends.bounded, local)
    _check_not_one_file(ends)
    files = _check_source(ends.source) if isinstance(ends.source, FileEndpoint) else ()
    _check_streams(ends, files)
    for flag, endpoint in sinks:
        if isinstance(endpoint, FileEndpoint):
            if isinstance(ends.source, FileEndpoint):
                _check_not_the_source(ends.source, files, endpoint, flag)
            # What comes from a topic or a pipe is appended: that, too, spoils a file of the user's.
            _check_ours(endpoint, flag)
    if not isinstance(ends.source, FileEndpoint):
        return ends
    # Only now: what a name may not be is a matter of names.
    for path in files:
        check_archive(path)
    ends = dataclasses.replace(ends, format=_format(ends.source, ends, options, files))
    if not local:
        return ends
    parts = tuple(
        Part(endpoint.path)
        for _, endpoint in sinks
        if isinstance(endpoint, FileEndpoint) and _is_regular(endpoint.path)
    )
    reading = FileSource(files, Cut(ends.format, ends.columns, ends.delimiter, ends.items))
    return dataclasses.replace(
        ends, reading=reading, parts=parts, progress=_progress(ends, options, files, parts)
    )


def begin(ends: Ends) -> Ends:
    """Makes a run go on where the last one ended, and shows how much is read."""
    if ends.reading is None:
        return ends
    reading = ends.reading
    if ends.progress is not None:
        reading.start = ends.progress.resume()
        reading.on_through = ends.progress
    share = Share(reading.paths)
    begun = share.bytes_read((reading.start.file, 0))[0]

    def ask() -> BytesRead:
        return BytesRead(*share.bytes_read(reading.reader("files").place()), begun)

    TALLY.follow_bytes(ask)
    return ends


def complete(ends: Ends) -> None:
    """Puts files in place if the run has come to its end; otherwise says how to go on.

    Only for a run that did not fail: after a failure part files may hold some of a bundle, and what
    was noted before it counts.
    """
    if ends.reading is None or ends.progress is None:
        return
    reader = ends.reading.reader("files")
    if reader.at_end():
        ends.progress.finish()
        return
    if reader.through is not None:
        ends.progress.save(reader.through)
    there = f", {ends.parts[0].target} is not there yet" if ends.parts else ""
    how = "run it again to go on" if ends.progress.path else "what comes after is not read"
    log.info("ended before the end of the files%s: %s", there, how)


def let_go(ends: Ends) -> None:
    """Closes the files of a run."""
    if ends.reading is not None:
        ends.reading.close()


def _check_source(source: FileEndpoint) -> tuple[str, ...]:
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
    return files


def _format(source: FileEndpoint, ends: Ends, options: RunOptions, files: tuple[str, ...]) -> str:
    """What the files hold: as was said, or by their names."""
    if options.format or source.records.format or ends.columns or ends.delimiter:
        return ends.format
    formats = {format_of(path): path for path in reversed(files)}
    if len(formats) > 1:
        first, second, *_ = sorted(formats.items())
        raise ConfigurationError(
            f"--source {source.uri!r} has files of several formats, {first[0]} ({first[1]}) and "
            f"{second[0]} ({second[1]}): give a pattern for one of them, or --format"
        )
    return next(iter(formats))


def _is_regular(path: str) -> bool:
    """Whether a sink is a file, there or not: no device, no pipe."""
    return is_local(path) and (os.path.isfile(path) or not os.path.exists(path))


def _check_file_sink(endpoint: FileEndpoint, flag: str, bounded: bool, local: bool) -> None:
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
    if not path.parent.is_dir() or not os.access(path.parent, os.W_OK):
        raise ConfigurationError(
            f"{flag} {endpoint.uri!r}: can't write to the folder {path.parent}"
        )
    if ending := _NO_SINK.search(endpoint.path):
        raise ConfigurationError(
            f"{flag} {endpoint.uri!r}: can't write {ending[0]}: name it .jsonl, or .jsonl with "
            ".gz, .bz2, .xz or .zst behind"
        )


def _check_not_one_file(ends: Ends) -> None:
    sink, dead = ends.sink, ends.dead_letters
    if not (isinstance(sink, FileEndpoint) and isinstance(dead, FileEndpoint)):
        return
    if any(
        same_file(one, other)
        for one, other in itertools.product(_places(sink.path), _places(dead.path))
    ) and (_is_regular(sink.path) or same_file(sink.path, dead.path)):
        raise ConfigurationError(
            f"--dead_letters {dead.uri!r} is also the sink: name another place"
        )


def _places(path: str) -> tuple[str, ...]:
    """A sink and the part file that grows beside it."""
    return (path, Part(path).path) if is_local(path) else (path,)


def _check_not_the_source(
    source: FileEndpoint, files: tuple[str, ...], sink: FileEndpoint, flag: str
) -> None:
    if covers(source.path, sink.path) or any(
        same_file(path, place) for path in files for place in _places(sink.path)
    ):
        raise ConfigurationError(f"{flag} {sink.uri!r} is also the source: name another place")


def _check_streams(ends: Ends, files: tuple[str, ...]) -> None:
    """Refuses one file in two places where the shell opened it: `--source - --sink a <a`."""
    source = _stats(ends.source, "stdin", files)
    sink = _stats(ends.sink, "stdout")
    dead = _stats(ends.dead_letters, "stderr")
    for flag, end, found in (
        ("--sink", ends.sink, sink),
        ("--dead_letters", ends.dead_letters, dead),
    ):
        if _share(source, found):
            raise ConfigurationError(f"{flag} {end.uri!r} is also the source: name another place")
    # Both in one by `>all 2>&1` is what was asked for: as lines, they can be told apart.
    both_streams = isinstance(ends.sink, StdEndpoint) and isinstance(ends.dead_letters, StdEndpoint)
    if not both_streams and _share(sink, dead):
        raise ConfigurationError(
            f"--dead_letters {ends.dead_letters.uri!r} is also the sink: name another place"
        )


def _stats(end: Endpoint, stream: str, files: tuple[str, ...] = ()) -> list[os.stat_result]:
    """What is known of the regular files that an end of the graph reads or writes."""
    if isinstance(end, StdEndpoint):
        found = regular_file(stream)
        return [found] if found is not None else []
    paths = files or (_places(end.path) if isinstance(end, FileEndpoint) else ())
    return [os.stat(path) for path in paths if is_local(path) and os.path.isfile(path)]


def _share(some: list[os.stat_result], others: list[os.stat_result]) -> bool:
    return any(os.path.samestat(one, other) for one, other in itertools.product(some, others))


def _check_ours(sink: FileEndpoint, flag: str) -> None:
    """Refuses to write to a file that is not an output of newsbeam's."""
    if not (is_local(sink.path) and os.path.isfile(sink.path) and os.path.getsize(sink.path)):
        return
    try:
        with OpenFile(sink.path) as file:
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
        f"{flag} {sink.uri!r} is there and is no output of newsbeam: name another file, or move it away"
    )


def _progress(
    ends: Ends, options: RunOptions, files: tuple[str, ...], parts: tuple[Part, ...]
) -> Progress:
    """Where the progress of a run is kept; nowhere, if its output goes to where nothing is kept."""
    run = fingerprint(files, repr(options))
    sink = ends.sink
    if isinstance(sink, StdEndpoint):
        return Progress(None, run, parts)
    if isinstance(sink, FileEndpoint):
        if not _is_regular(sink.path):
            return Progress(None, run, parts)
        folder, name = os.path.split(parts[0].target)
        return Progress(os.path.join(folder, f".{name}.newsbeam-progress"), run, parts)
    state = os.environ.get("XDG_STATE_HOME") or os.path.expanduser("~/.local/state")
    key = hashlib.sha256(f"{os.path.realpath(ends.source.uri)}\0{ends.sink.uri}".encode())
    return Progress(os.path.join(state, "newsbeam", f"{key.hexdigest()[:32]}.json"), run, parts)
