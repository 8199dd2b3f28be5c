"""What is served: metrics by the table, health and readiness; files for Prometheus' discovery."""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from transforms.errors import ConfigurationError
from transforms.failures import PipelineFailure, forget_failures
from transforms.reading import drain, undrain
from transforms.watching import exporter as module
from transforms.watching.discovery import DiscoveryFile, clean_up
from transforms.watching.exporter import Exporter, watch_this_process
from transforms.watching.figures import FIGURES
from transforms.watching.health import HEALTH, Health
from transforms.watching.metrics import CATEGORIZED, END_TO_END_SECONDS, METRICS


@pytest.fixture
def exporter() -> Iterator[Exporter]:
    HEALTH.reset()
    HEALTH.reads = True
    served = Exporter(0)
    yield served
    served.close()
    HEALTH.reset()


def get(served: Exporter, path: str, method: str = "GET") -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", served.port)
    connection.request(method, path)
    answer = connection.getresponse()
    try:
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def test_metrics_are_those_of_the_table(exporter: Exporter) -> None:
    for metric in METRICS:
        if metric.kind == "counter" and not metric.standard:
            FIGURES.add(metric, 1, *("x" for _ in metric.labels))
        elif metric.kind in {"gauge", "info"} and metric.labels and "version" not in metric.labels:
            FIGURES.put(metric, 1, *("x" for _ in metric.labels))
    FIGURES.put(next(m for m in METRICS if m.name == "newsbeam_uncommitted_shards"), 0)
    families = {f.name: f for f in text_string_to_metric_families(get(exporter, "/metrics")[1])}
    for metric in METRICS:
        family = families[metric.name.removesuffix("_total")]
        assert metric.standard or family.documentation == metric.help.replace("\n", " ")
        assert {s.name for s in family.samples} == set(metric.samples)
        wanted = set(metric.labels) | ({"le"} if metric.buckets else set())
        assert set().union(*(s.labels for s in family.samples)) == wanted
    others = {"process_virtual_memory", "process_max_fds"}
    named = {m.name.removesuffix("_total") for m in METRICS}
    assert {n for n in families if not n.startswith(tuple(others))} == named


def test_values_and_buckets(exporter: Exporter) -> None:
    FIGURES.add(CATEGORIZED, 3, 'Quotes " and \\')
    FIGURES.observe(END_TO_END_SECONDS, 0.15, 0.25, 9e9)
    text = get(exporter, "/metrics")[1]
    samples = [s for f in text_string_to_metric_families(text) for s in f.samples]
    found = {(s.name, *s.labels.values()): s.value for s in samples}
    assert found["newsbeam_categorized_total", 'Quotes " and \\'] == 3
    bucket = "newsbeam_end_to_end_seconds_bucket"
    assert [found[bucket, le] for le in ("0.1", "0.2", "0.3", "7200.0", "+Inf")] == [0, 1, 2, 2, 3]


def test_nothing_is_counted_yet_is_a_figure(exporter: Exporter) -> None:
    text = get(exporter, "/metrics")[1]
    assert "newsbeam_read_total 0.0" in text
    assert 'newsbeam_written_total{outcome="dead_letter"} 0.0' in text
    assert 'newsbeam_end_to_end_seconds_bucket{le="+Inf"} 0.0' in text


def test_ready_from_the_first_poll_on_and_not_while_draining(exporter: Exporter) -> None:
    assert get(exporter, "/readyz") == (503, "the model is not loaded yet\n")
    HEALTH.loaded("m@1")
    assert get(exporter, "/readyz") == (503, "the source has not answered yet\n")
    assert "newsbeam_ready 0.0" in get(exporter, "/metrics")[1]
    HEALTH.polled()
    assert get(exporter, "/readyz") == (200, "ok\n")
    assert "newsbeam_ready 1.0" in get(exporter, "/metrics")[1]
    drain()
    status, why = get(exporter, "/readyz")
    assert (status, why.split(":")[0]) == (503, "draining")
    assert get(exporter, "/healthz") == (200, "ok\n")
    undrain()


def test_who_stands_by_is_ready(exporter: Exporter) -> None:
    HEALTH.stands_by(True)
    assert get(exporter, "/readyz") == (200, "ok\n")
    assert "newsbeam_standing_by 1.0" in get(exporter, "/metrics")[1]
    HEALTH.stands_by(False)
    assert get(exporter, "/readyz")[0] == 503


def test_not_well_after_a_failure(exporter: Exporter) -> None:
    PipelineFailure("it broke")
    assert get(exporter, "/healthz") == (503, "it broke\n")
    forget_failures()
    assert get(exporter, "/healthz")[0] == 200


