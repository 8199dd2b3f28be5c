"""The packages that only exporting needs: loaded when they are used, and kept quiet."""

from __future__ import annotations

import importlib
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from models.bundle import BundleError


def package(name: str) -> Any:
    """Loads a package, or a module of one, out of the extra `export`.

    Raises:
        BundleError: It is not installed; the message names the extra.
    """
    try:
        return importlib.import_module(name)
    except ImportError as e:
        raise BundleError(
            f"model export: cannot load {name.partition('.')[0]} ({' '.join(str(e).split())}); "
            "pip install 'newsbeam[export]'"
        ) from e


@contextmanager
def quiet() -> Iterator[None]:
    """Keeps what exporters say to each other off the user's terminal; errors are raised anyway."""
    before = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def reason(error: Exception) -> str:
    """Class and message of an error of a package, in one line of no more than 300 characters."""
    text = f"{type(error).__name__}: {' '.join(str(error).split())}"
    return text if len(text) <= 300 else text[:299] + "…"
