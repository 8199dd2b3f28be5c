"""What tells a result from all others: for who writes again what may be there already."""

from __future__ import annotations

import hashlib
import struct

from transforms.records import CategorizedItem, Outcome

#: How long an identity is, in bytes.
LENGTH = 12
_PART = struct.Struct(">I")


def identity(outcome: Outcome) -> bytes | None:
    """What is the same whenever a record is read again and classified by the same model, and only then.

    Its place in the source alone is not enough: another cluster has a topic of that name, too, and one
    that was deleted and made again has its offsets once more. And who runs the same file again with
    another model wants its results.

    Args:
        outcome: What was made of the record.

    Returns:
        `LENGTH` bytes; None for what was made in memory.
    """
    message = outcome.message
    source = outcome.source if isinstance(outcome, CategorizedItem) else outcome.message.source
    if source is None:
        return None
    parts = [str(source).encode(errors="surrogatepass"), (outcome.model or "").encode()]
    if message is not None:
        parts += [message.key or b"", message.value or b"", str(message.timestamp).encode()]
    digest = hashlib.blake2b(digest_size=LENGTH)
    for part in parts:
        digest.update(_PART.pack(len(part)) + part)
    return digest.digest()
