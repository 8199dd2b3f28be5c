"""The options of `newsbeam run` that Flink heeds: those of all runners elsewhere."""

from __future__ import annotations

from pipeline.runners.remote import DRAIN, LEAVE, SAVEPOINT, STOPS
from pipeline.runners.remote import RemoteSettings as FlinkSettings

__all__ = ["DRAIN", "LEAVE", "SAVEPOINT", "STOPS", "FlinkSettings"]
