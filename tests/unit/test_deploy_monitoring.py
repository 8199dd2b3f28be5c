"""deploy/monitoring: rules, their tests, dashboard and runbook speak of metrics that there are."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.servers.cache import Unavailable
from tests.servers.prometheus import promtool
from transforms.watching.metrics import METRICS

FOLDER = Path(__file__).parents[2] / "deploy/monitoring"
RULES = yaml.safe_load((FOLDER / "alerts.yml").read_text())["groups"][0]["rules"]
DASHBOARD = json.loads((FOLDER / "dashboard.json").read_text())
RUNBOOK = (FOLDER / "README.md").read_text()
#: What PromQL itself knows: functions, keywords, labels; `up` is Prometheus' own.
_NAME = re.compile(r"\b(?:newsbeam|process)_[a-z_]+")
SERIES = {sample: metric for metric in METRICS for sample in metric.samples}


def panels() -> Iterator[dict[str, Any]]:
    """The panels that show something."""
    return (panel for panel in DASHBOARD["panels"] if panel["type"] != "row")


def expressions() -> Iterator[tuple[str, str]]:
    """All PromQL, and where it stands."""
    for rule in RULES:
        yield rule["alert"], rule["expr"]
    for panel in panels():
        for target in panel["targets"]:
            yield panel["title"], target["expr"]
    for annotation in DASHBOARD["annotations"]["list"]:
        yield annotation["name"], annotation["expr"]
    for variable in DASHBOARD["templating"]["list"]:
        yield variable["name"], variable.get("definition", "")


EXPRESSIONS = list(expressions())


@pytest.mark.parametrize(("where", "promql"), EXPRESSIONS)
def test_its_metrics_and_labels_are_in_the_table(where: str, promql: str) -> None:
    named = set(_NAME.findall(promql))
    assert named <= SERIES.keys() | {"newsbeam_build_info"}, where
    # What is selected or grouped by is a label of Prometheus', or of one of its metrics.
    known = {"job", "instance", "le", *(la for name in named for la in SERIES[name].labels)}
    used = set(re.findall(r"([a-z_]+)\s*=~?", promql.replace("==", "")))
    for group in re.findall(r"\b(?:by|on) \(([^)]*)\)", promql):
        used |= {label.strip() for label in group.split(",")}
    assert used <= known, where


def test_all_metrics_are_shown_or_watched() -> None:
    used = {SERIES[name] for _, promql in EXPRESSIONS for name in _NAME.findall(promql)}
    assert {m.name for m in METRICS} - {m.name for m in used} == set()


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_each_rule_has_a_runbook_and_a_test(rule: dict[str, Any]) -> None:
    headings = [h.lower() for h in re.findall(r"^### (.*)$", RUNBOOK, re.MULTILINE)]
    page, _, heading = rule["annotations"]["runbook"].partition("#")
    assert (page, headings.count(heading)) == ("README.md", 1)
    assert heading == rule["alert"].lower()
    assert rule["labels"]["severity"] in {"critical", "warning", "info"}
    tests = yaml.safe_load((FOLDER / "alerts_test.yml").read_text())["tests"]
    cases = [
        c for test in tests for c in test["alert_rule_test"] if c["alertname"] == rule["alert"]
    ]
    assert {bool(case.get("exp_alerts")) for case in cases} == {True, False}, "fires, and doesn't"


def test_the_runbook_has_no_headings_of_alerts_that_are_gone() -> None:
    of_alerts = re.findall(r"^### (.*)$", RUNBOOK, re.MULTILINE)
    assert of_alerts == [rule["alert"] for rule in RULES]
    links = re.findall(r"\]\(#([a-z]+)\)", RUNBOOK)
    assert {*links} <= {name.lower() for name in of_alerts}


def test_panels_have_ids_and_places_of_their_own() -> None:
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(set(ids)) == len(ids)
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        at = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(at["x"], at["x"] + at["w"])
            for y in range(at["y"], at["y"] + at["h"])
        }
        assert not cells & taken, panel["title"]
        assert at["x"] + at["w"] <= 24
        taken |= cells
    assert all(f["datasource"]["uid"] == "${datasource}" for p in panels() for f in p["targets"])


# ---- by Prometheus' own tool -----------------------------------------------------------------------


@pytest.fixture(scope="module")
def tool() -> Path:
    try:
        return promtool()
    except Unavailable as e:
        pytest.skip(str(e))


def succeeds(tool: Path, *arguments: str | Path) -> str:
    done = subprocess.run(
        [tool, *arguments], cwd=FOLDER, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.long
def test_rules_fire_when_they_should(tool: Path) -> None:
    succeeds(tool, "check", "config", "prometheus.yml")
    succeeds(tool, "check", "rules", "--lint-fatal", "alerts.yml")
    succeeds(tool, "test", "rules", "alerts_test.yml")


@pytest.mark.long
def test_the_dashboard_is_promql(tool: Path, tmp_path: Path) -> None:
    """As rules, since that is what promtool checks."""
    rules = []
    for panel in panels():
        for target in panel["targets"]:
            promql = target["expr"].replace("$__rate_interval", "1m")
            rules.append({"record": f"panel:{len(rules)}", "expr": promql})
    for annotation in DASHBOARD["annotations"]["list"]:
        rules.append({"record": "annotation", "expr": annotation["expr"]})
    file = tmp_path / "dashboard.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}))
    assert f"{len(rules)} rules found" in succeeds(tool, "check", "rules", os.fspath(file))
