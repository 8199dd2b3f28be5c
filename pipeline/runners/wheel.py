"""newsbeam as a wheel, made of what runs here: it reaches workers that have no image of ours."""

from __future__ import annotations

import base64
import hashlib
import importlib.metadata
import zipfile
from collections.abc import Iterator
from pathlib import Path

from transforms.release import PACKAGES, ROOT

#: Pictures and caches are of no use to a worker.
_LEFT_OUT = {".pyc", ".png"}
#: The same files give the same wheel: what is staged under its hash is staged once.
_WHEN = (1980, 1, 1, 0, 0, 0)


def build_wheel(folder: Path) -> Path:
    """Makes a wheel of the newsbeam that runs here, its packaged models included.

    Args:
        folder: Where to put it.

    Returns:
        The wheel.
    """
    metadata = importlib.metadata.metadata("newsbeam")
    stem = f"newsbeam-{metadata['Version']}"
    info = f"{stem}.dist-info"
    wheel = folder / f"{stem}-py3-none-any.whl"
    files = dict(_files())
    files[f"{info}/METADATA"] = metadata.as_string().encode()  # type: ignore[attr-defined]
    files[f"{info}/WHEEL"] = (
        b"Wheel-Version: 1.0\nGenerator: newsbeam\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    )
    files[f"{info}/entry_points.txt"] = b"[console_scripts]\nnewsbeam = pipeline.__main__:main\n"
    record = "".join(f"{name},sha256={_digest(d)},{len(d)}\n" for name, d in files.items())
    files[f"{info}/RECORD"] = f"{record}{info}/RECORD,,\n".encode()
    with zipfile.ZipFile(wheel, "w") as archive:
        for name, data in files.items():
            # Weights are packed as well as they are by the fastest level.
            archive.writestr(zipfile.ZipInfo(name, _WHEN), data, zipfile.ZIP_DEFLATED, 1)
    return wheel


def _files() -> Iterator[tuple[str, bytes]]:
    yield "newsbeam.py", (ROOT / "newsbeam.py").read_bytes()
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*")):
            if path.is_file() and path.suffix not in _LEFT_OUT and "__pycache__" not in path.parts:
                yield path.relative_to(ROOT).as_posix(), path.read_bytes()


def _digest(data: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
