"""Whether a process is well, and whether it is ready to work."""

from __future__ import annotations

import threading

from transforms.failures import first_failure
from transforms.watching.figures import FIGURES
from transforms.watching.metrics import MODEL


class Health:
    """How a process is; for any number of threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        #: Whether this process is to read a source: workers of other runners may get none of its shards.
        self.reads = False
        self.reset()

    def reset(self) -> None:
        """Begins anew, for the next pipeline in this process."""
        with self._lock:
            self._loaded = self._polled = self._draining = self._stands_by = False

    def loaded(self, model_id: str) -> None:
        """Takes note that a model is loaded."""
        FIGURES.only(MODEL, model_id)
        self._loaded = True

    def polled(self) -> None:
        """Takes note that the source has answered."""
        self._polled = True

    def stands_by(self, stands_by: bool) -> None:
        """Takes note that all is loaded, and another instance works: this one is ready to follow it."""
        self._stands_by = stands_by

    def draining(self, draining: bool) -> None:
        """Takes note that what was read is finished, and no more is read."""
        self._draining = draining

    @property
    def standing_by(self) -> bool:
        """Whether it waits, loaded, for another instance to end."""
        return self._stands_by

    def not_ready(self) -> str | None:
        """Why it can't work now; None where it can."""
        if self._draining:
            return "draining: what was read is finished, and no more is read"
        if self._stands_by:
            return self.not_well()
        if not self._loaded:
            return "the model is not loaded yet"
        if self.reads and not self._polled:
            return "the source has not answered yet"
        return self.not_well()

    def not_well(self) -> str | None:
        """What has ended its pipeline; None where nothing has."""
        failure = first_failure()
        return None if failure is None else str(failure)


#: The health of this process.
HEALTH = Health()
