"""The compose file: what Docker's own loader says of it, and what it can't know."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
import yamllint.config
import yamllint.linter

from tests.servers.cache import Unavailable, find_program, provision_once, run_or_unavailable
from tests.unit.deploy.dockerfile import DOCKER, ROOT, Dockerfile

COMPOSE = DOCKER / "compose.yaml"
#: What `docker compose` reads its files with; it has a command of its own.
LOADER = "github.com/compose-spec/compose-go/v2/cmd@v2.16.2"

PLAN: dict[str, Any] = yaml.safe_load(COMPOSE.read_text())
SERVICES: dict[str, dict[str, Any]] = PLAN["services"]


def test_yamllint_has_nothing_to_say() -> None:
    config = yamllint.config.YamlLintConfig(file=str(ROOT / ".yamllint.yaml"))
    files = [*(ROOT / "deploy").rglob("*.yaml"), *(ROOT / "deploy").rglob("*.yml")]
    assert COMPOSE in files
    found = [f"{f}: {p}" for f in files for p in yamllint.linter.run(f.read_text(), config)]
    assert found == []


@pytest.mark.long
def test_docker_composes_own_loader_takes_it(tmp_path: Path) -> None:
    def build(folder: Path) -> None:
        go = find_program("go", "building the loader of compose files")
        run_or_unavailable(
            [go, "install", LOADER], f"go install {LOADER}", {**os.environ, "GOBIN": str(folder)}
        )

    try:
        loader = provision_once(f"compose-go-{LOADER.rpartition('@')[2]}", build) / "cmd"
    except Unavailable as reason:
        pytest.skip(str(reason))

    def load(file: Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run([loader, file], capture_output=True, text=True, check=False)

    done = load(COMPOSE)
    assert done.returncode == 0, done.stderr
    assert yaml.safe_load(done.stdout)["services"].keys() == SERVICES.keys()
    # It does look at names.
    wrong = tmp_path / "compose.yaml"
    wrong.write_text(COMPOSE.read_text().replace("depends_on:", "depend_on:"))
    assert load(wrong).returncode != 0


@pytest.mark.parametrize("name", SERVICES)
def test_images_are_pinned(name: str) -> None:
    image = SERVICES[name]["image"]
    assert image == "newsbeam:0.1.0-flink" or re.search(r":v?\d+\.\d+\.\d+", image), image


@pytest.mark.parametrize("name", SERVICES)
def test_ports_are_of_this_machine_alone(name: str) -> None:
    assert all(port.startswith("127.0.0.1:") for port in SERVICES[name].get("ports", ()))


@pytest.mark.parametrize("name", SERVICES)
def test_who_is_waited_for_can_be_waited_for(name: str) -> None:
    for other, how in SERVICES[name].get("depends_on", {}).items():
        service = SERVICES[other]
        once = service.get("restart") in {"no", "on-failure:5"}
        # The image of newsbeam has a health check of its own.
        checked = "healthcheck" in service or service["image"].startswith("newsbeam")
        assert how["condition"] == (
            "service_completed_successfully" if once else "service_healthy"
        ), other
        assert once or checked, other


@pytest.mark.parametrize("name", SERVICES)
def test_what_is_mounted_is_there(name: str) -> None:
    for volume in SERVICES[name].get("volumes", ()):
        source = volume.partition(":")[0]
        if source.startswith("."):
            assert (DOCKER / source).exists(), volume
            assert volume.endswith(":ro")
        else:
            assert source in PLAN["volumes"]


def test_the_image_is_that_of_the_dockerfile() -> None:
    build = SERVICES["job"]["build"]
    assert (DOCKER / build["context"]).resolve() == ROOT
    assert build["target"] in Dockerfile.read(ROOT / build["dockerfile"]).stages


def test_workers_are_in_the_network_of_their_task_manager() -> None:
    pool = SERVICES["worker-pool"]
    assert pool["network_mode"] == "service:taskmanager"
    port = pool["command"][pool["command"].index("--port") + 1]
    assert f"--environment_config=127.0.0.1:{port}" in SERVICES["job"]["command"]


def test_what_is_scraped_is_served() -> None:
    scraped = yaml.safe_load((DOCKER / "config" / "prometheus.yml").read_text())
    targets = {
        target
        for job in scraped["scrape_configs"]
        for of in job["static_configs"]
        for target in of["targets"]
    }
    # Workers have what their pool has.
    port = SERVICES["worker-pool"]["environment"]["NEWSBEAM_METRICS_PORT"]
    assert f"taskmanager:{port}" in targets
    assert {target.partition(":")[0] for target in targets} <= SERVICES.keys()
