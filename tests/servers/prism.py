"""Beam's Prism runner, built with Go for the installed apache_beam."""

from __future__ import annotations

from pathlib import Path

from pipeline.runners.prism import build_prism
from tests.servers.cache import Unavailable
from transforms.errors import ConfigurationError


def prism_binary() -> Path:
    """Path of the Prism that belongs to the installed Beam, for `--prism_location`.

    The first call on a machine builds it, which takes minutes.

    Raises:
        Unavailable: there is no Go, or the build failed.
    """
    try:
        return build_prism()
    except ConfigurationError as e:
        raise Unavailable(str(e)) from e
