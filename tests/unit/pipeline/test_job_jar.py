"""What is refused before a job jar is written, in one line that names the value and the fix."""

from __future__ import annotations

from pathlib import Path

import pytest
from apache_beam.options.pipeline_options import PipelineOptions

from pipeline.runners.flink.job_jar import check, wanted
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
