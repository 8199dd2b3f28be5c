"""Where a record stood in its source: its id is made of that, where it has none of its own."""

from __future__ import annotations

import msgspec


class KafkaPosition(msgspec.Struct, frozen=True, tag="kafka", tag_field="type"):
    """Where a record stood in Kafka."""

    topic: str
    partition: int
    offset: int

    def __str__(self) -> str:
        return f"{self.topic}-{self.partition}@{self.offset}"


class FilePosition(msgspec.Struct, frozen=True, tag="file", tag_field="type"):
    """Where a record stood in a file or on stdin (`file` is then `-`); lines count from 1."""

    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


class PubSubPosition(msgspec.Struct, frozen=True, tag="pubsub", tag_field="type"):
    """Which message of a Pub/Sub subscription it was: ids stay the same when one is sent again."""

    subscription: str
    message_id: str

    def __str__(self) -> str:
        return f"{self.subscription}:{self.message_id}"


SourcePosition = KafkaPosition | FilePosition | PubSubPosition
