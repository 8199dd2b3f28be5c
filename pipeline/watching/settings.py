"""The options of watching a run. Nothing here imports Beam: `--help` stays light."""

from __future__ import annotations

from typing import Annotated

from models.settings import Option, settings


@settings(panel="Watching")
class WatchSettings:
    """How a run is watched from outside."""

    metrics_port: Annotated[
        int | None,
        Option(
            "Serve /metrics (for Prometheus), /healthz and /readyz at this port; 0 takes any that is "
            "free, and the log says which. Workers of remote runners serve theirs if "
            "NEWSBEAM_METRICS_PORT is set where they run (see deploy/monitoring).",
            metavar="PORT",
            min=0,
            max=65535,
        ),
    ] = None
    metrics_host: Annotated[
        str,
        Option(
            "The address to serve them at: 0.0.0.0 is all. Nobody is asked for a password there.",
            metavar="ADDRESS",
        ),
    ] = "127.0.0.1"
    metrics_dir: Annotated[
        str | None,
        Option(
            "Folder in which each process that serves metrics leaves a file for Prometheus' file "
            "discovery, and takes it away when it ends.",
            metavar="DIR",
        ),
    ] = None
    tracing: Annotated[
        bool,
        Option(
            "Continue the `traceparent` of messages that have a sampled one: a span each, by "
            "OpenTelemetry, whose own variables (OTEL_EXPORTER_OTLP_ENDPOINT, …) say where it goes. "
            "Needs the extra `tracing`."
        ),
    ] = False
