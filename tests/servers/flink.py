"""Beam's job server for Flink, built with Maven: with `--flink_master=[local]` it is a whole Flink."""

from __future__ import annotations

import shutil
import uuid
from pathlib import Path

from tests.servers.cache import find_program, provision_once, run_or_unavailable

POM = Path(__file__).parents[2] / "deploy" / "flink" / "pom.xml"
JAR = "beam-flink-job-server.jar"


def flink_job_server() -> Path:
    """Path of the job server's jar, for `--flink_job_server_jar`.

    The first call on a machine builds it, which takes minutes.

    Raises:
        Unavailable: there is no Java, no Maven, or the build failed.
    """
    find_program("java", "Apache Flink")

    def build(folder: Path) -> None:
        maven = find_program("mvn", "building Flink's job server")
        # Maven writes beside its project file.
        pom = shutil.copy(POM, folder / "pom.xml")
        command = [maven, "--batch-mode", "--quiet", "--file", pom, "package"]
        run_or_unavailable(
            [*command, f"-DoutputFile={folder / JAR}"], "building Flink's job server"
        )
        shutil.rmtree(folder / "target", ignore_errors=True)

    version = uuid.uuid5(uuid.NAMESPACE_OID, POM.read_text()).hex[:8]
    return provision_once(f"flink-job-server-{version}", build) / JAR
