"""Logging: what shows at which level."""

from __future__ import annotations

import json
import logging
import sys
import threading
import warnings
from collections.abc import Iterator

import pytest

from pipeline import logs
from pipeline.logs import set_up, tell
from transforms.errors import ConfigurationError


@pytest.fixture(autouse=True)
def _restored_logging() -> Iterator[None]:
    loggers = [logging.getLogger(name) for name in (None, "newsbeam", "kafka")]
    hooks = sys.excepthook, threading.excepthook
    levels = [logger.level for logger in loggers]
    handlers = list(logging.getLogger().handlers)
    yield
    sys.excepthook, threading.excepthook = hooks
    logging.captureWarnings(False)
    logs._json = False
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


# ---- JSON ------------------------------------------------------------------------------------------


def objects(capsys: pytest.CaptureFixture[str]) -> list[dict[str, object]]:
    """What was logged: each line has to be an object."""
    return [json.loads(line) for line in capsys.readouterr().err.splitlines()]


def test_json_has_a_line_for_each_record(capsys: pytest.CaptureFixture[str]) -> None:
    set_up("info", "JSON")
    log = logging.getLogger("newsbeam.kafka")
    log.info("%s of\n%s", 1, "two", extra={"shard": "news:0/1", "odd": object})
    log.debug("no")
    [line] = objects(capsys)
    assert line.pop("time", "").endswith("Z")  # type: ignore[attr-defined]
    assert line == {
        "level": "info",
        "logger": "newsbeam.kafka",
        "message": "1 of\ntwo",
        "shard": "news:0/1",
        "odd": "<class 'object'>",
    }


def test_tracebacks_are_a_field(capsys: pytest.CaptureFixture[str]) -> None:
    set_up("debug", "json")
    try:
        raise ValueError("broken")
    except ValueError:
        logging.getLogger("newsbeam").debug("it failed", exc_info=True)
    [line] = objects(capsys)
    assert str(line["exception"]).splitlines()[-1] == "ValueError: broken"


def test_what_python_itself_would_write_is_json_too(capsys: pytest.CaptureFixture[str]) -> None:
    set_up("info", "json")
    thread = threading.Thread(target=lambda: 1 / 0)
    thread.start()
    thread.join()
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        set_up("debug", "json")
        warnings.warn("old", UserWarning, stacklevel=1)
    tell("that was it")
    failed, warned, told = objects(capsys)
    assert failed["message"] == "ZeroDivisionError: division by zero"
    assert "Traceback" in str(failed["exception"])
    assert "UserWarning: old" in str(warned["message"])
    assert (told["level"], told["message"]) == ("error", "that was it")


def test_text_cannot_break_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    set_up("info", "json")
    logging.getLogger("newsbeam").info("\ud800 \u2028 \n \x00")
    [line] = objects(capsys)
    assert line["message"] == "\ud800 \u2028 \n \x00"


def test_a_format_that_does_not_exist() -> None:
    with pytest.raises(ConfigurationError, match=r"'xml'.*text, json"):
        set_up("info", "xml")


def test_that_there_is_no_such_level_is_json_too(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ConfigurationError) as caught:
        set_up("loud", "json")
    tell(str(caught.value))
    [line] = objects(capsys)
    assert "'loud'" in str(line["message"])
