"""Beam's Prism runner, built with Go from the tag of the installed apache_beam."""

from __future__ import annotations

import os
from pathlib import Path

from apache_beam.version import __version__ as beam_version

from tests.servers.cache import find_program, provision_once, run_or_unavailable


def prism_binary() -> Path:
    """Path of the Prism that belongs to the installed Beam, for `--prism_location`.

    The first call on a machine builds it, which takes minutes.

    Raises:
        Unavailable: there is no Go, or the build failed.
    """

    def build(folder: Path) -> None:
        go = find_program("go", "building Prism")
        module = f"github.com/apache/beam/sdks/v2/go/cmd/prism@v{beam_version}"
        env = {**os.environ, "GOBIN": str(folder)}
        run_or_unavailable([go, "install", module], f"go install {module}", env)

    return provision_once(f"prism-{beam_version}", build) / "prism"
