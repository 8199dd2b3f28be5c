"""Whole jobs for Dataflow, as files: what would be submitted, read back and made comparable.

`python -m tests.unit.pipeline.runners.dataflow_jobs` writes the golden ones anew.
"""

from __future__ import annotations

import base64
import bz2
import json
import re
import sys
import tempfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import apache_beam
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.portability.api import beam_runner_api_pb2

from pipeline.options import RunOptions
from pipeline.run import execute

GOLDEN = Path(__file__).parent / "golden"
IMAGE = "registry.example/news/newsbeam:1"
#: The Beam that the golden jobs were made with: another one has other defaults.
BEAM = apache_beam.__version__.rpartition(".")[0]
#: What a job says that is another each time, or of this machine.
_NOISE = {
    "beam_plugins", "dataflow_endpoint", "no_auth", "pipelineProtoHash", "pipelineUrl",
    "staging_location", "temp_location", "template_location",
}  # fmt: skip
_BASE64 = re.compile(rb"[A-Za-z0-9+/=]{40,}")


class Written(NamedTuple):
    """A job as files.

    Attributes:
        job: What the API would be sent.
        pipeline: The graph.
        folder: Where all that was staged lies.
    """

    job: dict[str, Any]
    pipeline: beam_runner_api_pb2.Pipeline
    folder: Path


def arguments(folder: Path, *more: str, endpoint: str = "http://localhost:9") -> list[str]:
    """Beam's arguments for a job that stages in a local folder, and asks no cloud."""
    staged = folder / "staged"
    staged.mkdir(exist_ok=True)
    return [
        "--runner=DataflowRunner",
        "--project=my-project",
        "--region=europe-west1",
        f"--temp_location={folder / 'temp'}",
        f"--staging_location={staged}",
        f"--dataflow_endpoint={endpoint}",
        "--no_auth",
        *more,
    ]


def written(options: RunOptions, folder: Path, *more: str) -> Written:
    """The job that options make, written as a template: nothing is sent."""
    template = folder / "job.json"
    image = () if "--no_image" in more else (f"--sdk_container_image={IMAGE}",)
    more = tuple(each for each in more if each != "--no_image")
    name = "--job_name=news"
    execute(options, arguments(folder, name, *image, *more, f"--template_location={template}"))
    pipeline = beam_runner_api_pb2.Pipeline()
    pipeline.ParseFromString((folder / "staged" / "pipeline.pb").read_bytes())
    return Written(json.loads(template.read_text()), pipeline, folder / "staged")


def golden_options() -> dict[str, RunOptions]:
    """The jobs that are held as files, by name."""
    return {
        "pubsub": RunOptions(
            "pubsub://my-project/news-sub",
            "pubsub://my-project/categorized",
            skip_checks=("pubsub",),
        ),
        # Untried on Dataflow: nobody has shown an endless splittable DoFn of Python's with finalizers.
        "kafka": RunOptions(
            "kafka://broker:9092/news?group=news",
            "kafka://broker:9092/categorized",
            skip_checks=("kafka",),
        ),
    }


def comparable(made: Written) -> dict[str, Any]:
    """What of a job has to stay as it is."""
    environment = made.job["environment"]
    [pool] = environment["workerPools"]
    defaults = PipelineOptions([]).get_all_options()
    options = environment["sdkPipelineOptions"]["options"]
    components = made.pipeline.components
    return {
        "beam": BEAM,
        "name": made.job["name"],
        "type": made.job["type"],
        "experiments": sorted(environment["experiments"]),
        "serviceOptions": sorted(environment.get("serviceOptions", ())),
        "options": {
            name: value
            for name, value in sorted(options.items())
            if name not in _NOISE and defaults.get(name) != value
        },
        "packages": sorted(each["name"] for each in pool.get("packages", ())),
        "threads": pool.get("numThreadsPerWorker"),
        "image": pool["workerHarnessContainerImage"],
        "a process for each core": pool["sdkHarnessContainerImages"][0][
            "useSingleCorePerContainer"
        ],
        "environments": [
            {
                "urn": each.urn,
                "image": beam_runner_api_pb2.DockerPayload.FromString(each.payload).container_image,
                "hints": {urn: hint.decode() for urn, hint in sorted(each.resource_hints.items())},
                "dependencies": len(each.dependencies),
            }
            for each in components.environments.values()
        ],
        "transforms": {
            each.unique_name: each.spec.urn
            for each in sorted(components.transforms.values(), key=lambda t: t.unique_name)
            if each.unique_name
        },
    }


def everything(made: Written) -> bytes:
    """All that a job holds, unpacked as far as anybody can: to be searched."""
    files = [path.read_bytes() for path in sorted(made.folder.iterdir())]
    texts = [json.dumps(made.job).encode(), *files]
    return b"\0".join(part for text in texts for part in _unpacked(text))


def _unpacked(data: bytes, depth: int = 0) -> Iterator[bytes]:
    """Bytes, and those that are packed in them: Beam pickles, compresses and encodes functions."""
    yield data
    if depth > 3:
        return
    for found in _BASE64.findall(data):
        try:
            raw = base64.b64decode(found, validate=True)
        except ValueError:
            continue
        for unpack in (zlib.decompress, bz2.decompress):
            try:
                yield from _unpacked(unpack(raw), depth + 1)
            except (ValueError, OSError, zlib.error):
                continue


def main() -> None:
    """Writes the golden jobs."""
    GOLDEN.mkdir(exist_ok=True)
    for name, options in golden_options().items():
        with tempfile.TemporaryDirectory() as folder:
            made = comparable(written(options, Path(folder)))
        (GOLDEN / f"dataflow_{name}.json").write_text(json.dumps(made, indent=1) + "\n")


if __name__ == "__main__":
    sys.exit(main())
