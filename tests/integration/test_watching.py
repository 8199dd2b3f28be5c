"""A run is watched: what is scraped while it runs is what was sent, and its log is JSON throughout."""

from __future__ import annotations

import gzip
import itertools
import json
import os
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from signal import SIGTERM
from typing import ClassVar

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from prometheus_client.parser import text_string_to_metric_families

from tests.integration.harness import Sent, Topics, finished, mixed, refused, running
from tests.servers.processes import free_port, wait_until

#: Of a trace that is not sampled.
UNSAMPLED = b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00"


def get(port: int, path: str) -> tuple[int, str]:
    """Status and body; 0 where nobody listens."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}") as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as e:
        return e.code, e.read().decode()
    except OSError:
        return 0, ""


class Scrape:
    """All samples of a process, by name and labels."""

    def __init__(self, port: int) -> None:
        text = get(port, "/metrics")[1]
        self.samples = [s for f in text_string_to_metric_families(text) for s in f.samples]

    def total(self, name: str, **labels: str) -> float:
        """The sum of the samples that have these labels."""
        return sum(
            s.value for s in self.samples if s.name == name and labels.items() <= s.labels.items()
        )

    def labels(self, name: str, label: str) -> set[str]:
        """The values of a label."""
        return {s.labels[label] for s in self.samples if s.name == name}


@pytest.mark.parametrize(
    ("broker", "delivery"),
    [
        ("embedded", "at_least_once"),
        pytest.param("kafka", "exactly_once", marks=pytest.mark.long),
    ],
)
def test_what_is_scraped_is_what_was_sent(
    request: pytest.FixtureRequest, broker: str, delivery: str, tmp_path: Path
) -> None:
    topics: Topics = request.getfixturevalue(broker)
    messages = mixed(300)
    dead = sum(m.dead for m in messages)
    port, folder = free_port(), tmp_path / "found"
    watching = ["--metrics_port", str(port), "--metrics_dir", str(folder), "--log_format", "json"]
    watching += ["--delivery", delivery]
    with running(topics.args(*watching), tmp_path) as process:
        seen = set()
        process.wait_for(
            lambda: seen.add(ready := get(port, "/readyz")[0]) or ready == 200, "it to be ready"
        )
        assert 503 in seen
        topics.produce(messages)
        process.wait_for(
            lambda: Scrape(port).total("newsbeam_written_total") >= len(messages),
            "all to be written",
        )
        scrape = Scrape(port)
        assert scrape.total("newsbeam_written_total", outcome="dead_letter") == dead
        assert scrape.total("newsbeam_read_total") == len(messages)
        assert scrape.total("newsbeam_categorized_total") == len(messages) - dead
        assert scrape.total("newsbeam_dead_letters_total", stage="ParseNews") == dead
        assert scrape.total("newsbeam_end_to_end_seconds_count") == len(messages)
        assert scrape.total("newsbeam_batch_size_sum") == len(messages) - dead
        assert scrape.total("newsbeam_bundle_size_sum") == len(messages)
        assert scrape.total("newsbeam_tokens_total") > len(messages)
        assert scrape.total("newsbeam_commits_total", result="ok") > 0
        assert scrape.total("process_resident_memory_bytes") > 100e6
        assert scrape.total("newsbeam_ready") == 1
        [model] = scrape.labels("newsbeam_model_info", "model")
        assert model.startswith("ag_news@")
        assert len(scrape.labels("newsbeam_source_lag_messages", "shard")) == 1
        process.wait_for(
            lambda: Scrape(port).total("newsbeam_source_lag_messages") == 0, "the lag to be seen"
        )
        assert scrape.total("newsbeam_watermark_timestamp_seconds") > 1.7e9
        [found] = folder.glob("*.json")
        assert json.loads(found.read_text())[0]["targets"] == [f"127.0.0.1:{port}"]
        process.signal(SIGTERM)
        done = process.wait()
    assert done.code == 0
    assert not list(folder.iterdir())
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    assert all({"time", "level", "logger", "message"} <= line.keys() for line in lines)
    assert lines[-1]["done"] == len(messages)
    assert lines[-1]["dead_letters"] == {"ParseNews": dead}


class _Collector(BaseHTTPRequestHandler):
    """Takes spans as an OTLP collector does, and keeps them."""

    spans: ClassVar[list[Span]] = []

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        request = ExportTraceServiceRequest.FromString(body)
        assert self.path == "/v1/traces"
        for of_resource in request.resource_spans:
            for of_scope in of_resource.scope_spans:
                self.spans.extend(of_scope.spans)
        self.send_response(200)
        self.send_header("Content-Type", "application/x-protobuf")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Says nothing."""


