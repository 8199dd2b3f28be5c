"""A fake of Flink for each test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pipeline.runners.flink import follow, rest, submit
from tests.unit.pipeline.runners.flink_rest import FakeFlink


@pytest.fixture
def flink(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeFlink]:
    """Flink's REST interface, which is asked again at once."""
    monkeypatch.setattr(follow, "EVERY", 0.01)
    monkeypatch.setattr(rest, "ASK_EVERY", 0.01)
    monkeypatch.setattr(submit, "EVERY", 0.01)
    with FakeFlink() as fake:
        yield fake
