"""Two kinds of Flink: one of a single process, with workers in that of the test, and a stand-alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.integration.harness import Topics, make_topics
from tests.servers.apache_kafka import KafkaCluster
from tests.servers.cache import Unavailable
from tests.servers.flink import flink_job_server
from tests.servers.stand_alone_flink import StandAloneFlink, stand_alone_flink


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks what is `make test-flink`'s alone."""
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent) and "shortest" not in item.keywords:
            item.add_marker(pytest.mark.flink)


@pytest.fixture(scope="session")
def flink() -> tuple[str, ...]:
    """Beam's arguments for a Flink that lives as long as the pipeline."""
    try:
        jar = flink_job_server()
    except Unavailable as reason:
        pytest.skip(str(reason))
    return (
        "--runner=FlinkRunner",
        "--flink_master=[local]",
        f"--flink_job_server_jar={jar}",
        "--environment_type=LOOPBACK",
        "--parallelism=2",
        "--checkpointing_interval=1000",
        # Otherwise a checkpoint may never get in between two bundles.
        "--finish_bundle_before_checkpointing",
        "--max_bundle_time_mills=50",
        # A job has an end then.
        "--shutdown_sources_after_idle_ms=1000",
    )


@pytest.fixture
def kafka(apache_kafka: KafkaCluster, unique: Callable[[str], str]) -> Topics:
    """Source, sink and dead letters on Apache Kafka."""
    return make_topics(apache_kafka.create_topic, apache_kafka.bootstrap_servers, unique)


@pytest.fixture(scope="session")
def flink_of_session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StandAloneFlink]:
    """One stand-alone Flink for the session: ask for `stand_alone`."""
    try:
        with stand_alone_flink(tmp_path_factory.mktemp("flink")) as flink:
            yield flink
    except Unavailable as reason:
        pytest.skip(str(reason))


@pytest.fixture
def stand_alone(flink_of_session: StandAloneFlink) -> Iterator[StandAloneFlink]:
    """A stand-alone Flink without jobs: a test may leave them running, and kill what it likes."""
    yield flink_of_session
    flink_of_session.restore()
