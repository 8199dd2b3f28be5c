"""A folder as a sink: when files are made, by whom, and what is in them."""

from __future__ import annotations

import datetime
import resource
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import apache_beam as beam
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

from tests.servers.processes import wait_until
from tests.unit.running import local_pipeline
from tests.unit.transforms.files.reading_back import items_of, lines_of
from transforms.failures import PipelineFailure, forget_failures
from transforms.files import folder as folders
from transforms.files.archives import OpenFile
from transforms.files.folder import Folder, FolderSink, close_folders, make_files
from transforms.files.folder_options import FolderOptions
from transforms.files.journal import frame
from transforms.files.paths import covers, find
from transforms.files.places import LocalPlace
from transforms.files.write import FileSink, to_line
from transforms.records import (
    CategorizedItem,
    DeadLetter,
    KafkaPosition,
    Message,
    Outcome,
    dead_letter,
    dead_letter_from_json,
)
from transforms.writing import ALL, ITEMS, LETTERS, WriteOutcomes

_TIME = datetime.datetime(2026, 11, 27, 10, 5, tzinfo=datetime.UTC)


@pytest.fixture(autouse=True)
def _closed() -> Iterator[None]:
    forget_failures()
    yield
    close_folders()
    forget_failures()


def item(number: int, category: str = "Sci/Tech") -> CategorizedItem:
    source = KafkaPosition("news", 0, number)
    message = Message(b"%d" % number, key=b"k", source=source)
    return CategorizedItem(
        str(number), category, 1.0, {category: 1.0}, (category,), 3, False, "m@1", _TIME, _TIME,
        source, {"n": number}, message,
    )  # fmt: skip


def letter(number: int) -> DeadLetter:
    message = Message(b"\xff%d" % number, source=KafkaPosition("news", 0, number))
    return dead_letter(message, "ParseNews", ValueError("no"))


def options(tmp_path: Path, **more: object) -> FolderOptions:
    return FolderOptions(**{"path": str(tmp_path / "out"), **more})  # type: ignore[arg-type]


def write(options: FolderOptions, outcomes: list[Outcome]) -> None:
    writer = FolderSink(options).writer()
    for outcome in outcomes:
        writer.add(outcome)
    assert not list(writer.flush())


def files(tmp_path: Path) -> list[Path]:
    """The files that readers see."""
    return sorted(
        path
        for path in (tmp_path / "out").rglob("*")
        if path.is_file() and not path.relative_to(tmp_path).as_posix().count("/.")
    )


def journals(tmp_path: Path) -> list[str]:
    """What is in the hidden folder."""
    return sorted(path.name for path in (tmp_path / "out" / ".newsbeam").iterdir())


def numbers(paths: list[Path]) -> Counter[int]:
    return Counter(int(i.id) for path in paths for i in items_of(path.name, path.read_bytes()))


def run_that_dies(options: FolderOptions, *bundles: list[Outcome]) -> None:
    """Leaves behind what a killed run does: its journal, which nobody has locked."""
    kept = LocalPlace(options.path).begin(options.ending)
    for bundle in bundles:
        kept.append(frame([(o, to_line(o)) for o in bundle], options.partition_by))
    kept.let_go()


# ---- when ------------------------------------------------------------------------------------------


def test_nothing_is_seen_before_its_time_and_all_at_the_end(tmp_path: Path) -> None:
    out = options(tmp_path)
    write(out, [item(1)])
    write(out, [item(2)])
    assert files(tmp_path) == []
    [journal] = journals(tmp_path)
    assert journal.endswith(".jsonl.open")
    close_folders()
    assert numbers(files(tmp_path)) == {1: 1, 2: 1}
    assert journals(tmp_path) == []


def test_time_passes_without_a_record(tmp_path: Path) -> None:
    write(options(tmp_path, every=0.1), [item(1)])
    wait_until(lambda: files(tmp_path), "a file")
    assert numbers(files(tmp_path)) == {1: 1}


def test_a_large_file_is_complete(tmp_path: Path) -> None:
    out = options(tmp_path, max_size=1000, partition_by=("category",))
    write(out, [item(n) for n in range(2)] + [item(9, "World")])
    write(out, [item(n) for n in range(2, 6)])
    wait_until(lambda: len(files(tmp_path)) == 2, "two files")
    assert {path.parent.name for path in files(tmp_path)} == {
        "category=Sci%2FTech", "category=World",
    }  # fmt: skip
    write(out, [item(6)])
    close_folders()
    assert numbers(files(tmp_path)) == Counter([*range(7), 9])
    assert len(files(tmp_path)) == 3


