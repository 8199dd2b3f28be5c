"""The image's steps, done one by one in empty folders, and what is made so, in each of its roles.

There is no Docker where newsbeam is built. What is left out here: the bases themselves, the user
(`useradd` would change this machine), and what is copied out of other images, Beam's `boot` and Google's
launcher among it. Python is the one that runs the tests.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.servers.cache import Unavailable, find_program, provision_once, run_or_unavailable
from tests.servers.processes import ServerProcess, free_port, wait_until
from tests.unit.deploy.dockerfile import DOCKER, ROOT, Copy, Dockerfile, as_list

pytestmark = [pytest.mark.long, pytest.mark.timeout(1_800)]

#: Only in an image.
LEFT_OUT = ("useradd ",)


@dataclass
class Container:
    """Folders in which a stage's steps are done, and the environment that they make.

    Attributes:
        root: What is `/` in the image.
        env: Its variables.
    """

    root: Path
    env: dict[str, str]

    def here(self, text: str) -> str:
        """A text with the image's own folders in their places here."""
        for folder in ("/opt/newsbeam", "/src", "/home/newsbeam"):
            text = text.replace(folder, f"{self.root}{folder}")
        return text

    def run(self, *command: str, **others: str) -> subprocess.CompletedProcess[str]:
        """Runs a program of the image."""
        return subprocess.run(
            list(map(self.here, command)),
            env={**self.env, **others},
            cwd=self.root,
            capture_output=True,
            text=True,
            check=False,
        )


def do(container: Container, dockerfile: Dockerfile, name: str) -> list[str]:
    """Does the steps of a stage; returns those that were left out."""
    left_out = []
    work = container.root
    for instruction, arguments in dockerfile.stages[name].steps:
        step = f"{instruction} {arguments}"
        if instruction == "WORKDIR":
            work = Path(container.here(arguments))
            work.mkdir(parents=True, exist_ok=True)
        elif instruction == "COPY":
            copy = Copy.parse(arguments)
            if copy.stage == "build":
                continue  # it is there
            if copy.stage is not None:
                left_out.append(step)
                continue
            target = Path(work, container.here(copy.target))
            for source in copy.sources:
                if (ROOT / source).is_dir():
                    shutil.copytree(
                        ROOT / source, target, ignore=shutil.ignore_patterns("__pycache__")
                    )
                else:
                    to = target / Path(source).name if copy.target.endswith("/") else target
                    to.parent.mkdir(parents=True, exist_ok=True)
                    shutil.copy(ROOT / source, to)
                    to.chmod(0o755 if "--chmod=0755" in arguments else 0o644)
        elif instruction == "ENV":
            for word in container.here(arguments).split():
                variable, _, value = word.partition("=")
                container.env[variable] = value.replace("$PATH", container.env["PATH"])
        elif instruction == "RUN" and arguments.startswith(LEFT_OUT):
            left_out.append(step)
        elif instruction == "RUN":
            subprocess.run(
                ["/bin/sh", "-c", container.here(arguments)],
                env=container.env,
                cwd=work,
                check=True,
            )
    return left_out


@pytest.fixture(scope="module")
def container(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Container]:
    """The image without its other images, made by the Dockerfile's own steps."""
    if sys.version_info[:2] != (3, 11):
        pytest.skip("the image has Python 3.11, and so has its lock file")
    root = tmp_path_factory.mktemp("image")
    programs = root / "python"
    programs.mkdir()
    real = Path(sys.base_prefix) / "bin" / "python3.11"
    (programs / "python").symlink_to(real)
    # Nothing of this machine's settings but its way to the packages.
    kept = {k: v for k, v in os.environ.items() if k.startswith(("PIP_", "SSL_"))}
    env = {**kept, "PATH": f"{programs}:/usr/bin:/bin", "HOME": f"{root}/home/newsbeam"}
    made = Container(root, env)
    dockerfile = Dockerfile.read()
    left_out = do(made, dockerfile, "build") + do(made, dockerfile, "base")
    print("left out:", *left_out, sep="\n  ")
    assert len(left_out) == 2, "more than the user and Beam's boot"
    yield made
    shutil.rmtree(root)


def entrypoint() -> str:
    """The image's."""
    (program,) = as_list(Dockerfile.read().stages["base"].of("ENTRYPOINT")[0])
    return program


def test_the_command_line(container: Container) -> None:
    done = container.run(entrypoint(), "--version")
    assert (done.returncode, done.stdout.split()[0]) == (0, "newsbeam")
    done = container.run(
        entrypoint(), "classify", "Striker scores twice as United win the cup final"
    )
    assert done.returncode == 0, done.stderr
    assert "Sports" in done.stdout


