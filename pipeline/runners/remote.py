"""What is asked of runners elsewhere, whichever: whether the client stays, and what a signal does."""

from __future__ import annotations

from typing import Annotated

from models.settings import Option, settings
from transforms.errors import ConfigurationError

SAVEPOINT, DRAIN, LEAVE = "savepoint", "drain", "leave"
STOPS = (SAVEPOINT, DRAIN, LEAVE)


@settings(panel="Jobs")
class RemoteSettings:
    """How the command line goes along with a job on a cluster, or on Dataflow."""

    detach: Annotated[
        bool,
        Option(
            "Return as soon as the job runs on the cluster, and leave it there; `newsbeam jobs` "
            "lists, stops and upgrades those of Flink."
        ),
    ] = False
    on_stop: Annotated[
        str,
        Option(
            "What SIGTERM and Ctrl-C do with the job on a cluster. savepoint: stop it, keeping where "
            "it was, so that it can be resumed, upgraded or dropped; Dataflow, which has none, "
            "drains. drain: let it write what it has read, and end for good; Dataflow closes windows, "
            "too. leave: only the command line ends.",
            metavar="HOW",
            choices=STOPS,
        ),
    ] = SAVEPOINT
    savepoint_dir: Annotated[
        str | None,
        Option(
            "Folder for savepoints of Flink, which job and task managers can write to: a path, "
            "`s3://`, `gs://`, `hdfs://`. Default: as Flink is configured "
            "(`execution.checkpointing.savepoint-dir`).",
            metavar="URI",
        ),
    ] = None

    def __post_init__(self) -> None:
        if self.savepoint_dir is not None:
            check_folder(self.savepoint_dir)


def check_folder(savepoint_dir: str) -> None:
    """Refuses a folder that is elsewhere on each machine, below wherever Flink was started.

    Raises:
        ConfigurationError: It is none for savepoints.
    """
    if "://" not in savepoint_dir and not savepoint_dir.startswith(("/", "file:/")):
        raise ConfigurationError(
            f"--savepoint_dir={savepoint_dir}: give a whole path, or a URI such as s3://bucket/savepoints"
        )
