"""Producers: what threads that share one do to each other's records."""

from __future__ import annotations

from threading import Thread
from types import SimpleNamespace
from typing import Any

from kafka.errors import MessageSizeTooLargeError, ProducerFencedError

from transforms.kafka.faults import OfNeighbour, is_refused, may_be_sent_again
from transforms.kafka.producers import _compressing, _of_neighbour


def test_large_records_of_two_threads_are_both_compressed() -> None:
    accumulator = SimpleNamespace(config={"compression_attrs": 0})
    producer: Any = SimpleNamespace(config={"compression_attrs": 0}, _accumulator=accumulator)

    def send() -> None:
        with _compressing(producer):
            pass

    other = Thread(target=send)
    with _compressing(producer):
        other.start()
        other.join(timeout=0.2)  # it waits for us
        assert accumulator.config["compression_attrs"] == 1
    other.join()
    assert accumulator.config["compression_attrs"] == 0


def test_a_record_given_up_for_another_one_is_not_refused_itself() -> None:
    error = _of_neighbour(MessageSizeTooLargeError(None))
    assert isinstance(error, OfNeighbour)
    assert may_be_sent_again(error)
    assert not is_refused(error)
    fenced = ProducerFencedError("x")
    assert _of_neighbour(fenced) is fenced
