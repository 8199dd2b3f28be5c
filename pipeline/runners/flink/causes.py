"""What made a job fail, in one line: out of stack traces of Java, and of Python inside them."""

from __future__ import annotations

import re

#: The last line of a traceback of Python, as Beam's workers send it: the class, and its message.
_PYTHON = re.compile(r"^(?:[A-Za-z_]\w*\.)*([A-Z]\w*): (.+)$")
#: What Beam adds to the message of whatever a step raises.
_STEP = re.compile(r"\s*\[while running '[^']*'\]\s*$")
_CAUSED_BY = "Caused by: "
#: A class of Java in front of its message.
_JAVA = re.compile(r"^(?:[a-z_][\w$]*\.)+[A-Z][\w$]*(?::\s*)?")
#: How long a line may get.
_MOST = 500


def python_cause(trace: str) -> tuple[str, str] | None:
    """The error of Python in a stack trace: its class and its message; None where there is none."""
    begin = trace.rfind("Traceback (most recent call last)")
    if begin < 0:
        return None
    found = None
    for line in trace[begin:].splitlines()[1:]:
        # Java's own frames and causes come after it.
        if line.startswith(("\tat ", _CAUSED_BY)):
            break
        if match := _PYTHON.match(line):
            found = match[1], _STEP.sub("", match[2]).strip()
    return found


def root_cause(trace: str) -> str:
    """The line that says what went wrong: of Python where it was Python, else Java's last cause."""
    if python := python_cause(trace):
        return _cut(f"{python[0]}: {python[1]}")
    lines = [line.strip() for line in trace.splitlines() if line.strip()]
    causes = [line.removeprefix(_CAUSED_BY) for line in lines if line.startswith(_CAUSED_BY)]
    line = causes[-1] if causes else (lines[0] if lines else "Flink says no more")
    return _cut(without_classes(line))


def without_classes(line: str) -> str:
    """A line of Java's without packages: `java.net.ConnectException: no` is `ConnectException: no`."""
    match = _JAVA.match(line)
    if match is None:
        return line
    name = match[0].rstrip(": ").rpartition(".")[2].rpartition("$")[2]
    rest = line[match.end() :].strip()
    return f"{name}: {rest}" if rest else name


def _cut(line: str) -> str:
    line = " ".join(line.split())
    return line if len(line) <= _MOST else line[: _MOST - 1] + "…"
