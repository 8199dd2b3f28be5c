"""What runners elsewhere say of a failure, in one line: out of the tracebacks of workers."""

from __future__ import annotations

import re

#: How a traceback begins.
TRACEBACK = "Traceback (most recent call last)"
#: The last line of a traceback: a class, and what it says.
_RAISED = re.compile(r"^(?:[A-Za-z_]\w*\.)*([A-Z]\w*): (.+)$")
#: What Beam adds to the message of whatever a step raises.
_STEP = re.compile(r"\s*\[while running '[^']*'\]\s*$")
_NO_MODULE = re.compile(r"No module named '(?:models|transforms|pipeline|newsbeam)\b")
#: What comes after a traceback, where Java had it: its own frames and causes.
_OF_JAVA = ("\tat ", "Caused by: ")
#: How long a line may get.
_MOST = 500


def python_cause(text: str) -> tuple[str, str] | None:
    """The error of Python in a stack trace: its class and its message; None where there is none."""
    begin = text.rfind(TRACEBACK)
    if begin < 0:
        return None
    found = None
    for line in text[begin:].splitlines()[1:]:
        if line.startswith(_OF_JAVA):
            break
        if match := _RAISED.match(line):
            found = match[1], _STEP.sub("", match[2]).strip()
    return found


def line_of(text: str) -> str:
    """The line of a message that says what went wrong: a traceback's last one, else its first."""
    if python := python_cause(text):
        name, said = python
        if _NO_MODULE.search(said):
            return (
                "the workers have no newsbeam: give an image that has it, --sdk_container_image, or "
                "let newsbeam send itself along (drop --setup_file and --extra_package)"
            )
        # What is ours is a line for people already.
        ours = name.endswith(("Failure", "ConfigurationError", "BundleError"))
        return cut(said if ours else f"{name}: {said}")
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return cut(lines[0] if lines else "nothing more is said")


def cut(line: str) -> str:
    """A line, and no more than can be read."""
    line = " ".join(line.split())
    return line if len(line) <= _MOST else line[: _MOST - 1] + "…"
