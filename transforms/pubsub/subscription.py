"""What is read, and how: the settings of a subscription's readers."""

from __future__ import annotations

import math
from dataclasses import dataclass

from transforms.errors import ConfigurationError
from transforms.pubsub.client import PubSubSettings
from transforms.pubsub.names import subscription_path
from transforms.pubsub.watermark import SAMPLE
from transforms.reading import MAX_DELAY

#: Messages and bytes that a reader holds: two full bundles, and as much on the way.
MAX_MESSAGES, MAX_BYTES = 5000, 100 * 1024 * 1024
#: What a lease is extended by, in seconds, and for how long in all.
LEASE, MAX_LEASE = 60.0, 3600.0
#: What the service grants.
_LEAST_LEASE, _LONGEST_LEASE = 10, 600
#: A subscription of exactly-once delivery is extended by no less, as Google's clients do.
LEAST_EXACTLY_ONCE = 60.0
#: With `--stop_at_end`, so long nothing has to come, in seconds.
END_AFTER = 10.0


@dataclass(frozen=True)
class Subscription:
    """A subscription, and how its readers read it.

    Attributes:
        settings: How to reach Pub/Sub.
        project: Its project.
        name: Its name.
        shard_count: How many readers there are, each with a stream of its own.
        max_messages: How many messages a reader holds that are not acknowledged.
        max_bytes: How many bytes of them.
        lease: What a lease is extended by, in seconds.
        max_lease: For how long in all.
        time_attribute: The attribute that holds a message's time.
        dedupe_attribute: The attribute that tells doubles; `message_id` is Pub/Sub's own id.
        dedupe_memory: How many values are remembered.
        dedupe_seconds: For how long.
        max_delay: How much later than its time a message may come, in seconds.
        sample: What came in this time says what may come next, for the watermark, in seconds.
        end_after: It ends when nothing came for so long, in seconds; None reads for ever.
        run: Tells readers of one pipeline from those of another.
    """

    settings: PubSubSettings
    project: str
    name: str
    shard_count: int = 1
    max_messages: int = MAX_MESSAGES
    max_bytes: int = MAX_BYTES
    lease: float = LEASE
    max_lease: float = MAX_LEASE
    time_attribute: str | None = None
    dedupe_attribute: str | None = None
    dedupe_memory: int = 100_000
    dedupe_seconds: float = 600.0
    max_delay: float = MAX_DELAY
    sample: float = SAMPLE
    end_after: float | None = None
    run: str = ""

    def __post_init__(self) -> None:
        _ = self.path
        for name in ("shard_count", "max_messages", "max_bytes", "dedupe_memory"):
            if getattr(self, name) < 1:
                raise ConfigurationError(f"{name} is {getattr(self, name)}: it has to be 1 or more")
        # An emulator may grant less, for tests.
        least = 1 if self.settings.emulator else _LEAST_LEASE
        if not least <= self.lease <= _LONGEST_LEASE:
            raise ConfigurationError(
                f"lease is {self.lease:g} s: Pub/Sub grants {_LEAST_LEASE} to {_LONGEST_LEASE} s"
            )
        if self.max_lease < self.lease:
            raise ConfigurationError(
                f"max_lease is {self.max_lease:g} s: it can't be less than the lease, {self.lease:g} s"
            )

    @property
    def path(self) -> str:
        """Its full name."""
        return subscription_path(self.project, self.name)

    def shards(self) -> list[str]:
        """The names of its shards."""
        return [f"{self.name}-{n}" for n in range(self.shard_count)]


def outstanding(rate: float, checkpoint: float, duration: float = 0.0) -> int:
    """How many messages a reader has to be able to hold, so that it need not wait for acknowledgements.

    They are acknowledged when their bundle is final: on local runners at once, on Flink with the next
    checkpoint. What is held until then caps the throughput: 1,000 messages and a checkpoint every 10 s
    make 100/s.

    Args:
        rate: Messages per second and reader.
        checkpoint: Seconds between checkpoints.
        duration: How long one takes, in seconds.
    """
    return max(1, math.ceil(2 * rate * (checkpoint + duration)))
