"""Files read by micro-batches: flat memory, resumed where they stood, each message once."""

from __future__ import annotations

import gzip
from pathlib import Path

import apache_beam as beam
import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.testing.util import assert_that, equal_to

from transforms.failures import PipelineFailure
from transforms.files.progress import Part, Progress, Share, fingerprint
from transforms.files.read import BUNDLE_BYTES, Cut, FileReader, FileSource, Position
from transforms.reading import ReadUnbounded

CUT = Cut("json")


def values(reader: FileReader, limit: int = 3) -> list[bytes]:
    found: list[bytes] = []
    while not reader.at_end():
        batch = reader.poll(0, limit)
        assert len(batch.messages) <= limit
        found += [m.value or b"" for m in batch.messages]
        reader.resume(batch.position)
    return found


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    (tmp_path / "a.jsonl").write_bytes(b"".join(b"%d\n" % n for n in range(10)))
    (tmp_path / "b.jsonl").write_bytes(b"")
    (tmp_path / "c.jsonl").write_bytes(gzip.compress(b"".join(b"%d\n" % n for n in range(10, 20))))
    return [str(tmp_path / f"{name}.jsonl") for name in "abc"]


ALL = [b"%d" % n for n in range(20)]


@pytest.mark.parametrize("limit", [1, 3, 10, 100])
def test_one_file_after_the_other(files: list[str], limit: int) -> None:
    reader = FileReader(FileSource(files, CUT))
    reader.resume(None)
    assert values(reader, limit) == ALL


@pytest.mark.parametrize("taken", range(21))
def test_it_goes_on_where_another_reader_stood(files: list[str], taken: int) -> None:
    first = FileReader(FileSource(files, CUT))
    first.resume(None)
    position: object = Position()
    for _ in range(taken):
        batch = first.poll(0, 1)
        position = batch.position
    second = FileReader(FileSource(files, CUT))
    second.resume(position)
    assert values(second) == ALL[taken:]
    # So it is when the run is started again.
    third = FileReader(FileSource(files, CUT, start=Position(*position)))  # type: ignore[misc]
    third.resume(None)
    assert values(third) == ALL[taken:]


def test_a_bundle_holds_few_long_lines(tmp_path: Path) -> None:
    line = b"x" * (BUNDLE_BYTES // 4) + b"\n"
    (tmp_path / "a.jsonl").write_bytes(line * 20)
    reader = FileReader(FileSource([str(tmp_path / "a.jsonl")], CUT))
    reader.resume(None)
    batch = reader.poll(0, 2000)
    assert len(batch.messages) <= 5
    # Nothing more in this bundle, and the next goes on.
    assert not reader.poll(0, 2000).messages
    reader.resume(batch.position)
    assert reader.poll(0, 2000).messages


def test_it_reads_no_further_than_it_gives(tmp_path: Path) -> None:
    """Memory does not grow with the file: it stays on its disk."""
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'{"title": "x"}\n' * 1_000_000)
    reader = FileReader(FileSource([str(path)], CUT))
    reader.resume(None)
    reader.poll(0, 100)
    assert reader.place()[1] < 300_000


def test_in_a_pipeline(files: list[str]) -> None:
    options = PipelineOptions(["--runner=FnApiRunner", "--streaming"])
    with beam.Pipeline(options=options) as p:
        got = p | ReadUnbounded(FileSource(files, CUT)) | beam.Map(lambda m: m.value)
        assert_that(got, equal_to(ALL))


def test_a_damaged_archive_ends_the_reading(files: list[str]) -> None:
    whole = Path(files[2]).read_bytes()
    Path(files[2]).write_bytes(whole[:-9])
    reader = FileReader(FileSource(files, CUT))
    reader.resume(None)
    with pytest.raises(PipelineFailure, match="is damaged"):
        values(reader)


# ---- progress ------------------------------------------------------------------------------------


def progress(tmp_path: Path, run: str = "run") -> Progress:
    parts = [Part(str(tmp_path / "out.jsonl")), Part(str(tmp_path / "dead.jsonl"))]
    return Progress(str(tmp_path / ".out.jsonl.newsbeam-progress"), run, parts)


def grow(part: Part, data: bytes) -> None:
    with open(part.path, "ab") as f:
        f.write(data)


def test_what_came_after_the_noted_position_is_cut_off(tmp_path: Path) -> None:
    first = progress(tmp_path)
    assert first.resume() == Position()
    grow(first.parts[0], b"1\n2\n")
    first.save(Position(0, 2))
    grow(first.parts[0], b"3\n")
    grow(first.parts[1], b"4\n")
    again = progress(tmp_path)
    assert again.resume() == Position(0, 2)
    assert [part.size() for part in again.parts] == [4, 0]
    again.finish()
    assert {f.name: f.read_bytes() for f in tmp_path.iterdir()} == {
        "out.jsonl": b"1\n2\n",
        "dead.jsonl": b"",
    }


@pytest.mark.parametrize("change", ["run", "part", "broken", "none"])
def test_it_begins_anew_where_it_cannot_go_on(tmp_path: Path, change: str) -> None:
    first = progress(tmp_path)
    grow(first.parts[0], b"1\n2\n")
    first.save(Position(0, 2))
    if change == "part":
        first.parts[0].cut(1)
    if change == "broken":
        Path(str(first.path)).write_bytes(b"{")
    if change == "none":
        Path(str(first.path)).unlink()
    again = progress(tmp_path, "another" if change == "run" else "run")
    assert again.resume() == Position()
    assert [part.size() for part in again.parts] == [0, 0]


def test_progress_that_cannot_be_kept_does_not_end_the_run(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    one = Progress(str(tmp_path / "file" / "progress"), "run", [])
    for n in range(2):
        one.save(Position(0, n))
    assert len(caplog.records) == 1


def test_another_file_or_option_is_another_run(files: list[str]) -> None:
    before = fingerprint(files, "options")
    assert before == fingerprint(files, "options")
    assert before != fingerprint(files, "others")
    assert before != fingerprint(files[:2], "options")
    with open(files[0], "ab") as f:
        f.write(b"more\n")
    assert before != fingerprint(files, "options")


def test_an_interrupted_run_leaves_a_links_target_alone(tmp_path: Path) -> None:
    (tmp_path / "real.jsonl").write_bytes(b"old\n")
    (tmp_path / "link.jsonl").symlink_to("real.jsonl")
    part = Part(str(tmp_path / "link.jsonl"))
    grow(part, b"new\n")
    assert (tmp_path / "real.jsonl").read_bytes() == b"old\n"
    part.put_in_place()
    assert (tmp_path / "link.jsonl").is_symlink()
    assert (tmp_path / "real.jsonl").read_bytes() == b"new\n"


def test_the_share_of_bytes(files: list[str]) -> None:
    share = Share(files)
    sizes = [Path(path).stat().st_size for path in files]
    assert share.bytes_read((0, 5)) == (5, sum(sizes))
    assert share.bytes_read((3, 0)) == (sum(sizes), sum(sizes))
