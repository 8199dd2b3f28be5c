"""Results of texts that were classified before: wire stories repeat, word for word.

A result is a function of the text, the model and how much of a text it reads, and of nothing else (who
shares a batch does not matter), so one that is known is the one that would come again. How logits become
scores is not part of it: that is done anew.
"""

from __future__ import annotations

import hashlib
import threading
from array import array
from collections import OrderedDict
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

from models.checks import is_whole
from models.settings import Option, settings
from transforms.per_process import PerProcess

if TYPE_CHECKING:
    from models.reading import Reading
    from models.tokenize import TokenizedText
    from transforms.ahead import Begun

#: The most results that may be asked for: a result takes up to 2 kB, of a text in windows more.
MOST = 10_000_000


@settings(panel="Model")
class CacheSettings:
    """Whether identical texts are classified once.

    Raises:
        ValueError: A setting is out of range; the message names the range.
    """

    result_cache: Annotated[
        int,
        Option(
            "Keep the results of the last so many different texts in each process, and give them again "
            "where the same text comes again, word for word: for feeds that repeat wire stories. A "
            "result takes 1 to 2 kB of memory. Default: none.",
            metavar="N",
            min=0,
            max=MOST,
        ),
    ] = 0

    def __post_init__(self) -> None:
        if not (is_whole(self.result_cache) and 0 <= self.result_cache <= MOST):
            raise ValueError(f"result_cache {self.result_cache!r}: choose 0 to {MOST:,} results")


class Known(NamedTuple):
    """What is known of a text.

    Attributes:
        text: The text as rows.
        begun: The model's work on it, done or not.
    """

    text: TokenizedText
    begun: Begun


class ResultCache:
    """The last results, those that were asked for least recently dropped first. Thread-safe.

    Args:
        size: How many, from 1 on.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._lock = threading.Lock()
        self._known: OrderedDict[bytes, Known] = OrderedDict()

    def __len__(self) -> int:
        return len(self._known)

    def get(self, text: str) -> Known | None:
        """What is known of a text; nothing of one that could not be classified."""
        key = _key(text)
        with self._lock:
            known = self._known.get(key)
            if known is not None:
                self._known.move_to_end(key)
        if known is None or known.begun.failed():
            return None
        known.begun.ask_again()
        return Known(_written_out(known.text), known.begun)

    def put(self, text: str, known: Known) -> None:
        """Remembers what is known of a text."""
        key = _key(text)
        kept = Known(_packed(known.text), known.begun)
        with self._lock:
            self._known[key] = kept
            self._known.move_to_end(key)
            if len(self._known) > self._size:
                self._known.popitem(last=False)

    @classmethod
    def of_process(cls, size: int, model_id: str, reading: Reading) -> ResultCache:
        """That of this process for a model which reads texts so."""
        return _caches.get((size, model_id, reading), lambda: cls(size))


_caches: PerProcess[tuple[int, str, Reading], ResultCache] = PerProcess()


def _packed(text: TokenizedText) -> TokenizedText:
    """A text whose token ids take 4 bytes each: as Python's numbers they take 40."""
    rows: Any = tuple(array("I", row) for row in text.windows)
    return text._replace(windows=rows)


def _written_out(text: TokenizedText) -> TokenizedText:
    """The text that was packed."""
    return text._replace(windows=tuple(map(tuple, text.windows)))


def _key(text: str) -> bytes:
    """Stands for a text, however long; no two are known to have one in common."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
