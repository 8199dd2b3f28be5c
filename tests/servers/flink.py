"""What is fetched or built to run Apache Flink: Beam's job server, and Flink's own jars."""

from __future__ import annotations

import re
import shutil
import sys
import tarfile
import uuid
from pathlib import Path

from tests.servers.cache import Unavailable, find_program, provision_once, run_or_unavailable

POM = Path(__file__).parents[2] / "deploy" / "flink" / "pom.xml"
JAR = "beam-flink-job-server.jar"
#: The patch release of each Flink that the job server may be made for.
_RELEASES = {"1.19": "1.19.3"}
#: Of the jars in the package, those that a cluster needs.
_LIBRARIES = ("flink-dist-", "log4j-api-", "log4j-core-", "log4j-slf4j-impl-")


def flink_job_server() -> Path:
    """Path of the job server's jar, for `--flink_job_server_jar`.

    With `--flink_master=[local]` it is a whole Flink. The first call on a machine builds it, which
    takes minutes.

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


def flink_version() -> str:
    """The release of Flink that the job server is made for."""
    made_for = re.search(r"beam-runners-flink-([\d.]+)<", POM.read_text())
    if made_for is None:
        raise Unavailable(f"{POM} names no Flink: expected an artifact beam-runners-flink-VERSION")
    return _RELEASES.get(made_for[1], f"{made_for[1]}.0")


def flink_class_path() -> str:
    """Class path of Flink itself, which PyPI has as `apache-flink-libraries`: jars, and no scripts.

    Raises:
        Unavailable: there is no Java, or the package could not be fetched.
    """
    find_program("java", "Apache Flink")
    version = flink_version()

    def fetch(folder: Path) -> None:
        package = f"apache-flink-libraries=={version}"
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
        command = [*pip, "--no-deps", "--no-binary=:all:", "--dest", folder, package]
        run_or_unavailable(command, f"fetching {package}")
        (archive,) = folder.glob("*.tar.gz")
        with tarfile.open(archive) as packed:
            for member in packed:
                name = Path(member.name).name
                source = packed.extractfile(member) if name.startswith(_LIBRARIES) else None
                if source is not None and name.endswith(".jar"):
                    with source, (folder / name).open("wb") as jar:
                        shutil.copyfileobj(source, jar)
        archive.unlink()

    return f"{provision_once(f'flink-{version}', fetch)}/*"
