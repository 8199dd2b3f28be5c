"""Event time: the Beam timestamp of a message is always one that Beam can encode."""

from __future__ import annotations

import time

import pytest
from apache_beam.coders import TimestampCoder
from apache_beam.utils.timestamp import MAX_TIMESTAMP, MIN_TIMESTAMP, Timestamp
from hypothesis import given
from hypothesis import strategies as st

from transforms.event_time import event_timestamp, of_element
from transforms.records import Message


def test_a_message_has_its_own_time() -> None:
    assert event_timestamp(Message(b"", timestamp=1_700_000_000_123)) == Timestamp.of(
        1_700_000_000.123
    )


@pytest.mark.parametrize("timestamp", [None, -1, 2**63 - 1, 1_700_000_000_000_000_000])
def test_a_message_without_a_usable_time_has_the_time_now(timestamp: int | None) -> None:
    before = time.time()
    found = event_timestamp(Message(b"", timestamp=timestamp))
    assert Timestamp.of(before) - 1 <= found <= Timestamp.of(time.time()) + 1


@given(st.integers(-(2**63), 2**63 - 1))
def test_whatever_a_producer_sent_beam_can_encode(timestamp: int) -> None:
    found = event_timestamp(Message(b"", timestamp=timestamp))
    assert MIN_TIMESTAMP < found < MAX_TIMESTAMP
    coder = TimestampCoder()
    # Beam encodes milliseconds.
    assert 0 <= found.micros - coder.decode(coder.encode(found)).micros < 1000


def test_an_element_s_time_counts_where_the_message_has_none() -> None:
    element = of_element(Message(b""), Timestamp(12))
    assert event_timestamp(element) == Timestamp(12)
    for unusable in (-1, 2**62):
        assert event_timestamp(of_element(Message(b"", timestamp=unusable), Timestamp(12))) == 12
    own = Message(b"", timestamp=5000)
    assert of_element(own, Timestamp(12)) == own
    # What Beam gives to elements that nobody has given a time.
    assert of_element(Message(b""), MIN_TIMESTAMP) == Message(b"")
