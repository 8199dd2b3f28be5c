"""What is refused before a job jar is written, in one line that names the value and the fix."""

from __future__ import annotations

import logging
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from apache_beam.options.pipeline_options import PipelineOptions, PortableOptions

from pipeline.runners.flink.job_jar import ENTRY_CLASS, check, wanted, write
from transforms.errors import ConfigurationError


def options(*flags: object) -> PipelineOptions:
    return PipelineOptions(["--runner=FlinkRunner", *map(str, flags)])


def test_without_the_option_nothing_is() -> None:
    check(options("--environment_type=LOOPBACK"))
    assert wanted(options()) is None


def test_a_file_in_a_folder_is_fine(tmp_path: Path) -> None:
    asked = options(f"--output_executable_path={tmp_path / 'a.jar'}")
    check(asked)
    assert wanted(asked) == tmp_path / "a.jar"


@pytest.mark.parametrize(
    ("name", "flags", "said"),
    [
        ("a", (), "end in .jar"),
        ("nowhere/a.jar", (), "can't be written"),
        ("folder.jar", (), "can't be written"),
        ("a.jar", ("--environment_type=LOOPBACK",), "--environment_config=127.0.0.1:50000"),
    ],
)
def test_what_can_be_known_is_said_before(
    tmp_path: Path, name: str, flags: tuple[str, ...], said: str
) -> None:
    (tmp_path / "folder.jar").mkdir()
    with pytest.raises(ConfigurationError, match=said) as refused:
        check(options(f"--output_executable_path={tmp_path / name}", *flags))
    assert name in str(refused.value)


def test_a_job_server_elsewhere_has_folders_of_its_own() -> None:
    check(options("--output_executable_path=/nowhere/a.jar", "--job_endpoint=server:8099"))


# ---- writing it ------------------------------------------------------------------------------------


def job(beam_options: PipelineOptions, fails: bool = False) -> Any:
    """A job whose job server writes two bytes, and may fail then."""

    def run() -> Any:
        path = beam_options.view_as(PortableOptions).output_executable_path
        if "/nowhere/" not in path:
            Path(path).write_bytes(b"PK")
        if fails:
            raise RuntimeError("the job server failed")
        return SimpleNamespace(wait_until_finish=lambda: None)

    return SimpleNamespace(pipeline=SimpleNamespace(options=beam_options, run=run))


def test_it_takes_its_place_when_it_is_whole(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    jar = tmp_path / "a.jar"
    with caplog.at_level(logging.INFO, "newsbeam"):
        write(job(options(f"--output_executable_path={jar}")), jar)
    assert [each.name for each in tmp_path.iterdir()] == ["a.jar"]
    assert str(jar) in caplog.text
    assert ENTRY_CLASS in caplog.text


def test_what_was_there_stays_where_it_fails(tmp_path: Path) -> None:
    jar = tmp_path / "a.jar"
    jar.write_bytes(b"before")
    with pytest.raises(RuntimeError, match="the job server failed"):
        write(job(options(f"--output_executable_path={jar}"), fails=True), jar)
    assert [each.name for each in tmp_path.iterdir()] == ["a.jar"]
    assert jar.read_bytes() == b"before"


def test_one_that_is_written_elsewhere_is_not_looked_for(
    caplog: pytest.LogCaptureFixture,
) -> None:
    asked = options("--output_executable_path=/nowhere/a.jar", "--job_endpoint=server:8099")
    with caplog.at_level(logging.INFO, "newsbeam"):
        write(job(asked), Path("/nowhere/a.jar"))
    assert "server:8099 wrote /nowhere/a.jar" in caplog.text
