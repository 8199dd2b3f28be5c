"""Spreads shards over the subtasks of a Flink job, evenly.

Flink gives each key to a key group by its hash, and each group to a subtask. Beam's key of a shard is
the element that names it. So a shard gets a number beside its name, such that both together hash to
the group that we want. With a job server that hashes otherwise, as old ones do, shards fall by
chance: unevenly, never wrongly.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable

_MASK_32, _MASK_64 = (1 << 32) - 1, (1 << 64) - 1


def key_groups(parallelism: int) -> int:
    """How many key groups Flink makes where the user says nothing (`--max_parallelism`).

    Args:
        parallelism: That of the job.
    """
    wanted = max(parallelism + parallelism // 2, 1)
    return min(max(1 << (wanted - 1).bit_length(), 128), 1 << 15)


def even_groups(count: int, parallelism: int, groups: int) -> list[int]:
    """A key group for each of so many shards.

    It may be that only the first few have something to read, so any number of first ones is spread
    evenly: each subtask has one before any has two. Among the groups of a subtask they are spread
    as well, for a job that is resumed with another parallelism.

    Args:
        count: How many shards.
        parallelism: How many subtasks; 1 where that isn't known.
        groups: How many key groups there are.
    """
    placed = []
    for number in range(count):
        turn, subtask = divmod(number, parallelism)
        first, end = (-(-s * groups // parallelism) for s in (subtask, subtask + 1))
        placed.append(first + int(_halving(turn) * (end - first)))
    return placed


def number_for(group: int, groups: int, encode: Callable[[int], bytes]) -> int:
    """The first number whose key falls in a key group.

    Args:
        group: The key group.
        groups: How many key groups there are.
        encode: The element with a number, encoded by its coder.
    """
    return next(n for n in itertools.count() if key_group(encode(n), groups) == group)


def key_group(encoded: bytes, groups: int) -> int:
    """The key group in which an element falls.

    Args:
        encoded: What its coder made of it.
        groups: How many key groups there are.
    """
    # What Java has is nested in a pair, so it has a length. Then Beam's `FlinkKey.hashCode`, then
    # Flink's `KeyGroupRangeAssignment`.
    return _flink_hash(_guava_hash(_varint(len(encoded)) + encoded)) % groups


def _halving(n: int) -> float:
    """0, 1/2, 1/4, 3/4, 1/8, …: any number of first ones is spread evenly over [0, 1)."""
    found, part = 0.0, 0.5
    while n:
        n, bit = divmod(n, 2)
        found += bit * part
        part /= 2
    return found


def _varint(n: int) -> bytes:
    found = bytearray()
    while n > 0x7F:
        found.append(n & 0x7F | 0x80)
        n >>= 7
    return bytes([*found, n])


def _rotated(x: int, by: int, bits: int) -> int:
    return (x << by | x >> (bits - by)) & ((1 << bits) - 1)


def _flink_hash(code: int) -> int:
    """MurmurHash3 of one 32-bit integer, made positive."""
    code = code * 0xCC9E2D51 & _MASK_32
    code = _rotated(code, 15, 32) * 0x1B873593 & _MASK_32
    code = (_rotated(code, 13, 32) * 5 + 0xE6546B64 ^ 4) & _MASK_32
    code = (code ^ code >> 16) * 0x85EBCA6B & _MASK_32
    code = (code ^ code >> 13) * 0xC2B2AE35 & _MASK_32
    code ^= code >> 16
    signed = code - (1 << 32) if code >> 31 else code
    return 0 if signed == -(1 << 31) else abs(signed)


def _guava_hash(data: bytes) -> int:
    """The low 32 bits of MurmurHash3 of 128 bits, for x64, with seed 0."""
    c1, c2 = 0x87C37B91114253D5, 0x4CF5AD432745937F
    h1 = h2 = 0
    for at in range(0, len(data), 16):
        block = data[at : at + 16]
        k1, k2 = (int.from_bytes(block[i : i + 8], "little") for i in (0, 8))
        whole = len(block) == 16  # the last one may be short, and is not stirred in
        h1 ^= _rotated(k1 * c1 & _MASK_64, 31, 64) * c2 & _MASK_64
        if whole:
            h1 = ((_rotated(h1, 27, 64) + h2) * 5 + 0x52DCE729) & _MASK_64
        h2 ^= _rotated(k2 * c2 & _MASK_64, 33, 64) * c1 & _MASK_64
        if whole:
            h2 = ((_rotated(h2, 31, 64) + h1) * 5 + 0x38495AB5) & _MASK_64
    h1, h2 = h1 ^ len(data), h2 ^ len(data)
    h1 = (h1 + h2) & _MASK_64
    h2 = (h2 + h1) & _MASK_64
    return (_final(h1) + _final(h2)) & _MASK_32


def _final(k: int) -> int:
    k = (k ^ k >> 33) * 0xFF51AFD7ED558CCD & _MASK_64
    k = (k ^ k >> 33) * 0xC4CEB9FE1A85EC53 & _MASK_64
    return k ^ k >> 33
