"""`--standby`: of several instances one works, and the others wait, loaded, for their turn."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable, Iterator

from pipeline.ends.end import Candidate
from transforms.failures import PipelineFailure
from transforms.reading import drain, draining
from transforms.watching.health import HEALTH

log = logging.getLogger("newsbeam")

#: How often it is looked whose turn it is, in seconds.
_LOOK = 0.1


class TurnLost(PipelineFailure):
    """Another instance works now: this one was taken for gone."""

    exit_code = 3


@contextlib.contextmanager
def its_turn(candidate: Candidate | None, warm_up: Callable[[], None]) -> Iterator[bool]:
    """Waits for this instance's turn, and drains it when it is over.

    Args:
        candidate: This instance; None where nobody waits for anybody.
        warm_up: Called once, before it waits.

    Yields:
        Whether it is its turn; False where it was drained before.

    Raises:
        TurnLost: It was taken for gone while it worked.
        PipelineFailure: Whose turn it is can't be known any more.
    """
    if candidate is None:
        yield True
        return
    with contextlib.closing(candidate):
        warm_up()
        if not _wait(candidate):
            yield False
            return
        over = threading.Event()
        lost: list[PipelineFailure] = []

        def watch() -> None:
            while not over.wait(_LOOK):
                try:
                    if candidate.leads():
                        continue
                    lost.append(
                        TurnLost("another instance works now: this one was silent for too long")
                    )
                except PipelineFailure as e:
                    # Who no longer takes part can't know that another one works.
                    lost.append(e)
                drain()
                return

        watching = threading.Thread(target=watch, name="newsbeam-turn", daemon=True)
        watching.start()
        try:
            yield True
        finally:
            over.set()
            watching.join()
        if lost:
            raise lost[0]


def _wait(candidate: Candidate) -> bool:
    """Waits for its turn, or to be drained."""
    said = False
    pause = threading.Event()
    while not candidate.leads():
        if draining():
            log.info("stopped while it stood by")
            return False
        if candidate.waits() and not said:
            log.info("standing by: another instance reads for this group")
            HEALTH.stands_by(True)
            said = True
        pause.wait(_LOOK)
    if said:
        HEALTH.stands_by(False)
        log.info("the other instance is gone: reading from where it has committed")
    return True
