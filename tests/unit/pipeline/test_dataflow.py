"""On Dataflow, Pub/Sub is Beam's own: as the job that would be submitted says; no cloud is asked."""

from __future__ import annotations

import json
from pathlib import Path

import apache_beam as beam
import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.portability.api import beam_runner_api_pb2

from pipeline.connect import connect
from pipeline.graph import build
from pipeline.options import RunOptions

READ, WRITE = "beam:transform:pubsub_read:v1", "beam:transform:pubsub_write:v1"


@pytest.fixture
def job(tmp_path: Path) -> beam_runner_api_pb2.Pipeline:
    """What Dataflow would be given."""
    options = RunOptions(
        "pubsub://my-project/news-sub",
        "pubsub://my-project/out",
        route=("Sports=pubsub://my-project/sports",),
        time_attribute="published",
        dedupe_attribute="key",
    )
    (tmp_path / "staged").mkdir()
    template = tmp_path / "job.json"
    # With a template nothing is sent; the endpoint of this name lets local folders be.
    args = {
        "runner": "DataflowRunner",
        "project": "my-project",
        "region": "us-east1",
        "temp_location": str(tmp_path / "temp"),
        "staging_location": str(tmp_path / "staged"),
        "template_location": str(template),
        "dataflow_endpoint": "http://localhost:9",
        "sdk_location": "container",
    }
    flags = ["--no_auth", "--no_save_main_session", "--streaming"]
    beam_options = PipelineOptions([*(f"--{k}={v}" for k, v in args.items()), *flags])
    pipeline = beam.Pipeline(options=beam_options)
    build(pipeline, options, connect(options, runner="DataflowRunner", local=False))
    pipeline.run()
    assert json.loads(template.read_text())["type"] == "JOB_TYPE_STREAMING"
    found = beam_runner_api_pb2.Pipeline()
    found.ParseFromString((tmp_path / "staged" / "pipeline.pb").read_bytes())
    return found


def test_source_and_sinks_are_native(job: beam_runner_api_pb2.Pipeline) -> None:
    def payload(name: str, kind: type) -> object:
        return kind.FromString(transforms[name].spec.payload)  # type: ignore[attr-defined]

    transforms = {
        t.unique_name: t for t in job.components.transforms.values() if t.spec.urn in {READ, WRITE}
    }
    reads = [name for name, t in transforms.items() if t.spec.urn == READ]
    topics = {
        payload(name, beam_runner_api_pb2.PubSubWritePayload).topic
        for name, t in transforms.items()
        if t.spec.urn == WRITE
    }
    assert topics == {
        f"projects/my-project/topics/{name}" for name in ("out", "sports", "out-dead-letters")
    }
    [read] = [payload(name, beam_runner_api_pb2.PubSubReadPayload) for name in reads]
    assert read.subscription == "projects/my-project/subscriptions/news-sub"
    assert read.timestamp_attribute == "published"
    assert read.id_attribute == "key"
    assert read.with_attributes
