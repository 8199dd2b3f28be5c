"""Starts `newsbeam ARGS` in processes of their own, without waiting for Beam to be imported each time.

One process imports what is heavy, once a session, and forks itself for every start: a start costs
a fifth of a second then instead of two (five where torch is installed, which Beam imports). What is
forked runs `python -m pipeline` from its first line to the interpreter's end, in a session of its
own: signals, exit codes, pipes and environment are those of any process. It forks while it has a
single thread, which is when a fork is safe; hence ONNX Runtime is not among the imports.

Where that is not to be had (elsewhere than on Linux), processes are started as ever.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import gc
import importlib
import json
import logging
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any, Protocol

REPO = Path(__file__).parents[2]
#: What takes long to import, and starts no thread.
HEAVY = (
    "apache_beam.io.fileio",
    "apache_beam.ml.inference.base",
    "apache_beam.runners.portability.fn_api_runner",
    "apache_beam.runners.portability.prism_runner",
    "apache_beam.runners.worker.sdk_worker",
    "kafka.admin",
    "pipeline.preflight",
    "pipeline.status",
    "pydantic",
    "rich.progress",
    "tokenizers",
    "typer.rich_utils",
)
#: These libraries start a thread on import otherwise.
ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1", "JE_ARROW_MALLOC_CONF": "background_thread:false"}
_MESSAGE = 1 << 18


class Program(Protocol):
    """A process: the part of `subprocess.Popen` that the tests use."""

    pid: int
    returncode: int | None
    stdin: IO[bytes] | None
    stdout: IO[bytes] | None

    def poll(self) -> int | None: ...

    def wait(self) -> int: ...

    def send_signal(self, sig: int) -> None: ...


def start(
    args: Sequence[str],
    *,
    stdin: int = subprocess.DEVNULL,
    stdout: int | IO[bytes] = subprocess.DEVNULL,
    stderr: int | IO[bytes] = subprocess.DEVNULL,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> Program:
    """Starts `newsbeam ARGS` in a session of its own.

    Args:
        args: The arguments.
        stdin: As for `subprocess.Popen`; so are `stdout`, `stderr`, `env` and `cwd`.
    """
    starter = _starter()
    if starter is None:
        return start_anew(args, stdin=stdin, stdout=stdout, stderr=stderr, env=env, cwd=cwd)
    return starter.start(args, stdin, stdout, stderr, env, cwd)


def start_anew(args: Sequence[str], **others: Any) -> subprocess.Popen[bytes]:
    """Starts `newsbeam ARGS` as a shell does, imports and all."""
    command = [sys.executable, "-m", "pipeline", *args]
    return subprocess.Popen(command, start_new_session=True, **others)


def kill_session(program: Program) -> None:
    """Kills a process and all that it has started: Prism, a broker."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(program.pid, signal.SIGKILL)
    program.wait()


def run(
    args: Sequence[str],
    *,
    stdin: bytes = b"",
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    anew: bool = False,
) -> subprocess.CompletedProcess[bytes]:
    """Runs `newsbeam ARGS` to its end.

    Args:
        args: The arguments.
        stdin: What it reads.
        env: Its environment; None is ours.
        cwd: Where it runs; None is where we are.
        anew: Start it as a shell does.
    """
    how = start_anew if anew else start
    with tempfile.TemporaryFile() as stdout, tempfile.TemporaryFile() as stderr:
        program = how(args, stdin=subprocess.PIPE, stdout=stdout, stderr=stderr, env=env, cwd=cwd)
        try:
            assert program.stdin is not None
            with contextlib.suppress(BrokenPipeError), program.stdin as pipe:
                pipe.write(stdin)
            code = program.wait()
        finally:
            if program.returncode is None:
                kill_session(program)
        said = []
        for file in (stdout, stderr):
            file.seek(0)
            said.append(file.read())
    return subprocess.CompletedProcess(list(args), code, *said)


# ---- this side ---------------------------------------------------------------------------------------


class CannotFork(Exception):
    """This machine can't do it."""


