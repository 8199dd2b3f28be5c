"""The packages that only exporting and training need: loaded when they are used."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Iterable
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


def require(names: Iterable[str], command: str, extra: str) -> None:
    """Refuses a command whose packages are not there, without loading them.

    Args:
        names: The packages.
        command: What needs them.
        extra: What of newsbeam brings them.

    Raises:
        BundleError: One is not installed; the message names the extra.
    """
    missing = [name for name in names if importlib.util.find_spec(name) is None]
    if missing:
        raise BundleError(
            f"{command}: needs {', '.join(missing)}; pip install 'newsbeam[{extra}]', in an "
            "environment of its own: with torch it is a download of 2.7 GB"
        )


def reason(error: Exception) -> str:
    """Class and message of an error of a package, in one line of no more than 300 characters."""
    text = f"{type(error).__name__}: {' '.join(str(error).split())}"
    return text if len(text) <= 300 else text[:299] + "…"
