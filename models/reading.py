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
        max_length: The most tokens of a text that is one row, special tokens included.
        long_text: What becomes of a text with more tokens: `truncate`, `average` or `max`.
        window_tokens: The tokens of each of its rows, special tokens included.
        max_windows: The most rows of a text: 1 where it is truncated.
    """

    max_length: int
    long_text: str
    window_tokens: int
    max_windows: int

    @classmethod
    def of(
        cls,
        bundle: Bundle,
        max_length: int | None = None,
        long_text: str | None = None,
        window_tokens: int | None = None,
        max_windows: int | None = None,
    ) -> Reading:
        """How a bundle's model reads texts, where this is asked for.

        What is given counts. What isn't is the bundle's, unless one before it was given, in the
        order of the arguments: then it is `truncate`, `max_length` and 64. So a length alone cuts
        texts off there, and `average` alone reads all windows that there may be, of the bundle's
        length.

        Args:
            bundle: The bundle.
            max_length: The most tokens of a row, 1 to 512. A model that takes fewer gets as many
                as it takes.
            long_text: What becomes of a text with more tokens; one of `LONG_TEXT`.
            window_tokens: The tokens of a window, 1 to `max_length`.
            max_windows: The most windows of a text, 1 to 64.

        Raises:
            ValueError: A value is out of range, or windows are asked for where there are none; the
                message names the choices.
        """
        length, text = bundle.row_length, bundle.long_text
        size, windows = bundle.window_tokens, bundle.max_windows
        if max_length is not None:
            length, text = check_tokens("max_length", max_length), "truncate"
            size, windows = None, MAX_WINDOWS
        if long_text is not None:
            text, size, windows = check_long_text(long_text), None, MAX_WINDOWS
        length = min(int(length), bundle.max_length)
        if window_tokens is not None:
            _check_goes_with(text, "window_tokens", window_tokens, length)
            size = check_tokens("window_tokens", window_tokens, length)
            if size <= bundle.special_tokens and size < length:
                raise ValueError(
                    f"window_tokens {size}: the model's special tokens alone are "
                    f"{bundle.special_tokens}; choose {bundle.special_tokens + 1} to {length} tokens"
                )
            windows = MAX_WINDOWS
        if max_windows is not None:
            windows = check_max_windows(max_windows)
            _check_goes_with(text, "max_windows", windows, 1)
        if text == "truncate" or length <= bundle.special_tokens:
            # Of a row that only special tokens fit into there are no windows.
            text, size, windows = "truncate", None, 1
        return cls(length, text, int(length if size is None else size), int(windows))

    @property
    def limit(self) -> str:
        """What texts are longer than that are not read whole, in words.

        `512 tokens`, `2 windows of 64 tokens`, `128 tokens and 2 windows of 48 tokens`.
        """
        tokens = _tokens(self.window_tokens)
        if self.window_tokens == self.max_length:
            return tokens if self.max_windows == 1 else f"{self.max_windows} windows of {tokens}"
        windows = "1 window" if self.max_windows == 1 else f"{self.max_windows} windows"
        return f"{_tokens(self.max_length)} and {windows} of {tokens}"

    def __str__(self) -> str:
        tokens = _tokens(self.window_tokens)
        more = "" if self.window_tokens == self.max_length else f"{_tokens(self.max_length)}, or "
        if self.max_windows == 1:
            return f"the first {tokens}" if not more else f"up to {more}the first {tokens}"
        joined = "their highest scores" if self.long_text == "max" else "averaged"
        return f"up to {more}{self.max_windows} windows of {tokens}, {joined}"


def _tokens(number: int) -> str:
    return "1 token" if number == 1 else f"{number} tokens"


def check_tokens(name: str, tokens: int, most: int = MAX_LENGTH) -> int:
    """Refuses what is no number of tokens.

    Raises:
        ValueError: The message names the range.
    """
    if not is_whole(tokens) or not 1 <= tokens <= most:
        why = "" if most == MAX_LENGTH else ", as many as a row may have at most"
        raise ValueError(
            f"{name} {tokens!r}: choose 1 to {most} tokens (special tokens included){why}"
        )
    return tokens


def _check_goes_with(long_text: str, name: str, value: int, harmless: int) -> None:
    """Refuses what is about windows where there are none."""
    if long_text == "truncate" and value != harmless:
        raise ValueError(
            f"{name} {value}: goes with long_text average or max, and here it is truncate; give "
            f"one of them, or leave {name} out"
        )
