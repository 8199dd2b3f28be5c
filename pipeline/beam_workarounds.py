"""What Beam 2 does on a local runner that a stream without end can't live with, and how we help it."""

from __future__ import annotations


def hush_worker() -> None:
    """Keeps Beam's worker from printing tracebacks: it logs them as well."""
    from apache_beam.runners.worker import sdk_worker

    sdk_worker.print = lambda *values, **options: None


def merge_metrics_at_once() -> None:
    """Makes FnApiRunner add up the metrics of its bundles when they end.

    It wraps them in one more generator a bundle, which nobody takes from before the pipeline ends,
    and so keeps the response of each bundle until then.
    """
    from apache_beam.metrics.monitoring_infos import consolidate
    from apache_beam.runners.portability.fn_api_runner import fn_runner

    fn_runner.consolidate_monitoring_infos = lambda metrics: list(consolidate(metrics))
