"""Spark NLP 5.5.3, which newsbeam succeeds, at its best setting: one ONNX thread for each of Spark's."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

from benchmarks.peers import texts_job
from benchmarks.peers.environments import bundle, digest_of_bundle, jars_of, made, python_with
from benchmarks.peers.peer import Job, Peer


def _write_model(folder: Path) -> None:
    """The bundle in the form that `loadSavedModel` takes."""
    config = json.loads((bundle() / "config.json").read_text(encoding="utf-8"))
    model = json.loads((bundle() / "tokenizer.json").read_text(encoding="utf-8"))["model"]
    labels = [config["id2label"][str(i)] for i in range(len(config["id2label"]))]
    merges = [each if isinstance(each, str) else " ".join(each) for each in model["merges"]]
    (folder / "assets").mkdir()
    for name, lines in (
        ("vocab", sorted(model["vocab"], key=model["vocab"].__getitem__)),
        ("merges", ["#version: 0.2", *merges]),
        ("labels", labels),
    ):
        text = "\n".join(lines) + "\n"
        (folder / "assets" / f"{name}.txt").write_text(text, encoding="utf-8")
    (folder / "model.onnx").write_bytes((bundle() / "model_quantized.onnx").read_bytes())


def prepare() -> list[str]:
    """Installs it, fetches its jars, and writes the model as it wants it."""
    jars = jars_of(Path(__file__).with_name("spark_nlp.xml"))
    python = python_with("spark-nlp", ("pyspark==3.5.9", "spark-nlp==5.5.3", "numpy<2"))
    model = made("spark-nlp-model", digest_of_bundle(), _write_model)
    return [python, "-m", "benchmarks.peers.spark_nlp", str(jars), str(model)]


PEERS = [
    Peer("spark-nlp", "Spark NLP 5.5.3, RoBertaForSequenceClassification", Job.TEXTS, prepare, 1500)
]


def main() -> None:
    """`JARS MODEL ROWS`."""
    from pyspark.ml import Pipeline
    from pyspark.sql import SparkSession
    from sparknlp.annotator import RoBertaForSequenceClassification, Tokenizer
    from sparknlp.base import DocumentAssembler, LightPipeline

    jars, folder, rows = sys.argv[1:]
    texts, labels = texts_job.read(rows)
    cores = os.cpu_count() or 1
    settings = {
        "spark.driver.memory": "4g",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.host": "127.0.0.1",
        "spark.jars": ",".join(str(jar) for jar in sorted(Path(jars).glob("*.jar"))),
        "spark.kryoserializer.buffer.max": "500M",
        "spark.serializer": "org.apache.spark.serializer.KryoSerializer",
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.jsl.settings.onnx.intraOpNumThreads": "1",
    }
    builder = SparkSession.builder.master(f"local[{cores}]")
    for name, value in settings.items():
        builder = builder.config(name, value)
    spark = builder.getOrCreate()
    document = DocumentAssembler().setInputCol("text").setOutputCol("document")
    tokens = Tokenizer().setInputCols(["document"]).setOutputCol("token")
    classifier = (
        RoBertaForSequenceClassification.loadSavedModel(folder, spark)
        .setInputCols(["token", "document"])
        .setOutputCol("class")
        .setCaseSensitive(True)
        .setMaxSentenceLength(512)
        .setBatchSize(8)
    )
    empty = spark.createDataFrame([[""]]).toDF("text")
    model = Pipeline(stages=[document, tokens, classifier]).fit(empty)
    LightPipeline(model).annotate(texts[0])
    first = texts_job.since_start()
    news = spark.createDataFrame(list(enumerate(texts)), ["id", "text"]).coalesce(cores).cache()
    # Also warms up; collecting does not count in what is measured.
    collected = model.transform(news).selectExpr("id", "class[0].result as label").collect()
    began = time.perf_counter()
    model.transform(news).select("id", "class").write.format("noop").mode("overwrite").save()
    rate = len(texts) / (time.perf_counter() - began)
    found = [row.label for row in sorted(collected, key=lambda row: row.id)]
    spark.stop()
    texts_job.report(first, rate, found, labels)


if __name__ == "__main__":
    main()
