"""`python -m pipeline.worker CONTROL ID LEVEL`: one of a worker pool's workers, a Python SDK process."""

from __future__ import annotations

import sys

from apache_beam.runners.worker.sdk_worker import SdkHarness

from pipeline.logs import set_up


def main() -> None:
    """Works until the runner at CONTROL hangs up."""
    control, name, log_level = sys.argv[1:]
    set_up(log_level)
    SdkHarness(control, worker_id=name, state_cache_size=0, data_buffer_time_limit_ms=-1).run()


if __name__ == "__main__":
    main()
