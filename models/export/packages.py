"""The packages that only exporting needs: loaded when they are used."""

from __future__ import annotations

import importlib
from typing import Any

from models.errors import BundleError


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


def reason(error: Exception) -> str:
    """Class and message of an error of a package, in one line of no more than 300 characters."""
    text = f"{type(error).__name__}: {' '.join(str(error).split())}"
    return text if len(text) <= 300 else text[:299] + "…"
