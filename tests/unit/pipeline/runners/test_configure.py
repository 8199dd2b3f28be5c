"""What is set for Flink, and what is refused before the start."""

from __future__ import annotations

import logging
import socket
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from apache_beam.options.pipeline_options import (
    FlinkRunnerOptions,
    GoogleCloudOptions,
    PipelineOptions,
    PortableOptions,
)

from pipeline.options import RunOptions
from pipeline.run import beam_options
from pipeline.runners.flink.carried import submission_in
from pipeline.runners.flink.runner import Flink
from pipeline.runners.runner import option_names
from tests.unit.pipeline.runners.flink_rest import FakeFlink
from transforms.errors import ConfigurationError

SOURCE = "kafka://k:9092/news?group=desk"
# There may be no Java where this runs.
JAVA = f"--job_server_java_launcher={sys.executable}"


@pytest.fixture
def pool() -> Iterator[str]:
    """Somebody who takes connections."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


@pytest.fixture
def nobody() -> str:
    """An address where nobody is."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return f"127.0.0.1:{server.getsockname()[1]}"


@pytest.fixture
def cluster(flink: FakeFlink, pool: str) -> list[str]:
    """Arguments that lead to a cluster, and to workers."""
    return [f"--flink_master={flink.address}", f"--environment_config={pool}"]


def configured(*arguments: str, source: str = SOURCE, **ours: Any) -> PipelineOptions:
    """Beam's options, configured."""
    options = beam_options(["--runner=FlinkRunner", JAVA, *arguments])
    asked = RunOptions(source=source, sink="kafka://k:9092/out", **ours)
    Flink().configure(options, option_names(options._flags), asked)
    return options


def refused(*arguments: str, **more: Any) -> str:
    """The line that arguments are refused with."""
    with pytest.raises(ConfigurationError) as caught:
        configured(*arguments, **more)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def jar(folder: Path, beam: str = "2.77.0", flink: str = "1.19") -> str:
    """A job server's jar, of these versions."""
    path = folder / "js.jar"
    with zipfile.ZipFile(path, "w") as made:
        made.writestr("org/apache/beam/sdk/sdk.properties", f"# x\nversion={beam}\nother=1\n")
        made.writestr(f"META-INF/maven/org.apache.beam/beam-runners-flink-{flink}/pom.xml", "")
    return f"--flink_job_server_jar={path}"


# ---- set -------------------------------------------------------------------------------------------


def test_within_the_job_server(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "newsbeam"):
        options = configured("--flink_master=[local]")
    assert options.view_as(PortableOptions).environment_type == "LOOPBACK"
    for flag in (
        "--finish_bundle_before_checkpointing",
        "--max_bundle_time_mills=200",
        "--checkpointing_interval=5000",
        "--shutdown_sources_after_idle_ms=1000",
    ):
        assert flag in options._flags
    assert len(caplog.records) == 1
    assert "Flink inside the job server: set --finish_bundle" in caplog.text
    assert "--job_name=newsbeam-desk" in caplog.text
    assert Flink().checkpoint(options) == 5.0


def test_a_job_that_is_to_end_has_an_end(cluster: list[str]) -> None:
    assert "--shutdown_sources_after_idle_ms=1000" in configured(*cluster, stop_at_end=True)._flags


def test_what_is_given_stays() -> None:
    given = [
        "--max_bundle_time_mills=50",
        "--checkpointing_interval",
        "1000",
        "--finish_bundle_before_checkpointing",
        "--shutdown_sources_after_idle_ms=7",
        "--environment_type=PROCESS",
        "--job_name=mine",
    ]
    options = configured("--flink_master=[local]", *given)
    assert options._flags == ["--runner=FlinkRunner", JAVA, "--flink_master=[local]", *given]
    assert options.view_as(PortableOptions).environment_type == "PROCESS"
    assert options.view_as(GoogleCloudOptions).job_name == "mine"
    assert Flink().checkpoint(options) == 1.0


def test_on_a_cluster(
    flink: FakeFlink, cluster: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    flink.configuration["parallelism.default"] = "3"
    with caplog.at_level(logging.INFO, "newsbeam"):
        options = configured(*cluster)
    view = options.view_as(FlinkRunnerOptions)
    assert (view.flink_master, view.flink_version) == (f"http://{flink.address}", "1.19")
    assert view.parallelism == 3
    assert options.view_as(PortableOptions).environment_type == "EXTERNAL"
    assert "--retain_externalized_checkpoints_on_cancellation" in options._flags
    assert "--externalized_checkpoints_enabled" in options._flags
    assert not any("shutdown_sources" in flag for flag in options._flags)
    assert f"Flink 1.19.3 at http://{flink.address}: set " in caplog.text
    assert "--environment_type=EXTERNAL" in caplog.text


def test_the_job_remembers_what_the_user_gave(cluster: list[str]) -> None:
    options = configured(*cluster, "--savepoint_path=s3://x", "--parallelism", "2", max_delay=3.0)
    kept = submission_in(options)
    assert kept is not None
    assert "--source=" + SOURCE in kept.arguments
    assert "--parallelism=2" in kept.arguments
    said = " ".join(kept.arguments)
    assert "savepoint" not in said
    assert "flink_master" not in said
    assert "finish_bundle" not in said
    assert kept.job_server


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("kafka://k:1/news", "newsbeam"),
        ("kafka://k:1/news?group=newsbeam", "newsbeam"),
        ("kafka://k:1/news?group=desk", "newsbeam-desk"),
        ("pubsub://project/subscription", "newsbeam-subscription"),
        ("gs://bucket/news/2026.jsonl", "newsbeam-2026.jsonl"),
    ],
)
def test_the_jobs_name(source: str, name: str) -> None:
    options = configured("--flink_master=[local]", source=source)
    assert options.view_as(GoogleCloudOptions).job_name == name