def test_it_runs_a_pipeline(container: Container) -> None:
    news = Path(container.root, "news.jsonl")
    news.write_text('{"title": "Stocks rally as oil falls"}\n')
    out = Path(container.root, "out.jsonl")
    done = container.run(entrypoint(), "run", "--source", str(news), "--sink", str(out))
    assert done.returncode == 0, done.stderr
    assert '"category":"Business"' in out.read_text().replace(" ", "")


def test_extras_are_there(container: Container) -> None:
    modules = "google.cloud.pubsub_v1, google.cloud.bigquery, boto3, opentelemetry.sdk"
    done = container.run("/opt/newsbeam/bin/python", "-c", f"import {modules}")
    assert done.returncode == 0, done.stderr


def test_the_worker_pool_is_well_and_ends(container: Container) -> None:
    port = free_port()
    command = [container.here(entrypoint()), "worker-pool", "--port", str(port)]
    log = container.root / "pool.log"
    pool = ServerProcess(
        ["env", "-i", *(f"{k}={v}" for k, v in container.env.items()), *command], log
    )
    check = Path(container.here("/opt/newsbeam/healthcheck")).read_text()
    with pool:
        # In a container the pool is the first process.
        mine = check.replace("/proc/1/cmdline", f"/proc/{pool.pid}/cmdline")

        def well() -> bool:
            pool.check_running()
            return container.run("/opt/newsbeam/bin/python", "-c", mine).returncode == 0

        wait_until(well, "the worker pool to be well")
        os.kill(pool.pid, signal.SIGTERM)
        wait_until(lambda: not pool.running, "the pool to end")
    assert "Traceback" not in log.read_text()


def boot() -> Path:
    """Beam's `boot`, built from the locked Beam's module: the image has it from Beam's own."""
    version = re.search(
        r"^apache-beam==(\S+)", (DOCKER / "requirements.lock").read_text(), re.MULTILINE
    )
    assert version is not None

    def build(folder: Path) -> None:
        module = f"github.com/apache/beam/sdks/v2/python/container@v{version[1]}"
        go = find_program("go", "building Beam's boot")
        run_or_unavailable(
            [go, "install", module], f"go install {module}", {**os.environ, "GOBIN": str(folder)}
        )

    return provision_once(f"beam-boot-{version[1]}", build) / "container"


_PIPELINE = """\
import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions
import newsbeam

with beam.Pipeline(options=PipelineOptions(ARGS)) as pipeline:
    news = pipeline | beam.Create([{"title": "Stocks rally as oil falls"}]) | newsbeam.ClassifyNews()
    news.categorized | beam.Map(lambda item, out: open(out, "a").write(item.category), OUT)
"""


def test_beams_own_boot_starts_a_worker_that_classifies(container: Container) -> None:
    """As Dataflow starts one: boot asks the runner, and starts the image's Python."""
    try:
        program = boot()
    except Unavailable as reason:
        pytest.skip(str(reason))
    environment = {**container.env, "BEAM_BOOT": str(program)}
    # boot leaves a file where it is started.
    start = [
        "env",
        "-i",
        "-C",
        str(container.root),
        *(f"{k}={v}" for k, v in environment.items()),
        "python",
        "-m",
    ]
    pool, jobs = str(free_port()), str(free_port())
    executable = f"--container_executable={container.here(entrypoint())}"
    worker_pool = "apache_beam.runners.worker.worker_pool_main"
    job_service = "apache_beam.runners.portability.local_job_service_main"
    out = container.root / "categories"
    args = [
        "--runner=PortableRunner",
        f"--job_endpoint=localhost:{jobs}",
        "--environment_type=EXTERNAL",
        f"--environment_config=localhost:{pool}",
    ]
    pipeline = _PIPELINE.replace("ARGS", repr(args)).replace("OUT", repr(str(out)))
    log = container.root / "boot.log"
    with (
        ServerProcess([*start, worker_pool, "--service_port", pool, executable], log),
        ServerProcess([*start, job_service, "-p", jobs], container.root / "jobs.log"),
    ):

        def listen() -> bool:
            for port in (pool, jobs):
                with socket.create_connection(("127.0.0.1", int(port))):
                    pass
            return True

        wait_until(listen, "pool and job service", retry_on=(OSError,))
        done = container.run("/opt/newsbeam/bin/python", "-c", pipeline)
    assert done.returncode == 0, done.stderr
    assert out.read_text() == "Business"
    assert "Provision info" in log.read_text(), "it was not boot that started it"
