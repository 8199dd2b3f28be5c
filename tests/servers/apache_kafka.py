"""Apache Kafka (KRaft) for tests: brokers that can be killed, paused, restarted and secured."""

from __future__ import annotations

import base64
import uuid
from collections.abc import Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from kafka import KafkaAdminClient
from kafka.errors import KafkaError
from kafka.structs import TopicPartition

from tests.servers.cache import find_program, provision_once, run_or_unavailable
from tests.servers.kafka_security import KafkaSecurity
from tests.servers.processes import ServerProcess, free_port, wait_until

KAFKA_POM = Path(__file__).parents[2] / "deploy" / "kafka" / "pom.xml"

# Small and quick to start, not fast in the long run.
_JVM_FLAGS = ("-Xms64m", "-Xmx384m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")

_PROPERTIES = {
    "process.roles": "broker,controller",
    "controller.listener.names": "CONTROLLER",
    "inter.broker.listener.name": "PLAINTEXT",
    "auto.create.topics.enable": "false",
    "num.network.threads": "2",
    "num.io.threads": "4",
    "log.cleaner.dedupe.buffer.size": str(4 << 20),  # 128 MiB of heap otherwise
    "offsets.topic.num.partitions": "1",
    "transaction.state.log.num.partitions": "1",
    "share.coordinator.state.topic.num.partitions": "1",
    "group.initial.rebalance.delay.ms": "0",
    "transaction.abort.timed.out.transaction.cleanup.interval.ms": "500",
    # How long a dead broker keeps its partitions: 9 s by default. Less than this would take
    # them from a live broker on a busy machine.
    "broker.session.timeout.ms": "6000",
    "broker.heartbeat.interval.ms": "500",
    "replica.lag.time.max.ms": "6000",
}


def provision() -> str:
    """Fetch Apache Kafka's jars, once per machine, and return the class path to run them.

    Raises:
        Unavailable: there is no Java, no Maven, or the jars could not be fetched.
    """
    find_program("java", "Apache Kafka")

    def copy_jars(folder: Path) -> None:
        maven = find_program("mvn", "fetching Apache Kafka")
        goal = ["dependency:copy-dependencies", "-DincludeScope=runtime"]
        command = [maven, "--batch-mode", "--quiet", "--file", str(KAFKA_POM), *goal]
        run_or_unavailable([*command, f"-DoutputDirectory={folder}"], "fetching Apache Kafka")

    pom_hash = uuid.uuid5(uuid.NAMESPACE_OID, KAFKA_POM.read_text()).hex[:8]
    return f"{provision_once(f'kafka-{pom_hash}', copy_jars)}/*"


