"""What is asked of runners elsewhere, whichever: whether the client stays, and what a signal does."""

from __future__ import annotations

from typing import Annotated

from models.settings import Option, settings

SAVEPOINT, DRAIN, LEAVE = "savepoint", "drain", "leave"


@settings(panel="Jobs")
class RemoteSettings:
    """How the client stays with a job that runs elsewhere."""

    detach: Annotated[
        bool,
        Option(
            "Return as soon as the job runs elsewhere, with its id and its page. Default: stay with "
            "it to its end."
        ),
    ] = False
    on_stop: Annotated[
        str | None,
        Option(
            "What SIGTERM or Ctrl-C does to a job that runs elsewhere: stop it with a savepoint "
            "(Flink only; default there), drain it, so that it ends when it has written what it has "
            "read (default on Dataflow), or leave it running.",
            choices=(SAVEPOINT, DRAIN, LEAVE),
        ),
    ] = None
