"""At least once from Pub/Sub to Pub/Sub on a stand-alone Flink: a kill loses nothing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.flink.jobs import PATIENCE, submitted
from tests.integration.pubsub import News
from tests.servers.pubsub import PROJECT, PubSubServer
from tests.servers.stand_alone_flink import StandAloneFlink
from transforms.pubsub.client import EMULATOR
from transforms.records import categorized_from_json

pytestmark = pytest.mark.timeout(2 * PATIENCE)
MESSAGES = 400


def test_a_kill_of_the_sdk_process_loses_nothing(
    pubsub: PubSubServer,
    stand_alone: StandAloneFlink,
    unique: Callable[[str], str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setenv(EMULATOR, pubsub.address)
    news = News(pubsub, unique("flink"))
    expected = set(news.publish(MESSAGES))
    at = f"pubsub://{PROJECT}"
    ends = ["--source", f"{at}/{news.subscription}", "--sink", f"{at}/{news.out}"]
    args = ["run", *ends, "--dead_letters", f"{at}/{news.dead}", "--max_outstanding=100"]
    found: set[str] = set()

    def look() -> int:
        for message in pubsub.take(f"all-of-{news.out}"):
            found.add(categorized_from_json(message.data).source.message_id)  # type: ignore[union-attr]
        return len(found)

    with submitted(stand_alone, args, tmp_path) as job:
        job.client.wait_for(look, "first outcomes", timeout=PATIENCE)
        before = len(found)
        stand_alone.kill_sdk_process()
        expected |= set(news.publish(MESSAGES))
        job.client.wait_for(
            lambda: look() >= len(expected), "all outcomes", timeout=PATIENCE, interval=0.2
        )
    assert before < len(expected)
    assert found == expected
    assert not pubsub.read_all(news.dead)