@pytest.mark.parametrize("ending", ["jsonl", "jsonl.gz", "jsonl.zst", "parquet"])
def test_items_and_dead_letters_have_files_of_their_own(tmp_path: Path, ending: str) -> None:
    out = options(tmp_path, ending=ending, partition_by=("hour",))
    with local_pipeline() as p:
        outcomes = p | beam.Create([item(1), letter(2), item(3)])
        _ = outcomes | WriteOutcomes(FolderSink(out), ALL)
    close_folders()
    # By their names: the dead letter's hour is that of this run.
    dead, news = sorted(files(tmp_path), key=lambda file: file.name)
    assert dead.name.startswith("dead-letters-20")
    assert news.name.startswith("news-20")
    assert news.name.endswith(f".{ending}")
    assert news.parent.name == "hour=2026-11-27T10"
    assert numbers([news]) == {1: 1, 3: 1}
    if ending != "parquet":
        [line] = lines_of(dead.name, dead.read_bytes())
        assert dead_letter_from_json(line).message.value == b"\xff2"


def test_a_chain_of_sinks(tmp_path: Path) -> None:
    out, dead = options(tmp_path), tmp_path / "dead.jsonl"
    with local_pipeline() as p:
        outcomes = p | beam.Create([item(1), letter(2), item(3)])
        rest = outcomes | "Items" >> WriteOutcomes(FolderSink(out), ITEMS)
        _ = rest | "Dead letters" >> WriteOutcomes(FileSink(str(dead)), LETTERS)
    close_folders()
    assert numbers(files(tmp_path)) == {1: 1, 3: 1}
    assert [dead_letter_from_json(each).message.value for each in dead.open()] == [b"\xff2"]


def test_a_bundle_that_failed_is_forgotten(tmp_path: Path) -> None:
    writer = FolderSink(options(tmp_path)).writer()
    writer.add(item(1))
    writer.forget()
    writer.add(item(2))
    assert not list(writer.flush())
    close_folders()
    assert numbers(files(tmp_path)) == {2: 1}


def test_large_bundles_are_written_before_their_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folders, "FULL", 500)
    writer = FolderSink(options(tmp_path)).writer()
    writer.add(item(1))
    assert not writer.full
    writer.add(item(2))
    assert writer.full


@pytest.mark.parametrize("ending", ["jsonl.zst", "parquet"])
def test_the_folder_is_read_back(tmp_path: Path, ending: str) -> None:
    out = options(tmp_path, ending=ending, partition_by=("category", "hour"))
    write(out, [item(n, category) for n, category in enumerate(("World", "Sci/Tech"))])
    close_folders()
    lines = []
    for path in find(out.path).files:
        with OpenFile(path) as file:
            lines += file.lines()
    assert sorted(lines, key=len) == sorted(
        (to_line(each) + b"\n" for each in (item(0, "World"), item(1, "Sci/Tech"))), key=len
    )
    assert covers(out.path, out.path + "/category=World/news-1.jsonl")
    assert not covers(out.path, out.path + "/other/news-1.jsonl")


# ---- after a kill ----------------------------------------------------------------------------------


@pytest.mark.parametrize("of", ["items", "letters"])
def test_a_partitioned_folder_of_parquet_is_one_table(tmp_path: Path, of: str) -> None:
    names = ("category" if of == "items" else "stage", "hour")
    written: list[Outcome] = [item(0), item(1, "World")] if of == "items" else [letter(0)]
    write(options(tmp_path, ending="parquet", partition_by=names), written)
    close_folders()
    # As pandas.read_parquet does, which finds columns of two types where files have them, too.
    by_default = pq.read_table(str(tmp_path / "out"))
    explicit = ds.dataset(str(tmp_path / "out"), partitioning="hive").to_table()
    for table in (by_default, explicit):
        values = {getattr(outcome, names[0]) for outcome in written}
        assert {*table[names[0]].to_pylist()} == values
        assert {*table["hour"].to_pylist()} >= ({"2026-11-27T10"} if of == "items" else set())
    # Each file is whole by itself, wherever it is moved to.
    lines = [line for path in files(tmp_path) for line in OpenFile(str(path)).lines()]
    assert sorted(lines) == sorted(to_line(outcome) + b"\n" for outcome in written)


def test_what_a_killed_run_left_is_gone_on_with(tmp_path: Path) -> None:
    out = options(tmp_path)
    run_that_dies(out, [item(1)], [item(2), item(3)])
    # Its last bundle was not committed, and comes again.
    write(out, [item(2), item(3), item(4)])
    close_folders()
    assert len(files(tmp_path)) == 1
    assert numbers(files(tmp_path)) == {1: 1, 2: 1, 3: 1, 4: 1}
    assert journals(tmp_path) == []


def test_what_a_killed_run_left_becomes_files_though_nothing_more_comes(tmp_path: Path) -> None:
    """As with dead letters: those there were are out, and no other comes."""
    out = options(tmp_path)
    run_that_dies(out, [letter(1), letter(2)])
    write(out, [])
    close_folders()
    [file] = files(tmp_path)
    found = [dead_letter_from_json(line) for line in lines_of(file.name, file.read_bytes())]
    assert [str(one.message.source) for one in found] == ["news-0@1", "news-0@2"]
    assert journals(tmp_path) == []


