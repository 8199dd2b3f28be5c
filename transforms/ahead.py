"""Has the model work on texts that still wait for their turn.

RunInference hands a batch over and waits; its outputs then go all the way to the sink, one by one, while
the model would have nothing to do. So the step before it begins the model's work on each text, and holds
texts back until others have come after them: while the outputs of one batch are on their way, the model
works on the next. What was begun is known in this process only. A text that comes to RunInference in
another one, or after a change of the model, is classified there as ever.
"""

from __future__ import annotations

import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # at run time it would load ONNX Runtime at the start of the command line
    from models.cascade import Answer, Asked, ModelCascade, Rows

#: Texts that are held back: as many as a batch, so that the model is busy until the next one is read.
HELD_BACK = 64
#: Texts that are begun together: a model that runs rows one by one needs no more; others get a batch.
GROUP, GROUP_OF_FLOAT = 8, HELD_BACK

# What is loaded in this process, by name and hash.
_loaded: weakref.WeakValueDictionary[str, ModelCascade] = weakref.WeakValueDictionary()


def loaded(model: ModelCascade) -> None:
    """Takes note of a model that RunInference will use in this process."""
    _loaded[model.bundle.model_id] = model


class Begun:
    """The model's work on one text, which another step waits for.

    Attributes:
        model_id: Name and hash of the bundle that works on it.
        at: When somebody has last asked for it, in seconds of the monotonic clock.
    """

    __slots__ = ("_answer", "_group", "_place", "at", "model_id")

    def __init__(self, group: _Group, place: int) -> None:
        self.model_id = group.model_id
        self.at = group.at
        self._group: _Group | None = group
        self._place = place
        self._answer: Answer | Exception | None = None

    def answer(self) -> Answer | Exception:
        """What came of it; waits until it is done."""
        group = self._group
        if group is not None:
            self._answer = group.answers()[self._place]
            # It may be kept for long; what came of the others need not be, nor their model.
            self._group = None
        assert self._answer is not None
        return self._answer

    def failed(self) -> bool:
        """Whether it is known to have come to nothing."""
        group = self._group
        if group is None:
            return isinstance(self._answer, Exception)
        return group.broken or isinstance(group.known and group.known[self._place], Exception)

    def ask_again(self) -> None:
        """Takes note of somebody else who asks for it: work that was done before is none of theirs."""
        self.at = time.monotonic()

    def __reduce__(self) -> tuple[Callable[[], None], tuple[()]]:
        # Runners pickle elements, if only to see how large they are. Elsewhere there is nothing of it.
        return _nothing, ()


def _nothing() -> None:
    """What a text has begun in another process."""


class _Group:
    """Texts that are begun together. Bundles that have a text in common may share it.

    Args:
        model: The model that works on them.
        size: The most texts.

    Attributes:
        known: What came of them, once somebody has waited for it.
        broken: Whether the work itself has failed, so that nothing will come of any of them.
    """

    def __init__(self, model: ModelCascade, size: int) -> None:
        self.model_id = model.bundle.model_id
        self.at = time.monotonic()
        self.known: list[Answer | Exception] | None = None
        self.broken = False
        self._lock = threading.Lock()
        self._model: ModelCascade | None = model
        self._size = size
        self._texts: list[Rows] = []
        self._asked: Asked | None = None

    def add(self, text: Rows) -> Begun | None:
        """Takes a text, if there is room and work has not begun."""
        with self._lock:
            if self._has_begun() or len(self._texts) == self._size:
                return None
            self._texts.append(text)
            return Begun(self, len(self._texts) - 1)

    def full(self) -> bool:
        return len(self._texts) == self._size

    def begin(self) -> Asked | None:
        """Has the model begin, unless it has; what was asked, until that is known."""
        with self._lock:
            if not self._has_begun():
                assert self._model is not None
                self._asked = self._model.start(self._texts)
            return self._asked

    def answers(self) -> list[Answer | Exception]:
        """What came of them; waits until all is done."""
        asked = self.begin()
        if asked is not None:
            try:
                known = asked.result()
            except BaseException:
                self.broken = True
                raise
            with self._lock:
                # A result may be kept for long; what it was made of need not be.
                self.known, self._asked, self._texts, self._model = known, None, [], None
        assert self.known is not None
        return self.known

    def _has_begun(self) -> bool:
        return self._asked is not None or self.known is not None


class Ahead:
    """What waits in one bundle, in order.

    Args:
        model: The model that works on it.
    """

    def __init__(self, model: ModelCascade) -> None:
        self._model = model
        one_by_one = all(stage.bundle.dynamic_int8 for stage in model.bundle.stages)
        self._together = GROUP if one_by_one else GROUP_OF_FLOAT
        self._group = _Group(model, self._together)
        self._waiting: deque[Any] = deque()

    @classmethod
    def of(cls, model_id: str) -> Ahead | None:
        """For a model that this process has loaded; None where it hasn't."""
        model = _loaded.get(model_id)
        return None if model is None else cls(model)

    def begin(self, text: Rows) -> Begun:
        """Has the model work on a text, at once or together with the next ones."""
        begun = self._group.add(text)
        if begun is None:
            self._next_group()
            begun = self._group.add(text)
            assert begun is not None
        return begun

    def hold(self, value: Any) -> Iterator[Any]:
        """Takes a value; gives those that were held back long enough."""
        if self._group.full():
            self._next_group()
        self._waiting.append(value)
        if len(self._waiting) > HELD_BACK:
            yield self._waiting.popleft()

    def release(self) -> Iterator[Any]:
        """Gives all that is held back."""
        self._group.begin()
        while self._waiting:
            yield self._waiting.popleft()

    def _next_group(self) -> None:
        self._group.begin()
        self._group = _Group(self._model, self._together)
