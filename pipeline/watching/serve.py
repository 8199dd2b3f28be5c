"""Serves metrics and health for as long as a run lasts, if that was asked for."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator

from pipeline.watching.settings import WatchSettings
from transforms.watching.exporter import Exporter, exporting
from transforms.watching.health import HEALTH
from transforms.watching.tracing import check_tracing, flush_spans

log = logging.getLogger("newsbeam")


@contextlib.contextmanager
def watched(settings: WatchSettings, local: bool) -> Iterator[None]:
    """Serves what there is to watch while its `with` block runs; then the last spans are sent.

    Args:
        settings: Where.
        local: Whether the steps work in this process.

    Raises:
        ConfigurationError: It can't be served there, or OpenTelemetry is missing.
    """
    if settings.tracing:
        check_tracing()
    with _served(settings, local):
        try:
            yield
        finally:
            flush_spans()


@contextlib.contextmanager
def _served(settings: WatchSettings, local: bool) -> Iterator[None]:
    HEALTH.reset()
    HEALTH.reads = local
    if settings.metrics_port is None:
        yield
        return
    if not local:
        # Here is nothing to be counted; and their variable may be the one that was read here.
        log.info(
            "metrics are served by the workers: set NEWSBEAM_METRICS_PORT=0 and NEWSBEAM_METRICS_DIR "
            "where they run"
        )
        yield
        return
    exporter = Exporter(settings.metrics_port, settings.metrics_host, settings.metrics_dir)
    with exporting(exporter):
        log.info("metrics: %s, and /healthz, /readyz", exporter.url)
        yield