class KafkaCluster:
    """Apache Kafka on 127.0.0.1: combined brokers and controllers in one KRaft quorum.

    With three brokers everything has three replicas, of which two must be in sync: any one
    broker may be killed, and the others go on after leaders have changed. Brokers are numbered
    from 1, which is their node id.

    Args:
        directory: data, properties and logs; `directory/broker-1.log` and so on.
        brokers: 1 or 3.
        security: TLS and SASL listeners beside the plain one.
        properties: broker properties on top of, or instead of, the ones chosen here.

    Raises:
        Unavailable: Apache Kafka cannot be provisioned here (see `provision`).
    """

    def __init__(
        self,
        directory: Path,
        brokers: int = 1,
        security: KafkaSecurity | None = None,
        properties: Mapping[str, str] | None = None,
    ) -> None:
        java = find_program("java", "Apache Kafka")
        self._java: tuple[str, ...] = (java, *_JVM_FLAGS, "-cp", provision())
        self._directory = directory
        self._security = security
        self._properties = dict(properties or {})
        self._replicas = brokers
        # One that begins with a dash looks like an option.
        cluster_id = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        self._cluster_id = cluster_id.replace("-", "A")
        names = ["CONTROLLER", "PLAINTEXT", *(security.listeners if security else ())]
        self._ports = {
            broker: {name: free_port() for name in names} for broker in range(1, brokers + 1)
        }
        self._processes = {
            broker: ServerProcess(
                [*self._java, "kafka.Kafka", str(self._property_file(broker))],
                directory / f"broker-{broker}.log",
            )
            for broker in self._ports
        }
        self._formatted = False

    # Life of the brokers

    def start(self) -> Self:
        """Start all brokers that are not running, and wait until they form a cluster."""
        if not self._formatted:
            with ThreadPoolExecutor() as pool:
                list(pool.map(self._format, self._processes))
            self._formatted = True
        started = [broker for broker, process in self._processes.items() if not process.running]
        for broker in started:
            self._processes[broker].start()
        self._wait_for_brokers(started)
        return self

    def stop(self) -> None:
        """Shut all brokers down; `start` brings them back with their data.

        The last of three never gets leave from the quorum that has gone, so it is killed in the
        end, which costs it no data either.
        """
        with ThreadPoolExecutor() as pool:
            list(pool.map(lambda process: process.stop(10.0), self._processes.values()))

    def discard(self) -> None:
        """Kill all brokers, when nobody needs their data any more: quicker than `stop`."""
        for process in self._processes.values():
            process.kill()

    def kill(self, broker: int = 1) -> None:
        """End a broker as `kill -9` does."""
        self._processes[broker].kill()

    def restart(self, broker: int = 1) -> None:
        """Start a broker that was killed, on its data and ports, and wait until it is back."""
        self._processes[broker].start()
        self._wait_for_brokers([broker])

    def pause(self, broker: int = 1) -> None:
        """Freeze a broker (SIGSTOP): its connections stay open and nothing is answered."""
        self._processes[broker].pause()

    def resume(self, broker: int = 1) -> None:
        """Let a paused broker go on (SIGCONT)."""
        self._processes[broker].resume()

    def process(self, broker: int = 1) -> ServerProcess:
        """The process of a broker."""
        return self._processes[broker]

    def __enter__(self) -> Self:
        try:
            return self.start()
        except BaseException:
            self.discard()
            raise

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.discard()

    # How clients connect

    @property
    def bootstrap_servers(self) -> str:
        """`host:port` of every broker's plain listener, separated by commas."""
        return self._addresses("PLAINTEXT")

    def client_settings(
        self,
        mechanism: str | None = None,
        *,
        tls: bool = True,
        client_certificate: bool = False,
    ) -> dict[str, Any]:
        """Settings of a kafka-python client for one of the listeners.

        Args:
            mechanism: SASL mechanism; None connects without a user.
            tls: encrypt. Without it and without a mechanism, this is the plain listener.
            client_certificate: show a client certificate.
        """
        if mechanism is None and not tls:
            return {"bootstrap_servers": self.bootstrap_servers}
        if self._security is None:
            raise ValueError("this cluster has the plain listener only: give it `security`")
        listener, settings = self._security.client_settings(
            mechanism, tls=tls, client_certificate=client_certificate
        )
        return {"bootstrap_servers": self._addresses(listener), **settings}

    def admin(self) -> KafkaAdminClient:
        """A new administration client on the plain listener; the caller closes it."""
        return KafkaAdminClient(bootstrap_servers=self.bootstrap_servers)

    # Topics

    def create_topic(
        self, name: str, partitions: int = 1, configs: Mapping[str, str] | None = None
    ) -> str:
        """Create a topic on all brokers, wait until each partition has a leader; its name."""
        in_sync = {"min.insync.replicas": str(min(2, self._replicas))}
        topic = {
            "num_partitions": partitions,
            "replication_factor": self._replicas,
            "configs": {**in_sync, **(configs or {})},
        }
        with self.admin() as admin:
            admin.create_topics({name: topic})
        self._wait_for_partitions(name, partitions)
        return name

    def add_partitions(self, name: str, total: int) -> None:
        """Raise a topic's number of partitions to `total`."""
        with self.admin() as admin:
            admin.create_partitions({name: total})
        self._wait_for_partitions(name, total)

    def delete_topic(self, name: str) -> None:
        """Delete a topic, and wait until the brokers no longer know it."""
        with self.admin() as admin:
            admin.delete_topics([name])
            wait_until(lambda: name not in admin.list_topics(), f"topic {name} to disappear")

    def leader(self, topic: str, partition: int = 0) -> int:
        """Node id of the broker that leads a partition now; -1 while there is none."""
        return self._leaders(topic).get(TopicPartition(topic, partition), -1)

    def in_sync(self) -> bool:
        """Whether every replica of every partition has all of it."""
        try:
            with self.admin() as admin:
                topics = admin.describe_topics()
        except KafkaError:
            return False
        partitions = [partition for topic in topics for partition in topic["partitions"]]
        return all(len(p["isr_nodes"]) == len(p["replica_nodes"]) for p in partitions)

    # Inside

    def _addresses(self, listener: str) -> str:
        return ",".join(f"127.0.0.1:{ports[listener]}" for ports in self._ports.values())

    def _leaders(self, topic: str) -> dict[TopicPartition, int]:
        with self.admin() as admin:
            (described,) = admin.describe_topics([topic])
        return {
            TopicPartition(topic, partition["partition_index"]): partition["leader_id"]
            for partition in described["partitions"]
        }

    def _wait_for_partitions(self, topic: str, partitions: int) -> None:
        def all_led() -> bool:
            leaders = self._leaders(topic)
            return len(leaders) == partitions and -1 not in leaders.values()

        wait_until(all_led, f"{partitions} partitions of {topic} to have leaders")

    def _wait_for_brokers(self, started: Collection[int]) -> None:
        """Wait until each of the brokers answers on its own port and knows all the others."""

        def ready(broker: int) -> bool:
            self._processes[broker].check_running()
            address = f"127.0.0.1:{self._ports[broker]['PLAINTEXT']}"
            with KafkaAdminClient(bootstrap_servers=address, bootstrap_timeout_ms=1_000) as admin:
                known = {node["broker_id"] for node in admin.describe_cluster()["brokers"]}
            return known.issuperset(started)

        for broker in started:
            log = self._processes[broker].log
            what = f"broker {broker} of Apache Kafka (its log: {log})"
            wait_until(partial(ready, broker), what, retry_on=(KafkaError,))

    def _property_file(self, broker: int) -> Path:
        return self._directory / f"broker-{broker}.properties"

    def _format(self, broker: int) -> None:
        """Write a broker's properties and prepare its data folder."""
        home = self._directory / f"broker-{broker}"
        home.mkdir(parents=True, exist_ok=True)
        ports = self._ports[broker]
        protocols = {"CONTROLLER": "PLAINTEXT", "PLAINTEXT": "PLAINTEXT"}
        secured: dict[str, str] = {}
        if self._security is not None:
            protocols |= self._security.listeners
            secured = self._security.broker_properties(home)
        listeners = {name: f"{name}://127.0.0.1:{port}" for name, port in ports.items()}
        properties = {
            **_PROPERTIES,
            "node.id": str(broker),
            "log.dirs": str(home / "data"),
            "controller.quorum.voters": ",".join(
                f"{number}@127.0.0.1:{ports['CONTROLLER']}" for number, ports in self._ports.items()
            ),
            "listeners": ",".join(listeners.values()),
            "advertised.listeners": ",".join(
                address for name, address in listeners.items() if name != "CONTROLLER"
            ),
            "listener.security.protocol.map": ",".join(
                f"{name}:{protocol}" for name, protocol in protocols.items()
            ),
            **self._replication(),
            **secured,
            **self._properties,
        }
        file = self._property_file(broker)
        file.write_text("".join(f"{name}={value}\n" for name, value in properties.items()))
        file.chmod(0o600)  # it may hold a password
        scram = self._security.format_arguments() if self._security else []
        tool = (*self._java, "kafka.tools.StorageTool", "format")
        arguments = ("--cluster-id", self._cluster_id, "--config", str(file), *scram)
        run_or_unavailable([*tool, *arguments], "kafka-storage format")

    def _replication(self) -> dict[str, str]:
        replicas, in_sync = str(self._replicas), str(min(2, self._replicas))
        return {
            "default.replication.factor": replicas,
            "offsets.topic.replication.factor": replicas,
            "transaction.state.log.replication.factor": replicas,
            "transaction.state.log.min.isr": in_sync,
            "share.coordinator.state.topic.replication.factor": replicas,
            "share.coordinator.state.topic.min.isr": in_sync,
            "min.insync.replicas": in_sync,
        }
