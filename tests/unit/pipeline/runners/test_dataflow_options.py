"""What is set on Dataflow, and refused before anything starts: each in one line."""

from __future__ import annotations

import logging
import threading
from pathlib import Path
from typing import TYPE_CHECKING, cast

import apache_beam as beam
import pytest
from apache_beam.io.gcp import gcsio
from apache_beam.options import pipeline_options
from apache_beam.options.pipeline_options import (
    DebugOptions,
    GoogleCloudOptions,
    SetupOptions,
)

from pipeline.options import RunOptions
from pipeline.run import beam_options
from pipeline.runners.dataflow import places
from pipeline.runners.dataflow import runner as dataflow
from pipeline.runners.dataflow.runner import Dataflow
from pipeline.runners.kinds import runner_of
from pipeline.runners.runner import Job, option_names
from transforms.errors import ConfigurationError
from transforms.files import remote

if TYPE_CHECKING:
    from pipeline.ends.end import Ends

NEEDED = ("--project=my-project", "--region=europe-west1", "--temp_location=gs://bucket/temp")
PUBSUB = ("pubsub://my-project/news-sub", "pubsub://my-project/categorized")


@pytest.fixture(autouse=True)
def _nothing_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("GOOGLE_CLOUD_PROJECT", "CLOUDSDK_COMPUTE_REGION"):
        monkeypatch.delenv(name, raising=False)


def configured(*args: str, source: str = PUBSUB[0], **options: object) -> GoogleCloudOptions:
    """Beam's options, once newsbeam has looked at them; nobody is asked unless a test wants that."""
    given = {"skip_checks": ("temp_location",)} | options
    parsed = beam_options(["--runner=DataflowRunner", *args])
    runner = runner_of(parsed)
    assert isinstance(runner, Dataflow)
    runner.configure(parsed, option_names(parsed._flags), RunOptions(source, PUBSUB[1], **given))
    return parsed.view_as(GoogleCloudOptions)


def test_what_matters_is_set_and_said_in_one_line(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "newsbeam"):
        found = configured(*NEEDED, "--job_name=news")
    assert found.view_as(SetupOptions).save_main_session is False
    assert found.view_as(SetupOptions).sdk_location == "container"
    assert found.view_as(DebugOptions).number_of_worker_harness_threads == 4
    [line] = [r.getMessage() for r in caplog.records]
    assert line == (
        "Dataflow: set --no_save_main_session --sdk_location=container "
        "--number_of_worker_harness_threads=4 --resource_hint=min_ram=4GB"
    )


def test_what_the_user_set_stays(caplog: pytest.LogCaptureFixture) -> None:
    given = (
        "--save_main_session",
        "--sdk_location=default",
        "--number_of_worker_harness_threads=9",
        "--resource_hint=min_ram=1GB",
        "--job_name=news",
    )
    with caplog.at_level(logging.INFO, "newsbeam"):
        found = configured(*NEEDED, *given)
    assert found.view_as(SetupOptions).save_main_session is True
    assert found.view_as(SetupOptions).sdk_location == "default"
    assert found.view_as(DebugOptions).number_of_worker_harness_threads == 9
    assert not caplog.records


def test_threads_are_left_to_dataflow_where_readers_of_ours_need_them() -> None:
    found = configured(*NEEDED, source="kafka://broker:9092/news")
    assert found.view_as(DebugOptions).number_of_worker_harness_threads is None


def test_project_and_region_may_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "another-project")
    monkeypatch.setenv("CLOUDSDK_COMPUTE_REGION", "us-east1")
    found = configured("--temp_location=gs://bucket/temp")
    assert (found.project, found.region) == ("another-project", "us-east1")


@pytest.mark.parametrize(
    ("args", "named"),
    [
        (NEEDED[1:], "--project"),
        (("--project=12345", *NEEDED[1:]), "--project=12345"),
        ((NEEDED[0], NEEDED[2]), "--region"),
        (NEEDED[:2], "--temp_location=gs://BUCKET/FOLDER"),
        ((*NEEDED[:2], "--temp_location=/tmp/x"), "--temp_location=/tmp/x is no folder"),
        ((*NEEDED[:2], "--temp_location=gs://bucket"), "such as gs://bucket/newsbeam"),
        ((*NEEDED, "--staging_location=gs://Bucket/x"), "--staging_location=gs://Bucket/x"),
        ((*NEEDED, "--job_name=News_1"), "--job_name=News_1"),
        ((*NEEDED, "--update"), "--job_name"),
        ((*NEEDED, "--dry_run=False"), "--dry_run"),
        ((*NEEDED, "--s3_secret_access_key=abc"), "--s3_secret_access_key"),
        ((*NEEDED, "--temp_locaton=gs://a/b"), "--temp_location"),
        ((*NEEDED, "--max_num_worker=3"), "--max_num_workers"),
    ],
    ids=lambda v: v if isinstance(v, str) else "",
)
def test_what_can_not_work_is_refused(args: tuple[str, ...], named: str) -> None:
    with pytest.raises(ConfigurationError, match=named) as caught:
        configured(*args)
    assert "\n" not in str(caught.value)
    assert "abc" not in str(caught.value)


def test_without_googles_client_one_line_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dataflow, "find_spec", lambda module: None)
    with pytest.raises(ConfigurationError, match=r"newsbeam\[gcp\]"):
        configured(*NEEDED)


def test_a_launcher_may_pass_on_what_nobody_knows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLEX_TEMPLATE_PYTHON_PY_FILE", "launch.py")
    configured(*NEEDED, "--something_of_googles=1")


def test_a_process_for_each_core() -> None:
    runner = Dataflow()
    assert runner.processes(beam_options(["--runner=DataflowRunner"])) == 0
    alone = ["--runner=DataflowRunner", "--experiments=no_use_multiple_sdk_containers"]
    assert runner.processes(beam_options(alone)) == 1


# ---- where a job's files go ------------------------------------------------------------------------


def test_a_store_that_does_not_answer_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    never = threading.Event()
    monkeypatch.setattr(places, "_try", lambda path: never.wait())
    monkeypatch.setattr(remote, "ANSWER", 0.05)
    with pytest.raises(ConfigurationError, match=r"--temp_location=gs://bucket/temp: .*answered"):
        configured(*NEEDED, skip_checks=())
    never.set()


def test_beam_does_not_ask_either_where_we_do_not(monkeypatch: pytest.MonkeyPatch) -> None:
    def asked(*args: object) -> None:
        raise AssertionError("Beam asked for the bucket")

    monkeypatch.setattr(gcsio.GcsIO, "is_soft_delete_enabled", asked)
    found = configured(*NEEDED)
    made = beam.Pipeline(options=found).options.view_as(pipeline_options.TestOptions)
    assert made.dry_run
    job = Job(beam.Pipeline(options=found), RunOptions(*PUBSUB), made, cast("Ends", Ended))
    Dataflow().prepare(job)
    assert made.dry_run is False


class Ended:
    """What is asked of the ends of a job."""

    delivery = "at_least_once"


def test_a_bucket_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    class NotFound(Exception):
        code = 404

    def missing(path: str) -> None:
        raise NotFound("gone")

    monkeypatch.setattr(places, "_try", missing)
    with pytest.raises(ConfigurationError, match="no bucket 'bucket'"):
        configured(*NEEDED, skip_checks=())


def test_a_stand_in_may_have_local_folders(tmp_path: Path) -> None:
    local = (f"--temp_location={tmp_path}", "--dataflow_endpoint=http://localhost:9", "--no_auth")
    assert configured(*NEEDED[:2], *local).temp_location == str(tmp_path)
