"""newsbeam as a wheel: whole, and as it runs here."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import zipfile
from pathlib import Path

from models.locate import PACKAGED
from pipeline.runners.wheel import build_wheel


def test_a_wheel_holds_what_runs_here(tmp_path: Path) -> None:
    with zipfile.ZipFile(build_wheel(tmp_path)) as wheel:
        names = set(wheel.namelist())
        assert {"newsbeam.py", "pipeline/cli.py", "models/ag_news_small/tokenizer.json"} <= names
        assert all(f"models/{name}/config.json" in names for name in PACKAGED)
        assert not any("__pycache__" in name or name.endswith(".png") for name in names)
        [info] = {name.partition("/")[0] for name in names if ".dist-info" in name}
        assert b"\nRequires-Dist: apache-beam" in wheel.read(f"{info}/METADATA")
        record = csv.reader(io.StringIO(wheel.read(f"{info}/RECORD").decode()))
        listed = {row[0]: row[1:] for row in record}
        assert listed.keys() == names
        digest = hashlib.sha256(wheel.read("newsbeam.py")).digest()
        encoded = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        assert listed["newsbeam.py"][0] == f"sha256={encoded}"
