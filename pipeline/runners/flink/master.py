"""Where the job goes: a Flink inside the job server, or a cluster; and where its Python workers are."""

from __future__ import annotations

import socket
from typing import NamedTuple
from urllib.parse import urlsplit

from apache_beam.options.pipeline_options import (
    FlinkRunnerOptions,
    PipelineOptions,
    PortableOptions,
)

from pipeline.runners.flink.rest import url_of

#: What `--flink_master` says of a Flink that lives in the job server.
WITHIN = frozenset({"[local]", "[auto]", "[collection]"})
LOOPBACK, EXTERNAL = "LOOPBACK", "EXTERNAL"
#: Seconds that a worker pool may take to take a connection.
_CONNECT = 3.0
_HERE = frozenset({"localhost", "127.0.0.1", "::1"})


class Workers(NamedTuple):
    """Where Python workers are.

    Attributes:
        type: `LOOPBACK`, `EXTERNAL`, `DOCKER`, `PROCESS`; None where nobody said.
        config: What belongs to it; of EXTERNAL `host:port`.
    """

    type: str | None
    config: str | None


def master_of(options: PipelineOptions) -> str | None:
    """The address of the cluster's REST interface; None where Flink lives in the job server."""
    said = str(options.view_as(FlinkRunnerOptions).flink_master).strip()
    return None if said in WITHIN else url_of(said)


def workers_of(options: PipelineOptions) -> Workers:
    """Where the workers are, as the options say."""
    portable = options.view_as(PortableOptions)
    address = portable.lookup_environment_option("external_service_address")
    config = portable.environment_config or (address if isinstance(address, str) else None)
    kind = portable.environment_type
    return Workers(str(kind).upper() if kind else None, config)


def is_here(address: str) -> bool:
    """Whether an address is one of this machine alone."""
    return _host_port(address)[0] in _HERE


def unreachable(address: str) -> str | None:
    """Why nobody takes connections at `host:port`; None where somebody does, or nobody can tell."""
    host, port = _host_port(address)
    if not host or port is None:
        return "no HOST:PORT"
    try:
        with socket.create_connection((host, port), _CONNECT):
            return None
    except ConnectionRefusedError:
        return "connection refused"
    except OSError:
        # It may be a name that only the task managers know.
        return None


def _host_port(address: str) -> tuple[str, int | None]:
    try:
        parts = urlsplit(address if "://" in address else f"//{address}")
        return parts.hostname or "", parts.port
    except ValueError:
        return "", None
