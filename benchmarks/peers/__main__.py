"""Runs newsbeam and its peers in turn, and prints how many times as fast it is as each.

A round runs each of them once, every second round the other way round; ratios are those of a round, and
their median counts, so that they hold while the machine's speed drifts. What is needed is made in
build/peers at first; who cannot be had is left out, with the reason.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks import news
from benchmarks.peers import (
    hand_written,
    kafka_io,
    kafka_job,
    newsbeam_peer,
    onnx_handler,
    quix,
    spark_nlp,
    table,
    transformers_pipeline,
)
from benchmarks.peers.peer import Job, Peer
from benchmarks.peers.runs import Failed, Measured, classify_texts, log_of
from models.locate import PACKAGED
from tests.servers.apache_kafka import KafkaCluster
from tests.servers.cache import Unavailable

PEERS = [
    *hand_written.PEERS,
    *quix.PEERS,
    *kafka_io.PEERS,
    *transformers_pipeline.PEERS,
    *onnx_handler.PEERS,
    *spark_nlp.PEERS,
]
#: What newsbeam is run with; the peers have the weights of the first.
MODELS = [name for name in ("ag_news_small", "ag_news") if name in PACKAGED]
ROWS = {Job.KAFKA: 5000, Job.TEXTS: 1500}
ROUNDS = 3
#: Of `--quick`.
QUICK_PEERS, QUICK_ROUNDS = "hand-written,transformers-int8", 2


def main() -> int:
    """Returns 1 if nothing could be compared."""
    options = _options()
    wanted = _peers(options.peers, options.model)
    skipped: dict[str, str] = {}

    def skip(name: str, why: object) -> None:
        skipped[name] = " ".join(str(why).split())
        print(f"{name}: left out: {skipped[name]}", flush=True)

    commands: dict[str, list[str]] = {}
    for peer in wanted:
        try:
            commands[peer.name] = peer.prepare()
        except Unavailable as reason:
            skip(peer.name, reason)
    results = [table.Result(peer) for peer in wanted if peer.name in commands]
    articles = news.rows(options.csv)
    with contextlib.ExitStack() as stack:
        cluster: KafkaCluster | None = None
        if any(result.peer.job is Job.KAFKA for result in results):
            folder = stack.enter_context(tempfile.TemporaryDirectory())
            try:
                cluster = stack.enter_context(KafkaCluster(Path(folder)))
            except Unavailable as reason:
                for result in [r for r in results if r.peer.job is Job.KAFKA]:
                    skip(result.peer.name, reason)
                    results.remove(result)

        def run(peer: Peer, number: int) -> Measured:
            count = min(n for n in (options.rows or ROWS[peer.job], peer.rows) if n is not None)
            command, rows = commands[peer.name], articles[:count]
            if peer.job is Job.TEXTS:
                return classify_texts(peer.name, command, rows)
            assert cluster is not None
            return kafka_job.measure(cluster, peer.name, f"{peer.name}-{number}", command, rows)

        for number in range(options.rounds):
            for result in results[:: -1 if number % 2 else 1]:
                peer = result.peer
                try:
                    found = result.runs[number] = run(peer, number)
                except Failed as reason:
                    skip(f"{peer.name}, round {number + 1}", f"{reason}; see {log_of(peer.name)}")
                    continue
                print(
                    f"round {number + 1}: {peer.title}: {found.rate:.1f} rows/s, accuracy "
                    f"{found.accuracy:.4f} (load {os.getloadavg()[0]:.1f})",
                    flush=True,
                )
    print(f"\n{table.text(results)}\n\n{table.cpu()}, {os.cpu_count()} cores")
    if options.json:
        options.json.write_text(json.dumps(table.as_json(results, skipped), indent=1) + "\n")
    return 0 if any(r.runs for r in results if not r.peer.ours) else 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    names = ", ".join(peer.name for peer in PEERS)
    parser.add_argument("--peers", help=f"separated by commas, of {names} (default: all)")
    parser.add_argument("--model", action="append", help=f"newsbeam's (default: {MODELS})")
    parser.add_argument("--rounds", type=int, help=f"each runs once in each (default: {ROUNDS})")
    parser.add_argument("--rows", type=int, help="the first of the file (default: 5000, or 1500)")
    parser.add_argument("--csv", type=Path, default=news.TEST_CSV, help="AG News test file")
    parser.add_argument("--json", type=Path, help="also write all figures here")
    parser.add_argument(
        "--quick", action="store_true", help=f"{QUICK_PEERS}, {QUICK_ROUNDS} rounds"
    )
    options = parser.parse_args()
    options.peers = options.peers or (QUICK_PEERS if options.quick else None)
    options.rounds = options.rounds or (QUICK_ROUNDS if options.quick else ROUNDS)
    options.model = options.model or MODELS
    return options


def _peers(names: str | None, models: Sequence[str]) -> list[Peer]:
    """The peers of these names, and newsbeam at the jobs that they do."""
    known = {peer.name: peer for peer in PEERS}
    asked = list(known) if names is None else names.split(",")
    if unknown := [name for name in asked if name not in known]:
        sys.exit(f"no peer is called {', '.join(unknown)}: choose from {', '.join(known)}")
    chosen = [known[name] for name in asked]
    jobs = {peer.job for peer in chosen}
    ours = [peer for peer in newsbeam_peer.peers(list(models)) if peer.job in jobs]
    return [*ours, *chosen]


if __name__ == "__main__":
    sys.exit(main())
