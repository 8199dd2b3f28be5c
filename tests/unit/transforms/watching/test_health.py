"""What `/readyz` says: whether a process works, or could at once."""

from __future__ import annotations

from transforms.watching.health import Health


def test_one_that_reads_is_ready_when_its_source_has_answered() -> None:
    health = Health()
    health.reads = True
    assert health.not_ready() == "the model is not loaded yet"
    health.loaded("small@1")
    assert health.not_ready() == "the source has not answered yet"
    health.polled()
    assert health.not_ready() is None


def test_one_that_stands_by_is_ready_to_follow() -> None:
    """A deployment waits for pods to be ready, and so does who empties a node."""
    health = Health()
    health.reads = True
    health.stands_by(True)
    assert health.not_ready() is None
    health.draining(True)
    assert health.not_ready() is not None
    health.draining(False)
    health.stands_by(False)
    assert health.not_ready() is not None, "it has to load and to read first"
