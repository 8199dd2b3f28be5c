"""Long texts: where the windows lie that a text longer than a row is classified in."""

from __future__ import annotations

from models.checks import is_whole

#: What to do with a text longer than the maximum length: cut it off, or classify it in windows and
#: take the average of their scores, or the maximum for each label.
LONG_TEXT = ("truncate", "average", "max")
#: The most windows that a text may have, and the default. What lies beyond so many is cut off, where
#: fewer are asked for, too: a text of megabytes must not hold up those that come after it.
MAX_WINDOWS = 64
#: The part of a window that it has in common with the one before, at least, where windows are not
#: too few for the text.
OVERLAP = 4  # a quarter


def check_long_text(long_text: str) -> str:
    """Refuses what is none of `LONG_TEXT`.

    Raises:
        ValueError: The message names the choices.
    """
    if long_text not in LONG_TEXT:
        raise ValueError(f"long_text {long_text!r}: choose one of {', '.join(LONG_TEXT)}")
    return long_text


def check_max_windows(max_windows: int) -> int:
    """Refuses what is no number of windows.

    Raises:
        ValueError: The message names the range.
    """
    if not is_whole(max_windows) or not 1 <= max_windows <= MAX_WINDOWS:
        raise ValueError(f"max_windows {max_windows!r}: choose 1 to {MAX_WINDOWS} windows")
    return max_windows


def most_tokens(size: int) -> int:
    """How many tokens of a text windows of `size` tokens are spread over."""
    return size + (MAX_WINDOWS - 1) * _step(size)


def window_starts(length: int, size: int, max_windows: int = MAX_WINDOWS) -> list[int]:
    """Where the windows of a text begin.

    As few windows as overlap by a quarter, spread evenly: all of them are full (a window of a few
    words at the end would weigh as much as the others, and know little), and since each shares as
    much with its neighbours as the others do, the plain average of their scores is fair. Where that
    would be too many, they are spread as evenly, and leave out what lies between them: two are the
    beginning and the end, which say most of what an article is about.

    Args:
        length: How many tokens the text has: more than `size`.
        size: How many tokens a window has.
        max_windows: The most windows.

    Returns:
        The first token of each window, from 0 to `length - size`, in order; 0 alone for one.
    """
    steps = min(-(-(length - size) // _step(size)), max_windows - 1)
    return [i * (length - size) // steps for i in range(steps + 1)] if steps else [0]


def _step(size: int) -> int:
    return max(1, size - size // OVERLAP)