def test_a_worker_need_not_read() -> None:
    health = Health()
    health.loaded("m@1")
    assert health.not_ready() is None


def test_other_paths_and_methods(exporter: Exporter) -> None:
    assert get(exporter, "/") == (404, "there are /metrics, /healthz and /readyz\n")
    assert get(exporter, "/healthz?verbose=1") == (200, "ok\n")
    assert get(exporter, "/metrics", "HEAD") == (200, "")
    assert get(exporter, "/metrics", "POST")[0] == 501


@pytest.mark.parametrize(
    ("host", "line"),
    [
        ("no such host.", "--metrics_host 'no such host.' is no address of this machine"),
        ("192.0.2.1", "--metrics_host '192.0.2.1' is no address of this machine"),
    ],
)
def test_an_address_of_another_machine(host: str, line: str) -> None:
    with pytest.raises(ConfigurationError, match=line):
        Exporter(0, host)


def test_a_port_in_use(exporter: Exporter) -> None:
    with pytest.raises(ConfigurationError, match="or 0 for any that is free"):
        Exporter(exporter.port)


# ---- workers ---------------------------------------------------------------------------------------


@pytest.fixture
def worker(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    monkeypatch.setattr(module, "_exporter", None)
    monkeypatch.setattr(module, "_gave_up", False)
    monkeypatch.setattr(module.atexit, "register", lambda f: f)
    yield monkeypatch
    if module._exporter is not None:
        module._exporter.close()


def test_workers_of_a_host_do_not_clash(
    exporter: Exporter,
    worker: pytest.MonkeyPatch,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    worker.setenv("NEWSBEAM_METRICS_PORT", str(exporter.port))
    worker.setenv("NEWSBEAM_METRICS_DIR", str(tmp_path))
    watch_this_process()
    mine = module._exporter
    assert mine is not None
    watch_this_process()
    assert module._exporter is mine
    [found] = json.loads(next(tmp_path.glob("*.json")).read_text())
    assert found["targets"] == [f"127.0.0.1:{mine.port}"]
    assert "NEWSBEAM_METRICS_PORT=0" in caplog.text


@pytest.mark.parametrize("port", ["x", "-1", "70000"])
def test_a_worker_works_without(
    worker: pytest.MonkeyPatch, port: str, caplog: pytest.LogCaptureFixture
) -> None:
    worker.setenv("NEWSBEAM_METRICS_PORT", port)
    watch_this_process()
    watch_this_process()
    assert module._exporter is None
    assert len(caplog.messages) == 1


def test_nothing_is_served_that_nobody_asked_for(worker: pytest.MonkeyPatch) -> None:
    worker.delenv("NEWSBEAM_METRICS_PORT", raising=False)
    watch_this_process()
    assert module._exporter is None


# ---- discovery -------------------------------------------------------------------------------------


def test_a_file_for_discovery(tmp_path: Path) -> None:
    file = DiscoveryFile(tmp_path / "made", "10.0.0.1:9")
    [found] = json.loads(file.path.read_text())
    assert found["targets"] == ["10.0.0.1:9"]
    # Prometheus drops them once it has found the target.
    assert all(name.startswith("__meta_") for name in found["labels"])
    assert file.path.stat().st_mode & 0o777 == 0o644
    file.remove()
    assert not list(file.path.parent.iterdir())


def test_what_killed_processes_left_is_removed(tmp_path: Path) -> None:
    code = (
        "import os, signal, pathlib, sys; from transforms.watching.discovery import DiscoveryFile;"
        "DiscoveryFile(pathlib.Path(sys.argv[1]), 'h:1'); os.kill(os.getpid(), signal.SIGKILL)"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False)
    [left] = tmp_path.glob("*.json")
    (tmp_path / "newsbeam-elsewhere-1.json").write_text("[]")
    mine = DiscoveryFile(tmp_path, "h:2")
    assert {p.name for p in tmp_path.iterdir()} == {mine.path.name, "newsbeam-elsewhere-1.json"}
    assert left.name != mine.path.name


def test_another_process_with_the_number_of_one_that_is_no_more(tmp_path: Path) -> None:
    file = DiscoveryFile(tmp_path, "h:1")
    clean_up(tmp_path)
    assert file.path.exists()
    file.path.write_text(file.path.read_text().replace('started": "', 'started": "9'))
    clean_up(tmp_path)
    assert not file.path.exists()


def test_a_folder_that_can_not_be_written_to(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigurationError, match=r"--metrics_dir .*file"):
        Exporter(0, folder=os.fspath(tmp_path / "file"))
