"""Whether a setting is the kind of number that it should be; True and False are none."""

from __future__ import annotations

import numbers


def is_number(value: object) -> bool:
    """Whether it is a number, of Python or numpy."""
    return isinstance(value, numbers.Real) and not isinstance(value, bool)


def is_whole(value: object) -> bool:
    """Whether it is a whole number, of Python or numpy."""
    return isinstance(value, numbers.Integral) and not isinstance(value, bool)
