"""An embedded Pub/Sub for the demo and the tests: Google's own fake, built with Go, all in memory."""

from __future__ import annotations

import atexit
import hashlib
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar, Self

from pipeline.demo.server import EmbeddedServer
from pipeline.go_programs import built_once, run_go

_SOURCE = Path(__file__).parent / "pubsub_fake"


class EmbeddedPubSub(EmbeddedServer):
    """A fake Pub/Sub on 127.0.0.1; its topics are gone when it stops, and so is it when we end.

        with EmbeddedPubSub() as fake:
            PubSubSettings(emulator=fake.address)

    Args:
        port: The port to listen on; 0 takes a free one, and the same at each later start.
        min_ack_deadline: The least deadline that it grants, in whole seconds; the service: 10.
        building: Is called before it is built, which takes a minute and is done once.
    """

    NAME: ClassVar[str] = "Pub/Sub"

    def __init__(
        self,
        port: int = 0,
        min_ack_deadline: int = 10,
        building: Callable[[], None] | None = None,
    ) -> None:
        super().__init__()
        self._port = port
        self._min_ack_deadline = min_ack_deadline
        self._building = building

    @property
    def address(self) -> str:
        """Where it listens, as `HOST:PORT`: the value of PUBSUB_EMULATOR_HOST."""
        return f"127.0.0.1:{self._port}"

    def start(self) -> Self:
        """Starts it, and waits until it listens.

        Raises:
            ConfigurationError: There is no Go, or it can't be built.
            RuntimeError: It does not start: the port is taken.
        """
        if self.running:
            return self
        program = fake_program(lambda path: _build(path, self._building))
        deadline = f"{self._min_ack_deadline}s"
        self._log = tempfile.TemporaryFile(prefix="newsbeam-pubsub-")  # noqa: SIM115
        self._process = subprocess.Popen(
            [program, "-port", str(self._port), "-min-ack-deadline", deadline],
            stdin=subprocess.PIPE,  # it ends when we do
            stdout=subprocess.PIPE,
            stderr=self._log,
            start_new_session=True,  # Ctrl-C in the terminal is ours alone
        )
        atexit.register(self.stop)
        assert self._process.stdout is not None
        said = self._process.stdout.readline().decode().strip()
        if not said:
            self._log.seek(0)
            why = self._log.read().decode(errors="replace").strip()
            self.stop()
            raise RuntimeError(f"the embedded Pub/Sub does not listen on {self.address}: {why}")
        self._port = int(said.rpartition(":")[2])
        return self


def fake_program(build: Callable[[Path], None] | None = None) -> Path:
    """The fake as a program, built once for each version of its source.

    Args:
        build: Builds it at a path, for tests.

    Raises:
        ConfigurationError: There is no Go, or it can't be built.
    """
    source = hashlib.sha256(b"".join(p.read_bytes() for p in sorted(_SOURCE.iterdir())))
    return built_once(f"pubsub-fake-{source.hexdigest()[:12]}", build or _build)


def _build(program: Path, building: Callable[[], None] | None = None) -> None:
    run_go(
        ["build", "-o", str(program), "."], "the embedded Pub/Sub", folder=_SOURCE, begins=building
    )
