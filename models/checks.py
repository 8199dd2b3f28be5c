"""Whether a setting is the kind of number that it should be; True and False are none."""

from __future__ import annotations

import numbers


def is_number(value: object) -> bool:
    """Whether it is a number, of Python or numpy."""
    return isinstance(value, numbers.Real) and not isinstance(value, bool)


def is_whole(value: object) -> bool:
    """Whether it is a whole number, of Python or numpy."""
    return isinstance(value, numbers.Integral) and not isinstance(value, bool)


def check_text(text: object) -> str:
    """A text that can be classified: one with something in it.

    Raises:
        ValueError: It is none; the message is that of the dead letter that it would be.
    """
    if not isinstance(text, str):
        raise ValueError(f"the text is of the type {type(text).__name__}, not str")
    if not text.strip():
        raise ValueError("the text is empty")
    return text
