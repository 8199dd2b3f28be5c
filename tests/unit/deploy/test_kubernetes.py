"""The files for Kubernetes: all that kustomize makes of them is known to it, and to Flink's operator."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from functools import cache
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import yaml

from models.settings import fields_of
from pipeline.options import RUN_SETTINGS
from pipeline.runners.flink.job_jar import ENTRY_CLASS, WORKER_POOL
from tests.servers.cache import Unavailable
from tests.unit.deploy.dockerfile import ROOT, Dockerfile
from tests.unit.deploy.kubernetes import (
    FLINK_DEPLOYMENT,
    KUBERNETES,
    OPERATOR,
    Resource,
    check,
    check_flink,
    find_crd,
    kustomized,
    pods,
    strict_validator,
)

FLINK = ("flink/kafka", "flink/pubsub")
LOCAL = ("local/kafka", "local/pubsub")
ALL = (*FLINK, *LOCAL)


@cache
def made(folder: str) -> list[Resource]:
    """The resources of an overlay."""
    try:
        return kustomized(KUBERNETES / folder)
    except Unavailable as reason:
        pytest.skip(str(reason))


def one(folder: str, kind: str) -> Resource:
    """The only resource of a kind."""
    (found,) = (r for r in made(folder) if r["kind"] == kind)
    return copy.deepcopy(found)


def containers(pod: Resource) -> Iterator[dict[str, Any]]:
    """The containers of a pod, or of a template of one."""
    yield from pod["spec"].get("initContainers", ())
    yield from pod["spec"].get("containers", ())


@pytest.mark.parametrize("folder", ALL)
def test_every_field_is_known(folder: str) -> None:
    for resource in made(folder):
        if resource["kind"] == "FlinkDeployment":
            check_flink(resource)
        else:
            check(resource)


def test_the_operators_own_crd_takes_it() -> None:
    crd = find_crd()
    if crd is None:
        pytest.skip(f"the CRD of the operator {OPERATOR} is not here (NEWSBEAM_FLINK_CRD names it)")
    of_operator, ours = strict_validator(crd), jsonschema.Draft202012Validator(FLINK_DEPLOYMENT)
    for folder in FLINK:
        of_operator.validate(one(folder, "FlinkDeployment"))
    # It does look at names, and so does what stands in for it elsewhere.
    for wrong in ({"podtemplate": {}}, {"resources": {"memory": "1g"}}):
        changed = one("flink/kafka", "FlinkDeployment")
        changed["spec"]["taskManager"] |= wrong
        for strict in (of_operator, ours):
            with pytest.raises(jsonschema.ValidationError):
                strict.validate(changed)


def test_an_unknown_field_of_a_pod_is_refused() -> None:
    deployment = one("flink/kafka", "FlinkDeployment")
    deployment["spec"]["taskManager"]["podTemplate"]["spec"]["initContainer"] = []
    with pytest.raises(kubernetes_validate.ValidationError):
        check_flink(deployment)


# ---- Flink -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("folder", FLINK)
def test_the_job_is_found_by_flink_and_its_workers_by_the_job(folder: str) -> None:
    deployment = one(folder, "FlinkDeployment")
    pod = pods(deployment)
    (maker,) = pod["jobManager"]["spec"]["initContainers"]
    (pool,) = pod["taskManager"]["spec"]["initContainers"]
    job = deployment["spec"]["job"]
    assert job["entryClass"] == ENTRY_CLASS
    written = next(a for a in maker["args"] if a.startswith("--output_executable_path="))
    assert job["jarURI"] == f"local://{written.partition('=')[2]}"
    (main,) = pod["jobManager"]["spec"]["containers"]
    mounts = {m["mountPath"]: m["name"] for m in maker["volumeMounts"]}
    assert mounts["/job"] in {m["name"] for m in main["volumeMounts"]}
    # The pool listens on loopback, in the pod of its task manager.
    assert f"--environment_config={WORKER_POOL}" in maker["args"]
    assert pool["args"] == ["worker-pool", "--port", WORKER_POOL.partition(":")[2]]
    assert pool["restartPolicy"] == "Always"
    # One image writes the job and works on it.
    assert pool["image"] == maker["image"]
    assert "--parallelism" not in " ".join(maker["args"]), "spec.job.parallelism says it"


@pytest.mark.parametrize("folder", FLINK)
def test_containers_are_the_operators_own(folder: str) -> None:
    deployment = one(folder, "FlinkDeployment")
    merge = "kubernetes.operator.pod-template.merge-arrays-by-name"
    assert deployment["spec"]["flinkConfiguration"][merge] == "true"
    for pod in pods(deployment).values():
        assert [c["name"] for c in pod["spec"]["containers"]] == ["flink-main-container"]


@pytest.mark.parametrize("folder", FLINK)
def test_state_is_kept_where_an_upgrade_finds_it(folder: str) -> None:
    spec = one(folder, "FlinkDeployment")["spec"]
    assert spec["job"]["upgradeMode"] == "savepoint"
    for name in ("state.checkpoints.dir", "state.savepoints.dir", "high-availability.storageDir"):
        assert spec["flinkConfiguration"][name].startswith(("s3://", "gs://"))
    (main,) = spec["podTemplate"]["spec"]["containers"]
    plugin = {e["name"]: e["value"] for e in main["env"]}["ENABLE_BUILT_IN_PLUGINS"]
    release = spec["image"].partition(":")[2].partition("-")[0]
    assert plugin.endswith(f"-{release}.jar")
    assert main["securityContext"], "a patch must not replace what it adds to"


def test_one_flink_is_meant_everywhere() -> None:
    """By the operator's words, the image, compose.yaml, and the job server that writes the jar."""
    spec = one("flink/kafka", "FlinkDeployment")["spec"]
    minor = spec["flinkVersion"].removeprefix("v").replace("_", ".")
    assert spec["image"].startswith(f"flink:{minor}.")
    compose = yaml.safe_load((ROOT / "deploy" / "docker" / "compose.yaml").read_text())
    assert compose["services"]["jobmanager"]["image"] == spec["image"]
    assert f"beam_flink{minor}_job_server" in Dockerfile.read().args["JOB_SERVER_IMAGE"]


