"""The folder of a run: goes on with the same, refuses what is another, never holds half a bundle."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from models.errors import BundleError
from training.own_folder import FACTS, FILES, HIDDEN, Asked, digest, work_in

ASKED = Asked("news.csv", "0" * 64, "ag_news_mini@12345678", None, 0, 0.2)


def test_a_new_folder_is_made_and_a_stopped_run_goes_on(tmp_path: Path):
    with work_in(tmp_path / "a/b", ASKED) as work:
        assert not work.resumed
        (work.folder / FACTS).write_text("{}")
    with work_in(tmp_path / "a/b", ASKED) as work:
        assert work.resumed
        bundle = work.folder / "bundle"
        bundle.mkdir()
        for name in FILES:
            (bundle / name).write_text(name)
        work.publish(bundle)
    assert sorted(f.name for f in (tmp_path / "a/b").iterdir()) == sorted(FILES)
    with pytest.raises(BundleError, match="is not empty"), work_in(tmp_path / "a/b", ASKED):
        pass


def test_one_that_was_killed_while_files_were_moved_goes_on(tmp_path: Path):
    with work_in(tmp_path, ASKED) as work:
        (work.folder / FACTS).write_text("{}")
        (tmp_path / FILES[0]).write_text("moved")
    with work_in(tmp_path, ASKED) as work:
        assert work.resumed


def test_one_that_was_killed_before_it_began(tmp_path: Path):
    (tmp_path / HIDDEN).mkdir()
    (tmp_path / HIDDEN / "asked.json").write_text("{")
    with work_in(tmp_path, ASKED) as work:
        assert not work.resumed


def test_what_is_refused_leaves_nothing(tmp_path: Path):
    (tmp_path / "there").mkdir()
    for name in ("new", "there"):
        with pytest.raises(BundleError, match="too few"), work_in(tmp_path / name, ASKED):
            raise BundleError("too few")
    assert list(tmp_path.iterdir()) == [tmp_path / "there"]
    assert not list((tmp_path / "there").iterdir())


def test_nobody_else_works_there(tmp_path: Path):
    with (
        work_in(tmp_path, ASKED),
        pytest.raises(BundleError, match="another `newsbeam model train` works there"),
        work_in(tmp_path, ASKED),
    ):
        pass


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"digest": "1" * 64}, "news.csv: is not the file that the run in .* began with"),
        (
            {"start": "x@1"},
            "--from x@1: the run in .* began with ag_news_mini@12345678; give the same",
        ),
        ({"epochs": 3.0}, "--epochs 3.0: the run in .* began without it; give the same"),
        (
            {"seed": 4},
            "--seed 4: the run in .* began with 0; give the same, or name another folder",
        ),
        ({"held_out": 0.1}, "--held_out 0.1: the run in .* began with 0.2"),
    ],
)
def test_another_run_is_refused(tmp_path: Path, change: dict[str, object], words: str):
    with work_in(tmp_path, ASKED) as work:
        (work.folder / FACTS).write_text("{}")
    other = dataclasses.replace(ASKED, **change)
    with pytest.raises(BundleError, match=words), work_in(tmp_path, other):
        pass


def test_what_is_no_folder_to_make(tmp_path: Path):
    (tmp_path / "file").write_text("x")
    with (
        pytest.raises(BundleError, match="is a file; name a new folder"),
        work_in(tmp_path / "file", ASKED),
    ):
        pass
    with (
        pytest.raises(BundleError, match="is not empty; name a new folder"),
        work_in(tmp_path, ASKED),
    ):
        pass


def test_a_name_that_no_folder_can_have(tmp_path: Path):
    with (
        pytest.raises(
            BundleError, match=r"cannot be written to \(File name too long\); name another"
        ),
        work_in(tmp_path / ("x" * 300), ASKED),
    ):
        pass


def test_a_file_that_is_not_there(tmp_path: Path):
    with pytest.raises(BundleError, match="No such file or directory; name a CSV file"):
        digest(tmp_path / "none.csv")
