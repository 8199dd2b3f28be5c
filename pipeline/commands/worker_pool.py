"""`newsbeam worker-pool`: what starts newsbeam's processes beside a task manager of Flink."""

from __future__ import annotations

from typing import Annotated

import typer


def worker_pool(
    host: Annotated[
        str,
        typer.Option(
            "--host",
            metavar="ADDRESS",
            help="The interface to listen on. Whoever reaches it can run any program as this user, so "
            "let it be loopback: a task manager asks on its own machine, or in its own pod.",
            envvar="NEWSBEAM_WORKER_POOL_HOST",
        ),
    ] = "127.0.0.1",
    port: Annotated[
        int,
        typer.Option(
            "--port",
            metavar="N",
            min=0,
            max=65_535,
            help="The port, as --environment_config names it; 0 for any.",
            envvar="NEWSBEAM_WORKER_POOL_PORT",
        ),
    ] = 50_000,
    log_level: Annotated[
        str,
        typer.Option(
            "--log_level",
            metavar="LEVEL",
            help="What the pool and its workers log to stderr: debug, info, warning or error.",
            envvar="NEWSBEAM_LOG_LEVEL",
        ),
    ] = "info",
) -> int:
    """Start Python processes for a Flink whose task manager runs beside this.

    A job finds it by `--environment_type=EXTERNAL --environment_config=127.0.0.1:50000`. It runs until
    SIGTERM or Ctrl-C, and its processes end with it.
    """
    from pipeline.logs import set_up

    set_up(log_level)
    from pipeline.worker_pool import serve

    serve(host, port, log_level)
    return 0
