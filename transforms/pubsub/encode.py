"""Outcomes as Pub/Sub messages: categorized items as JSON, dead letters as they came, reasons added."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from transforms.formats.framing import item_headers
from transforms.item_encoders import JSON_ITEMS, ItemEncoder
from transforms.pubsub.attributes import (
    HEADER,
    MAX_ATTRIBUTES,
    MAX_MESSAGE,
    MAX_NAME,
    MAX_VALUE,
    Carried,
    Content,
    excess,
    size_of,
    to_attributes,
)
from transforms.pubsub.client import PubSubSettings
from transforms.pubsub.names import topic_path
from transforms.records import (
    HEADER_PREFIX,
    CategorizedItem,
    DeadLetter,
    Message,
    Outcome,
    dead_letter,
    dead_letter_headers,
)
from transforms.tally import TALLY

#: The attributes that categorized items get: subscriptions filter by these.
OURS = ("category", "score", "model", "event_time", "id")
#: How much of a payload is kept when the topic does not take all of a dead letter, in bytes.
CUT_PAYLOAD = 64 * 1024
_CUT_FROM = HEADER_PREFIX + "cut_from_bytes"
_CUT_ATTRIBUTES = HEADER_PREFIX + "cut_attributes"


@dataclass(frozen=True)
class PubSubTopic:
    """A topic.

    Attributes:
        settings: How to reach Pub/Sub.
        project: Its project.
        name: Its name.
        ordering: Whether the keys of messages are ordering keys: subscriptions that have
            `enable_message_ordering` get messages of one key in order then.
        items: How categorized items are encoded.
    """

    settings: PubSubSettings
    project: str
    name: str
    ordering: bool = False
    items: ItemEncoder = JSON_ITEMS

    @property
    def path(self) -> str:
        """Its full name."""
        return topic_path(self.project, self.name)


class Outgoing(NamedTuple):
    """A message to be published, and the outcome that it carries.

    Attributes:
        carried: The message.
        outcome: What it carries; None is published as it is or not at all.
    """

    carried: Carried
    outcome: Outcome | None


class MessageTooLarge(ValueError):
    """The categorized item exceeds a limit of Pub/Sub."""


class MessageRefused(ValueError):
    """Pub/Sub does not take the message."""


def encode(outcome: Outcome, topic: PubSubTopic) -> Outgoing | DeadLetter:
    """The message of an outcome.

    A categorized item is JSON with the attributes of its message, and `category`, `score`, `model`,
    `event_time` and `id`. Where the message had an attribute of one of these names itself, that is kept
    as `newsbeam.header.N.NAME`: filters must be able to rely on ours. An id longer than an attribute may
    be stands in the JSON only.

    A dead letter is the original bytes with their own attributes, and the reasons in `newsbeam.*`, cut
    to what an attribute holds. What exceeds a limit of Pub/Sub is a dead letter; a dead letter that does
    is cut, and `newsbeam.cut_from_bytes` says how large it was, `newsbeam.cut_attributes` how many
    attributes are missing.

    Args:
        outcome: A categorized item or a dead letter.
        topic: Where it goes.
    """
    if isinstance(outcome, DeadLetter):
        return Outgoing(_letter(outcome, topic), outcome)
    carried = _categorized(outcome, topic)
    if (why := excess(carried)) is not None:
        return buried(
            outcome, MessageTooLarge(f"topic {topic.name} does not take its result: {why}")
        )
    return Outgoing(carried, outcome)


def buried(item: CategorizedItem, error: Exception) -> DeadLetter:
    """The dead letter of a categorized item that its topic does not take."""
    letter = dead_letter(item.message or Message(None), "WriteToPubSub", error, item.model)
    TALLY.dead_after_all(item.category, letter.stage)
    return letter


def _categorized(item: CategorizedItem, topic: PubSubTopic) -> Carried:
    message = item.message or Message(None)
    content = Content(topic.items.encode(item), message.key, item_headers(message))
    carried = to_attributes(content, ordering=topic.ordering, taken=OURS)
    ours = {
        "category": item.category,
        "score": f"{item.score:.4f}",
        "model": item.model,
        "event_time": item.event_time.isoformat(),
    }
    if item.id and len(item.id.encode()) <= MAX_VALUE:
        ours["id"] = item.id
    return carried._replace(attributes=carried.attributes | ours)


def _letter(letter: DeadLetter, topic: PubSubTopic) -> Carried:
    message = letter.message
    content = Content(message.value, message.key, message.user_headers, message.timestamp)
    carried = to_attributes(content, ordering=topic.ordering)
    reasons = {
        name: _cut_text((value or b"").decode())
        for name, value in dead_letter_headers(letter)
        if name.startswith(HEADER_PREFIX)
    }
    carried = carried._replace(attributes=carried.attributes | reasons)
    return carried if excess(carried) is None else cut(carried)


def cut(carried: Carried) -> Carried:
    """A dead letter that Pub/Sub takes: what of its attributes exceeds a limit is left out, and so is
    the end of its data, if it is too large.
    """
    kept = {
        name: value
        for name, value in sorted(carried.attributes.items(), key=lambda a: _dispensable(a[0]))
        if len(name.encode()) <= MAX_NAME and len(value.encode()) <= MAX_VALUE
    }
    kept = dict(list(kept.items())[: MAX_ATTRIBUTES - 2])
    missing = len(carried.attributes) - len(kept)
    if missing:
        kept[_CUT_ATTRIBUTES] = str(missing)
    result = carried._replace(attributes=kept)
    if size_of(result) > MAX_MESSAGE:
        kept[_CUT_FROM] = str(len(carried.data))
        result = result._replace(data=carried.data[:CUT_PAYLOAD])
    return result


def cut_further(carried: Carried) -> Carried | None:
    """A dead letter that Pub/Sub refuses all the same, smaller; None where that is of no use."""
    own = [name for name in carried.attributes if _dispensable(name)]
    if own or len(carried.data) > CUT_PAYLOAD:
        kept = {n: v for n, v in carried.attributes.items() if n not in own}
        kept.setdefault(_CUT_FROM, str(len(carried.data)))
        if own:
            kept[_CUT_ATTRIBUTES] = str(len(own))
        return Carried(carried.data[:CUT_PAYLOAD], kept, "")
    return None


def _dispensable(name: str) -> int:
    """How well an attribute can be done without: reasons first of all are kept."""
    if not name.startswith(HEADER_PREFIX):
        return 1
    return 2 if name.startswith(HEADER) else 0


def _cut_text(text: str) -> str:
    return text.encode()[:MAX_VALUE].decode(errors="ignore")
