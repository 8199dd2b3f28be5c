"""All that a job on a stand-alone Flink needs, together."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.servers.flink import flink_job_server
from tests.servers.flink_cluster import FlinkCluster
from tests.servers.worker_pool import WorkerPool


@dataclass(frozen=True)
class StandAloneFlink:
    """A cluster, a worker pool that it uses, and the job server's jar.

    Attributes:
        cluster: Flink.
        pool: The worker pool.
        jar: For `--flink_job_server_jar`.
        task_managers: How many belong to it.
    """

    cluster: FlinkCluster
    pool: WorkerPool
    jar: Path
    task_managers: int

    def args(self, parallelism: int = 2) -> list[str]:
        """Beam's arguments for a job there: where all is, and nothing that `newsbeam` could set."""
        return [
            "--runner=FlinkRunner",
            f"--flink_master={self.cluster.rest}",
            f"--flink_job_server_jar={self.jar}",
            "--environment_type=EXTERNAL",
            f"--environment_config={self.pool.address}",
            f"--parallelism={parallelism}",
        ]

    def restore(self) -> None:
        """Cancels all jobs, and starts what was killed."""
        self.cluster.cancel_all()
        self.start_killed()

    def kill_task_manager(self) -> None:
        """Ends a task manager as `kill -9` does."""
        self.cluster.kill()

    def kill_sdk_process(self) -> None:
        """Ends an SDK process as `kill -9` does, if there is one now."""
        if processes := self.pool.sdk_processes():
            self.pool.kill_sdk_process(processes[-1])

    def kill_worker_pool(self) -> None:
        """Ends the worker pool and its SDK processes as `kill -9` does."""
        self.pool.kill()

    def start_killed(self) -> None:
        """Starts what was killed of it, as whoever runs it does."""
        if not self.pool.running:
            self.pool.start()
        while len(self.cluster.task_managers) < self.task_managers:
            self.cluster.start_task_manager()


#: What may be killed, one thing at a time and two at once; Flink starts SDK processes again by itself.
KILLS: dict[str, tuple[Callable[[StandAloneFlink], None], ...]] = {
    "SDK process": (StandAloneFlink.kill_sdk_process,),
    "worker pool with its SDK process": (StandAloneFlink.kill_worker_pool,),
    "task manager": (StandAloneFlink.kill_task_manager,),
    "SDK process and task manager": (
        StandAloneFlink.kill_sdk_process,
        StandAloneFlink.kill_task_manager,
    ),
    "worker pool and task manager": (
        StandAloneFlink.kill_worker_pool,
        StandAloneFlink.kill_task_manager,
    ),
}


@contextmanager
def stand_alone_flink(
    directory: Path, task_managers: int = 1, slots: int = 4
) -> Iterator[StandAloneFlink]:
    """Starts it all, and ends it.

    Args:
        directory: Where logs, checkpoints and savepoints go.
        task_managers: How many there are at first.
        slots: Of each.

    Raises:
        Unavailable: Something cannot be provisioned here.
    """
    jar = flink_job_server()
    with (
        FlinkCluster(directory / "flink", task_managers, slots) as cluster,
        WorkerPool(directory) as pool,
    ):
        yield StandAloneFlink(cluster, pool, jar, task_managers)