def test_too_few_slots_are_a_warning(
    flink: FakeFlink, cluster: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    flink.slots = 1
    configured(*cluster, "--parallelism=2")
    assert "has 1 free slots of 4, and the job wants 2" in caplog.text


def test_checkpoints_in_memory_are_a_warning(
    flink: FakeFlink, cluster: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    del flink.configuration["state.checkpoints.dir"]
    options = configured(*cluster)
    assert "keeps checkpoints in the job manager's memory" in caplog.text
    assert not any("externalized" in flag for flag in options._flags)


def test_an_old_job_server_is_a_warning(
    cluster: list[str], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    configured(*cluster, jar(tmp_path, beam="2.70.0"))
    assert "job server 2.70.0 leaks state" in caplog.text
    caplog.clear()
    configured("--flink_master=[local]", jar(tmp_path, beam="2.70.0"))
    configured(*cluster, jar(tmp_path, beam="2.76.0"))
    assert "leaks" not in caplog.text


def test_a_jar_of_the_job_needs_no_cluster(pool: str) -> None:
    arguments = ["--output_executable_path=x.jar", f"--environment_config={pool}"]
    options = configured(*arguments)
    assert options.view_as(PortableOptions).environment_type == "EXTERNAL"
    assert "--finish_bundle_before_checkpointing" in options._flags
    assert "worker-pool" in refused("--output_executable_path=x.jar")


def test_a_job_server_that_runs_needs_no_java(flink: FakeFlink, cluster: list[str]) -> None:
    no_java = "--job_server_java_launcher=no-such-java"
    configured(*cluster, "--job_endpoint=localhost:1", no_java)
    assert "no program 'no-such-java'" in refused(*cluster, no_java)


# ---- refused ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "ours", "words"),
    [
        (["--max_bundle_time_mills=soon"], {}, "--max_bundle_time_mills=soon is no whole number"),
        (["--checkpointing_interval"], {}, "is no whole number"),
        (["--checkpointing_interval=-1"], {}, "nothing that was read is ever committed"),
        (["--object_reuse=false"], {}, "--object_reuse takes no value, and was given 'false'"),
        (["--object_reuse", "false"], {}, "--object_reuse takes no value, and was given 'false'"),
        (["--flink_submit_uber_jar"], {}, "--output_executable_path"),
        ([], {"detach": True}, "--detach needs a Flink cluster"),
    ],
)
def test_what_does_not_work(arguments: list[str], ours: dict[str, Any], words: str) -> None:
    assert words in refused("--flink_master=[local]", *arguments, **ours)


@pytest.mark.parametrize("ours", [{"detach": True}, {"on_stop": "leave"}])
def test_workers_in_this_process_can_not_be_left(flink: FakeFlink, ours: dict[str, Any]) -> None:
    line = refused(f"--flink_master={flink.address}", "--environment_type=LOOPBACK", **ours)
    assert "leaves a job without workers" in line


def test_where_are_the_workers(flink: FakeFlink, nobody: str) -> None:
    master = f"--flink_master={flink.address}"
    assert "where are the Python workers?" in refused(master)
    assert "give the worker pool's address" in refused(master, "--environment_type=EXTERNAL")
    line = refused(master, f"--environment_config={nobody}")
    assert f"--environment_config={nobody}: no worker pool there (connection refused)" in line
    option = f"--environment_option=external_service_address={nobody}"
    assert "no worker pool there" in refused(master, "--environment_type=EXTERNAL", option)
    assert "no HOST:PORT" in refused(master, "--environment_config=nowhere")


def test_nobody_at_flinks_address(nobody: str, pool: str) -> None:
    line = refused(f"--flink_master={nobody}", f"--environment_config={pool}")
    assert f"--flink_master={nobody}: can't reach Flink" in line
    assert "connection refused" in line


def test_a_cluster_of_another_version(flink: FakeFlink, cluster: list[str], tmp_path: Path) -> None:
    assert "is for Flink 1.20, and the cluster is 1.19.3" in refused(
        *cluster, jar(tmp_path, flink="1.20")
    )
    assert "drop it" in refused(*cluster, "--flink_version=2.0")
    flink.version = "1.17.2"
    assert "Beam has no job server for Flink 1.17.2" in refused(*cluster)
    (tmp_path / "no.jar").write_text("x")
    assert "can't be read" in refused(*cluster, f"--flink_job_server_jar={tmp_path / 'no.jar'}")


def test_there_is_no_folder_for_savepoints(flink: FakeFlink, cluster: list[str]) -> None:
    del flink.configuration["state.savepoints.dir"]
    assert "has no folder for them: give --savepoint_dir" in refused(*cluster)
    assert "--on_stop=drain makes a savepoint" in refused(*cluster, on_stop="drain")
    configured(*cluster, on_stop="leave")
    configured(*cluster, savepoint_dir="s3://here")
    configured(*cluster, detach=True)
    configured(*cluster, source="news/*.jsonl")
