"""Folders as sinks over kill -9: nothing is lost, nothing is seen before it is whole."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.integration.files.folder_run import CATEGORIES, committed
from tests.servers.object_stores import GcsServer, S3Server
from tests.servers.processes import ServerProcess, wait_until
from tests.unit.transforms.files.reading_back import items_of

COUNT = 2000
#: Small, so that kills fall into the making of files, too.
SIZE = "20kB"

Objects = Callable[[], dict[str, bytes]]


class Watcher:
    """Reads all files of a folder again and again, as they appear: each must be whole."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self.error: Exception | None = None
        self.seen: set[str] = set()

    def _watch(self) -> None:
        while not self._over.wait(0.05):
            try:
                for name, data in visible(self._objects()).items():
                    assert list(items_of(name, data)), name
                    self.seen.add(name)
            except Exception as e:
                self.error = e
                return

    def __enter__(self) -> Watcher:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._over.set()
        self._thread.join()


def visible(objects: dict[str, bytes]) -> dict[str, bytes]:
    """The files that readers take: not the hidden ones."""
    return {
        name: data
        for name, data in objects.items()
        if not any(part.startswith(".") for part in name.split("/"))
    }


def killed_again_and_again(
    tmp_path: Path,
    path: str,
    query: dict[str, str],
    objects: Objects,
    env: dict[str, str],
    kills: int,
) -> tuple[Counter[int], list[str]]:
    """Runs to the end over kills; gives how often each number is there, and the names of all files."""
    state = tmp_path / "state"
    command = [
        sys.executable, "-m", "tests.integration.files.folder_run", str(state), str(COUNT), path,
        *(f"{name}={value}" for name, value in query.items()),
    ]  # fmt: skip
    moments = random.Random(11)
    with Watcher(objects) as watcher:
        for kill in range(kills):
            process = ServerProcess(command, tmp_path / "run.log", env)
            process.start()
            wanted = COUNT * (kill + moments.random()) / (kills + 1)

            def is_there(process: ServerProcess = process, wanted: float = wanted) -> bool:
                process.check_running()
                return committed(str(state)) >= wanted

            wait_until(is_there, f"{wanted:.0f} numbers", interval=0.01)
            process.kill()
        subprocess.run(command, env={**os.environ, **env}, check=True, capture_output=True)
    if watcher.error is not None:
        raise watcher.error
    assert watcher.seen
    found = objects()
    numbers: Counter[int] = Counter()
    for name, data in visible(found).items():
        for item in items_of(name, data):
            number = int(item.id)
            assert item.category == CATEGORIES[number % 3]
            assert item.fields == {"number": number}
            if "partition_by" in query:
                assert f"category={item.category.replace('/', '%2F')}/hour=2026-11-27T" in name
            numbers[number] += 1
    return numbers, list(found)


def check(numbers: Counter[int], names: list[str], *, doubles: int) -> None:
    print(f"{sum(numbers.values()) - COUNT} doubles in {len(names)} files")
    assert sorted(numbers) == list(range(COUNT))
    assert sum(numbers.values()) - COUNT <= doubles
    assert not [name for name in names if "/.newsbeam/" in name or name.endswith("newsbeam-part")]


def files_of(folder: Path) -> Objects:
    def read() -> dict[str, bytes]:
        return {str(p): p.read_bytes() for p in _walk(folder)}

    return read


def _walk(folder: Path) -> Iterator[Path]:
    for path in folder.rglob("*"):
        # What is looked at may be renamed meanwhile.
        if path.is_file() and not path.name.startswith("."):
            yield path


@pytest.mark.parametrize("form", [pytest.param("jsonl.zst", marks=pytest.mark.long), "parquet"])
def test_local_folders(tmp_path: Path, form: str) -> None:
    out = tmp_path / "out"
    query = {"format": form, "max_size": SIZE, "partition_by": "category,hour"}
    numbers, names = killed_again_and_again(tmp_path, f"{out}/", query, files_of(out), {}, 5)
    # What was written and not committed comes again, and is in its file once: unless that was made
    # within the moment between the two.
    check(numbers, names, doubles=20 * 5)


@pytest.mark.long
def test_s3(tmp_path: Path, s3_server: S3Server, unique: Callable[[str], str]) -> None:
    bucket = s3_server.make_bucket(unique("bucket"))
    query = {"format": "parquet", "max_size": SIZE, "partition_by": "category,hour"}
    numbers, names = killed_again_and_again(
        tmp_path, f"s3://{bucket}/a/b", query, lambda: s3_server.objects(bucket),
        s3_server.environment, 3,
    )  # fmt: skip
    check(numbers, names, doubles=20 * 3)


@pytest.mark.long
def test_google_cloud_storage(
    tmp_path: Path, gcs_server: GcsServer, unique: Callable[[str], str]
) -> None:
    bucket = gcs_server.make_bucket(unique("bucket"))
    query = {"format": "jsonl.gz", "max_size": SIZE}
    numbers, names = killed_again_and_again(
        tmp_path, f"gs://{bucket}", query, lambda: gcs_server.objects(bucket),
        gcs_server.environment, 3,
    )  # fmt: skip
    check(numbers, names, doubles=20 * 3)
