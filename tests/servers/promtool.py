"""Prometheus' own tool, which checks and tests rules: built by Go, once for each machine."""

from __future__ import annotations

import os
from pathlib import Path

from tests.servers.cache import find_program, provision_once, run_or_unavailable

VERSION = "v0.316.0"
_PACKAGE = "github.com/prometheus/prometheus"


def promtool() -> Path:
    """The program; building it takes minutes.

    Raises:
        Unavailable: It can't be built here.
    """
    return provision_once(f"promtool-{VERSION}", _build) / "promtool"


def _build(folder: Path) -> None:
    go = find_program("go", "promtool")
    # A module of its own: what is built has replacements, so that `go install` refuses it.
    (folder / "go.mod").write_text("module newsbeam.test/promtool\n")
    (folder / "tools.go").write_text(
        f'//go:build tools\n\npackage tools\n\nimport _ "{_PACKAGE}/cmd/promtool"\n'
    )
    env = {**os.environ, "GOFLAGS": "-mod=mod", "GOTOOLCHAIN": "auto"}
    what = "building promtool"
    for arguments in (
        ["get", f"{_PACKAGE}@{VERSION}"],
        ["mod", "tidy"],
        # Without the discovery of all clouds, which is most of it.
        ["build", "-tags", "remove_all_sd", "-o", "promtool", f"{_PACKAGE}/cmd/promtool"],
    ):
        run_or_unavailable([go, "-C", folder, *arguments], what, env)
