"""Acknowledging, extending and giving back what was received, a thousand ids a call."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence

from google.api_core.exceptions import GoogleAPICallError

from transforms.pubsub.client import PubSubSettings
from transforms.pubsub.faults import ERRORS, Patience, heals, said

log = logging.getLogger("newsbeam.pubsub")

#: Ids of a call: each has some 200 bytes, and a call may have 512 KiB.
IDS_A_CALL = 1000
#: How long a call may take, in seconds.
TIMEOUT = 30.0
_EXACTLY_ONCE = "EXACTLY_ONCE_ACKID_FAILURE"
_TRANSIENT = "TRANSIENT_"


class Calls:
    """Calls of one subscription.

    Args:
        settings: How to reach Pub/Sub.
        path: The full name of the subscription.
    """

    def __init__(self, settings: PubSubSettings, path: str) -> None:
        self._settings = settings
        self._path = path

    def acknowledge(self, ack_ids: Sequence[str]) -> dict[str, str]:
        """Acknowledges, and waits out what heals.

        Returns:
            The ids that a subscription of exactly-once delivery does not take any more, and why: their
            messages will come again.

        Raises:
            GoogleAPICallError: Pub/Sub refuses, or a drain has been patient.
        """

        def call(ids: Sequence[str]) -> None:
            self._settings.subscriber().acknowledge(
                subscription=self._path, ack_ids=ids, retry=None, timeout=TIMEOUT
            )

        return self._all(ack_ids, call, f"acknowledging to {self._path}")

    def extend(self, ack_ids: Sequence[str], seconds: float) -> dict[str, str]:
        """Extends leases: they end in so many seconds from now.

        Returns:
            As of `acknowledge`.

        Raises:
            GoogleAPICallError: It failed; the next time may be in time yet.
        """
        failed: dict[str, str] = {}
        for ids in _parts(ack_ids):
            try:
                self._set_deadline(ids, max(1, int(seconds)))
            except GoogleAPICallError as e:
                if (reasons := _reasons(e)) is None:
                    raise
                failed |= {i: why for i, why in reasons.items() if not why.startswith(_TRANSIENT)}
        return failed

    def give_back(self, ack_ids: Sequence[str]) -> None:
        """Gives messages back, to be delivered again at once; what fails is so when its lease ends."""
        for ids in _parts(ack_ids):
            try:
                self._set_deadline(ids, 0)
            except ERRORS as e:
                log.debug("giving messages back to %s: %s", self._path, said(e))

    def answered(self) -> bool:
        """Whether the service answers, be it that we may not ask."""
        try:
            self._settings.subscriber().get_subscription(
                subscription=self._path, retry=None, timeout=TIMEOUT
            )
        except ERRORS as e:
            return not heals(e)
        return True

    def _set_deadline(self, ids: Sequence[str], seconds: int) -> None:
        self._settings.subscriber().modify_ack_deadline(
            subscription=self._path,
            ack_ids=ids,
            ack_deadline_seconds=seconds,
            retry=None,
            timeout=TIMEOUT,
        )

    def _all(
        self, ack_ids: Sequence[str], call: Callable[[Sequence[str]], None], what: str
    ) -> dict[str, str]:
        failed: dict[str, str] = {}
        for ids in _parts(ack_ids):
            waiting = Patience(what)
            while ids:
                try:
                    call(ids)
                    break
                except ERRORS as e:
                    if (reasons := _reasons(e)) is not None:
                        failed |= {
                            i: why for i, why in reasons.items() if not why.startswith(_TRANSIENT)
                        }
                        # Those that it does not name are done.
                        ids = [i for i, why in reasons.items() if why.startswith(_TRANSIENT)]
                        if not ids:
                            break
                    elif not heals(e):
                        raise
                    waiting.wait(e)
        return failed


def _parts(ack_ids: Sequence[str]) -> Iterator[Sequence[str]]:
    for begin in range(0, len(ack_ids), IDS_A_CALL):
        yield ack_ids[begin : begin + IDS_A_CALL]


def _reasons(error: BaseException) -> dict[str, str] | None:
    """What a subscription of exactly-once delivery says of each id; None for another error."""
    if isinstance(error, GoogleAPICallError) and error.reason == _EXACTLY_ONCE:
        return dict(error.metadata or {})
    return None
