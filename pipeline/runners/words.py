"""What runners elsewhere say of a failure, in one line: out of the tracebacks of workers."""

from __future__ import annotations

import re

#: How a traceback begins.
TRACEBACK = "Traceback (most recent call last)"
#: The last line of a traceback: a class, and what it says.
_RAISED = re.compile(
    r"^(?:[A-Za-z_]\w*\.)*([A-Za-z_]\w*(?:Error|Exception|Failure|[A-Z]\w*)): (.+)$"
)
_STEP = re.compile(r"\s*\[while running '[^']*'\]\s*$")
_NO_MODULE = re.compile(r"No module named '(?:models|transforms|pipeline|newsbeam)\b")
#: How long a line may get.
_MOST = 500


def line_of(text: str) -> str:
    """The line of a message that says what went wrong: a traceback's last one, else its first."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    raised = [match for line in lines if (match := _RAISED.match(line))]
    if TRACEBACK in text and raised:
        name, said = raised[-1][1], _STEP.sub("", raised[-1][2])
        if _NO_MODULE.search(said):
            return (
                "the workers have no newsbeam: give an image that has it, --sdk_container_image, or "
                "let newsbeam send itself along (drop --setup_file and --extra_package)"
            )
        # What is ours is a line for people already.
        line = (
            said
            if name.endswith(("Failure", "ConfigurationError", "BundleError"))
            else f"{name}: {said}"
        )
    else:
        line = lines[0] if lines else "nothing more is said"
    return line if len(line) <= _MOST else line[: _MOST - 1] + "…"
