"""Wait while somebody else needs a quiet machine."""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path

QUIET = Path(os.environ.get("NEWSBEAM_QUIET_FILE", Path(tempfile.gettempdir()) / "newsbeam-quiet"))


def while_quiet(seconds: float = 2.0) -> None:
    """Return once the quiet file is gone, looking every `seconds`."""
    while QUIET.exists():
        time.sleep(seconds)
