"""What a reader holds of its subscription: what waits to be taken, what was taken, what is final.

Pub/Sub has no position to go on from: what was received is ours until it is acknowledged, given back,
or its lease ends. So a position is of one reader: its name, and the number of the last batch it
handed out. Whoever comes back to an earlier one has lost what came after it (the runner did not want
the batch, or its bundle has failed), and gets that again, in order, from here. To another reader the
position says nothing: it begins with what the service sends it.

A message is known by its own id, never by the id of a delivery: what was made of it is durable or not,
whichever delivery it came with, so the newest ack id is the one to acknowledge.
"""

from __future__ import annotations

import itertools
import uuid
from collections import OrderedDict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field

from transforms.pubsub.dedupe import Dedupe
from transforms.records import Message

#: A position: the reader's name, and the number of the last batch.
Position = list[str | int]
#: How many messages that are done are remembered, and for how long, in seconds: one that comes again all
#: the same is acknowledged. What comes much later was asked for: somebody has rewound the subscription.
SETTLED, SETTLED_FOR = 20_000, 600.0


@dataclass(eq=False)
class Held:
    """A message that we have a lease of.

    Attributes:
        message_id: Its own id.
        ack_id: That of its newest delivery.
        size: In bytes.
        since: When it came, in seconds that never go back.
        event_time: In seconds since the epoch.
        message: What is handed out; None for a double, which is not.
        value: What tells doubles of it, where that was asked for.
        doubles: Those of it that came since.
    """

    message_id: str
    ack_id: str
    size: int
    since: float
    event_time: float = 0.0
    message: Message | None = None
    value: str | None = None
    doubles: list[Held] = field(default_factory=list)


@dataclass(eq=False)
class _Batch:
    """What was handed out at once, and whether its bundle is over."""

    held: Sequence[Held]
    over: bool = False


