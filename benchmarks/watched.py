"""A run that a Prometheus watches, on a broker of its own: for a look at the dashboard and the alerts.

News come at a steady rate; half way there is a burst of ten times as many, and in the last third one in
ten is poison.
"""

from __future__ import annotations

import contextlib
import itertools
import random
import signal
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from kafka import KafkaProducer

from benchmarks.brokers import broker
from benchmarks.news import newsbeam_run
from pipeline.demo.poison import POISON
from pipeline.demo.traffic import sample_news
from tests.servers.processes import ServerProcess, free_port
from tests.servers.prometheus import prometheus

CONFIG = Path(__file__).parents[1] / "deploy/monitoring/prometheus.yml"


@contextlib.contextmanager
def watched(seconds: float, rate: float) -> Iterator[str]:
    """Runs it for a while; then what was seen can be asked for.

    Args:
        seconds: How long news come.
        rate: How many a second.

    Yields:
        Where the Prometheus is.

    Raises:
        Unavailable: There is no Go to build Prometheus with.
    """
    program, metrics, port = prometheus(), free_port(), free_port()
    topics = {"news": 4, "out": 4, "out-dead-letters": 1}
    with tempfile.TemporaryDirectory() as at, broker(topics) as servers:
        folder = Path(at)
        config = CONFIG.read_text(encoding="utf-8")
        config = config.replace("127.0.0.1:9108", f"127.0.0.1:{metrics}").replace("10s", "5s")
        config = config.replace("[alerts.yml]", f"[{CONFIG.parent / 'alerts.yml'}]")
        (folder / "prometheus.yml").write_text(config, encoding="utf-8")
        command = [
            program,
            f"--config.file={folder / 'prometheus.yml'}",
            f"--storage.tsdb.path={folder / 'data'}",
            f"--web.listen-address=127.0.0.1:{port}",
        ]
        end = f"kafka://{servers}"
        with ServerProcess(command, folder / "prometheus.log"):
            run = newsbeam_run(f"{end}/news", f"{end}/out", "--metrics_port", str(metrics))
            try:
                _produce(servers, seconds, rate)
                yield f"http://127.0.0.1:{port}"
            finally:
                run.send_signal(signal.SIGTERM)
                run.wait()


def _produce(servers: str, seconds: float, rate: float) -> None:
    poison = [p.value for p in POISON if p.expected == "dead_letter"]
    news = itertools.cycle([item.value for item in sample_news()])
    began = time.monotonic()
    with contextlib.closing(KafkaProducer(bootstrap_servers=servers, linger_ms=5)) as producer:
        while (gone := (time.monotonic() - began) / seconds) < 1:
            burst = 0.5 < gone < 0.53
            for _ in range(round(rate * (10 if burst else 1) / 10)):
                bad = gone > 2 / 3 and random.random() < 0.1
                producer.send("news", random.choice(poison) if bad else next(news))
            time.sleep(0.1)
        producer.flush()
