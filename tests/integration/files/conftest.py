"""The object stores, as clients in this process find them."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from transforms.files import stores


@pytest.fixture
def clients(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """Clients that know what a test has set, and nothing else of this machine."""
    for name in [n for n in os.environ if n.startswith(("AWS_", "GOOGLE_", "STORAGE_"))]:
        monkeypatch.delenv(name)
    stores.forget()
    yield monkeypatch
    stores.forget()
