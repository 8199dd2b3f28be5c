"""Records that kafka-python can't read: each is handed on with a fault, and its neighbours as they are.

kafka-python gives up a batch at the first record that it can't read, at every attempt. Here such a
record is read as far as it can be, and says what is wrong with it (`fault_of`): whoever processes
records makes a dead letter of it.
"""

from __future__ import annotations

from typing import Any

from kafka import KafkaConsumer
from kafka.consumer.fetcher import Fetcher
from kafka.errors import CorruptRecordError, UnsupportedCodecError
from kafka.record.default_records import DefaultRecord, DefaultRecordBatch
from kafka.record.memory_records import MemoryRecords
from kafka.record.util import decode_varint

from transforms.errors import ConfigurationError

_NOT_UTF_8 = "the name of a header is not UTF-8 (what is not is written as \\xNN)"


class UnreadableRecord(DefaultRecord):
    """A record with a fault.

    The fault is its checksum: of what this format has of its own, that is what kafka-python hands on to
    consumers, and it is None otherwise.
    """

    __slots__ = ("_fault",)

    def __init__(self, fault: str, *of_record: Any) -> None:
        super().__init__(*of_record)
        self._fault = fault

    @property
    def checksum(self) -> str:
        """What is wrong with it."""
        return self._fault


def fault_of(record: Any) -> str | None:
    """What is wrong with a consumer's record; None for a good one."""
    fault = getattr(record, "checksum", None)
    return fault if isinstance(fault, str) else None


class _Batch(DefaultRecordBatch):
    """A batch of which every record comes, the unreadable ones too."""

    def __init__(self, buffer: Any, tp: Any) -> None:
        super().__init__(buffer)
        self._tp = tp
        self._last = self.base_offset - 1
        self._whole_fault: str | None = None

    @property
    def last_offset(self) -> int:
        # Of a batch that is corrupt it could be anything: reading must go on after it.
        return max(self.base_offset, super().last_offset)

    @property
    def is_control_batch(self) -> bool:
        # Nor is it certain then that it holds no records: those of a control batch are passed over.
        return self._whole_fault is None and bool(super().is_control_batch)

    def validate_crc(self) -> bool:
        if not super().validate_crc():
            self._whole_fault = "its batch is corrupt: the checksum is wrong"
        return True

    def __iter__(self) -> Any:
        if self._whole_fault is None:
            try:
                return super().__iter__()
            except UnsupportedCodecError as e:
                place = f"{self._tp.topic}-{self._tp.partition}@{self.base_offset}"
                raise CodecMissing(place, e) from None
            except Exception as e:  # each codec has errors of its own
                self._whole_fault = f"its batch can't be unpacked: {e}"
        return iter([self._made(self._whole_fault, self.base_offset, bytes(self._buffer))])

    def __next__(self) -> Any:
        at = self._pos
        try:
            record = super().__next__()
        except CorruptRecordError as e:
            if self._next_record_index >= self._num_records:
                raise StopIteration from None  # Only what follows the last record is wrong.
            self._next_record_index += 1
            record = self._mended(at) or self._raw(at, str(e))
        self._last = max(self._last, record.offset)
        return record

    next = __next__

    def _mended(self, at: int) -> UnreadableRecord | None:
        """The record that begins there, if only names of headers are wrong."""
        buffer = self._buffer
        try:
            length, pos = decode_varint(buffer, at)
            end = pos + length
            _, pos = decode_varint(buffer, pos)
            ago, pos = decode_varint(buffer, pos)
            later, pos = decode_varint(buffer, pos)
            key, pos = _bytes(buffer, pos)
            value, pos = _bytes(buffer, pos)
            count, pos = decode_varint(buffer, pos)
            headers = []
            for _ in range(count):
                name, pos = _bytes(buffer, pos)
                content, pos = _bytes(buffer, pos)
                headers.append(((name or b"").decode("utf-8", "backslashreplace"), content))
        except (IndexError, ValueError):
            return None
        offset = self.base_offset + later
        if pos != end or offset <= self._last:
            return None
        self._pos = end
        return self._made(_NOT_UTF_8, offset, value, key, headers, self.first_timestamp + ago)

    def _raw(self, at: int, error: str) -> UnreadableRecord:
        """The bytes of the record that begins there; of all that follow, if its end is not known."""
        try:
            length, pos = decode_varint(self._buffer, at)
            end = pos + length
            if length < 0 or end > len(self._buffer):
                raise ValueError("no length")
        except (IndexError, ValueError):
            end, self._next_record_index = len(self._buffer), self._num_records
        raw, self._pos = bytes(self._buffer[at:end]), end
        return self._made(f"it is corrupt: {error}", self._last + 1, raw)

    def _made(
        self,
        fault: str,
        offset: int,
        value: bytes | None,
        key: bytes | None = None,
        headers: Any = (),
        timestamp: int = -1,
    ) -> UnreadableRecord:
        if self.timestamp_type == self.LOG_APPEND_TIME:
            timestamp = self.max_timestamp
        size, kind = len(value or b""), self.timestamp_type
        return UnreadableRecord(fault, size, offset, timestamp, kind, key, value, list(headers))


def _bytes(buffer: Any, pos: int) -> tuple[bytes | None, int]:
    length, pos = decode_varint(buffer, pos)
    if length < 0:
        return None, pos
    if pos + length > len(buffer):
        raise IndexError("cut off")
    return bytes(buffer[pos : pos + length]), pos + length


class _Records(MemoryRecords):
    """Batches as they were fetched."""

    def __init__(self, data: Any, tp: Any) -> None:
        super().__init__(data)
        self._tp = tp

    def next_batch(self, *args: Any) -> Any:
        batch_bytes = self._next_slice
        batch = super().next_batch(*args)
        return _Batch(batch_bytes, self._tp) if isinstance(batch, DefaultRecordBatch) else batch


class CodecMissing(ConfigurationError):
    """A batch is compressed in a way that nothing installed here unpacks."""

    def __init__(self, place: str, error: Exception) -> None:
        super().__init__(
            f"the batch at {place} can't be unpacked: {' '.join(map(str, error.args))}; "
            "pip install 'kafka-python[snappy,lz4,zstd]'"
        )


class _PartitionRecords(Fetcher.PartitionRecords):
    def __init__(self, fetch_offset: int, tp: Any, records: Any, *args: Any, **named: Any) -> None:
        super().__init__(fetch_offset, tp, _Records(records._buffer, tp), *args, **named)


def hand_on_unreadable(consumer: KafkaConsumer) -> None:
    """Has a consumer hand on records that it can't read, each with its fault."""
    consumer._fetcher.PartitionRecords = _PartitionRecords
