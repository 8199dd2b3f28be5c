"""The folder of an export is there as a whole, or not at all; its messages name it."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from models.bundle import BundleError
from models.export.target import load_new, new_folder


@pytest.mark.parametrize("there", [False, True])
def test_a_folder(tmp_path: Path, there: bool) -> None:
    target = tmp_path / "a" / "bundle"
    if there:
        target.mkdir(parents=True)
    with new_folder(target) as folder:
        assert folder.name == "bundle"
        (folder / "file").touch()
        assert not (target / "file").exists()
    assert [p.name for p in target.iterdir()] == ["file"]
    assert [p.name for p in target.parent.iterdir()] == ["bundle"]


def test_a_full_disk(tmp_path: Path) -> None:
    target = tmp_path / "bundle"
    words = r"bundle: cannot be made \(.*No space left.*\); name one that can be written to"
    with pytest.raises(BundleError, match=words), new_folder(target):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert not list(tmp_path.iterdir())


def test_no_folder_can_be_there(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(BundleError, match="cannot be made"), new_folder(tmp_path / "file" / "x"):
        pass


def test_errors_name_what_it_is_made_of(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"^model 'org/name': config\.json is missing"):
        load_new(tmp_path, "org/name")
