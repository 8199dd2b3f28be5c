"""The whole job for Dataflow, as it would be submitted; no cloud is asked."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from models.errors import BundleError
from pipeline.options import RunOptions
from pipeline.runners.dataflow import runner
from tests.unit.pipeline.runners.dataflow_jobs import (
    BEAM,
    GOLDEN,
    comparable,
    everything,
    golden_options,
    written,
)
from transforms.errors import ConfigurationError

PASSWORD, USER = "hunter2-hunter2", "news-reader"
PREFIX = "NEWSBEAM_KAFKA_"


@pytest.mark.parametrize("name", golden_options())
def test_the_job_is_the_golden_one(name: str, tmp_path: Path) -> None:
    golden = json.loads((GOLDEN / f"dataflow_{name}.json").read_text())
    if golden["beam"] != BEAM:
        pytest.skip(f"the golden job is of Beam {golden['beam']}, this is {BEAM}")
    made = comparable(written(golden_options()[name], tmp_path))
    # As text, so that a difference can be read.
    remake = "if it is meant so, run `python -m tests.unit.pipeline.runners.dataflow_jobs`"
    assert json.dumps(made, indent=1) == json.dumps(golden, indent=1), remake


def test_no_secret_is_in_the_job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"{PREFIX}SECURITY_PROTOCOL", "SASL_SSL")
    monkeypatch.setenv(f"{PREFIX}SASL_MECHANISM", "PLAIN")
    monkeypatch.setenv(f"{PREFIX}SASL_PLAIN_USERNAME", USER)
    monkeypatch.setenv(f"{PREFIX}SASL_PLAIN_PASSWORD", "env://KAFKA_PASSWORD")
    monkeypatch.setenv("KAFKA_PASSWORD", PASSWORD)
    held = everything(written(golden_options()["kafka"], tmp_path))
    assert PASSWORD.encode() not in held
    # It was looked for where it would be.
    assert USER.encode() in held
    assert b"env://KAFKA_PASSWORD" in held


def test_a_password_as_it_stands_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"{PREFIX}SASL_PLAIN_PASSWORD", PASSWORD)
    with pytest.raises(ConfigurationError, match=r"sasl_plain_password.*env://") as caught:
        written(golden_options()["kafka"], tmp_path)
    assert PASSWORD not in str(caught.value)


def test_without_an_image_newsbeam_is_sent_along(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def build(folder: Path) -> Path:
        wheel = folder / "newsbeam-1-py3-none-any.whl"
        wheel.write_bytes(b"what test_wheel looks into")
        return wheel

    monkeypatch.setattr(runner, "build_wheel", build)
    made = written(golden_options()["pubsub"], tmp_path, "--no_image")
    assert any(path.suffix == ".whl" for path in made.folder.iterdir())
    assert (made.folder / "extra_packages.txt").read_text().startswith("newsbeam-")


def test_a_model_of_this_machine_needs_an_image(tmp_path: Path) -> None:
    options = RunOptions(
        "pubsub://my-project/a-sub",
        "pubsub://my-project/out",
        skip_checks=("pubsub",),
        model=str(tmp_path),
    )
    with pytest.raises(ConfigurationError, match="gs://BUCKET"):
        written(options, tmp_path, "--no_image")
    with pytest.raises(BundleError, match=r"config\.json"):
        written(options, tmp_path)
