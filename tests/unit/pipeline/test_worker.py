"""A worker of the pool ends with its runner, without a word too many."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import grpc
import pytest

from pipeline import worker


class Broken(grpc.RpcError):
    """What gRPC raises for a connection that has ended."""

    def __init__(self, code: grpc.StatusCode) -> None:
        super().__init__(str(code))
        self._code = code

    def code(self) -> grpc.StatusCode:
        return self._code


@pytest.fixture(autouse=True)
def _hook() -> Iterator[None]:
    before = threading.excepthook
    yield
    threading.excepthook = before


def works(monkeypatch: pytest.MonkeyPatch, code: grpc.StatusCode) -> None:
    """Runs a worker whose connections end so: in its main thread, and in one of Beam's."""

    def fail() -> None:
        raise Broken(code)

    class Harness:
        def __init__(self, *_args: Any, **_settings: Any) -> None: ...

        def run(self) -> None:
            thread = threading.Thread(target=fail)
            thread.start()
            thread.join()
            fail()

    monkeypatch.setattr(worker, "SdkHarness", Harness)
    worker.main(["localhost:1", "1-1", "info"])


@pytest.mark.parametrize("code", [grpc.StatusCode.CANCELLED, grpc.StatusCode.UNAVAILABLE])
def test_a_runner_that_hangs_up_is_no_error(
    code: grpc.StatusCode, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    works(monkeypatch, code)
    said = capsys.readouterr().err
    assert "Traceback" not in said
    assert "worker 1-1: the runner has hung up" in said


def test_anything_else_is(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(
        threading, "__excepthook__", lambda what: print("in a thread", what.exc_type)
    )
    with pytest.raises(Broken):
        works(monkeypatch, grpc.StatusCode.INTERNAL)
    assert "in a thread" in capsys.readouterr().out
