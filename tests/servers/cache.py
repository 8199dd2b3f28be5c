"""Where downloaded and built servers are kept between test runs, provisioned once per machine."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path


class Unavailable(Exception):
    """A server cannot be provisioned on this machine; the message says what is missing."""


def cache_folder() -> Path:
    """The folder for servers: `$NEWSBEAM_TEST_CACHE`, or `~/.cache/newsbeam`."""
    configured = os.environ.get("NEWSBEAM_TEST_CACHE")
    return Path(configured) if configured else Path.home() / ".cache" / "newsbeam"


def provision_once(name: str, make: Callable[[Path], None]) -> Path:
    """Return the folder `name` of the cache, filled by `make` if it does not exist yet.

    Several processes may ask at once: a file lock lets one of them work while the others wait,
    and the finished folder appears by a rename, so that nobody ever sees half of it.

    Args:
        name: folder name; put the version in it, since a folder that exists is never made again.
        make: fills the empty folder that it is given. Whatever it raises is passed on, and the
            next caller starts over.
    """
    cache = cache_folder()
    cache.mkdir(parents=True, exist_ok=True)
    target = cache / name
    with (cache / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not target.exists():
            unfinished = Path(tempfile.mkdtemp(prefix=f"{name}.", dir=cache))
            try:
                make(unfinished)
                unfinished.rename(target)
            finally:
                shutil.rmtree(unfinished, ignore_errors=True)
    return target


def find_program(program: str, needed_for: str) -> str:
    """Return the path of a program, or raise `Unavailable` naming it and what it is for."""
    path = shutil.which(program)
    if path is None:
        raise Unavailable(f"{needed_for} needs `{program}`, which is not on PATH")
    return path


def run_or_unavailable(
    command: Sequence[str | Path], purpose: str, env: dict[str, str] | None = None
) -> None:
    """Run a command to its end; raise `Unavailable` with the tail of its output if it fails."""
    done = subprocess.run(
        [str(part) for part in command],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        text=True,
        errors="replace",
        env=env,
        check=False,
    )
    if done.returncode:
        tail = "\n".join(done.stdout.strip().splitlines()[-15:])
        raise Unavailable(f"{purpose} failed with exit code {done.returncode}:\n{tail}")
