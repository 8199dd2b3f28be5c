"""Ends that can't be used: one line and exit code 2 within seconds, before anything is submitted."""

from __future__ import annotations

import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pipeline.demo.broker import EmbeddedBroker
from tests.integration.ends import MODEL
from tests.integration.harness import Topics, refused
from tests.integration.pubsub import News
from tests.servers.cache import Unavailable
from tests.servers.object_stores import S3Server
from tests.servers.processes import free_port
from tests.servers.pubsub import PROJECT, PubSubServer

#: Beam's start alone takes some; Google's library tries for a minute and more where nobody is.
SECONDS = 45.0


@pytest.fixture(autouse=True)
def _quickly() -> Iterator[None]:
    began = time.monotonic()
    yield
    assert time.monotonic() - began < SECONDS


@pytest.fixture
def news(
    pubsub: PubSubServer, unique: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> News:
    monkeypatch.setenv("PUBSUB_EMULATOR_HOST", pubsub.address)
    return News(pubsub, unique("t"))


def run(source: str, sink: str, *more: str) -> list[str]:
    return ["run", "--source", source, "--sink", sink, *MODEL, *more]


def at(name: str) -> str:
    return f"pubsub://{PROJECT}/{name}"


def test_a_missing_subscription(news: News) -> None:
    line = refused(*run(at("nowhere"), at(news.out), "--dead_letters", at(news.dead)))
    assert "--source: there is no subscription nowhere in project" in line
    assert "gcloud pubsub subscriptions create nowhere --topic TOPIC" in line


def test_missing_topics(news: News) -> None:
    source = at(news.subscription)
    line = refused(*run(source, at("nowhere"), "--dead_letters", at(news.dead)))
    assert "--sink: there is no topic nowhere in project" in line
    # Those that nobody named, too.
    line = refused(*run(source, at(news.out)))
    assert f"--dead_letters: there is no topic {news.out}-dead-letters in project" in line
    line = refused(*run(source, "-", "--route", f"Sports={at('nowhere')}"))
    assert "--route: there is no topic nowhere in project" in line


def test_one_for_the_other(news: News) -> None:
    line = refused(*run(at(news.topic), "-"))
    assert (
        f"{news.topic} is a topic of project {PROJECT}, and what is read is a subscription" in line
    )
    line = refused(*run(at(news.subscription), at(f"all-of-{news.out}"), "--dead_letters", "-"))
    assert f"all-of-{news.out} is a subscription of project {PROJECT}" in line


def test_looking_at_what_is_no_subscription(news: News) -> None:
    line = refused("consume", at(news.out))
    assert f"{news.out} is a topic of project {PROJECT}, and what is read is a subscription" in line
    assert "there is no subscription nowhere in project" in refused("consume", at("nowhere"))


def test_a_loop(news: News) -> None:
    line = refused(*run(at(news.subscription), at(news.topic), "--dead_letters", at(news.dead)))
    assert line.startswith("newsbeam: --sink")
    line = refused(*run(at(news.subscription), at(news.out), "--dead_letters", at(news.topic)))
    assert line.startswith("newsbeam: --dead_letters")
    line = refused(*run(at(news.subscription), at(news.out), "--dead_letters", at(news.out)))
    assert line.startswith("newsbeam: --dead_letters")


def test_an_emulator_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PUBSUB_EMULATOR_HOST", f"127.0.0.1:{free_port()}")
    line = refused(*run(at("news-sub"), "-"))
    assert "nobody listens on 127.0.0.1:" in line
    assert "start the emulator, or unset PUBSUB_EMULATOR_HOST" in line


@pytest.fixture
def nobody(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No credentials of any cloud, on no machine of theirs."""
    for name in ("PUBSUB_EMULATOR_HOST", "GOOGLE_APPLICATION_CREDENTIALS", "STORAGE_EMULATOR_HOST"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path))
    monkeypatch.setenv("GCE_METADATA_HOST", f"127.0.0.1:{free_port()}")
    monkeypatch.setenv("NO_GCE_CHECK", "true")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")


@pytest.mark.usefixtures("nobody")
def test_no_credentials(embedded: Topics) -> None:
    kafka = embedded.args()[2]
    assert "there are no credentials for Google Cloud: run `gcloud auth" in refused(
        *run(at("news-sub"), "-")
    )
    assert "there are no credentials for Google Cloud: run `gcloud auth" in refused(
        *run(kafka, at("out"))
    )
    assert "there are no credentials for gs://: run `gcloud auth" in refused(
        *run(kafka, "gs://bucket/out/")
    )
    assert "there are no credentials for s3://: set AWS_ACCESS_KEY_ID" in refused(
        *run(kafka, "s3://bucket/out/")
    )


@pytest.fixture(scope="module")
def closed_s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """An S3 with a bucket `closed`, which from then on lets nobody in whom it does not know."""
    try:
        server = S3Server(tmp_path_factory.mktemp("closed-s3"))
    except Unavailable as reason:
        pytest.skip(str(reason))
    with server:
        server.make_bucket("closed")
        plain = {"Content-Type": "text/plain"}
        request = urllib.request.Request(f"{server.endpoint}/moto-api/reset-auth", b"0", plain)
        urllib.request.urlopen(request, timeout=60).close()
        yield server


def test_buckets(
    closed_s3: S3Server, s3_server: S3Server, embedded: Topics, monkeypatch: pytest.MonkeyPatch
) -> None:
    kafka = embedded.args()[2]
    for name, value in closed_s3.environment.items():
        monkeypatch.setenv(name, value)
    line = refused(*run(kafka, "s3://closed/out/"))
    assert "--sink 's3://closed/out/': not allowed to write to bucket 'closed'" in line
    for name, value in s3_server.environment.items():
        monkeypatch.setenv(name, value)
    line = refused(*run(kafka, "s3://no-such-bucket/out/?format=parquet"))
    assert "there is no bucket 'no-such-bucket': make it, or check the name" in line
    line = refused(*run("s3://no-such-bucket/*.jsonl", "-"))
    assert "there is no bucket 'no-such-bucket': make it, or check the name" in line
    line = refused(*run(kafka, "-", "--dead_letters", "s3://no-such-bucket/dead/"))
    assert "--dead_letters 's3://no-such-bucket/dead/': there is no bucket" in line


def test_routes(
    embedded: Topics, topics: Callable[..., str], embedded_broker: EmbeddedBroker
) -> None:
    kafka, to = embedded.args()[2], f"kafka://{embedded_broker.bootstrap_servers}/{topics('route')}"
    line = refused(*run(kafka, "-", "--route", f"Weather={to}"))
    assert "--route names category 'Weather', which the model does not know" in line
    assert "World, Sports, Business, Sci/Tech" in line
    line = refused("run", "--source", kafka, "--route", f"Sports,World={to}", *MODEL)
    assert "no route takes Business, Sci/Tech: give one, or --sink for what no route takes" in line
    line = refused("run", "--source", kafka, *MODEL)
    assert "where categorized news goes is missing: give --sink, or --route" in line
    line = refused(*run(kafka, "-", "--route", f"Sports={to}", "--route", f"World,Sports={to}2"))
    assert "--route names category 'Sports' twice" in line
    for none in ("Sports", "=x", f",Sports={to}", "Sports="):
        assert f"--route {none!r} is none: write CATEGORY=URI" in refused(
            *run(kafka, "-", "--route", none)
        )
    line = refused(*run(kafka, "-", "--route", f"Sports={to}", "--route", f"World={to}"))
    assert "--route" in line


def test_exactly_once_of_several_places(news: News, embedded: Topics) -> None:
    kafka = embedded.args()[2]
    flags = ("--delivery", "exactly_once", "--dead_letters", at(news.dead))
    line = refused(*run(kafka, at(news.out), *flags))
    assert (
        "--delivery exactly_once needs source, sink and dead letters in one Kafka cluster" in line
    )
    line = refused(*run(at(news.subscription), at(news.out), *flags))
    assert "--delivery exactly_once" in line
