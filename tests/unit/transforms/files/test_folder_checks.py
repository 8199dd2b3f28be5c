"""What is said of a folder before anything starts."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from transforms.errors import ConfigurationError
from transforms.files.folder_checks import check_folder
from transforms.files.folder_options import FolderOptions
from transforms.files.remote import told


def check(path: Path | str, *partition_by: str, letters: bool = False) -> None:
    options = FolderOptions(str(path), partition_by=partition_by)
    check_folder("--dead_letters" if letters else "--sink", options, letters=letters)


def test_folders_that_can_be_written(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    check(tmp_path)
    check(tmp_path / "a" / "b")
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "x").touch()
    with pytest.raises(ConfigurationError, match=r"--sink '.*/x' is there and is no folder"):
        check(tmp_path / "x")
    with pytest.raises(
        ConfigurationError, match=r"can't write to the folder .*/x: Not a directory"
    ):
        check(tmp_path / "x" / "y")


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs a folder nobody can write to")
def test_a_folder_that_nobody_can_write_to() -> None:
    with pytest.raises(
        ConfigurationError, match=f"can't write to the folder /proc/{os.getpid()}: "
    ):
        check(f"/proc/{os.getpid()}/x")


def test_partitions_that_there_are_not(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="items have no stage: partition them by category"):
        check(tmp_path, "hour", "stage")
    with pytest.raises(
        ConfigurationError, match=r"--dead_letters .* dead letters have no category"
    ):
        check(tmp_path, "category", letters=True)


def test_a_bucket_without_rights() -> None:
    # The stand-ins for stores let everybody in: the errors are made here.
    boto = pytest.importorskip("botocore.exceptions")
    google = pytest.importorskip("google.api_core.exceptions")
    denied = {"Error": {"Code": "AccessDenied"}, "ResponseMetadata": {"HTTPStatusCode": 403}}
    for error in (boto.ClientError(denied, "PutObject"), google.Forbidden("no")):
        assert told("s3://mine/x", error).startswith(
            "not allowed to write to bucket 'mine': grant these credentials to create, list and delete"
        )
