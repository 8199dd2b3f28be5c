"""Beam's job server as a process of ours, with a script in place of Java."""

from __future__ import annotations

import stat
import sys
from pathlib import Path

import pytest
from apache_beam.options.pipeline_options import PipelineOptions

from pipeline.runners.flink import jobserver
from pipeline.runners.flink.jobserver import JobServer, JobServerFailed
from transforms.errors import ConfigurationError

SERVES = """
import sys, grpc
from concurrent.futures import ThreadPoolExecutor
print("started", *sys.argv[1:], flush=True)
server = grpc.server(ThreadPoolExecutor(1))
server.add_insecure_port("localhost:" + sys.argv[sys.argv.index("--job-port") + 1])
server.start()
server.wait_for_termination()
"""
FAILS = """
print("Picked up nothing")
print("Error: Could not create the Java Virtual Machine.")
raise SystemExit(1)
"""


def options(folder: Path, program: str, *more: str) -> PipelineOptions:
    """Options that start a program in place of Java."""
    java, jar = folder / "java", folder / "js.jar"
    java.write_text(f"#!{sys.executable}\n{program}")
    java.chmod(java.stat().st_mode | stat.S_IXUSR)
    jar.touch()
    given = [f"--job_server_java_launcher={java}", f"--flink_job_server_jar={jar}", *more]
    return PipelineOptions(["--flink_master=http://f:8081", *given])


def test_it_serves_until_the_block_ends(tmp_path: Path) -> None:
    with JobServer(options(tmp_path, SERVES), brief=True) as server:
        assert server.running
        assert f"--job-port {server.endpoint.rpartition(':')[2]}" in server.said
        assert "-XX:TieredStopAtLevel=1" in server.said
        assert "--flink-master http://f:8081" in server.said
    assert not server.running


def test_properties_of_java_are_the_users(tmp_path: Path) -> None:
    given = options(tmp_path, SERVES, "--job_server_jvm_properties=-Xmx1g")
    with JobServer(given, brief=True) as server:
        assert "-Xmx1g" in server.said
        assert "Tiered" not in server.said


def test_it_does_not_start(tmp_path: Path) -> None:
    with (
        pytest.raises(JobServerFailed, match=r"did not start: Error: Could not create"),
        JobServer(options(tmp_path, FAILS), brief=False),
    ):
        pass


def test_it_can_not_be_fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_network(*_: object) -> str:
        raise OSError("no\nnetwork")

    monkeypatch.setattr(jobserver.FlinkJarJobServer, "local_jar", no_network)
    with (
        pytest.raises(
            ConfigurationError, match=r"can't be fetched \(no network\): give --flink_job"
        ),
        JobServer(options(tmp_path, SERVES), brief=True),
    ):
        pass
