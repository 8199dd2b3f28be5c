"""What made a job fail, in one line: out of stack traces of Java, and of Python inside them."""

from __future__ import annotations

import re

from pipeline.runners.words import cut, python_cause

_CAUSED_BY = "Caused by: "
#: A class of Java in front of its message.
_JAVA = re.compile(r"^(?:[a-z_][\w$]*\.)+[A-Z][\w$]*(?::\s*)?")


def root_cause(trace: str) -> str:
    """The line that says what went wrong: of Python where it was Python, else Java's last cause."""
    if python := python_cause(trace):
        return cut(f"{python[0]}: {python[1]}")
    lines = [line.strip() for line in trace.splitlines() if line.strip()]
    causes = [line.removeprefix(_CAUSED_BY) for line in lines if line.startswith(_CAUSED_BY)]
    line = causes[-1] if causes else (lines[0] if lines else "Flink says no more")
    return cut(without_classes(line))


def without_classes(line: str) -> str:
    """A line of Java's without packages: `java.net.ConnectException: no` is `ConnectException: no`."""
    match = _JAVA.match(line)
    if match is None:
        return line
    name = match[0].rstrip(": ").rpartition(".")[2].rpartition("$")[2]
    rest = line[match.end() :].strip()
    return f"{name}: {rest}" if rest else name
