"""How much of a text is read: what the bundle says, unless somebody asks for something else."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from models.checks import is_whole
from models.long_text import MAX_WINDOWS, check_long_text, check_max_windows
from models.model_settings import MAX_LENGTH

if TYPE_CHECKING:
    from models.bundle import Bundle


@dataclass(frozen=True)
class Reading:
    """How much of a text is read, and how: what `Reading.of` has made out.

    Attributes:
        max_length: The most tokens of a row, special tokens included.
        long_text: What becomes of a text with more tokens: `truncate`, `average` or `max`.
        max_windows: The most rows of a text: 1 where it is truncated.
    """

    max_length: int
    long_text: str
    max_windows: int

    @classmethod
    def of(
        cls,
        bundle: Bundle,
        max_length: int | None = None,
        long_text: str | None = None,
        max_windows: int | None = None,
    ) -> Reading:
        """How a bundle's model reads texts, where this is asked for.

        What is given counts. What isn't is the bundle's, unless one before it was given, in the
        order of the arguments: then it is `truncate` and 64. So a length alone cuts texts off
        there, and `average` alone reads all windows that there may be, of the bundle's length.

        Args:
            bundle: The bundle.
            max_length: The most tokens of a row, 1 to 512. A model that takes fewer gets as many
                as it takes.
            long_text: What becomes of a text with more tokens; one of `LONG_TEXT`.
            max_windows: The most windows of a text, 1 to 64.

        Raises:
            ValueError: A value is out of range, or windows are asked for where there are none; the
                message names the choices.
        """
        length, text, windows = bundle.row_length, bundle.long_text, bundle.max_windows
        if max_length is not None:
            length, text, windows = _check_max_length(max_length), "truncate", MAX_WINDOWS
        if long_text is not None:
            text, windows = check_long_text(long_text), MAX_WINDOWS
        if max_windows is not None:
            windows = check_max_windows(max_windows)
            if text == "truncate" and windows > 1:
                raise ValueError(
                    f"max_windows {windows}: goes with long_text average or max, and here it is "
                    "truncate; give one of them, or leave max_windows out"
                )
        if text == "truncate":
            windows = 1
        return cls(min(int(length), bundle.max_length), text, int(windows))

    @property
    def limit(self) -> str:
        """What is read at most, in words: `512 tokens`, `2 windows of 64 tokens`."""
        tokens = "1 token" if self.max_length == 1 else f"{self.max_length} tokens"
        return tokens if self.max_windows == 1 else f"{self.max_windows} windows of {tokens}"

    def __str__(self) -> str:
        if self.max_windows == 1:
            return f"the first {self.limit}"
        joined = "their highest scores" if self.long_text == "max" else "averaged"
        return f"up to {self.limit}, {joined}"


def _check_max_length(max_length: int) -> int:
    if not is_whole(max_length) or not 1 <= max_length <= MAX_LENGTH:
        raise ValueError(
            f"max_length {max_length!r}: choose 1 to {MAX_LENGTH} tokens (special tokens included)"
        )
    return max_length
