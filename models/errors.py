"""What can be wrong with a model, and how an error of a library is said in one line."""

from __future__ import annotations


class BundleError(ValueError):
    """A model bundle that cannot be used. Its message is one line: the value, and the fix."""


class TokenizerFilesError(ValueError):
    """The files make no tokenizer."""


class ModelError(RuntimeError):
    """A row that the model could not classify."""


def one_line(error: BaseException, most: int = 300) -> str:
    """The message of an error in one line, its class where it has none; `most` characters of it."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= most else text[: most - 1] + "…"
