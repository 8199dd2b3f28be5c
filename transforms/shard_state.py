"""What a checkpoint or savepoint holds of reading: small, and readable to later versions.

For each shard three values, beside each other, as bytes of JSON:

    {"shard":"news:0/4","of":4,"number":17,"format":1}       which shard (`Shard`)
    {"position":{"news:0":1200},"done":false,"format":1}      how far it was read (`Restriction`)
    1795751526397000                                          its watermark in microseconds, or null

Nothing of the settings is in there: those of the job that is resumed count. Whoever changes what is
written here gives it another `FORMAT`, and reads the former ones.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import msgspec
from apache_beam import coders
from apache_beam.io.watermark_estimators import ManualWatermarkEstimator
from apache_beam.transforms.core import WatermarkEstimatorProvider
from apache_beam.utils.timestamp import Timestamp

from transforms.coders import StructCoder
from transforms.errors import ConfigurationError

FORMAT = 1

_WITHOUT = "or start without it: the group's offsets, or the subscription, say where to go on"


class Shard(msgspec.Struct, frozen=True):
    """Which shard is read.

    Attributes:
        shard: Its name.
        of: How many shards there are.
        number: Where Flink is to put it (`transforms/spread.py`); else it means nothing.
        format: That of these bytes.
    """

    shard: str
    of: int = 0
    number: int = 0
    format: int = FORMAT

    def check(self, shards: Collection[str]) -> None:
        """Refuses a shard of others than those that are to be read.

        Raises:
            ConfigurationError: It is none of them, or they were more or less.
        """
        if self.shard in shards and self.of == len(shards):
            return
        raise ConfigurationError(
            f"the savepoint is of {self.of} shards, among them {self.shard!r}, but this job reads "
            f"{len(shards)}: {', '.join(sorted(shards)[:3])}{', …' * (len(shards) > 3)}; resume it "
            f"with the same source and the same --shards, {_WITHOUT}"
        )


class Restriction(msgspec.Struct, frozen=True):
    """How far a shard was read (None: not begun), and whether that was all.

    Attributes:
        position: As the reader of the shard has it, in plain data.
        done: Whether that was all.
        format: That of these bytes.
    """

    position: Any = None
    done: bool = False
    format: int = FORMAT


class StateCoder(StructCoder):
    """Encodes what is kept as JSON, and says what to do about bytes that it can't read."""

    def __init__(self, struct: Any) -> None:
        super().__init__(struct, msgspec.json)
        self._type = struct

    def decode(self, encoded: bytes) -> Any:
        try:
            found = super().decode(encoded)
        except msgspec.DecodeError:
            found = None
        if found is None or found.format != FORMAT:
            raise ConfigurationError(
                f"a savepoint or checkpoint holds {encoded[:80]!r}, which is not of the format that "
                f"this newsbeam reads ({FORMAT}): resume it with the version that wrote it, {_WITHOUT}"
            )
        return found

    def __reduce__(self) -> tuple[Any, ...]:
        return StateCoder, (self._type,)


class ShardCoder(StateCoder):
    """Encodes which shard is read."""

    def __init__(self) -> None:
        super().__init__(Shard)

    def __reduce__(self) -> tuple[Any, ...]:
        return ShardCoder, ()


class WatermarkCoder(coders.Coder):
    """Encodes a watermark, or that there is none yet."""

    def encode(self, value: Timestamp | None) -> bytes:
        return b"null" if value is None else b"%d" % value.micros

    def decode(self, encoded: bytes) -> Timestamp | None:
        return None if encoded == b"null" else Timestamp(micros=int(encoded))

    def is_deterministic(self) -> bool:
        return True


class Watermarks(WatermarkEstimatorProvider):
    """Watermarks that the reading step sets itself."""

    def initial_estimator_state(self, element: Any, restriction: Any) -> None:
        return None

    def create_watermark_estimator(self, estimator_state: Any) -> ManualWatermarkEstimator:
        return ManualWatermarkEstimator(estimator_state)

    def estimator_state_coder(self) -> WatermarkCoder:
        return WatermarkCoder()


coders.registry.register_coder(Shard, ShardCoder)
