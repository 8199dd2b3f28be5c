"""What peers need, made once in build/peers: virtual environments, jars, checkpoints."""

from __future__ import annotations

import hashlib
import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.servers.cache import find_program, run_or_unavailable

REPOSITORY = Path(__file__).parents[2]
BUILD = REPOSITORY / "build" / "peers"


def made(name: str, content: str, make: Callable[[Path], None]) -> Path:
    """A folder, made unless it is there.

    Args:
        name: Of the folder; a hash of `content` is added.
        content: What it is made of: another content is another folder.
        make: Fills the folder. What it raises is passed on, and the next call starts over.
    """
    folder = BUILD / f"{name}-{hashlib.sha256(content.encode()).hexdigest()[:8]}"
    ready = folder / ".ready"
    if not ready.exists():
        print(f"setting up {name} in {folder.relative_to(REPOSITORY)}", flush=True)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        make(folder)
        ready.touch()
    return folder


def python_with(name: str, packages: Sequence[str]) -> str:
    """The interpreter of a virtual environment with these packages.

    Raises:
        Unavailable: They cannot be installed.
    """

    def install(folder: Path) -> None:
        run_or_unavailable([sys.executable, "-m", "venv", str(folder)], f"making {folder}")
        pip = [
            str(folder / "bin" / "python"),
            "-m",
            "pip",
            "--quiet",
            "--disable-pip-version-check",
        ]
        run_or_unavailable([*pip, "install", *packages], f"installing {' '.join(packages)}")

    return str(made(name, " ".join(packages), install) / "bin" / "python")


def jars_of(pom: Path) -> Path:
    """The folder of the jars that a Maven project depends on.

    Raises:
        Unavailable: There is no Java, no Maven, or they cannot be fetched.
    """
    find_program("java", pom.stem)

    def fetch(folder: Path) -> None:
        maven = [find_program("mvn", f"fetching {pom.stem}"), "--batch-mode", "--quiet"]
        goal = ["dependency:copy-dependencies", "-DincludeScope=runtime"]
        run_or_unavailable(
            [*maven, "--file", str(pom), *goal, f"-DoutputDirectory={folder}"],
            f"fetching {pom.stem}",
        )

    return made(f"{pom.stem}-jars", pom.read_text(), fetch)


def bundle(name: str = "ag_news_small") -> Path:
    """The folder of a packaged bundle.

    Its files are read by programs that cannot import newsbeam.
    """
    return REPOSITORY / "models" / name


def digest_of_bundle(name: str = "ag_news_small") -> str:
    """Changes with any file of a bundle that its copies in other forms are made of."""
    files = ("config.json", "tokenizer.json", "model_quantized.onnx")
    return "".join(hashlib.sha256((bundle(name) / f).read_bytes()).hexdigest() for f in files)
