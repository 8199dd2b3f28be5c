"""What a reader holds: nothing is lost, and nothing is acknowledged that is not final."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from transforms.pubsub.dedupe import Dedupe
from transforms.pubsub.holding import SETTLED, SETTLED_FOR, Held, Holding
from transforms.records import Message, PubSubPosition


def held(name: str, delivery: int = 1, *, at: float = 0.0, value: str | None = None) -> Held:
    message = Message(name.encode(), source=PubSubPosition("s", name))
    return Held(name, f"{name}:{delivery}", 10, at, event_time=at, message=message, value=value)


def holding(*names: str, dedupe: Dedupe | None = None) -> Holding:
    h = Holding(dedupe)
    for name in names:
        assert not h.receive(held(name))
    h.resume(None)
    return h


def names(messages: list[Message]) -> list[str]:
    return [(message.value or b"").decode() for message in messages]


def finish(h: Holding) -> list[str]:
    """Ends the bundle that is read; what is then to be acknowledged, by ack id."""
    numbers = h.end(h.position)
    done = h.final(numbers, h.batches(numbers))
    h.acknowledged(done)
    return [one.ack_id for one in done]


def test_what_a_bundle_took_is_acknowledged_when_it_is_final_and_nothing_else() -> None:
    h = holding("a", "b", "c")
    assert names(h.take(2)) == ["a", "b"]
    assert finish(h) == ["a:1", "b:1"]
    assert len(h) == 1
    assert h.bytes == 10
    assert h.waiting == 1


def test_a_batch_that_was_not_claimed_is_handed_out_again_in_order() -> None:
    h = holding("a", "b", "c")
    h.take(1)
    claimed = h.position
    assert names(h.take(1)) == ["b"]  # the runner has split here
    numbers = h.end(claimed)
    messages = h.batches(numbers)
    h.resume(claimed)
    assert names(h.take(5)) == ["b", "c"]
    assert [one.ack_id for one in h.final(numbers, messages)] == ["a:1"]


def test_what_a_failed_bundle_took_is_handed_out_again_in_order() -> None:
    h = holding("a", "b", "c", "d")
    h.take(1)
    finish(h)
    begun = h.position
    h.resume(begun)
    h.take(2)
    h.end(h.position)  # over, and then its sink failed
    h.resume(begun)
    assert names(h.take(5)) == ["b", "c", "d"]
    assert finish(h) == ["b:1", "c:1", "d:1"]


def test_a_bundle_that_becomes_final_later_than_the_next_one_begins() -> None:
    h = holding("a", "b")
    h.take(1)
    numbers = h.end(h.position)
    messages = h.batches(numbers)
    h.resume(h.position)
    assert names(h.take(5)) == ["b"]
    assert h.unfinished
    assert [one.ack_id for one in h.final(numbers, messages)] == ["a:1"]
    assert not h.unfinished
    assert finish(h) == ["b:1"]


def test_the_position_of_another_reader_takes_nothing_from_bundles_that_are_over() -> None:
    h = holding("a", "b", "c")
    h.take(1)
    numbers = h.end(h.position)
    messages = h.batches(numbers)
    h.resume(h.position)
    h.take(1)  # of a bundle that is not over: it has failed
    h.resume(["another", 7])
    assert names(h.take(5)) == ["b", "c"]
    assert [one.ack_id for one in h.final(numbers, messages)] == ["a:1"]


def test_a_runner_that_begins_anew_gets_everything_again() -> None:
    h = holding("a", "b")
    h.take(1)
    h.end(h.position)
    h.resume(None)
    assert names(h.take(5)) == ["a", "b"]


def test_the_newest_ack_id_is_acknowledged_and_a_redelivery_is_not_handed_out() -> None:
    h = holding("a")
    h.take(1)
    numbers = h.end(h.position)
    messages = h.batches(numbers)
    assert not h.receive(held("a", 2))
    assert h.waiting == 0
    assert [one.ack_id for one in h.final(numbers, messages)] == ["a:2"]


def test_what_comes_again_when_it_is_final_is_acknowledged_at_once() -> None:
    h = holding("a")
    h.take(1)
    finish(h)
    assert h.receive(held("a", 2))
    assert len(h) == 0


def test_a_lease_that_is_given_up_comes_anew_and_a_late_final_acknowledges_that() -> None:
    h = holding("a")
    h.take(1)
    numbers = h.end(h.position)
    messages = h.batches(numbers)
    assert h.lapse(before=1.0) == []  # somebody works on it: it is not given back, it lapses
    assert len(h) == 0
    assert not h.receive(held("a", 2, at=2.0))
    assert h.waiting == 1
    done = h.final(numbers, messages)
    assert [one.ack_id for one in done] == ["a:2"]
    h.acknowledged(done)
    assert h.waiting == len(h) == 0


def test_what_waits_for_too_long_is_given_back() -> None:
    h = holding("a")
    assert [one.ack_id for one in h.lapse(before=1.0)] == ["a:1"]
    assert h.waiting == len(h) == 0


def test_closing_gives_everything_back_that_is_not_final() -> None:
    h = holding("a", "b", "c")
    h.take(1)
    finish(h)
    h.resume(h.position)
    h.take(1)
    assert sorted(one.ack_id for one in h.give_back_all()) == ["b:1", "c:1"]
    assert len(h) == h.waiting == h.bytes == 0


def test_what_is_lost_while_it_waits_is_not_handed_out() -> None:
    h = holding("a", "b")
    h.lose({"a:1"})
    assert names(h.take(5)) == ["b"]


def test_the_memory_of_what_is_final_is_bounded() -> None:
    h = Holding()
    h.resume(None)
    for i in range(SETTLED + 1):
        h.receive(held(str(i)))
    h.take(SETTLED + 1)
    finish(h)
    assert not h.receive(held("0", 2))  # forgotten: at least once
    assert h.receive(held("1", 2))


def test_what_comes_again_much_later_was_asked_for() -> None:
    h = holding("a")
    h.take(1)
    numbers = h.end(h.position)
    h.acknowledged(h.final(numbers, h.batches(numbers), at=100.0))
    # Acknowledging it fails each time.
    assert h.receive(held("a", 2, at=100.0 + SETTLED_FOR))
    assert h.receive(held("a", 3, at=100.0 + 2 * SETTLED_FOR))
    # Somebody has rewound the subscription.
    assert not h.receive(held("a", 4, at=101.0 + 3 * SETTLED_FOR))
    h.resume(h.position)
    assert names(h.take(1)) == ["a"]
    assert finish(h) == ["a:4"]


def test_bundles_that_never_become_final_take_no_memory_when_their_leases_are_over() -> None:
    h = holding("a")
    h.take(1)
    h.end(h.position)
    h.lapse(before=1.0)
    assert not h.unfinished


# ---- doubles ---------------------------------------------------------------------------------------


def test_a_double_is_acknowledged_with_the_first_and_not_before() -> None:
    h = holding(dedupe=Dedupe("id"))
    assert not h.receive(held("a", value="x"))
    assert not h.receive(held("b", value="x"))
    assert names(h.take(5)) == ["a"]
    assert finish(h) == ["a:1", "b:1"]
    assert h.receive(held("c", value="x"))  # the first is final
    assert not h.receive(held("d", value="y"))
    assert not h.receive(held("e"))  # has no such attribute
    assert names(h.take(5)) == ["d", "e"]


def test_when_the_first_is_given_back_the_next_one_is_the_first() -> None:
    h = holding(dedupe=Dedupe("id"))
    h.receive(held("a", value="x"))
    h.receive(held("b", value="x"))
    assert [one.ack_id for one in h.give_back_waiting()] == ["a:1", "b:1"]
    assert not h.receive(held("b", 2, value="x"))
    assert names(h.take(5)) == ["b"]


def test_doubles_of_what_is_lost_are_given_back_and_the_next_one_is_the_first() -> None:
    h = holding(dedupe=Dedupe("id"))
    h.receive(held("a", value="x"))
    h.receive(held("b", value="x"))
    assert [one.ack_id for one in h.lose({"a:1"})] == ["b:1"]
    assert len(h) == h.bytes == 0
    assert not h.receive(held("b", 2, value="x"))
    assert names(h.take(5)) == ["b"]


def test_doubles_lapse_with_their_first_however_late_they_came() -> None:
    h = holding(dedupe=Dedupe("id"))
    h.receive(held("a", value="x"))
    h.take(1)
    h.receive(held("b", at=5.0, value="x"))
    assert [one.ack_id for one in h.lapse(before=1.0)] == ["b:1"]  # a is worked on
    assert len(h) == 0


def test_doubles_are_remembered_in_a_bounded_memory() -> None:
    dedupe = Dedupe("id", most=2, seconds=10)
    for value in "abc":
        assert dedupe.first_of(value, value, 0.0) is None
    assert len(dedupe) == 2
    assert dedupe.first_of("a", "a2", 0.0) is None  # forgotten
    assert dedupe.first_of("c", "c2", 1.0) == ("c", False)
    dedupe.is_final("c", "c")
    assert dedupe.first_of("c", "c2", 1.0) == ("c", True)
    assert dedupe.first_of("c", "c2", 11.0) is None  # too long ago


# ---- everything, in any order ----------------------------------------------------------------------


class Service(RuleBasedStateMachine):
    """A service that delivers what is not acknowledged, and a runner that does as it likes."""

    def dedupe(self) -> Dedupe | None:
        return None

    def value(self, name: str) -> str | None:
        return None

    def is_durable(self, name: str) -> bool:
        """Whether it is, or one that it is a double of."""
        value = self.value(name)
        return name in self.durable or (
            value is not None and value in {self.value(other) for other in self.durable}
        )

    @initialize()
    def begin(self) -> None:
        self.holding = Holding(self.dedupe())
        self.now = 0.0
        self.deliveries: dict[str, int] = {}
        self.acknowledged: set[str] = set()
        self.durable: set[str] = set()
        self.positions: list = [None]
        self.current: list[str] = []
        self.over: list[tuple[list[int], list[Held]]] = []
        self.holding.resume(None)

    def deliver(self, name: str) -> None:
        self.deliveries[name] = self.deliveries.get(name, 0) + 1
        one = held(name, self.deliveries[name], at=self.now, value=self.value(name))
        if self.holding.receive(one):
            assert self.is_durable(name)
            self.acknowledged.add(name)

    @rule()
    def publish(self) -> None:
        self.now += 1
        self.deliver(f"m{len(self.deliveries)}")

    @rule(data=st.data())
    def redeliver(self, data: st.DataObject) -> None:
        waiting = sorted(self.deliveries.keys() - self.acknowledged)
        if waiting:
            self.deliver(data.draw(st.sampled_from(waiting)))

    @rule(limit=st.integers(0, 3))
    def poll(self, limit: int) -> None:
        taken = names(self.holding.take(limit))
        assert not self.acknowledged & set(taken)
        self.current += taken

    @rule()
    def end(self) -> None:
        position = self.holding.position
        numbers = self.holding.end(position)
        messages = self.holding.batches(numbers)
        assert {one.message_id for one in messages} <= set(self.current)
        self.over.append((numbers, messages))
        self.positions.append(position)
        self.resume_at(position)

    @rule(data=st.data())
    def fail(self, data: st.DataObject) -> None:
        position = data.draw(st.sampled_from([*self.positions, ["another", 3]]))
        self.resume_at(position)

    def resume_at(self, position: object) -> None:
        self.holding.resume(position)  # type: ignore[arg-type]
        self.current = []

    @rule(data=st.data())
    def become_final(self, data: st.DataObject) -> None:
        if self.over:
            numbers, messages = self.over.pop(data.draw(st.integers(0, len(self.over) - 1)))
            self.durable |= {one.message_id for one in messages}
            done = self.holding.final(numbers, messages)
            for one in done:
                if one.ack_id == f"{one.message_id}:{self.deliveries[one.message_id]}":
                    self.acknowledged.add(one.message_id)
            self.holding.acknowledged(done)

    @rule(age=st.integers(0, 5))
    def lapse(self, age: int) -> None:
        self.holding.lapse(self.now - age)

    @rule(data=st.data())
    def lose(self, data: st.DataObject) -> None:
        leases = sorted(one.ack_id for one in self.holding.leases())
        if leases:
            self.holding.lose(data.draw(st.sets(st.sampled_from(leases))))

    @rule()
    def park(self) -> None:
        self.holding.give_back_waiting()

    @invariant()
    def only_what_is_durable_is_acknowledged(self) -> None:
        assert all(map(self.is_durable, self.acknowledged))

    @invariant()
    def sizes_are_right(self) -> None:
        assert self.holding.bytes == 10 * len(self.holding)
        assert self.holding.waiting <= len(self.holding)

    def teardown(self) -> None:
        if not hasattr(self, "holding"):
            return
        # In the end all leases lapse, all that is left comes again, and nothing fails any more.
        self.holding.resume(None)
        self.holding.lapse(self.now + 1)
        for name in sorted(self.deliveries.keys() - self.acknowledged):
            self.deliver(name)
        self.poll(1000)
        self.end()
        while self.over:
            numbers, messages = self.over.pop()
            self.durable |= {one.message_id for one in messages}
            done = self.holding.final(numbers, messages)
            self.holding.acknowledged(done)
        assert all(map(self.is_durable, self.deliveries))
        assert len(self.holding) == 0


class WithDoubles(Service):
    """The same, where messages are doubles of one another."""

    def dedupe(self) -> Dedupe:
        return Dedupe("id")

    def value(self, name: str) -> str:
        return str(int(name[1:]) % 3)


TestService = Service.TestCase
TestWithDoubles = WithDoubles.TestCase
