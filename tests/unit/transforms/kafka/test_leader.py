"""Who is elected, whatever becomes of the members of the group."""

from __future__ import annotations

from types import SimpleNamespace

from transforms.kafka.leader import _Election


class Group:
    """Members by the ids that brokers have given them; one of them assigns."""

    def __init__(self) -> None:
        self.members: dict[str, _Election] = {}
        self._ids = 0

    def join(self, member: _Election) -> None:
        """Joins as a new member: for the first time, or since brokers have forgotten it."""
        self.leave(member)
        self._ids += 1
        self.members[f"m{self._ids}"] = member

    def leave(self, member: _Election) -> None:
        self.members = {id: each for id, each in self.members.items() if each is not member}

    def rebalance(self, lost: _Election | None = None) -> None:
        """Elects; one of the members is gone before it hears of it."""
        joined = [
            SimpleNamespace(member_id=id, metadata=each.metadata(["news"]))
            for id, each in self.members.items()
        ]
        assigner = next(iter(self.members.values()))
        assigned = assigner.assign(None, joined)
        for id, each in self.members.items():
            if each is not lost:
                each.on_assignment(assigned[id], 1)  # type: ignore[arg-type]


def members(n: int) -> list[_Election]:
    made = [_Election() for _ in range(n)]
    for i, each in enumerate(made):
        each.heard = type(each.heard)(since=float(i))
    return made


def leading(*of: _Election) -> list[bool]:
    return [each.heard.leads for each in of]


def test_whoever_comes_leaves_the_leader_alone() -> None:
    group, (early, late) = Group(), members(2)
    group.join(late)
    group.rebalance()
    # By its clock it has waited for longer.
    group.join(early)
    group.rebalance()
    assert leading(early, late) == [False, True]


def test_whoever_waits_longest_follows_and_the_former_leader_does_not_come_back() -> None:
    group, (a, b, c) = Group(), members(3)
    for each in (a, b, c):
        group.join(each)
        group.rebalance()
    assert leading(a, b, c) == [True, False, False]
    group.leave(a)
    group.rebalance()
    assert leading(b, c) == [True, False]
    # It still thinks that it leads, has waited longest, and assigns.
    assert a.heard.leads
    others = dict(group.members)
    group.members = {}
    group.join(a)
    group.members |= others
    group.rebalance()
    assert leading(a, b, c) == [False, True, False]


def test_a_leader_that_brokers_forgot_goes_on_where_nobody_was_elected_meanwhile() -> None:
    group, (a, b) = Group(), members(2)
    for each in (a, b):
        group.join(each)
        group.rebalance()
    for each in (b, a):
        group.join(each)
    group.rebalance()
    assert leading(a, b) == [True, False]


def test_one_leads_after_the_one_that_was_elected_is_gone_before_it_knows() -> None:
    group, (a, b, c) = Group(), members(3)
    for each in (a, b, c):
        group.join(each)
        group.rebalance()
    group.leave(a)
    group.rebalance(lost=b)
    assert leading(b, c) == [False, False]
    group.join(b)
    group.rebalance()
    assert sum(leading(b, c)) == 1
