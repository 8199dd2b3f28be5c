"""Fuzz: random client files. Each setting is taken, passed over or refused in one line; none vanishes.

`NEWSBEAM_FUZZ=100000` tries more of them, `NEWSBEAM_FUZZ_SEED` others.
"""

from __future__ import annotations

import os
import random
from pathlib import Path

from transforms.errors import ConfigurationError
from transforms.kafka.names import CLIENTS, OURS, setting
from transforms.kafka.other_clients import _NAMES
from transforms.kafka.settings import KafkaSettings

COUNT = int(os.environ.get("NEWSBEAM_FUZZ", "5000")) // 5
SEED = int(os.environ.get("NEWSBEAM_FUZZ_SEED", "4"))

KNOWN = sorted({name for client in CLIENTS.values() for name in client.DEFAULT_CONFIG})  # type: ignore[attr-defined]
NAMES = [
    *KNOWN, *sorted(OURS), *sorted(_NAMES), "sasl.jaas.config", "ssl.truststore.location",
    "ssl.truststore.type", "ssl.keystore.location", "ssl.ca.location", "schema.registry.url",
    "producer_linger_ms", "consumer.client.id", "no.such.setting", "ключ", "a\\:b",
]  # fmt: skip
VALUES = [
    "", "all", "1", "-1", "true", "false", "none", "SSL", "PEM", "x.pem", "x.jks", "9" * 5000, "1e999",
    "nan", "a=b:c d", "\\", "\\\\", "\x00", "\u2028", "\ufeff", "é⚽", "http://u:p@h", "٣", '"', "{}",
]  # fmt: skip
SIGNS = ["=", ":", " ", " = ", "\t", ": ", "", "=="]
PIECES = [
    b"\xff",
    b"\x00",
    b"\xfe\xff",
    b"\xff\xfe",
    b"\xef\xbb\xbf",
    b"\r",
    b"\x0b",
    b"\\",
    b"=",
    b"[",
]


def setting_of(rng: random.Random) -> tuple[str, str]:
    name = rng.choice(NAMES)
    if rng.random() < 0.3:
        name = name.replace("_", ".")
    if rng.random() < 0.1:
        at = rng.randrange(len(name))
        name = name[:at] + name[at + 1 :]
    return name, rng.choice(VALUES)


def file_of(rng: random.Random) -> bytes:
    lines = [rng.choice(SIGNS).join(setting_of(rng)) for _ in range(rng.randrange(8))]
    data = (
        rng.choice(["\n", "\r\n"]).join(lines).encode(rng.choice(["utf-8", "utf-8-sig", "utf-16"]))
    )
    for _ in range(rng.choice([0, 0, 0, 1, 3])):
        at = rng.randrange(len(data) + 1)
        data = data[:at] + rng.choice(PIECES) + data[at:]
    return data


def test_random_files_make_settings_or_one_line(tmp_path: Path) -> None:
    rng, path = random.Random(SEED), tmp_path / "kafka.properties"
    taken, errors = 0, []
    for _ in range(COUNT):
        data = file_of(rng)
        path.write_bytes(data)
        try:
            KafkaSettings.of("h:1", str(path), environment={}).for_client("producer")
        except ConfigurationError as e:
            errors.append(str(e))
        else:
            taken += 1
    assert taken > 0
    assert len(errors) > 0
    assert [e for e in errors if len(e.splitlines()) != 1] == []


def test_every_setting_is_accounted_for(tmp_path: Path) -> None:
    rng, path = random.Random(SEED), tmp_path / "kafka.properties"
    for _ in range(COUNT):
        name, value = setting_of(rng)
        path.write_text(f"{name}={value}\n", encoding="utf-8")
        try:
            settings = KafkaSettings.of("h:1", str(path), environment={})
        except ConfigurationError:
            continue
        clients = [settings.for_client(client) for client in CLIENTS]
        used = any(len(found) > 1 for found in clients)
        stores = "sasl.jaas.config", "ssl.truststore.location", "ssl.keystore.location"
        passed_over = name in stores or setting(name, value.strip(), "it", shared=True) is None
        assert used or passed_over, (name, value)
