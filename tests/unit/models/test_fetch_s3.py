"""Models in S3."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from apache_beam.io.filesystems import FileSystems
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.options.value_provider import RuntimeValueProvider

from models.bundle import Bundle
from models.classifier import TextClassifier
from models.locate import resolve

from .conftest import MakeBundle, message_of, names
from .stand_ins import S3

pytestmark = pytest.mark.usefixtures("cache")


# ---- S3 ------------------------------------------------------------------------------------------


@pytest.fixture
def s3(make_bundle: MakeBundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[S3]:
    """A bucket with a bundle at s3://bucket/models/tiny, and no pipeline so far."""
    pytest.importorskip("boto3", reason="boto3 is in the extra `test`")
    folder = tmp_path / "bucket"
    (folder / "models").mkdir(parents=True)
    make_bundle("tiny").rename(folder / "models" / "tiny")
    (folder / "models" / "tiny" / "pytorch_model.bin").write_bytes(b"not needed")
    # boto3 is told by its own environment alone, whatever the machine is set up for.
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    server = S3(folder)
    for name, value in {
        "AWS_ACCESS_KEY_ID": "nobody",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": server.endpoint,
        "AWS_CONFIG_FILE": str(tmp_path / "none"),
        "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "none"),
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_MAX_ATTEMPTS": "1",
        "NO_PROXY": "127.0.0.1",
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(FileSystems, "_pipeline_options", None)
    monkeypatch.setattr(RuntimeValueProvider, "runtime_options", None)
    with server.running():
        yield server


def test_a_bundle_in_s3(s3: S3) -> None:
    bundle = Bundle.load("s3://bucket/models/tiny")
    assert bundle.name == "tiny"
    assert names(bundle.path) == ["config.json", "model.onnx", "tokenizer.json"]
    assert bundle.hash == Bundle.load(s3.folder / "models" / "tiny").hash
    assert TextClassifier(bundle).predict("goal").category == "Sports"


def test_a_cascade_in_s3(s3: S3, make_bundle: MakeBundle) -> None:
    folder = s3.folder / "models" / "both"
    folder.mkdir()
    stages = [{"model": "cheap", "min_score": 0.9}, {"model": "../tiny"}]
    (folder / "config.json").write_text(json.dumps({"cascade": stages}))
    make_bundle("cheap", dynamic=True).rename(folder / "cheap")
    bundle = Bundle.load("s3://bucket/models/both")
    assert [stage.bundle.name for stage in bundle.stages] == ["cheap", "tiny"]
    assert bundle.hash == Bundle.load(folder).hash
    assert TextClassifier(bundle).predict("goal").category == "Sports"


def test_options_of_a_pipeline_are_kept(s3: S3, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ENDPOINT_URL")
    FileSystems.set_options(PipelineOptions([f"--s3_endpoint_url={s3.endpoint}"]))
    assert Bundle.load("s3://bucket/models/tiny").name == "tiny"


@pytest.mark.parametrize("place", ["bucket/models/none", "other/models/tiny"])
def test_what_s3_does_not_have(s3: S3, place: str) -> None:
    assert "no files there; check the address" in message_of(lambda: resolve(f"s3://{place}"))


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("AWS_ENDPOINT_URL", "http://127.0.0.1:1", "Could not connect to the endpoint"),
        ("AWS_ACCESS_KEY_ID", None, "Unable to locate credentials"),
    ],
)
def test_s3_that_cannot_be_listed(
    s3: S3, monkeypatch: pytest.MonkeyPatch, name: str, value: str | None, words: str
) -> None:
    if value is None:
        monkeypatch.delenv(name)
    else:
        monkeypatch.setenv(name, value)
    message = message_of(lambda: resolve("s3://bucket/models/tiny"))
    assert "cannot be listed" in message
    assert words in message
    assert "pip install" not in message
