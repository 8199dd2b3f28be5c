"""The flex template: its parameters are the options, and its launcher makes a job and ends."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from google.cloud import dataflow_v1beta3
from google.protobuf import json_format

from models.settings import fields_of
from pipeline.flex_template import arguments
from pipeline.options import RUN_SETTINGS
from pipeline.runners.remote import RemoteSettings
from pipeline.template import LEFT_OUT, as_json, parameters
from tests.unit.pipeline.runners.dataflow_jobs import IMAGE
from tests.unit.pipeline.runners.dataflow_jobs import arguments as of_the_launcher

ROOT = Path(__file__).parents[4]
METADATA = ROOT / "deploy/dataflow/metadata.json"


def test_the_file_is_what_the_options_say() -> None:
    told = "run `python -m pipeline.document`"
    assert METADATA.read_text(encoding="utf-8") == as_json(), told


def test_dataflow_knows_all_that_it_says() -> None:
    held = json.loads(METADATA.read_text(encoding="utf-8"))
    kind = type(dataflow_v1beta3.TemplateMetadata.pb(dataflow_v1beta3.TemplateMetadata()))
    # What it doesn't know is an error.
    read = json_format.ParseDict(held, kind())
    assert read.streaming
    assert [p.name for p in read.parameters if not p.is_optional] == ["source"]
    assert len({p.name for p in read.parameters}) == len(read.parameters)
    for parameter in read.parameters:
        assert len(parameter.help_text) > 20
        assert parameter.label
        assert parameter.group_name


def test_options_that_it_leaves_out_are_options() -> None:
    names = {field.name for cls in RUN_SETTINGS for field in fields_of(cls)}
    assert names >= LEFT_OUT
    given = {field.name for field in parameters()}
    assert not given & {field.name for field in fields_of(RemoteSettings)}


@pytest.mark.parametrize(
    ("given", "made"),
    [
        ("--source=pubsub://p/s", ["--source=pubsub://p/s"]),
        ("--create_topics=true", ["--create_topics"]),
        ("--create_topics=False", []),
        ("--max_length=", []),
        ("--model=true", ["--model=true"]),
        ("--route=A,B=gs://a C=gs://c", ["--route=A,B=gs://a", "--route=C=gs://c"]),
        ("--enable_streaming_engine=true", ["--enable_streaming_engine"]),
        ("--streaming", ["--streaming"]),
    ],
)
def test_what_a_launcher_gives_as_flags(given: str, made: list[str]) -> None:
    assert arguments([given]) == ["run", *made, "--runner=DataflowRunner", "--detach"]


def test_run_by_its_path_it_makes_the_job_and_ends(tmp_path: Path) -> None:
    job = tmp_path / "job_object"
    given = [
        "--source=pubsub://my-project/news-sub",
        "--sink=pubsub://my-project/categorized",
        "--dead_letters=",
        "--ordering_keys=false",
        "--skip_checks=pubsub",
        *of_the_launcher(tmp_path, f"--sdk_container_image={IMAGE}", "--job_name=news"),
        f"--template_location={job}",
        "--something_new_of_googles=1",
    ]
    launcher = ROOT / "pipeline/flex_template.py"
    env = os.environ | {"FLEX_TEMPLATE_PYTHON_PY_FILE": str(launcher), "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, str(launcher), *given],
        cwd=tmp_path,
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    held = json.loads(job.read_text())
    assert held["environment"]["serviceOptions"] == ["streaming_mode_at_least_once"]
    assert held["environment"]["workerPools"][0]["workerHarnessContainerImage"] == IMAGE
    assert "not started" in done.stderr
    assert "Traceback" not in done.stderr
