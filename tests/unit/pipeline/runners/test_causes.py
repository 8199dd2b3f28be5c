"""One line out of stack traces."""

from __future__ import annotations

import pytest

from pipeline.runners.flink.causes import root_cause
from pipeline.runners.flink.follow import exit_code_of
from pipeline.runners.words import python_cause
from tests.unit.pipeline.runners.flink_rest import TRACE


def traced(line: str) -> str:
    return TRACE.format(line=line)


@pytest.mark.parametrize(
    ("trace", "line"),
    [
        (
            traced(
                "transforms.kafka.faults.LostOffsets: news-0 is gone [while running 'Read news/x']"
            ),
            "LostOffsets: news-0 is gone",
        ),
        (traced("ValueError: one\nKeyError: 'two'"), "KeyError: 'two'"),
        (
            "java.lang.E: a\n\tat x.Y.z(Y.java:1)\nCaused by: java.net.ConnectException: no",
            "ConnectException: no",
        ),
        ("org.apache.flink.util.FlinkException: The TaskExecutor is shutting down.", None),
        ("org.apache.flink.Outer$InnerException", "InnerException"),
        ("plain words: they stay", "plain words: they stay"),
        ("", "Flink says no more"),
        ("\n\n  \n", "Flink says no more"),
    ],
)
def test_the_root_cause(trace: str, line: str | None) -> None:
    assert root_cause(trace) == (line or "FlinkException: The TaskExecutor is shutting down.")


def test_a_long_line_is_cut() -> None:
    assert len(root_cause("x" * 10_000)) == 500


def test_there_is_no_error_of_python() -> None:
    assert python_cause("java.lang.Exception: KeyError: x") is None
    assert python_cause("Traceback (most recent call last):\n\tat java") is None


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("transforms.kafka.faults.Fenced: another instance goes on", 3),
        ("transforms.kafka.faults.KafkaFailure: refused", 1),
        ("ValueError: x", 1),
    ],
)
def test_exit_codes_of_workers_failures(line: str, code: int) -> None:
    assert exit_code_of(traced(line)) == code


def test_java_has_no_exit_code() -> None:
    assert exit_code_of("java.lang.Exception: x") == 1
