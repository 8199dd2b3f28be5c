"""A stand-alone Apache Flink for tests: a job manager, and task managers that can be killed."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.servers.cache import find_program
from tests.servers.flink import flink_class_path
from tests.servers.processes import ServerProcess, free_port, wait_until

# Small and quick to start, not fast in the long run.
_JVM_FLAGS = ("-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")
# What Flink's own scripts open up.
_EXPORTS = (
    "java.base/sun.net.util",
    "java.rmi/sun.rmi.registry",
    "java.security.jgss/sun.security.krb5",
)
_OPENS = (
    *("java.base/java.lang", "java.base/java.net", "java.base/java.io", "java.base/java.nio"),
    *("java.base/sun.nio.ch", "java.base/java.lang.reflect", "java.base/java.text"),
    *("java.base/java.time", "java.base/java.util", "java.base/java.util.concurrent"),
    *("java.base/java.util.concurrent.atomic", "java.base/java.util.concurrent.locks"),
)
_JOB_MANAGER = "org.apache.flink.runtime.entrypoint.StandaloneSessionClusterEntrypoint"
_TASK_MANAGER = "org.apache.flink.runtime.taskexecutor.TaskManagerRunner"

_PROPERTIES = {
    "jobmanager.rpc.address": "127.0.0.1",
    "jobmanager.bind-host": "127.0.0.1",
    "taskmanager.host": "127.0.0.1",
    "taskmanager.bind-host": "127.0.0.1",
    "rest.address": "127.0.0.1",
    "rest.bind-address": "127.0.0.1",
    "blob.server.port": "0",
    "jobmanager.memory.heap.size": "512m",
    "jobmanager.memory.off-heap.size": "128m",
    "jobmanager.memory.jvm-metaspace.size": "192m",
    # Flink's scripts compute these; a task manager that is started without them wants them given.
    "taskmanager.cpu.cores": "2",
    "taskmanager.memory.framework.heap.size": "128m",
    "taskmanager.memory.framework.off-heap.size": "128m",
    "taskmanager.memory.task.heap.size": "512m",
    "taskmanager.memory.task.off-heap.size": "128m",
    "taskmanager.memory.network.min": "64m",
    "taskmanager.memory.network.max": "64m",
    "taskmanager.memory.managed.size": "64m",
    "taskmanager.memory.jvm-metaspace.size": "256m",
    "taskmanager.memory.jvm-overhead.min": "192m",
    "taskmanager.memory.jvm-overhead.max": "192m",
    "state.backend.type": "hashmap",
    "restart-strategy.type": "fixed-delay",
    "restart-strategy.fixed-delay.attempts": "1000",
    "restart-strategy.fixed-delay.delay": "1s",
    # A killed task manager is noticed sooner than after 50 s.
    "heartbeat.interval": "1000",
    "heartbeat.timeout": "20000",
    # What a test counts by is up to date.
    "metrics.fetcher.update-interval": "500",
}

_LOGGING = """\
rootLogger.level = INFO
rootLogger.appenderRef.c.ref = C
appender.c.name = C
appender.c.type = CONSOLE
appender.c.layout.type = PatternLayout
appender.c.layout.pattern = %d{HH:mm:ss,SSS} %-5p %-40c{1} - %m%n
"""

#: States in which a job holds slots, or will again.
ALIVE = {"INITIALIZING", "CREATED", "RUNNING", "FAILING", "CANCELLING", "RESTARTING", "SUSPENDED"}


class FlinkCluster:
    """Apache Flink on 127.0.0.1: its JVMs, started directly.

    Args:
        directory: Configuration, logs (`job-manager.log`, `task-manager-1.log` and so on), checkpoints
            and savepoints.
        task_managers: How many are started with the cluster.
        slots: Of each task manager.
        properties: Flink's configuration on top of, or instead of, what is chosen here.

    Attributes:
        rest: `127.0.0.1:PORT` of Flink's REST interface and page, for `--flink_master`.
        task_managers: The processes of the task managers that were started and not killed.
        checkpoints: Their folder.
        savepoints: Their folder.

    Raises:
        Unavailable: Flink cannot be provisioned here (see `flink_class_path`).
    """

    def __init__(
        self,
        directory: Path,
        task_managers: int = 1,
        slots: int = 2,
        properties: Mapping[str, str] | None = None,
    ) -> None:
        self._java = find_program("java", "Apache Flink")
        self._class_path = flink_class_path()
        self._directory = directory
        self._first = task_managers
        self._slots = slots
        self._started = 0
        port = free_port()
        self.rest = f"127.0.0.1:{port}"
        self.checkpoints = directory / "checkpoints"
        self.savepoints = directory / "savepoints"
        self.task_managers: list[ServerProcess] = []
        self._properties = {
            **_PROPERTIES,
            "rest.port": str(port),
            "jobmanager.rpc.port": str(free_port()),
            "taskmanager.numberOfTaskSlots": str(slots),
            "state.checkpoints.dir": self.checkpoints.as_uri(),
            "state.savepoints.dir": self.savepoints.as_uri(),
            "io.tmp.dirs": str(directory / "tmp"),
            **(properties or {}),
        }
        self.job_manager = self._process(_JOB_MANAGER, "job-manager", "-Xmx512m")

    # Life of the processes

    def start(self) -> Self:
        """Starts all of it, and waits until every slot is there."""
        for folder in (self.checkpoints, self.savepoints, self._directory / "tmp"):
            folder.mkdir(parents=True, exist_ok=True)
        lines = [f"{name}: {json.dumps(value)}\n" for name, value in self._properties.items()]
        (self._directory / "config.yaml").write_text("".join(lines))
        (self._directory / "log4j.properties").write_text(_LOGGING)
        self.job_manager.start()
        for _ in range(self._first):
            self._add_task_manager()
        self.wait_for_slots()
        return self

    def start_task_manager(self) -> ServerProcess:
        """Starts one more task manager, and waits until its slots are there."""
        process = self._add_task_manager()
        self.wait_for_slots()
        return process

    def kill(self, task_manager: ServerProcess | None = None) -> None:
        """Ends a task manager as `kill -9` does: the one given, or the oldest."""
        task_manager = task_manager or self.task_managers[0]
        task_manager.kill()
        self.task_managers.remove(task_manager)

    def discard(self) -> None:
        """Kills all processes."""
        for process in (*self.task_managers, self.job_manager):
            process.kill()
        self.task_managers.clear()

    def wait_for_slots(self) -> None:
        """Waits until each running task manager has registered; a killed one is known for a while."""

        def registered() -> bool:
            for process in (self.job_manager, *self.task_managers):
                process.check_running()
            known = {each["id"] for each in self.get("/taskmanagers")["taskmanagers"]}
            return known.issuperset(process.log.stem for process in self.task_managers)

        what = f"{len(self.task_managers)} task managers to register (logs: {self._directory})"
        wait_until(registered, what, interval=0.2, retry_on=(OSError,))

    def __enter__(self) -> Self:
        try:
            return self.start()
        except BaseException:
            self.discard()
            raise

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.discard()

    # REST

    def get(self, path: str) -> Any:
        """What Flink answers to GET, such as of `/jobs/overview`."""
        return self._request("GET", path)

    def post(self, path: str, body: Mapping[str, Any]) -> Any:
        """What Flink answers to POST."""
        return self._request("POST", path, body)

    def jobs(self) -> dict[str, str]:
        """The state of each job by its id, the newest first."""
        jobs = self.get("/jobs/overview")["jobs"]
        return {j["jid"]: j["state"] for j in sorted(jobs, key=lambda j: -j["start-time"])}

    def alive(self) -> list[str]:
        """The ids of the jobs that have not ended."""
        return [job for job, state in self.jobs().items() if state in ALIVE]

    def cancel(self, job: str) -> None:
        """Cancels a job, and waits until it has ended."""
        self._request("PATCH", f"/jobs/{job}?mode=cancel")
        wait_until(lambda: job not in self.alive(), f"job {job} to end", interval=0.1)

    def cancel_all(self) -> None:
        """Cancels every job that has not ended."""
        for job in self.alive():
            self.cancel(job)

    def stop_with_savepoint(self, job: str, drain: bool = False) -> str:
        """Stops a job with a savepoint; where that is, for `--savepoint_path`."""
        body = {"targetDirectory": self.savepoints.as_uri(), "drain": drain}
        trigger = self.post(f"/jobs/{job}/stop", body)["request-id"]

        def completed() -> Any:
            answer = self.get(f"/jobs/{job}/savepoints/{trigger}")
            return answer["status"]["id"] == "COMPLETED" and answer["operation"]

        operation = wait_until(completed, f"a savepoint of job {job}", interval=0.1)
        if "location" not in operation:
            raise RuntimeError(f"no savepoint of job {job}: {operation['failure-cause']}")
        wait_until(lambda: job not in self.alive(), f"job {job} to end", interval=0.1)
        return str(operation["location"])

    def _request(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"http://{self.rest}{path}", data, method=method)
        request.add_header("Content-Type", "application/json")
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as e:
            e.add_note(e.read().decode(errors="replace")[:2_000])
            raise

    # Inside

    def _process(self, main: str, name: str, *flags: str) -> ServerProcess:
        exports = [f"--add-exports={module}=ALL-UNNAMED" for module in _EXPORTS]
        opens = [f"--add-opens={module}=ALL-UNNAMED" for module in _OPENS]
        logging = f"-Dlog4j.configurationFile={(self._directory / 'log4j.properties').as_uri()}"
        jvm = [self._java, *_JVM_FLAGS, *exports, *opens, logging, *flags, "-cp", self._class_path]
        arguments = ["--configDir", str(self._directory)]
        if main == _TASK_MANAGER:
            arguments += ["-D", f"taskmanager.resource-id={name}"]
        return ServerProcess([*jvm, main, *arguments], self._directory / f"{name}.log")

    def _add_task_manager(self) -> ServerProcess:
        self._started += 1
        flags = ("-Xmx640m", "-XX:MaxDirectMemorySize=512m", "-XX:MaxMetaspaceSize=256m")
        process = self._process(_TASK_MANAGER, f"task-manager-{self._started}", *flags)
        self.task_managers.append(process.start())
        return process
