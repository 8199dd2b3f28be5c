"""`make lock`: writes requirements.lock, all that the image has, by version and hash."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import venv
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
LOCK = HERE / "requirements.lock"
#: What resolves; the image has no need of it.
UV = "uv==0.13.9"
#: The extras that the image comes with.
EXTRAS = ("gcp", "s3", "tracing")


def main() -> None:
    """Keeps the versions that are locked already, where they still fit."""
    with tempfile.TemporaryDirectory() as folder:
        venv.create(folder, with_pip=True)
        python = Path(folder, "bin", "python")
        subprocess.run([python, "-m", "pip", "install", "--quiet", UV], check=True)
        subprocess.run(
            [
                *(python, "-m", "uv", "pip", "compile", "--quiet"),
                *("setup.py", HERE.relative_to(ROOT) / "build.in"),
                *(f"--extra={extra}" for extra in EXTRAS),
                *("--python-version=3.11", "--python-platform=linux", "--generate-hashes"),
                *("--no-header", "--no-annotate", f"--output-file={LOCK.relative_to(ROOT)}"),
                *sys.argv[1:],
            ],
            check=True,
            cwd=ROOT,
        )


if __name__ == "__main__":
    main()