def test_traces_go_on_through_a_run(embedded: Topics) -> None:
    sent = embedded.produce(
        [*mixed(20), Sent(b'{"title": "Stocks fell"}', None, (("traceparent", UNSAMPLED),))]
    )
    with ThreadingHTTPServer(("127.0.0.1", 0), _Collector) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        at = f"http://127.0.0.1:{server.server_address[1]}"
        environment = {"OTEL_EXPORTER_OTLP_ENDPOINT": at}
        once = ["--stop_at_end", "--delivery", "at_least_once"]
        done = finished(*embedded.args("--tracing", *once), env=environment)
        server.shutdown()
    assert done.code == 0, done.stderr
    made = {(s.trace_id.hex(), s.span_id.hex()): s.parent_span_id.hex() for s in _Collector.spans}
    for got in itertools.chain(*embedded.outcomes()):
        asked = dict(sent[got.source].headers)["traceparent"].decode().split("-")
        found = dict(got.headers)["traceparent"].decode().split("-")
        assert found[1] == asked[1]
        if asked[3] == "00" or not int(asked[1], 16):
            # Neither sampled, nor valid: it is as it was.
            assert found == asked
            continue
        assert made.pop((found[1], found[2])) == asked[2]
    assert not made


def test_a_port_in_use_is_one_line(embedded: Topics) -> None:
    port = int(embedded.servers.rpartition(":")[2])
    line = refused(*embedded.args("--metrics_port", str(port)))
    assert f"--metrics_port {port}: 127.0.0.1:{port} can't be listened at" in line
    assert "0 for any that is free" in line


_PIPELINE = """
import time
import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions
from transforms.classify_news import ClassifyNews

def wait(item):
    time.sleep(0.3)
    return item

options = ["--direct_num_workers=2", "--direct_running_mode=multi_processing"]
with beam.Pipeline("FnApiRunner", PipelineOptions(options)) as pipeline:
    news = pipeline | beam.Create([{"title": f"Stocks fell {i}"} for i in range(100)])
    _ = (news | beam.Reshuffle() | ClassifyNews()).categorized | beam.Map(wait)
"""


@pytest.mark.long
def test_several_sdk_processes_of_a_host_are_found(tmp_path: Path) -> None:
    folder, program = tmp_path / "found", tmp_path / "program.py"
    program.write_text(_PIPELINE)
    environment = {
        **os.environ,
        "NEWSBEAM_METRICS_PORT": "0",
        "NEWSBEAM_METRICS_DIR": str(folder),
        "PYTHONPATH": os.pathsep.join(sys.path),
        # Beam starts a plain `python`.
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
    }
    seen: dict[int, float] = {}
    with subprocess.Popen([sys.executable, str(program)], env=environment) as process:

        def all_counted() -> bool:
            for file in folder.glob("*.json"):
                port = int(json.loads(file.read_text())[0]["targets"][0].rpartition(":")[2])
                seen[port] = max(
                    seen.get(port, 0), Scrape(port).total("newsbeam_categorized_total")
                )
            assert process.poll() is None
            return len(seen) == 2 and sum(seen.values()) == 100

        wait_until(all_counted, "both to have counted theirs")
        assert process.wait() == 0
    wait_until(lambda: not list(folder.iterdir()), "their files to be gone")
