"""`python -m pipeline.worker CONTROL ID LEVEL`: one of a worker pool's workers, a Python SDK process."""

from __future__ import annotations

import logging
import sys
import threading

import grpc
from apache_beam.runners.worker.sdk_worker import SdkHarness

from pipeline.beam_workarounds import without_sampling
from pipeline.logs import set_up

log = logging.getLogger("newsbeam")

#: How a connection ends that the other side has closed: a job ended, or its task manager did.
_HUNG_UP = {grpc.StatusCode.CANCELLED, grpc.StatusCode.UNAVAILABLE}


def main(args: list[str] | None = None) -> None:
    """Works until the runner at CONTROL hangs up, which is no error.

    Args:
        args: CONTROL, ID and LEVEL; those of the process by default.

    Raises:
        grpc.RpcError: A connection failed otherwise.
    """
    control, name, log_level = sys.argv[1:] if args is None else args
    set_up(log_level)
    threading.excepthook = _in_thread
    harness = SdkHarness(control, worker_id=name, state_cache_size=0, data_buffer_time_limit_ms=-1)
    try:
        with without_sampling():
            harness.run()
    except grpc.RpcError as e:
        if not _hung_up(e):
            raise
    log.info("worker %s: the runner has hung up", name)


def _hung_up(error: BaseException | None) -> bool:
    code = getattr(error, "code", None)
    return isinstance(error, grpc.RpcError) and callable(code) and code() in _HUNG_UP


def _in_thread(what: threading.ExceptHookArgs) -> None:
    """Beam's threads learn of it each for itself."""
    if not _hung_up(what.exc_value):
        threading.__excepthook__(what)


if __name__ == "__main__":
    main()
