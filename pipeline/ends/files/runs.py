"""Runs over files: where a run goes on, and how it ends."""

from __future__ import annotations

import logging

from transforms.files.progress import Part, Progress, Share
from transforms.files.read import FileSource
from transforms.tally import TALLY, BytesRead

log = logging.getLogger("newsbeam")


def begin(reading: FileSource, progress: Progress | None) -> None:
    """Makes a run go on where the last one ended, and shows how much is read."""
    if progress is not None:
        reading.start = progress.resume()
        reading.on_through = progress
    share = Share(reading.paths)
    begun = share.bytes_read((reading.start.file, 0))[0]

    def ask() -> BytesRead:
        return BytesRead(*share.bytes_read(reading.reader("files").place()), begun)

    TALLY.follow_bytes(ask)


def complete(reading: FileSource, progress: Progress, parts: tuple[Part, ...]) -> None:
    """Puts files in place if the run has come to its end; otherwise says how to go on.

    Only for a run that did not fail: after a failure part files may hold some of a bundle, and what
    was noted before it counts.
    """
    reader = reading.reader("files")
    if reader.at_end():
        progress.finish()
        return
    if reader.through is not None:
        progress.save(reader.through)
    there = f", {parts[0].target} is not there yet" if parts else ""
    how = "run it again to go on" if progress.path else "what comes after is not read"
    log.info("ended before the end of the files%s: %s", there, how)