def test_what_others_left_is_completed_at_the_start(tmp_path: Path) -> None:
    run_that_dies(options(tmp_path, ending="parquet"), [item(1)])
    run_that_dies(options(tmp_path), [item(2)])
    run_that_dies(options(tmp_path), [item(3)])
    write(options(tmp_path), [item(4)])
    # The first is of another format, the second is gone on with, the third is one too many.
    wait_until(lambda: len(files(tmp_path)) == 2, "two files")
    close_folders()
    assert {path.suffix for path in files(tmp_path)} == {".jsonl", ".parquet"}
    assert numbers(files(tmp_path)) == {1: 1, 2: 1, 3: 1, 4: 1}


def test_files_that_were_half_done_are_the_same_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = options(tmp_path, ending="jsonl.gz", partition_by=("category",))
    place, put, done = LocalPlace(out.path), LocalPlace.put, []
    kept = place.begin(out.ending)
    kept.append(frame([(o, to_line(o)) for o in (item(1), item(2, "World"))], out.partition_by))

    def dies(self: LocalPlace, path: str, write: Callable) -> None:
        if done:
            raise KeyboardInterrupt
        done.append(path)
        put(self, path, write)

    with monkeypatch.context() as patch:
        patch.setattr(LocalPlace, "put", dies)
        with pytest.raises(KeyboardInterrupt):
            make_files(place, kept)
    [first] = files(tmp_path)
    data = first.read_bytes()
    # With other options by now, which change nothing for what is there.
    write(options(tmp_path), [item(3)])
    wait_until(lambda: len(files(tmp_path)) == 2, "the second file")
    assert first.read_bytes() == data
    close_folders()
    assert len(files(tmp_path)) == 3
    assert numbers(files(tmp_path)) == {1: 1, 2: 1, 3: 1}


def test_a_live_run_keeps_its_own(tmp_path: Path) -> None:
    out = options(tmp_path)
    one, other = Folder(out), Folder(out)
    try:
        one.append(frame([(item(1), to_line(item(1)))], ()))
        other.append(frame([(item(2), to_line(item(2)))], ()))
        assert len(journals(tmp_path)) == 2
        other._complete_others()
        assert files(tmp_path) == []
    finally:
        other.close()
    assert numbers(files(tmp_path)) == {2: 1}
    one.close()
    assert numbers(files(tmp_path)) == {1: 1, 2: 1}


# ---- what goes wrong -------------------------------------------------------------------------------


def test_a_full_disk_ends_the_run_and_keeps_what_is_there(tmp_path: Path) -> None:
    out = options(tmp_path)
    write(out, [item(1)])
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (600, hard))
    try:
        with pytest.raises(PipelineFailure, match="out can't be written any further: File too la"):
            write(out, [item(n) for n in range(2, 9)])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    close_folders()
    assert numbers(files(tmp_path)) == {1: 1}


def test_a_folder_that_is_none_ends_the_run(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / ".newsbeam").write_text("mine")
    with pytest.raises(PipelineFailure, match=r"out can't be written .*: Not a dir.*/\.newsbeam"):
        write(options(tmp_path), [item(1)])


def test_files_that_cannot_be_made_end_the_run(tmp_path: Path) -> None:
    out = options(tmp_path, every=0.1, partition_by=("category",))
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "category=World").write_text("mine")
    write(out, [item(1, "World")])

    def fails() -> bool:
        try:
            write(out, [item(2, "World")])
        except PipelineFailure as e:
            return "can't be written any further" in str(e)
        return False

    wait_until(fails, "a failure")
    with pytest.raises(PipelineFailure):
        close_folders()
    # It is all there once the user's file is out of the way.
    assert (tmp_path / "out" / "category=World").read_text() == "mine"
    (tmp_path / "out" / "category=World").unlink()
    forget_failures()
    write(out, [item(3, "World")])
    close_folders()
    assert numbers(files(tmp_path)).keys() >= {1, 3}


def test_a_runner_that_tries_again_in_this_process_begins_anew(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    out = options(tmp_path, every=0.1, partition_by=("category",))
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "category=World").write_text("mine")
    write(out, [item(1, "World")])
    wait_until(lambda: "can't be written any further" in caplog.text, "a line that says so")
    with pytest.raises(PipelineFailure):
        write(out, [item(2, "World")])
    (tmp_path / "out" / "category=World").unlink()
    write(out, [item(2, "World")])
    close_folders()
    assert numbers(files(tmp_path)) == {1: 1, 2: 1}


def test_files_of_the_user_stay(tmp_path: Path) -> None:
    mine = tmp_path / "out" / "mine.jsonl"
    mine.parent.mkdir()
    mine.write_text("mine")
    write(options(tmp_path), [item(1)])
    close_folders()
    assert mine.read_text() == "mine"
    assert len(files(tmp_path)) == 2
