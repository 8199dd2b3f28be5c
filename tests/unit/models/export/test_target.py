"""The folder of an export is there as a whole, or not at all; its messages name it."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from models.errors import BundleError
from models.export.target import load_new, new_folder
from tests.unit.models.conftest import MakeBundle


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


def test_where_somebody_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = tmp_path / "bundle"
    here.mkdir()
    monkeypatch.chdir(here)
    with new_folder(Path()) as folder:
        assert folder.name == "bundle"
        (folder / "file").touch()
    assert os.listdir() == ["file"]  # the same folder, and nothing else in it
    with pytest.raises(BundleError, match=r"bundle: is not empty"), new_folder(Path()):
        pass
    assert os.listdir() == ["file"]


def test_a_link_to_an_empty_folder(tmp_path: Path) -> None:
    (tmp_path / "bundle").mkdir()
    (tmp_path / "link").symlink_to("bundle")
    with new_folder(tmp_path / "link") as folder:
        assert folder.name == "bundle"  # as it will be called when it is loaded
        (folder / "file").touch()
    assert (tmp_path / "link").is_symlink()
    assert [p.name for p in (tmp_path / "bundle").iterdir()] == ["file"]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["bundle", "link"]


def test_a_folder_that_failed_is_empty_as_before(tmp_path: Path) -> None:
    def fail() -> None:
        with new_folder(tmp_path) as folder:
            (folder / "file").touch()
            raise BundleError("no model")

    with pytest.raises(BundleError, match="no model"):
        fail()
    assert not list(tmp_path.iterdir())


def test_config_comes_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = Path.rename
    moved: list[str] = []

    def rename(self: Path, target: Path) -> Path:
        moved.append(self.name)
        return real(self, target)

    monkeypatch.setattr(Path, "rename", rename)
    with new_folder(tmp_path) as folder:
        for name in ("config.json", "a", "z"):
            (folder / name).touch()
    assert sorted(moved) == ["a", "config.json", "z"]
    assert moved[-1] == "config.json"


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


def test_what_was_made_is_tried_on_long_texts(make_bundle: MakeBundle) -> None:
    folder = make_bundle(config={"max_position_embeddings": 512}, positions=48)
    words = r"^model 'org/name': model\.onnx cannot classify a text of 512"
    with pytest.raises(BundleError, match=words):
        load_new(folder, "org/name")
