"""Where bundles live: in the package, in a folder, or at an address that they are fetched from."""

from __future__ import annotations

import os
import posixpath
import re
from pathlib import Path

from models.errors import BundleError
from models.fetch import fetch

#: The bundles that are part of the package, by name; the first is used where none is named.
PACKAGED = {
    name: Path(__file__).parent / name for name in ("ag_news", "ag_news_small", "ag_news_mini")
}
DEFAULT_BUNDLE = PACKAGED["ag_news"]

_SCHEME = re.compile(r"^([A-Za-z][A-Za-z0-9+.-]+)://")


def is_elsewhere(path: str | os.PathLike[str] | None) -> bool:
    """Whether a model has to be fetched from an address."""
    scheme = _SCHEME.match(os.fspath(path)) if path is not None else None
    return scheme is not None and scheme[1].lower() != "file"


def resolve(path: str | os.PathLike[str]) -> Path:
    """Turns what the user named into a local folder, or an ONNX file in one.

    The one place that knows where bundles may live; every other function takes what it gives.

    Args:
        path: A folder, an ONNX file in one, the name of a bundle in the package, or the address of
            one: `file://`, `hf://org/name[@revision]`, `gs://`, `s3://`. What lies elsewhere is
            fetched once a machine: see `models.fetch`.

    Raises:
        BundleError: There is no such folder, or it cannot be fetched.
    """
    text = os.fspath(path)
    scheme = _SCHEME.match(text)
    if scheme:
        if scheme[1].lower() != "file":
            return fetch(text)
        text = text[len(scheme[0]) :]
    place = Path(text).expanduser()
    if place.is_dir():
        return place.resolve()
    if place.suffix == ".onnx" and place.is_file():
        # Not what it may be a link to: in the hub's cache that lies elsewhere, without a config.
        return place.parent.resolve() / place.name
    if text in PACKAGED:
        return PACKAGED[text]
    what = "is neither a folder nor an ONNX file" if place.is_file() else "no such folder"
    raise BundleError(
        f"model {text!r}: {what}; name a Hugging Face folder with config.json, tokenizer.json "
        f"and model.onnx, an ONNX file in one, or one of {', '.join(PACKAGED)}"
    )


def beside(folder: Path, path: str | os.PathLike[str] | None, name: str) -> str:
    """Where the model is that a bundle names.

    Args:
        folder: The folder of the bundle.
        path: What the user had named for it.
        name: A folder in it or beside it, the name of a bundle in the package, or an address.

    Raises:
        BundleError: There can be no such folder: models on the hub have none in them.
    """
    if _SCHEME.match(name):
        return name
    if name in PACKAGED:
        # Not a folder of that name, which may lie where the process was started.
        return str(PACKAGED[name])
    if not is_elsewhere(path):
        return str(folder / name)
    # Only the bundle's own files were fetched.
    scheme, _, base = os.fspath(path or "").partition("://")
    if scheme.lower() == "hf":
        raise BundleError(
            f"model {path}: its cascade names {name}, and models on the hub hold no others; name each "
            f"by its own address in config.json, hf://org/name, or one of {', '.join(PACKAGED)}"
        )
    return f"{scheme}://{posixpath.normpath(f'{base}/{name}')}"
