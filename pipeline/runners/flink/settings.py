"""The options of `newsbeam run` that are Flink's alone; nothing here needs Beam."""

from __future__ import annotations

from typing import Annotated

from models.settings import Option, settings

SAVEPOINT, DRAIN, LEAVE = "savepoint", "drain", "leave"
STOPS = (SAVEPOINT, DRAIN, LEAVE)


@settings(panel="Flink")
class FlinkSettings:
    """How the command line goes along with a job on a Flink cluster."""

    detach: Annotated[
        bool,
        Option(
            "Return as soon as the job runs on the cluster, and leave it there; `newsbeam jobs` "
            "lists, stops and upgrades it."
        ),
    ] = False
    on_stop: Annotated[
        str,
        Option(
            "What SIGTERM and Ctrl-C do with the job on a cluster. savepoint: stop it, keeping where "
            "it was, so that it can be resumed, upgraded or dropped. drain: let it finish what it "
            "has, windows too, and end for good. leave: only the command line ends.",
            metavar="HOW",
            choices=STOPS,
        ),
    ] = SAVEPOINT
    savepoint_dir: Annotated[
        str | None,
        Option(
            "Folder for savepoints, which job and task managers can write to: a path, `s3://`, "
            "`gs://`, `hdfs://`. Default: as Flink is configured "
            "(`execution.checkpointing.savepoint-dir`).",
            metavar="URI",
        ),
    ] = None
