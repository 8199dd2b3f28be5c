"""Logging: what shows at which level."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from pipeline.logs import set_up
from transforms.errors import ConfigurationError


@pytest.fixture(autouse=True)
def _restored_logging() -> Iterator[None]:
    loggers = [logging.getLogger(name) for name in (None, "newsbeam", "kafka")]
    levels = [logger.level for logger in loggers]
    handlers = list(logging.getLogger().handlers)
    yield
    logging.getLogger().handlers[:] = handlers
    for logger, level in zip(loggers, levels, strict=True):
        logger.setLevel(level)


def said(capsys: pytest.CaptureFixture[str], level: str) -> list[str]:
    """Which of some log lines come through."""
    set_up(level)
    for name in ("newsbeam", "newsbeam.kafka", "apache_beam.x", "kafka.net"):
        for word in ("debug", "info", "warning", "error"):
            getattr(logging.getLogger(name), word)(f"{name} {word}")
    lines = capsys.readouterr().err.splitlines()
    return [" ".join(line.split()[-2:]) for line in lines]


def test_info_shows_ours_and_what_matters_of_others(capsys: pytest.CaptureFixture[str]) -> None:
    assert said(capsys, "info") == [
        "newsbeam info",
        "newsbeam warning",
        "newsbeam error",
        "newsbeam.kafka info",
        "newsbeam.kafka warning",
        "newsbeam.kafka error",
        "apache_beam.x error",
    ]


def test_error_shows_errors(capsys: pytest.CaptureFixture[str]) -> None:
    assert said(capsys, "ERROR") == [
        "newsbeam error",
        "newsbeam.kafka error",
        "apache_beam.x error",
    ]


def test_debug_shows_more_of_others_too(capsys: pytest.CaptureFixture[str]) -> None:
    shown = said(capsys, "debug")
    assert "newsbeam debug" in shown
    assert "apache_beam.x info" in shown
    # Kafka's client logs whole configurations there, passwords included.
    assert "kafka.net debug" not in shown


def test_a_level_that_does_not_exist() -> None:
    with pytest.raises(ConfigurationError, match=r"'loud'.*debug, info, warning, error"):
        set_up("loud")
