"""The state of reading, as savepoints of released versions hold it: bytes that stay readable."""

from __future__ import annotations

from typing import Any

import pytest
from apache_beam import coders
from apache_beam.coders import Coder
from apache_beam.utils.timestamp import Timestamp

from transforms.errors import ConfigurationError
from transforms.reading import ReadShard
from transforms.shard_state import Restriction, Shard, Watermarks

# Never change these: give the format another number, and add the bytes of that one.
FORMAT_1: list[tuple[bytes, Any]] = [
    (b'{"shard":"news:0/4","of":4,"number":17,"format":1}', Shard("news:0/4", 4, 17)),
    (b'{"position":null,"done":false,"format":1}', Restriction()),
    (
        b'{"position":{"news:0":1200,"news:4":7},"done":false,"format":1}',
        Restriction({"news:0": 1200, "news:4": 7}),
    ),
    (
        b'{"position":["d41d8cd98f00b204",12],"done":true,"format":1}',
        Restriction(["d41d8cd98f00b204", 12], done=True),
    ),
    (b"1795751526397000", Timestamp(1795751526.397)),
    (b"null", None),
]


def _coder(value: object) -> Coder:
    """The coder that the pipeline uses for it."""
    if isinstance(value, Shard):
        return coders.registry.get_coder(Shard)
    if isinstance(value, Restriction):
        return ReadShard(None).restriction_coder()  # type: ignore[arg-type]
    return Watermarks().estimator_state_coder()


@pytest.mark.parametrize(("encoded", "value"), FORMAT_1)
def test_what_was_written_is_read_and_written_again(encoded: bytes, value: object) -> None:
    coder = _coder(value)
    assert coder.decode(encoded) == value
    assert coder.encode(value) == encoded
    assert coder.is_deterministic()


@pytest.mark.parametrize(
    "encoded",
    [
        pytest.param(b'{"position":{"news:0":5},"done":false,"format":2}', id="a later format"),
        pytest.param(b'{"position":5,"done":"no","format":1}', id="another type"),
        pytest.param(b"\x82\xa8position\xc0\xa4done\xc2", id="MessagePack, as before the first"),
        pytest.param(b"", id="nothing"),
    ],
)
def test_what_is_unknown_says_what_to_do(encoded: bytes) -> None:
    with pytest.raises(
        ConfigurationError, match="resume it with the version that wrote it, or start"
    ):
        _coder(Restriction()).decode(encoded)


@pytest.mark.parametrize(
    "shard",
    [
        pytest.param(Shard("news:0/4", 4), id="another number of shards"),
        pytest.param(Shard("old+news:0/2", 2), id="other topics"),
        pytest.param(Shard("news:0/2", 3), id="a shard among more"),
    ],
)
def test_shards_of_another_layout_are_refused(shard: Shard) -> None:
    with pytest.raises(ConfigurationError, match="this job reads 2: news:0/2, news:1/2; resume it"):
        shard.check(["news:1/2", "news:0/2"])


def test_its_own_shards_are_taken() -> None:
    Shard("news:1/2", 2, number=5).check({"news:0/2", "news:1/2"})
