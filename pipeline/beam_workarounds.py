"""What Beam 2 does on a local runner that a stream without end can't live with, and how we help it."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Iterable, Iterator
from typing import Any

log = logging.getLogger("newsbeam")


def hush_worker() -> None:
    """Keeps Beam's worker from printing tracebacks: it logs them as well."""
    from apache_beam.runners.worker import sdk_worker

    sdk_worker.print = lambda *values, **options: None


def hush_threads() -> None:
    """Keeps threads of Beam's from printing tracebacks when who they talk to has gone."""
    import grpc

    before = threading.excepthook

    def hook(args: threading.ExceptHookArgs) -> None:
        if isinstance(args.exc_value, grpc.RpcError):
            log.debug("a thread of Beam's ended", exc_info=args.exc_value)
        else:
            before(args)

    threading.excepthook = hook


@contextlib.contextmanager
def without_sampling() -> Iterator[None]:
    """Keeps Beam's worker from sampling which step is at work, in a thread a bundle.

    A bundle ends no sooner than that thread's sleep does, which is a fifth of what the bundle has
    taken so far: in the mean a tenth is waited, and all cores are idle meanwhile. What is lost are
    the milliseconds of each step in Beam's metrics, and its warning of a step that takes minutes.
    """
    from apache_beam.runners.worker.statesampler import StateSampler, set_current_tracker

    def start(sampler: Any) -> None:
        sampler.tracked_thread = threading.current_thread()
        set_current_tracker(sampler)
        sampler.started = True

    def stop(sampler: Any) -> None:
        set_current_tracker(None)
        sampler.finished = True

    before = StateSampler.start, StateSampler.stop
    StateSampler.start, StateSampler.stop = start, stop
    try:
        yield
    finally:
        StateSampler.start, StateSampler.stop = before


@contextlib.contextmanager
def without_beams_metrics() -> Iterator[None]:
    """Keeps Beam's worker from reporting the metrics of each bundle, where nobody will ask for them.

    There are hundreds: it takes 2 ms a bundle to write them down, and at times 16 ms to add them up,
    in which records wait. The figures of this process are counted all the same.
    """
    from apache_beam.runners.worker.bundle_processor import BundleProcessor

    before = BundleProcessor.monitoring_infos
    BundleProcessor.monitoring_infos = lambda processor: []
    try:
        yield
    finally:
        BundleProcessor.monitoring_infos = before


#: Metrics of some dozens of bundles.
MANY_METRICS = 3000


def merge_metrics_now_and_then() -> None:
    """Makes FnApiRunner add up the metrics of its bundles before the pipeline ends.

    It wraps them in one more generator a bundle, which nobody takes from before, and so keeps the
    response of each bundle until then. To add them up for each bundle would take it 10 ms.
    """
    from apache_beam.metrics.monitoring_infos import consolidate
    from apache_beam.runners.portability.fn_api_runner import fn_runner

    def merge(metrics: Iterable[Any]) -> list[Any]:
        found = list(metrics)
        return found if len(found) < MANY_METRICS else list(consolidate(found))

    fn_runner.consolidate_monitoring_infos = merge
