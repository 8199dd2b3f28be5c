"""Signals while a job runs elsewhere."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import threading

import pytest

from pipeline.runners.signals import Asked, asked_by_signals


def test_a_signal_only_asks() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with asked_by_signals() as asked:
        assert not asked
        assert not asked.wait(0.001)
        os.kill(os.getpid(), signal.SIGTERM)
        assert asked.wait(10)
        assert not asked.wait(0.001)  # it was asked once
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
    assert caplog.messages == ["SIGINT: waiting until the job has begun; Ctrl-C gives up"]
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


def test_who_waits_may_be_interrupted_anywhere() -> None:
    """A lock that a handler finds taken by whom it has interrupted would never be free."""
    program = (
        "import signal\n"
        "from pipeline.runners.signals import Asked\n"
        "asked = Asked()\n"
        "signal.signal(signal.SIGALRM, lambda *_: asked.note('SIGALRM'))\n"
        "for i in range(5000):\n"
        "    signal.setitimer(signal.ITIMER_REAL, (1 + i % 50) / 1e6)\n"
        "    while asked.times <= i:\n"
        "        asked.wait(0.00001)\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=120)
