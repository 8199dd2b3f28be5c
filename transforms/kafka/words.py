"""What Kafka's errors say, in plain words: kafka-python puts objects of Python into them."""

from __future__ import annotations

import re
import socket
from typing import Any

from kafka.errors import (
    CommitFailedError,
    GroupAuthorizationFailedError,
    InconsistentTopicIdError,
    TopicAuthorizationFailedError,
    TransactionalIdAuthorizationFailedError,
    UnknownTopicIdError,
)

_PARTITION = re.compile(r"TopicPartition\(topic='([^']*)', partition=(\d+)\)")
_OFFSET = re.compile(r"OffsetAndMetadata\(offset=(-?\d+)[^)]*\)")
_OBJECT = re.compile(r"<(?:class ')?(?:[\w.]+\.)?(\w+)(?:'| object at 0x[0-9a-f]+)>")
_GRANT = {
    TopicAuthorizationFailedError: "not authorized for topic {0}: grant this user READ and DESCRIBE "
    "of what is read, WRITE of what is written",
    GroupAuthorizationFailedError: "not authorized for group {0}: grant this user READ of it, or name "
    "another in the source's URI, ?group=NAME",
    TransactionalIdAuthorizationFailedError: "not authorized for transactions: grant this user WRITE "
    "of the transactional ids, or give --delivery at_least_once",
}
_MADE_AGAIN = (
    "a topic was deleted and made again while it was read: start again; offsets that were committed "
    "for the former topic say nothing of this one, so name a new group, ?group=NAME"
)


def said(error: BaseException) -> str:
    """An error in one line of plain words."""
    for kind, words in _GRANT.items():
        if isinstance(error, kind):
            return words.format(_names(error.args[0]) if error.args else "of ours")
    if isinstance(error, InconsistentTopicIdError | UnknownTopicIdError):
        return _MADE_AGAIN
    if isinstance(error, CommitFailedError):
        return "the group has members that subscribe, and Kafka takes offsets from them only"
    # Brokers need not say why: the name of an error has its own words.
    bare = getattr(error, "description", "") if error.args == (None,) else ""
    text = " ".join((bare or str(error)).split())
    text = _PARTITION.sub(r"\1-\2", text)
    text = _OFFSET.sub(r"\1", text)
    return _OBJECT.sub(r"\1", text)


def _names(what: Any) -> str:
    return (
        ", ".join(sorted(map(str, what))) if isinstance(what, set | frozenset | list) else str(what)
    )


def unresolved_broker(client: Any) -> str | None:
    """A broker of a client's cluster whose name can't be resolved here, if there is one.

    Brokers that are asked say under which names they are to be found, their `advertised.listeners`:
    these need not be the bootstrap server's.
    """
    manager = getattr(client, "_manager", None) or client._client._manager
    for broker in manager.cluster.brokers():
        try:
            socket.getaddrinfo(broker.host, broker.port)
        except OSError:
            return f"{broker.host}:{broker.port}"
    return None


def no_broker(servers: str, broker: str) -> str:
    """What to tell of such a broker."""
    return (
        f"Kafka at {servers} answers, but names its broker {broker} (advertised.listeners), a host "
        "that is not known here: mend the broker's advertised.listeners, or have this machine know it"
    )
