"""Prometheus and its tool, which checks and tests rules: built by Go, once for each machine."""

from __future__ import annotations

import os
from pathlib import Path

from tests.servers.cache import find_program, provision_once, run_or_unavailable

VERSION = "v0.316.0"
_PACKAGE = "github.com/prometheus/prometheus"


def promtool() -> Path:
    """What checks configurations and rules.

    Raises:
        Unavailable: It can't be built here.
    """
    return _program("promtool")


def prometheus() -> Path:
    """The server, without its pages.

    Raises:
        Unavailable: It can't be built here.
    """
    return _program("prometheus")


def _program(name: str) -> Path:
    """A program of Prometheus'; building it takes minutes."""

    def build(folder: Path) -> None:
        go = find_program("go", name)
        command = f"{_PACKAGE}/cmd/{name}"
        # A module of its own: what is built has replacements, so that `go install` refuses it.
        (folder / "go.mod").write_text("module newsbeam.test/prometheus\n")
        (folder / "tools.go").write_text(
            f'//go:build tools\n\npackage tools\n\nimport _ "{command}"\n'
        )
        env = {**os.environ, "GOFLAGS": "-mod=mod", "GOTOOLCHAIN": "auto"}
        for arguments in (
            ["get", f"{_PACKAGE}@{VERSION}"],
            ["mod", "tidy"],
            # Without the discovery of all clouds, which is most of it.
            ["build", "-tags", "remove_all_sd", "-o", name, command],
        ):
            run_or_unavailable([go, "-C", folder, *arguments], f"building {name}", env)

    return provision_once(f"{name}-{VERSION}", build) / name
