"""Workers in processes of their own, which are given nothing but a job."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.servers.worker_pool import REPOSITORY, WorkerPool


def run(folder: Path, pool: WorkerPool) -> subprocess.CompletedProcess[str]:
    """A file to a file, by workers of the pool; Beam's job server is in the command line's process."""
    (folder / "in.txt").write_text("Shares fall\n")
    args = ["--source", str(folder / "in.txt"), "--sink", str(folder / "out.jsonl")]
    runner = [
        "--runner=PortableRunner",
        "--job_endpoint=embed",
        "--environment_type=EXTERNAL",
        f"--environment_config={pool.address}",
    ]
    return subprocess.run(
        [sys.executable, "-m", "pipeline", "run", *args, *runner],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.long
def test_a_worker_of_the_same_newsbeam_works(tmp_path: Path) -> None:
    with WorkerPool(tmp_path) as pool:
        done = run(tmp_path, pool)
    assert done.returncode == 0, done.stderr
    assert '"category":"Business"' in (tmp_path / "out.jsonl").read_text()


@pytest.mark.long
def test_a_worker_of_another_version_is_refused_in_one_line(tmp_path: Path) -> None:
    info = tmp_path / "other/newsbeam-9.9.9.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: newsbeam\nVersion: 9.9.9\n")
    # What says its version is found first; the code is the same.
    path = os.pathsep.join([str(info.parent), str(REPOSITORY)])
    with WorkerPool(tmp_path, {"PYTHONPATH": path}) as pool:
        done = run(tmp_path, pool)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("newsbeam: this worker has newsbeam 9.9.9, and")
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out.jsonl").exists()
