"""Beam's own KafkaIO, through Java, on Flink, with Beam's ONNX handler between reading and writing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks.peers import onnx_handler
from benchmarks.peers.environments import bundle, jars_of
from benchmarks.peers.hand_written import text_of
from benchmarks.peers.peer import Job, Peer
from tests.servers.cache import find_program
from tests.servers.flink import flink_job_server


def prepare() -> list[str]:
    """Builds Flink's job server, installs Beam, and fetches KafkaIO."""
    find_program("java", "KafkaIO")
    job_server = flink_job_server()
    jars = jars_of(Path(__file__).with_name("kafka_io.xml"))
    # As in `onnx_handler`.
    program = "from benchmarks.peers import kafka_io; kafka_io.main()"
    return [onnx_handler.python(), "-c", program, str(job_server), str(jars), str(bundle())]


PEERS = [Peer("kafka-io", "Beam KafkaIO and OnnxModelHandlerNumpy on Flink", Job.KAFKA, prepare)]


def main() -> None:
    """`JOB_SERVER JARS FOLDER SERVERS SOURCE SINK GROUP`."""
    import apache_beam as beam
    import numpy as np
    from apache_beam.io.kafka import ReadFromKafka, WriteToKafka
    from apache_beam.ml.inference.base import KeyedModelHandler, RunInference
    from apache_beam.options.pipeline_options import PipelineOptions

    job_server, jars, folder, servers, source, sink, group = sys.argv[1:]
    names = json.loads((Path(folder) / "config.json").read_text())["id2label"]
    tokenizer = onnx_handler.tokenizer_of(folder, "one-row")

    def tokenize(record: tuple[bytes, bytes]) -> tuple[bytes, Any]:
        return record[1], np.array(tokenizer.encode(text_of(json.loads(record[1]))).ids)

    def categorize(keyed: tuple[bytes, Any]) -> tuple[bytes, bytes]:
        item = json.loads(keyed[0])
        category = names[str(int(keyed[1].inference.argmax()))]
        return item["id"].encode(), json.dumps({**item, "category": category}).encode()

    java = [
        "java",
        "-Xmx700m",
        "-cp",
        f"{jars}/*",
        str(Path(__file__).with_name("KafkaServices.java")),
    ]
    # It logs to stderr; the one line of stdout is its address.
    with subprocess.Popen(java, stdout=subprocess.PIPE, text=True) as services:
        assert services.stdout is not None
        expansion = services.stdout.readline().strip()
        flags = [
            "--streaming",
            "--runner=FlinkRunner",
            "--flink_master=[local]",
            f"--flink_job_server_jar={job_server}",
            "--environment_type=LOOPBACK",
            f"--parallelism={os.cpu_count()}",
            "--checkpointing_interval=2000",
            "--finish_bundle_before_checkpointing",
            "--max_bundle_time_mills=200",
        ]
        client = {"bootstrap.servers": servers}
        reading = {**client, "group.id": group, "auto.offset.reset": "earliest"}
        with beam.Pipeline(options=PipelineOptions(flags)) as p:
            _ = (
                p
                | ReadFromKafka(reading, [source], expansion_service=expansion)
                | beam.Map(tokenize)
                | RunInference(KeyedModelHandler(onnx_handler.handler(folder, "one-row")))
                | beam.Map(categorize).with_output_types(tuple[bytes, bytes])
                | WriteToKafka(client, sink, expansion_service=expansion)
            )
