"""What the comparison with peers computes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.peers import environments, table, texts_job
from benchmarks.peers.kafka_job import steady_rate
from benchmarks.peers.peer import Job, Peer
from benchmarks.peers.runs import Measured


def result(name: str, rates: dict[int, float], job: Job = Job.TEXTS) -> table.Result:
    peer = Peer(name, name.upper(), job, list)
    runs = {i: Measured(1500, rate, 0.94, 1.5, 2**20) for i, rate in rates.items()}
    return table.Result(peer, runs)


def test_a_steady_rate_leaves_the_start_out() -> None:
    # 20 rows that took their time, then one each 50 ms.
    slow, fast = [float(i) for i in range(20)], [19 + 0.05 * i for i in range(1, 81)]
    assert steady_rate(slow + fast) == pytest.approx(20, rel=0.05)


def test_a_steady_rate_counts_whole_bursts() -> None:
    # 100 rows a second, written within 3 ms; a fifth of them falls within a burst.
    times = [burst + row * 3e-5 for burst in range(8) for row in range(100)]
    assert steady_rate(times) == pytest.approx(100, rel=0.01)


def test_a_steady_rate_of_one_great_burst() -> None:
    # 50 rows at once, and 950 a second later: what is written together was not made together.
    times = [row * 3e-5 for row in range(50)] + [1 + row * 3e-5 for row in range(950)]
    assert steady_rate(times) == pytest.approx(950, rel=0.05)


def test_a_steady_rate_of_what_never_pauses() -> None:
    assert steady_rate([i / 400 for i in range(3000)]) == pytest.approx(400)


def test_ratios_are_those_of_a_round() -> None:
    # The machine was half as fast in round 1, and the peer failed in round 2.
    ours, peer = result("newsbeam", {0: 600, 1: 300, 2: 9}), result("peer", {0: 200, 1: 100})
    assert peer.slower_than(ours) == 3
    assert peer.slower_than(result("newsbeam-b", {2: 9})) is None


def test_the_table_has_a_column_for_each_of_ours_at_the_job() -> None:
    others = [result("peer", {0: 50}), result("newsbeam-kafka", {0: 10}, Job.KAFKA)]
    ours = [result("newsbeam-a", {0: 100}), result("newsbeam-b", {0: 200})]
    kafka, texts = table.text([*others, *ours]).split("\n\n")
    assert "NEWSBEAM-KAFKA" in kafka
    assert kafka.count("/ it") == 1
    assert texts.splitlines()[-1].split() == [
        *("PEER", "50.0", "0.9400", "1500", "1.5", "1", "2.00", "4.00")
    ]


def test_json_has_each_peer_and_who_was_left_out() -> None:
    found = table.as_json(
        [result("newsbeam", {0: 100, 1: 90}), result("peer", {0: 50, 1: 45}), result("none", {})],
        {"none": "there is no Java"},
    )
    assert [peer["name"] for peer in found["peers"]] == ["newsbeam", "peer"]
    assert found["peers"][1]["times_as_fast"] == {"newsbeam": 2}
    assert found["peers"][1]["rates"] == [50, 45]
    assert found["skipped"] == {"none": "there is no Java"}


def test_a_program_reports_a_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = tmp_path / "rows.jsonl"
    rows.write_text('{"text": "a", "label": "A"}\n{"text": "b", "label": "C"}\n')
    monkeypatch.setenv(texts_job.STARTED, "0")
    texts_job.measure(lambda texts: [text.upper() for text in texts], str(rows))
    said = json.loads(capsys.readouterr().out)
    assert said["rows"] == 2
    assert said["accuracy"] == 0.5
    assert said["rate"] > 0
    Measured(**said, memory=0)  # what is read of it


def test_what_was_made_is_not_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environments, "BUILD", tmp_path)
    monkeypatch.setattr(environments, "REPOSITORY", tmp_path)
    tries: list[Path] = []

    def fails(folder: Path) -> None:
        (folder / "half").touch()
        raise OSError

    with pytest.raises(OSError):
        environments.made("jars", "1", fails)
    first = environments.made("jars", "1", tries.append)
    assert not (first / "half").exists()
    assert environments.made("jars", "1", tries.append) == first
    assert environments.made("jars", "2", tries.append) != first
    assert len(tries) == 2
