"""What a folder's URI says."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from transforms.errors import ConfigurationError
from transforms.files.folder_options import FolderOptions, duration, is_folder, size


def of(path: str = "out/", **query: str) -> FolderOptions:
    return FolderOptions.of(path, path, query)


def test_defaults() -> None:
    assert of() == FolderOptions("out", "jsonl", (), 300.0, 128_000_000)


def test_all_that_can_be_said() -> None:
    options = of(
        "s3://b/x/", format="parquet", partition_by="category, hour", every="90s", max_size="1GiB"
    )
    assert options == FolderOptions("s3://b/x", "parquet", ("category", "hour"), 90.0, 2**30)
    assert pickle.loads(pickle.dumps(options)) == options
    assert options.name == "s3://b/x/"


@pytest.mark.parametrize(
    ("path", "form", "ending"),
    [
        ("out/", None, "jsonl"),
        ("out.parquet", None, "parquet"),
        ("out.parquet/", None, "parquet"),
        ("out.parquet/", "json", "jsonl"),
        ("out.jsonl.gz", None, "jsonl.gz"),
        ("out.jsonl.zst/", None, "jsonl.zst"),
        ("out/", "jsonl.gz", "jsonl.gz"),
        ("out/", "JSONL.zst", "jsonl.zst"),
        ("/", None, "jsonl"),
    ],
)
def test_formats(path: str, form: str | None, ending: str) -> None:
    assert of(path, **({} if form is None else {"format": form})).ending == ending


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ({"format": "csv"}, "format='csv' .* can't be written: give json, jsonl, .*parquet"),
        ({"partition_by": "category,color"}, "partition_by='color' .* is unknown: give some of"),
        ({"partition_by": "hour,hour"}, "hour stands twice in partition_by"),
        ({"partition_by": "date,day"}, "date and day .* are the same"),
        ({"every": "5"}, "every='5' .* is no time from 1s to 24h"),
        ({"every": "0s"}, "every='0s' .* write it as 90s, 5m or 1h"),
        ({"every": "2d"}, "every='2d'"),
        ({"every": "5MB"}, "every='5MB'"),
        ({"every": "-5m"}, "every='-5m'"),
        ({"max_size": "10"}, "max_size='10' .* write it as 10MB or 1GiB"),
        ({"max_size": "10m"}, "max_size='10m'"),
        ({"max_size": "1TB"}, "max_size='1TB'"),
        ({"max_size": "5GB"}, "no size from 1kB to 4GB"),
        ({"max_zise": "5GB"}, "'max_zise' in 'out/' is unknown: a folder's URI takes format, "),
    ],
    ids=lambda value: (
        "-".join(f"{k}={v}" for k, v in value.items()) if isinstance(value, dict) else ""
    ),
)
def test_what_can_not_be(query: dict[str, str], words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        of(**query)


def test_amounts() -> None:
    assert [duration(t) for t in ("90s", "1.5h", "1d", "5M")] == [90, 5400, 86400, 300]
    assert [size(t) for t in ("500kB", "10mb", "1.5GiB")] == [500_000, 10_000_000, 3 * 2**29]
    for wrong in ("", "s", "1 week", "1e3s", "١s"):
        with pytest.raises(ValueError):
            duration(wrong)


@pytest.mark.parametrize(
    ("path", "query", "bounded", "folder"),
    [
        ("out/", {}, True, True),
        ("out.jsonl", {}, False, False),
        ("out.jsonl", {"every": "5m"}, False, True),
        ("out", {"partition_by": "hour"}, True, True),
        ("out", {"format": "parquet"}, True, False),
        ("x.parquet", {}, True, False),
        ("x.parquet", {}, False, True),
        ("x.parquet/", {}, True, True),
        ("s3://b/x.jsonl", {}, True, False),
        ("s3://b/x", {}, False, True),
    ],
)
def test_what_is_a_folder(path: str, query: dict[str, str], bounded: bool, folder: bool) -> None:
    assert is_folder(path, query, bounded=bounded) == folder


def test_a_folder_that_is_there_is_one(tmp_path: Path) -> None:
    assert is_folder(str(tmp_path), {}, bounded=True)
    (tmp_path / "x").touch()
    assert not is_folder(str(tmp_path / "x"), {})