@pytest.mark.parametrize("folder", FLINK)
def test_nobody_reaches_the_worker_pool(folder: str) -> None:
    policy = one(folder, "NetworkPolicy")["spec"]
    assert policy["policyTypes"] == ["Ingress"]
    # What Flink itself writes on its pods.
    assert policy["podSelector"]["matchLabels"]["app"] == "newsbeam"
    named = {port["port"] for rule in policy["ingress"] for port in rule["ports"]}
    assert all("ports" in rule and "from" in rule for rule in policy["ingress"])
    assert 50_000 not in named
    (pool,) = pods(one(folder, "FlinkDeployment"))["taskManager"]["spec"]["initContainers"]
    assert int({e["name"]: e["value"] for e in pool["env"]}["NEWSBEAM_METRICS_PORT"]) in named
    configuration = one(folder, "FlinkDeployment")["spec"]["flinkConfiguration"]
    for name in ("taskmanager.rpc.port", "taskmanager.data.port", "metrics.reporter.prom.port"):
        assert int(configuration[name]) in named


# ---- without Flink ---------------------------------------------------------------------------------


@pytest.mark.parametrize("folder", LOCAL)
def test_policies_are_about_its_pods(folder: str) -> None:
    deployment = one(folder, "Deployment")
    labels = deployment["spec"]["template"]["metadata"]["labels"].items()
    for selector in (
        one(folder, "NetworkPolicy")["spec"]["podSelector"],
        one(folder, "PodDisruptionBudget")["spec"]["selector"],
    ):
        assert selector["matchLabels"].items() <= labels


@pytest.mark.parametrize("folder", LOCAL)
def test_probes_ask_where_it_serves(folder: str) -> None:
    (container,) = one(folder, "Deployment")["spec"]["template"]["spec"]["containers"]
    (port,) = container["ports"]
    assert f"--metrics_port={port['containerPort']}" in container["args"]
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        assert container[probe]["httpGet"]["port"] == port["name"]


def test_two_readers_of_one_group_take_turns() -> None:
    assert one("local/kafka", "Deployment")["spec"]["replicas"] == 2
    assert one("local/kafka", "ConfigMap")["data"]["NEWSBEAM_STANDBY"] == "true"


# ---- all -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("folder", ALL)
def test_options_are_options(folder: str) -> None:
    known = {field.name for cls in RUN_SETTINGS for field in fields_of(cls)}
    for name in one(folder, "ConfigMap")["data"]:
        option = name.removeprefix("NEWSBEAM_").lower()
        assert option in known or option.startswith("kafka_"), name


@pytest.mark.parametrize("folder", ALL)
def test_the_model_has_threads_as_its_container_has_cores(folder: str) -> None:
    if folder in FLINK:
        task_manager = pods(one(folder, "FlinkDeployment"))["taskManager"]
    else:
        task_manager = one(folder, "Deployment")["spec"]["template"]
    (works,) = (c for c in containers(task_manager) if c["name"] in {"worker-pool", "newsbeam"})
    assert works["resources"]["limits"]["cpu"] == works["resources"]["requests"]["cpu"]


@pytest.mark.parametrize("folder", ALL)
def test_no_secret_is_in_them(folder: str) -> None:
    assert all(resource["kind"] != "Secret" for resource in made(folder))
    data = one(folder, "ConfigMap")["data"]
    for name in data:
        if "PASSWORD" in name or "TOKEN" in name:
            assert data[name].startswith(("env://", "secret://"))


@pytest.mark.parametrize("folder", ALL)
def test_containers_have_no_more_rights_than_they_need(folder: str) -> None:
    if folder in FLINK:
        of_flink = pods(one(folder, "FlinkDeployment"))
        assert of_flink["spec"]["spec"]["securityContext"]["runAsNonRoot"]
        ours = [c for pod in of_flink.values() for c in pod["spec"].get("initContainers", ())]
    else:
        pod = one(folder, "Deployment")["spec"]["template"]
        assert pod["spec"]["securityContext"]["runAsNonRoot"]
        ours = list(containers(pod))
    assert ours
    for container in ours:
        security = container["securityContext"]
        assert security["readOnlyRootFilesystem"]
        assert not security["allowPrivilegeEscalation"]
        assert security["capabilities"]["drop"] == ["ALL"]
        assert container["resources"]["requests"].keys() == {"cpu", "memory"}
        assert "memory" in container["resources"]["limits"]
        assert {"/tmp", "/home/newsbeam"} <= {m["mountPath"] for m in container["volumeMounts"]}
