"""The options of `newsbeam run` that are a runner's own; none of their modules imports Beam."""

from __future__ import annotations

from pipeline.runners.checking import CheckSettings
from pipeline.runners.remote import RemoteSettings

RUNNER_OPTIONS: tuple[type, ...] = (CheckSettings, RemoteSettings)