class Holding:
    """Keeps account of messages; not for several threads at once.

    Args:
        dedupe: Tells doubles by an attribute; None takes all that comes.
    """

    def __init__(self, dedupe: Dedupe | None = None) -> None:
        self._name = uuid.uuid4().hex
        self._dedupe = dedupe
        self._held: dict[str, Held] = {}
        self._waiting: dict[str, Held] = {}
        self._settled: OrderedDict[str, float] = OrderedDict()
        self._batches: dict[int, _Batch] = {}
        self._number = 0
        #: The batch before the first of the bundle that is being read.
        self._begun = 0
        self.bytes = 0

    def __len__(self) -> int:
        """How many messages are not acknowledged, doubles included."""
        return len(self._held)

    @property
    def waiting(self) -> int:
        """How many messages can be taken."""
        return len(self._waiting)

    @property
    def oldest_waiting(self) -> float | None:
        """The least event time of those."""
        return min((held.event_time for held in self._waiting.values()), default=None)

    @property
    def position(self) -> Position:
        """What has been handed out."""
        return [self._name, self._number]

    # ---- what comes --------------------------------------------------------------------------------

    def receive(self, held: Held) -> bool:
        """Takes a message in.

        Returns:
            Whether it is to be acknowledged at once: all is done for it already.
        """
        known = self._held.get(held.message_id)
        if known is not None:
            known.ack_id = held.ack_id
            return False
        settled = self._settled.get(held.message_id)
        if settled is not None and held.since - settled <= SETTLED_FOR:
            # As long as nothing can be acknowledged, it comes with each end of a lease.
            self._settled[held.message_id] = held.since
            return True
        if self._dedupe is not None and held.value is not None:
            found = self._dedupe.first_of(held.value, held.message_id, held.since)
            if found is not None:
                first, final = found
                if final:
                    return True
                if first in self._held:
                    held.message = None
                    self._held[first].doubles.append(held)
        self._held[held.message_id] = held
        self.bytes += held.size
        if held.message is not None:
            self._waiting[held.message_id] = held
        return False

    # ---- bundles -----------------------------------------------------------------------------------

    def resume(self, position: Position | None) -> None:
        """Begins a bundle that goes on at a position."""
        ours = position is not None and position[0] == self._name
        self._begun = int(position[1]) if position is not None and ours else self._number
        lost = [
            number
            for number, batch in self._batches.items()
            # Bundles that another reader's position knows nothing of may become final yet.
            if (number > self._begun if ours else position is None or not batch.over)
        ]
        again = itertools.chain.from_iterable(self._batches.pop(number).held for number in lost)
        # What is final by now, or has no lease any more, is not ours.
        again_by_id = {h.message_id: h for h in again if self._held.get(h.message_id) is h}
        self._waiting = again_by_id | self._waiting

    def take(self, limit: int) -> list[Message]:
        """Hands out a batch of the messages that wait, in the order in which they came."""
        taken = list(itertools.islice(self._waiting.values(), max(0, limit)))
        if taken:
            self._number += 1
            self._batches[self._number] = _Batch(taken)
            for held in taken:
                del self._waiting[held.message_id]
        return [held.message for held in taken if held.message is not None]

    def end(self, position: Position) -> list[int]:
        """Ends the bundle that is being read, with what it took up to a position.

        Returns:
            The numbers of its batches, for `final`.
        """
        last = int(position[1]) if position[0] == self._name else self._begun
        numbers = [n for n, b in self._batches.items() if self._begun < n <= last and not b.over]
        for number in numbers:
            self._batches[number].over = True
        return numbers

    def batches(self, numbers: Iterable[int]) -> list[Held]:
        """What was handed out in batches."""
        return [held for n in numbers if n in self._batches for held in self._batches[n].held]

    @property
    def unfinished(self) -> bool:
        """Whether bundles that are over are not final yet."""
        return any(batch.over for batch in self._batches.values())

    def final(
        self, numbers: Iterable[int], messages: Iterable[Held], at: float = 0.0
    ) -> list[Held]:
        """What was made of messages is durable: they, and their doubles, are to be acknowledged.

        Args:
            numbers: The batches that they were handed out in.
            messages: The messages.
            at: Now, in seconds that never go back.

        Returns:
            What to acknowledge, with the newest ack ids; `acknowledged` is to follow.
        """
        for number in numbers:
            self._batches.pop(number, None)
        found = []
        for message in messages:
            # If its lease had ended, it may have come anew.
            held = self._held.get(message.message_id, message)
            self._waiting.pop(held.message_id, None)
            if self._dedupe is not None and held.value is not None:
                self._dedupe.is_final(held.value, held.message_id)
            found += [held, *held.doubles]
        for held in found:
            self._settled[held.message_id] = at
        while len(self._settled) > SETTLED:
            self._settled.popitem(last=False)
        return found

    def acknowledged(self, messages: Iterable[Held]) -> None:
        """They are not ours any more."""
        for held in messages:
            self._let_go(held)

    # ---- leases ------------------------------------------------------------------------------------

    def leases(self) -> list[Held]:
        """All messages whose leases are to be extended."""
        return list(self._held.values())

    def lapse(self, before: float) -> list[Held]:
        """Gives up messages that came before some time.

        Returns:
            Those of them that nobody works on: they can be given back at once.
        """
        old = self._with_doubles([held for held in self._held.values() if held.since < before])
        idle = [held for held in old if held.message is None or held.message_id in self._waiting]
        self._give_up(old)
        for number, batch in list(self._batches.items()):
            ended = batch.over or number <= self._begun
            if ended and not any(self._held.get(h.message_id) is h for h in batch.held):
                del self._batches[number]
        return idle

    def lose(self, ack_ids: Collection[str]) -> list[Held]:
        """Drops what waits and whose leases have ended: it comes again.

        Returns:
            Doubles of it, which are to be given back: nobody would acknowledge them any more.
        """
        lost = [held for held in self._waiting.values() if held.ack_id in ack_ids]
        given_up = self._with_doubles(lost)
        self._give_up(given_up)
        return [held for held in given_up if held.ack_id not in ack_ids]

    def give_back_waiting(self) -> list[Held]:
        """Gives up all that waits, doubles included."""
        idle = self._with_doubles(list(self._waiting.values()))
        self._give_up(idle)
        return idle

    def give_back_all(self) -> list[Held]:
        """Gives up everything."""
        every = self.leases()
        self._give_up(every)
        self._batches.clear()
        return every

    def _with_doubles(self, messages: Sequence[Held]) -> list[Held]:
        """Messages, each followed by its doubles: these are acknowledged with it, or not at all."""
        found = {h.message_id: h for held in messages for h in (held, *held.doubles)}
        return [held for held in found.values() if self._held.get(held.message_id) is held]

    def _give_up(self, messages: Iterable[Held]) -> None:
        for held in messages:
            self._let_go(held)
            self._waiting.pop(held.message_id, None)
            if self._dedupe is not None and held.value is not None:
                self._dedupe.forget(held.value, held.message_id)

    def _let_go(self, held: Held) -> None:
        if self._held.get(held.message_id) is held:
            del self._held[held.message_id]
            self.bytes -= held.size
