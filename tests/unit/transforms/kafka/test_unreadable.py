"""Records that can't be read: each comes by itself, with its bytes, and all others of its batch."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from typing import Any

import pytest
from kafka import TopicPartition
from kafka.consumer.fetcher import Fetcher
from kafka.errors import CorruptRecordError
from kafka.record.default_records import DefaultRecordBatchBuilder
from kafka.record.memory_records import MemoryRecords

from transforms.kafka.unreadable import CodecMissing, _PartitionRecords, fault_of

TP = TopicPartition("news", 3)


class OddName(str):
    """The name of a header that is not UTF-8."""

    def encode(self, *how: str) -> bytes:
        return b"caf\xe9"


def batch(
    base: int, names: Iterable[str], codec: int = 0, spoil: Callable[[bytearray], Any] | None = None
) -> bytes:
    builder = DefaultRecordBatchBuilder(2, codec, False, -1, -1, -1, 1 << 20)
    for n, name in enumerate(names):
        builder.append(n, 1000 + n, b"k%d" % n, b"v%d" % n, [("good", b"1"), (name, b"2")])
    data = bytearray(builder.build())
    data[:8] = base.to_bytes(8, "big")
    if spoil is not None:
        spoil(data)
    return bytes(data)


def read(data: bytes, at: int = 0, of: type = _PartitionRecords, **settings: Any) -> list[Any]:
    parsed = of(
        at, TP, MemoryRecords(data), None, None, settings.get("check_crcs", True), 0, None, None,
        lambda records: None,
    )  # fmt: skip
    return list(parsed.take())


@pytest.mark.parametrize("codec", [0, 1])
def test_a_header_name_that_is_not_utf_8(codec: int) -> None:
    data = batch(7, ["a", OddName("x"), "b"], codec) + batch(10, ["c"], codec)
    with pytest.raises(CorruptRecordError):
        # What kafka-python makes of it.
        read(batch(7, [OddName("x")]), of=Fetcher.PartitionRecords)
    records = read(data)
    assert [r.offset for r in records] == [7, 8, 9, 10]
    assert [r.value for r in records] == [b"v0", b"v1", b"v2", b"v0"]
    assert [fault_of(r) is None for r in records] == [True, False, True, True]
    odd = records[1]
    assert (odd.key, odd.timestamp) == (b"k1", 1001)
    assert odd.headers == [("good", b"1"), ("caf\\xe9", b"2")]
    assert "UTF-8" in (fault_of(odd) or "")
    assert [r.offset for r in read(data, at=9)] == [9, 10]


def test_a_batch_that_is_corrupt_is_one_record_with_its_bytes() -> None:
    def spoil(data: bytearray) -> None:
        data[-1] ^= 0xFF

    bad = batch(7, ["a", "b"], spoil=spoil)
    records = read(batch(5, ["a", "b"]) + bad + batch(9, ["c"]))
    assert [r.offset for r in records] == [5, 6, 7, 9]
    assert "checksum" in (fault_of(records[2]) or "")
    assert bad.endswith(records[2].value)
    assert len(records[2].value) > 20


def test_a_corrupt_batch_is_not_passed_over_for_a_bit_that_says_control() -> None:
    def spoil(data: bytearray) -> None:
        data[22] |= 0x20

    records = read(batch(7, ["a", "b"], spoil=spoil) + batch(9, ["c"]))
    assert [r.offset for r in records] == [7, 9]
    assert "checksum" in (fault_of(records[0]) or "")


def test_a_batch_that_nothing_unpacks_is_one_record() -> None:
    def spoil(data: bytearray) -> None:
        data[62:] = b"\x00" * (len(data) - 62)

    records = read(batch(7, ["a"] * 5, codec=1, spoil=spoil) + batch(12, ["c"]), check_crcs=False)
    assert [r.offset for r in records] == [7, 12]
    assert "can't be unpacked" in (fault_of(records[0]) or "")


def test_a_codec_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kafka.codec.has_gzip", lambda: False)
    data = batch(7, ["a"])
    packed = bytearray(data)
    packed[22] |= 1
    with pytest.raises(CodecMissing, match=r"news-3@7 .*gzip.*pip install"):
        read(bytes(packed), check_crcs=False)


def test_whatever_the_bytes_are_reading_goes_on_after_them() -> None:
    rng = random.Random(4)
    last = batch(40, ["last"])
    for _ in range(2000):

        def spoil(data: bytearray) -> None:
            for _ in range(rng.choice([1, 2, 8])):
                # Not what says how long the batch is, and which format it has.
                data[rng.choice([*range(57, 61), *range(61, len(data))])] = rng.randrange(256)

        data = batch(30, ["a", "b", "c"], rng.choice([0, 1]), spoil)
        records = read(data + last, check_crcs=False)
        offsets = [r.offset for r in records]
        assert offsets[-1] == 40
        assert all(isinstance(r.value, bytes | None) for r in records)
