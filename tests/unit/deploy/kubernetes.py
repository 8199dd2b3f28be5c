"""What kustomize makes of a folder, and what a FlinkDeployment may hold."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import yaml

from tests.servers.cache import cache_folder, find_program, provision_once, run_or_unavailable
from tests.unit.deploy.dockerfile import ROOT

KUBERNETES = ROOT / "deploy" / "kubernetes"
#: Sidecars that are init containers need it.
VERSION = "1.31"
KUSTOMIZE = "sigs.k8s.io/kustomize/kustomize/v5@v5.5.0"

#: The release of the operator that the files are for, and the digest of its CRD.
OPERATOR = "1.15.0"
_CRD_SHA256 = "7977265fc26d5e13e46ea5a18b18ce71dc1b93a7c750d781843a7af0d1d13e47"

Resource = dict[str, Any]


def kustomized(folder: Path) -> list[Resource]:
    """The resources of a folder.

    Raises:
        Unavailable: There is neither kubectl nor kustomize, nor Go to build it with.
    """
    done = subprocess.run([*_kustomize(), folder], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    # It says what it has found to be outdated or odd.
    assert done.stderr == ""
    return list(yaml.safe_load_all(done.stdout))


def _kustomize() -> list[str]:
    if kubectl := shutil.which("kubectl"):
        return [kubectl, "kustomize"]
    if kustomize := shutil.which("kustomize"):
        return [kustomize, "build"]

    def build(folder: Path) -> None:
        go = find_program("go", "kubectl is not on PATH, and building kustomize")
        run_or_unavailable(
            [go, "install", KUSTOMIZE],
            f"go install {KUSTOMIZE}",
            {**os.environ, "GOBIN": str(folder)},
        )

    name = f"kustomize-{KUSTOMIZE.rpartition('@')[2]}"
    return [str(provision_once(name, build) / "kustomize"), "build"]


def check(resource: Resource) -> None:
    """Checks a resource of Kubernetes' own, strictly.

    Raises:
        kubernetes_validate.ValidationError: A field is unknown, missing or of another kind.
    """
    kubernetes_validate.validate(resource, VERSION, strict=True)


# ---- FlinkDeployment -------------------------------------------------------------------------------

_TEXT, _WHOLE, _FLAG = {"type": "string"}, {"type": "integer"}, {"type": "boolean"}


def _closed(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "additionalProperties": False}


_POD = {"type": "object"}  # checked as a Pod of Kubernetes
_RESOURCE = _closed(cpu={"type": "number"}, memory=_TEXT, ephemeralStorage=_TEXT)
#: What the operator's releases up to 1.15 know, in our own words; later ones say `resources`.
FLINK_DEPLOYMENT = _closed(
    apiVersion={"const": "flink.apache.org/v1beta1"},
    kind={"const": "FlinkDeployment"},
    metadata={"type": "object", "required": ["name"]},
    spec=_closed(
        image=_TEXT,
        imagePullPolicy=_TEXT,
        serviceAccount=_TEXT,
        flinkVersion={"enum": ["v1_19", "v1_20", "v2_0", "v2_1", "v2_2"]},
        mode={"enum": ["native", "standalone"]},
        flinkConfiguration={"type": "object", "additionalProperties": _TEXT},
        logConfiguration={"type": "object", "additionalProperties": _TEXT},
        restartNonce=_WHOLE,
        podTemplate=_POD,
        jobManager=_closed(podTemplate=_POD, replicas=_WHOLE, resource=_RESOURCE),
        taskManager=_closed(podTemplate=_POD, replicas=_WHOLE, resource=_RESOURCE),
        job=_closed(
            jarURI=_TEXT,
            entryClass=_TEXT,
            args={"type": "array", "items": _TEXT},
            parallelism=_WHOLE,
            upgradeMode={"enum": ["savepoint", "last-state", "stateless"]},
            state={"enum": ["running", "suspended"]},
            initialSavepointPath=_TEXT,
            allowNonRestoredState=_FLAG,
            savepointTriggerNonce=_WHOLE,
            checkpointTriggerNonce=_WHOLE,
            savepointRedeployNonce=_WHOLE,
            autoscalerResetNonce=_WHOLE,
        ),
    ),
)


def pods(deployment: Resource) -> dict[str, Resource]:
    """The pod templates of a FlinkDeployment, as pods, by where they stand."""
    spec = deployment["spec"]
    found = {"spec": spec, "jobManager": spec["jobManager"], "taskManager": spec["taskManager"]}
    return {
        where: {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": where}, **of["podTemplate"]}
        for where, of in found.items()
        if "podTemplate" in of
    }


def check_flink(deployment: Resource) -> None:
    """Checks a FlinkDeployment, strictly.

    Raises:
        jsonschema.ValidationError: A field is unknown or of another kind.
        kubernetes_validate.ValidationError: The same, in a pod.
    """
    jsonschema.validate(deployment, FLINK_DEPLOYMENT)
    for pod in pods(deployment).values():
        check(pod)


def find_crd() -> Path | None:
    """The CRD of the operator's release, which is not ours to hand on.

    It is `crds/flinkdeployments.flink.apache.org-v1.yml` in the Helm chart of the release. It is looked
    for at $NEWSBEAM_FLINK_CRD, and in the folder for servers as flinkdeployments-VERSION.yml.
    """
    named = os.environ.get("NEWSBEAM_FLINK_CRD")
    file = Path(named) if named else cache_folder() / f"flinkdeployments-{OPERATOR}.yml"
    if not file.is_file():
        return None
    assert hashlib.sha256(file.read_bytes()).hexdigest() == _CRD_SHA256, f"{file} is another one"
    return file


def strict_validator(crd: Path) -> jsonschema.Draft202012Validator:
    """A validator of a CRD, refusing what it doesn't know, as `kubectl apply --validate=strict` does."""
    found = yaml.load(crd.read_text(), getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    (version,) = (v for v in found["spec"]["versions"] if v["name"] == "v1beta1")
    schema = _strict(version["schema"]["openAPIV3Schema"], top=True)
    return jsonschema.Draft202012Validator(schema)


def _strict(node: Any, top: bool = False) -> Any:
    if isinstance(node, list):
        return [_strict(each) for each in node]
    if not isinstance(node, dict):
        return node
    if node.get("x-kubernetes-int-or-string"):
        return {"type": ["integer", "string"]}
    made = {key: _strict(value) for key, value in node.items()}
    if top:
        made["properties"] |= {"apiVersion": _TEXT, "kind": _TEXT, "metadata": {"type": "object"}}
    if (
        isinstance(node.get("properties"), dict)
        and "additionalProperties" not in node
        and not node.get("x-kubernetes-preserve-unknown-fields")
    ):
        made["additionalProperties"] = False
    return made