class _Starter:
    """The process that forks, seen from the tests."""

    def __init__(self) -> None:
        try:
            os.close(os.pidfd_open(os.getpid()))
        except (AttributeError, OSError) as e:
            raise CannotFork from e
        self._lock = threading.Lock()
        self._socket, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with other:
            self._process = subprocess.Popen(
                [sys.executable, "-m", __name__, str(other.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=[other.fileno()],
                cwd=REPO,
                env={**os.environ, **ONE_THREAD},
                start_new_session=True,
            )
        atexit.register(self.close)
        threads = self._socket.recv(_MESSAGE)
        if threads != b"1":
            warnings.warn(f"{__name__} has {threads!r} threads: tests take longer", stacklevel=4)
            raise CannotFork

    def close(self) -> None:
        """Ends it: nobody will ask any more."""
        self._socket.close()
        self._process.wait()

    def start(
        self,
        args: Sequence[str],
        stdin: int,
        stdout: int | IO[bytes],
        stderr: int | IO[bytes],
        env: Mapping[str, str] | None,
        cwd: Path | None,
    ) -> Program:
        with contextlib.ExitStack() as theirs:
            ours: list[IO[bytes] | None] = []
            ends: list[int] = []
            for number, given in enumerate((stdin, stdout, stderr)):
                mode = "rb" if number == 0 else "wb"
                file: IO[bytes] | None = None
                if given == subprocess.PIPE:
                    pipe = os.pipe()
                    end, kept = pipe if number == 0 else reversed(pipe)
                    theirs.callback(os.close, end)
                    file = os.fdopen(kept, "wb" if number == 0 else "rb")
                elif given == subprocess.DEVNULL:
                    end = theirs.enter_context(Path(os.devnull).open(mode)).fileno()
                else:
                    end = given if isinstance(given, int) else given.fileno()
                ours.append(file)
                ends.append(end)
            request = {
                "args": list(args),
                "env": dict(os.environ if env is None else env),
                "cwd": str(cwd or Path.cwd()),
            }
            return _Forked(self, self.ask(request, ends), ours)

    def ask(self, request: dict[str, Any], files: Sequence[int] = ()) -> int:
        """Sends a request; returns the answer."""
        with self._lock:
            socket.send_fds(self._socket, [json.dumps(request).encode()], files)
            answer = self._socket.recv(_MESSAGE)
        if not answer:
            raise RuntimeError(f"{__name__} has ended with {self._process.wait()}")
        return int(answer)


@functools.cache
def _starter() -> _Starter | None:
    try:
        return _Starter()
    except CannotFork:
        return None


class _Forked:
    """A process that was forked for us; its parent waits for it on our behalf."""

    def __init__(self, starter: _Starter, pid: int, pipes: Sequence[IO[bytes] | None]) -> None:
        self._starter = starter
        self._ended = os.pidfd_open(pid)
        self.pid = pid
        self.stdin, self.stdout, self.stderr = pipes
        self.returncode: int | None = None

    def poll(self) -> int | None:
        return self._reap(0)

    def wait(self) -> int:
        code = self._reap(None)
        assert code is not None
        return code

    def send_signal(self, sig: int) -> None:
        # Nobody else can have its pid: it is not reaped before we ask.
        if self.returncode is None:
            os.kill(self.pid, sig)

    def _reap(self, timeout: float | None) -> int | None:
        if self.returncode is None:
            end = select.poll()
            end.register(self._ended, select.POLLIN)
            if end.poll(timeout):
                self.returncode = self._starter.ask({"reap": self.pid})
                os.close(self._ended)
        return self.returncode


# ---- the other side ----------------------------------------------------------------------------------


def _serve(asked: socket.socket) -> None:
    """Answers requests until nobody can ask any more; in a process that it forks, is `newsbeam`."""
    asked.send(b"%d" % len(os.listdir("/proc/self/task")))
    while True:
        data, files, _, _ = socket.recv_fds(asked, _MESSAGE, 3)
        if not data:
            return
        request = json.loads(data)
        if "reap" in request:
            _, status = os.waitpid(request["reap"], 0)
            asked.send(b"%d" % os.waitstatus_to_exitcode(status))
        elif os.fork() == 0:
            os.setsid()
            with asked:
                asked.send(b"%d" % os.getpid())
            for number, file in enumerate(files):
                os.dup2(file, number)
                os.close(file)
            _renew_streams()
            os.chdir(request["cwd"])
            os.environ.clear()
            os.environ.update(request["env"])
            sys.argv = ["newsbeam", *request["args"]]
            runpy.run_module("pipeline", run_name="__main__", alter_sys=True)
            return
        else:
            for file in files:
                os.close(file)


def _renew_streams() -> None:
    """Python's own streams remember what kind of file they were made for."""
    sys.stdin = sys.__stdin__ = os.fdopen(0, closefd=False)
    sys.stdout = sys.__stdout__ = os.fdopen(1, "w", closefd=False)
    sys.stderr = sys.__stderr__ = os.fdopen(2, "w", 1, errors="backslashreplace", closefd=False)


def _main() -> None:
    # Beam warns of optional parts that are not installed, and so sets up logging.
    logging.disable(logging.CRITICAL)
    for name in HEAVY:
        importlib.import_module(name)
    logging.disable(logging.NOTSET)
    logging.getLogger().handlers.clear()
    gc.collect()
    gc.freeze()  # those who are forked need not look through all of it
    with socket.socket(fileno=int(sys.argv[1])) as asked:
        _serve(asked)


if __name__ == "__main__":
    _main()
