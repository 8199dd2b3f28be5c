"""Signals while a job runs elsewhere."""

from __future__ import annotations

import logging
import os
import signal
import threading

import pytest

from pipeline.runners.flink.signals import Asked, asked_by_signals


def test_a_signal_only_asks() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with asked_by_signals() as asked:
        assert not asked
        assert not asked.wait(0.001)
        os.kill(os.getpid(), signal.SIGTERM)
        assert asked.wait(10)
        assert (asked.name, asked.times, bool(asked)) == ("SIGTERM", 1, True)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGTERM) is before


def test_who_asks_too_early_is_told(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "newsbeam")
    asked = Asked()
    asked.on_its_way = True
    asked.note("SIGINT")
    asked.note("SIGTERM")
    assert caplog.messages == ["SIGINT: waiting until Flink has the job; Ctrl-C gives up"]
    asked = Asked()
    asked.note("SIGINT")
    assert len(caplog.messages) == 1


def test_elsewhere_nobody_asks() -> None:
    found: list[Asked] = []

    def run() -> None:
        with asked_by_signals() as asked:
            found.append(asked)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert not found[0]
