"""`python -m tests.servers.flink_trial`: all that deploy/flink/README.md needs, on this machine.

A stand-alone Flink, a worker pool, Apache Kafka, and news that keeps coming. Where they are is written
to a file for the shell, and everything ends with this program.
"""

from __future__ import annotations

import argparse
import itertools
import shlex
import signal
import sys
import tempfile
import threading
from contextlib import closing
from pathlib import Path

from kafka import KafkaProducer

from pipeline.demo.poison import POISON
from pipeline.demo.traffic import mix, sample_news
from tests.servers.apache_kafka import KafkaCluster
from tests.servers.cache import Unavailable
from tests.servers.stand_alone_flink import StandAloneFlink, stand_alone_flink


def feed(servers: str, rate: float, stopped: threading.Event) -> None:
    """Sends sample news, some of it broken, until it is told to stop."""
    with closing(KafkaProducer(bootstrap_servers=servers)) as producer:
        for _ in itertools.count():
            for message in mix(sample_news(), POISON, 1_000):
                producer.send("news", message.value, message.key)
                if stopped.wait(1 / rate):
                    return


def variables(flink: StandAloneFlink, servers: str) -> str:
    """Where everything is, for the shell."""
    found = {
        "KAFKA": servers,
        "POOL": flink.pool.address,
        "JOB_SERVER_JAR": str(flink.jar),
        "NEWSBEAM_FLINK_MASTER": flink.cluster.rest,
    }
    return "".join(f"export {name}={shlex.quote(value)}\n" for name, value in found.items())


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rate", type=float, default=20, help="News a second (20).")
    parser.add_argument("--file", type=Path, default=Path("build/flink.env"), help="For the shell.")
    asked = parser.parse_args()
    stopped = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.set())
    print("starting Flink, a worker pool and Kafka; the first time takes minutes", flush=True)
    with tempfile.TemporaryDirectory(prefix="newsbeam-trial-") as folder:
        try:
            with (
                stand_alone_flink(Path(folder)) as flink,
                KafkaCluster(Path(folder, "kafka")) as kafka,
            ):
                kafka.create_topic("news", 4)
                asked.file.parent.mkdir(parents=True, exist_ok=True)
                asked.file.write_text(variables(flink, kafka.bootstrap_servers))
                print(f"Flink's page: http://{flink.cluster.rest}", flush=True)
                print(f"in another terminal: . {asked.file}", flush=True)
                feed(kafka.bootstrap_servers, asked.rate, stopped)
        except Unavailable as reason:
            print(reason, file=sys.stderr)
            return 1
        finally:
            asked.file.unlink(missing_ok=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
