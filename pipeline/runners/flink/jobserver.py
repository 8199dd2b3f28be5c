"""Beam's job server for Flink as a process of ours: started, listened to, and ended with us."""

from __future__ import annotations

import contextlib
import logging
import re
import shutil
import socket
import subprocess
import tempfile
import threading
import zipfile
from collections import deque
from pathlib import Path
from types import TracebackType
from typing import Self

import grpc
from apache_beam.options.pipeline_options import (
    FlinkRunnerOptions,
    JobServerOptions,
    PipelineOptions,
)
from apache_beam.runners.portability.flink_runner import FlinkJarJobServer
from apache_beam.version import __version__ as beam_version

from pipeline.runners.flink.words import version_of
from transforms.errors import ConfigurationError
from transforms.failures import PipelineFailure

log = logging.getLogger("newsbeam.flink")

#: From this version of Beam on, checkpoints of what is read without end do not grow with every bundle.
NO_LEAK = (2, 76)
#: Seconds that it may take to start: a small machine needs its time for a jar of 160 MB.
START_TIMEOUT = 180.0
#: Makes a Java that runs for seconds be quick to start.
_BRIEF = ("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC")
_RUNNER = re.compile(r"META-INF/maven/org\.apache\.beam/beam-runners-flink-([\d.]+)/")
_SDK = "org/apache/beam/sdk/sdk.properties"


class JobServerFailed(PipelineFailure):
    """The job server could not be started, or ended too early."""


class JarInfo:
    """What a job server's jar says of itself.

    Attributes:
        beam: Beam's version, such as `2.77.0`; None where it does not say.
        flink: Flink's, such as `1.19`; None where it does not say.
    """

    def __init__(self, beam: str | None, flink: str | None) -> None:
        self.beam = beam
        self.flink = flink

    @property
    def leaks(self) -> bool:
        """Whether its checkpoints grow with every bundle of what is read without end."""
        return self.beam is not None and version_of(self.beam) < NO_LEAK


def jar_info(path: str) -> JarInfo:
    """Looks into a jar.

    Raises:
        ConfigurationError: It is none.
    """
    try:
        with zipfile.ZipFile(path) as jar:
            names = jar.namelist()
            found = next((m for m in map(_RUNNER.match, names) if m), None)
            lines = jar.read(_SDK).decode().splitlines() if _SDK in names else []
    except (OSError, zipfile.BadZipFile) as e:
        raise ConfigurationError(f"--flink_job_server_jar={path} can't be read: {e}") from None
    said = [line.partition("=")[2] for line in lines if line.startswith("version=")]
    return JarInfo(said[0].strip() if said else None, found[1] if found else None)


def info_of(options: PipelineOptions) -> JarInfo:
    """The versions of the job server that the options lead to.

    Raises:
        ConfigurationError: The jar that they name is none.
    """
    flink = options.view_as(FlinkRunnerOptions)
    jar = flink.flink_job_server_jar
    if not jar:
        return JarInfo(beam_version, flink.flink_version)
    if "://" in jar:
        return JarInfo(None, None)
    return jar_info(jar)


def check_java(options: PipelineOptions) -> None:
    """Looks for Java.

    Raises:
        ConfigurationError: There is none.
    """
    java = options.view_as(JobServerOptions).job_server_java_launcher
    if shutil.which(java) is None:
        raise ConfigurationError(
            f"--runner=FlinkRunner starts Beam's job server, and there is no program {java!r} here: "
            "install Java 11 or newer, name it by --job_server_java_launcher, or name a job server "
            "that runs by --job_endpoint=HOST:PORT"
        )


class JobServer:
    """A job server on a free port of this machine, for a `with` block.

    Beam's own is deaf to nothing: a Ctrl-C in the terminal ends it before us, and what it says goes to
    nobody. This one has a session of its own, and keeps the last lines.

    Args:
        options: Beam's options.
        brief: Whether it only hands a job over, and nothing of it runs there.
    """

    def __init__(self, options: PipelineOptions, *, brief: bool) -> None:
        self._options = options
        self._jvm_properties = _BRIEF if brief else ()
        self._lines: deque[str] = deque(maxlen=400)
        self._process: subprocess.Popen[bytes] | None = None
        self._folder: str | None = None
        self.endpoint = ""

    @property
    def said(self) -> str:
        """The last lines that it said."""
        return "\n".join(self._lines)

    @property
    def running(self) -> bool:
        """Whether it runs."""
        return self._process is not None and self._process.poll() is None

    def __enter__(self) -> Self:
        asked = self._options.view_as(JobServerOptions)
        server = FlinkJarJobServer(self._options)
        try:
            jar = server.local_jar(server.path_to_jar(), asked.jar_cache_dir)
        except Exception as e:
            log.debug("no job server", exc_info=True)
            raise ConfigurationError(
                f"Beam's job server for Flink can't be fetched ({' '.join(str(e).split())[:200]}): "
                "give --flink_job_server_jar=FILE; deploy/flink/README.md says how one is built"
            ) from None
        self._folder = tempfile.mkdtemp(prefix="newsbeam-flink-")
        artifacts = asked.artifacts_dir or str(Path(self._folder, "artifacts"))
        port = asked.job_port or _free_port()
        self.endpoint = f"localhost:{port}"
        command = [
            asked.job_server_java_launcher,
            *(asked.job_server_jvm_properties or self._jvm_properties),
            # Files that its mini cluster makes go with ours.
            f"-Djava.io.tmpdir={self._folder}",
            "-jar",
            jar,
            *map(
                str,
                server.java_arguments(port, asked.artifact_port, asked.expansion_port, artifacts),
            ),
        ]
        try:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            threading.Thread(target=self._listen, name="newsbeam-job-server", daemon=True).start()
            self._wait()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """Ends it."""
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(3)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)

    def _wait(self) -> None:
        with grpc.insecure_channel(self.endpoint) as channel:
            ready = grpc.channel_ready_future(channel)
            for _ in range(int(START_TIMEOUT)):
                with contextlib.suppress(grpc.FutureTimeoutError):
                    ready.result(timeout=1)
                    return
                if not self.running:
                    break
        raise JobServerFailed(f"Beam's job server for Flink did not start: {self._last()}")

    def _last(self) -> str:
        lines = [line for line in self._lines if "rror" in line or "xception" in line]
        return (lines or list(self._lines) or ["it said nothing"])[-1].strip()[:300]

    def _listen(self) -> None:
        assert self._process is not None
        assert self._process.stdout is not None
        for line in self._process.stdout:
            text = line.decode(errors="backslashreplace").rstrip()
            self._lines.append(text)
            log.debug("%s", text)


def _free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])
