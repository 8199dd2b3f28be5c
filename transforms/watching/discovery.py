"""Files by which Prometheus finds the processes that serve metrics: its file discovery.

Each process leaves a file of its own in a folder that Prometheus watches, and takes it away when it
ends. One that was killed can't: whoever comes later to the folder removes what is left of it.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import socket
import tempfile
from pathlib import Path

#: What Prometheus drops after it was discovered: labels that begin so.
_STARTED = "__meta_newsbeam_started"


class DiscoveryFile:
    """The file of this process.

    Args:
        folder: Where; made if it is not there.
        address: Where its metrics are: `host:port`.

    Raises:
        OSError: It can't be written.
    """

    def __init__(self, folder: Path, address: str) -> None:
        self._folder = folder
        self.path = folder / f"newsbeam-{_host()}-{os.getpid()}.json"
        folder.mkdir(parents=True, exist_ok=True)
        clean_up(folder)
        found = [{"targets": [address], "labels": {_STARTED: _started(os.getpid()) or ""}}]
        # Prometheus takes up what ends in .json, as soon as it is there.
        handle, unfinished = tempfile.mkstemp(prefix=f"{self.path.stem}.", dir=folder)
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                json.dump(found, file)
            # It is made for its owner only; Prometheus is another user.
            Path(unfinished).chmod(0o644)
            Path(unfinished).replace(self.path)
        except BaseException:
            Path(unfinished).unlink(missing_ok=True)
            raise

    def remove(self) -> None:
        """Takes it away."""
        with contextlib.suppress(OSError):
            self.path.unlink(missing_ok=True)


def clean_up(folder: Path) -> None:
    """Removes the files of processes of this host that are no more."""
    ours = re.compile(rf"newsbeam-{re.escape(_host())}-(\d+)\.json")
    try:
        names = os.listdir(folder)
    except OSError:
        return
    for name in names:
        if (found := ours.fullmatch(name)) and not _lives(folder / name, int(found[1])):
            with contextlib.suppress(OSError):
                (folder / name).unlink()


def _lives(file: Path, pid: int) -> bool:
    """Whether the process that wrote a file is still there; another one may have its number."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:  # it is somebody else's
        return True
    try:
        wrote = json.loads(file.read_text(encoding="utf-8"))[0]["labels"][_STARTED]
    except (OSError, ValueError, LookupError, TypeError):
        return True
    return not wrote or wrote == _started(pid)


def _started(pid: int) -> str | None:
    """When a process was started, in Linux' ticks; None where that can't be said."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    # The name of the program stands in parentheses, and may have spaces.
    return stat.rpartition(")")[2].split()[19]


def _host() -> str:
    return re.sub(r"[^A-Za-z0-9.]", "_", socket.gethostname()) or "localhost"
