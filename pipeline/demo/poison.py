"""The poison set: messages that break careless pipelines, and where newsbeam puts each of them.

Most can't be news and belong in the dead letters; some only look dangerous and must be categorized
like any other item. The demo, the integration tests and the fuzz tests all feed on this one list.
The large ones are built when the module is imported, not stored.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Literal

#: Where a message has to come out.
Expected = Literal["dead_letter", "categorized"]

#: Far beyond Python's recursion limit, and what a parser in C can blow its stack with.
NESTING = 100_000

#: The whole value, in bytes: below Kafka's default limit of 1,048,588 with room for what is added.
LARGE_VALUE_BYTES = 1_000_000


@dataclass(frozen=True, slots=True)
class PoisonMessage:
    """One message that a news topic should not, but does, contain.

    Attributes:
        name: A unique name, fit for a test id.
        value: The value of the Kafka record.
        key: Its key.
        expected: Whether it has to be a dead letter or to be categorized.
        why: What is wrong with it or, if it is to be categorized, why it is fine.
    """

    name: str
    value: bytes
    key: bytes | None = None
    expected: Expected = "dead_letter"
    why: str = ""


def _item(poison_id: str, **fields: object) -> bytes:
    """The JSON of an item with an id, in UTF-8 rather than in escapes."""
    return json.dumps({"id": poison_id, **fields}, ensure_ascii=False).encode()


def _large_item() -> bytes:
    """A valid item of `LARGE_VALUE_BYTES` bytes, nearly all of them text."""
    sentence = "Stocks fell again on Tuesday as oil prices rose. "
    empty = _item("poison-large", title="A very long story", description="")
    room = LARGE_VALUE_BYTES - len(empty)
    text = (sentence * (room // len(sentence) + 1))[:room]
    return _item("poison-large", title="A very long story", description=text)


_NOT_UTF8 = (
    PoisonMessage(
        "latin_1_text",
        '{"id": "poison-latin-1", "title": "Café owners in Orléans strike"}'.encode("latin-1"),
        why="Latin-1, so that its accented letters are not valid UTF-8",
    ),
    PoisonMessage(
        "utf_16_text",
        '{"id": "poison-utf-16", "title": "Ministers meet in Geneva"}'.encode("utf-16"),
        why="UTF-16 with its byte order mark; JSON between systems is UTF-8",
    ),
    PoisonMessage(
        "byte_order_mark",
        b"\xef\xbb\xbf" + _item("poison-bom", title="Ministers meet in Geneva"),
        why="a UTF-8 byte order mark before the JSON, which RFC 8259 forbids senders to add",
    ),
    PoisonMessage(
        "surrogate_bytes",
        b'{"id": "poison-cesu-8", "title": "Half a smile \xed\xa0\xbd wins the day"}',
        why="a surrogate written out as three bytes (CESU-8), which is not valid UTF-8",
    ),
    PoisonMessage(
        "overlong_bytes",
        b'{"id": "poison-overlong", "title": "A slash \xc0\xaf too long"}',
        why="an overlong encoding of a slash, an old trick to slip past filters",
    ),
    PoisonMessage(
        "binary_bytes",
        bytes(range(256)),
        key=b"\xff\xfe\xfd",
        why="every byte there is, as if an image had been sent; the key isn't text either",
    ),
)

_NOT_JSON = (
    PoisonMessage("empty_value", b"", why="no bytes at all; not the same as a tombstone (null)"),
    PoisonMessage("blank_value", b" \t\r\n", why="white space, but no JSON"),
    PoisonMessage("plain_text", b"Ministers meet in Geneva", why="text that isn't JSON"),
    PoisonMessage(
        "cut_off_json",
        b'{"id": "poison-cut-off", "title": "Ministers meet in Gen',
        why="cut off in the middle, as by a producer that died",
    ),
    PoisonMessage(
        "single_quotes",
        b"{'id': 'poison-quotes', 'title': 'Ministers meet in Geneva'}",
        why="a Python dict printed, not JSON",
    ),
    PoisonMessage(
        "two_items",
        _item("poison-two-1", title="Ministers meet")
        + b"\n"
        + _item("poison-two-2", title="Again"),
        why="two items in one message",
    ),
    PoisonMessage(
        "not_a_number",
        b'{"id": "poison-nan", "title": "Index closes higher", "change": NaN}',
        why="NaN, which Python writes and JSON does not know",
    ),
    PoisonMessage(
        "number_out_of_range",
        b'{"id": "poison-1e999", "title": "Prices out of control", "rate": 1e999}',
        why="a number that no double can hold",
    ),
    PoisonMessage("nul_bytes", b"\x00" * 64, why="nothing but NUL bytes, as from a zeroed disk"),
    PoisonMessage(
        "nul_byte_in_text",
        b'{"id": "poison-nul", "title": "Ministers \x00 meet in Geneva"}',
        why="a raw NUL inside a string, where JSON wants an escape",
    ),
    PoisonMessage(
        "lone_high_surrogate",
        rb'{"id": "poison-high", "title": "Half a smile \ud83d wins the day"}',
        why="half of an emoji's escape, which no UTF-8 can express",
    ),
    PoisonMessage(
        "lone_low_surrogate",
        rb'{"id": "poison-low", "title": "Half a smile \ude00 wins the day"}',
        why="the other half of an emoji's escape",
    ),
    PoisonMessage(
        "deep_nesting",
        b"[" * NESTING + b"]" * NESTING,
        why="lists in lists, deep enough to overflow the stack of a careless parser",
    ),
    PoisonMessage(
        "deep_nesting_cut_off",
        b"[" * NESTING,
        why="the same, never closed",
    ),
    PoisonMessage(
        "deep_extra_field",
        b'{"id": "poison-deep", "title": "Ministers meet in Geneva", "extra": '
        + b'{"a":' * NESTING
        + b"1"
        + b"}" * NESTING
        + b"}",
        why="a fine item but for a field that nobody asked for, nested too deeply to be read",
    ),
)

_WRONG_TYPES = (
    PoisonMessage("list_value", b'["Ministers meet in Geneva"]', why="a list, not an object"),
    PoisonMessage("number_value", b"42", why="a number, not an object"),
    PoisonMessage("string_value", b'"Ministers meet in Geneva"', why="a string, not an object"),
    PoisonMessage("null_value", b"null", why="JSON's null, not an object"),
    PoisonMessage("true_value", b"true", why="a truth value, not an object"),
    PoisonMessage("title_number", _item("poison-title-1", title=1984), why="a number as title"),
    PoisonMessage(
        "title_list",
        _item("poison-title-2", title=["Ministers", "meet"]),
        why="a list of words as title",
    ),
    PoisonMessage(
        "description_object",
        _item("poison-text-1", title="Ministers meet", description={"en": "In Geneva"}),
        why="translations where text should be; the title alone would be half the story",
    ),
    PoisonMessage(
        "body_false",
        _item("poison-text-2", title="Ministers meet", body=False),
        why="false as body",
    ),
    PoisonMessage(
        "id_object",
        b'{"id": {"$oid": "5f2b"}, "title": "Ministers meet in Geneva"}',
        why="an id wrapped by a database; it must be a string or an integer",
    ),
    PoisonMessage(
        "id_list",
        b'{"id": ["a", "b"], "title": "Ministers meet in Geneva"}',
        why="two ids for one item",
    ),
)

_NO_TEXT = (
    PoisonMessage(
        "news_api_document",
        b'{"status": "ok", "articles": [{"title": "Ministers meet in Geneva"}]}',
        why="a document with a list of items: in a topic each has to be a record of its own",
    ),
    PoisonMessage("empty_object", b"{}", why="neither id nor text"),
    PoisonMessage(
        "missing_text",
        _item("poison-no-text", url="https://news.example/untitled", published="2012-05-01"),
        why="no title, no description, body or text",
    ),
    PoisonMessage(
        "null_text",
        _item("poison-null-text", title=None, description=None),
        why="text fields that are there, but null",
    ),
    PoisonMessage(
        "empty_text",
        _item("poison-empty-text", title="", description=""),
        why="empty text fields",
    ),
    PoisonMessage(
        "blank_text",
        _item("poison-blank-text", title=" \t ", description="\n\u00a0\u2003\u3000"),
        why="white space only, some of it beyond ASCII",
    ),
)

_HARMLESS = (
    PoisonMessage(
        "large_text",
        _large_item(),
        expected="categorized",
        why="1 MB of text: truncated to the model's maximum length, and said to be",
    ),
    PoisonMessage(
        "escaped_nul",
        rb'{"id": "poison-escaped-nul", "title": "Chip maker\u0000 unveils faster processor"}',
        expected="categorized",
        why="a NUL as an escape, which JSON allows",
    ),
    PoisonMessage(
        "control_characters",
        rb'{"id": "poison-control", "title": "Chip maker \u001b[31mred\u0007 ink \u202e widens"}',
        expected="categorized",
        why="terminal escapes, a bell and a change of direction: text, but not to be printed raw",
    ),
    PoisonMessage(
        "right_to_left",
        _item("poison-rtl", title="أسعار النفط ترتفع", description="מחירי הנפט עלו ביום שלישי"),
        key="مفتاح".encode(),
        expected="categorized",
        why="Arabic and Hebrew, read from right to left",
    ),
    PoisonMessage(
        "emoji",
        _item("poison-emoji", title="⚽🏆 Underdogs win cup 👩‍👩‍👧‍👦🇳🇵", description="🎉" * 40),
        expected="categorized",
        why="emoji of several code points each, beyond the basic plane",
    ),
    PoisonMessage(
        "mixed_scripts",
        _item(
            "poison-mixed",
            title="東京 株式 rises, Москва falls, ตลาดหุ้น flat",
            description="Z̷a̸l̴g̵o̶ traders: Ελλάδα, 한국, हिन्दी \u200bin one\ufeff line",
        ),
        expected="categorized",
        why="seven scripts, stacked accents, and characters of no width",
    ),
    PoisonMessage(
        "escaped_emoji",
        rb'{"id": "poison-pair", "title": "A smile \ud83d\ude00 wins the final on penalties"}',
        expected="categorized",
        why="an emoji as a proper pair of escapes",
    ),
    PoisonMessage(
        "duplicate_id_first",
        _item("poison-duplicate", title="Striker scores twice as hosts win the cup final"),
        key=b"poison-duplicate",
        expected="categorized",
        why="the first of two different items with one id",
    ),
    PoisonMessage(
        "duplicate_id_second",
        _item("poison-duplicate", title="Central bank raises interest rates by a quarter point"),
        key=b"poison-duplicate",
        expected="categorized",
        why="the second of them: deduplicating is the reader's choice, not ours",
    ),
    PoisonMessage(
        "repeated_field",
        b'{"id": "poison-repeat", "title": 7, "title": "Parliament dissolved after vote"}',
        expected="categorized",
        why="one field twice: the last one counts, as in most JSON parsers",
    ),
    PoisonMessage(
        "missing_id",
        b'{"title": "Striker scores twice as hosts win the cup final"}',
        expected="categorized",
        why="no id: one is derived from the place in the source",
    ),
    PoisonMessage(
        "huge_integers",
        b'{"id": 340282366920938463463374607431768211456, "views": -99999999999999999999, '
        b'"title": "Astronomers count the atoms in a distant galaxy"}',
        expected="categorized",
        why="integers of more than 64 bits, which JSON allows and many encodings do not",
    ),
    PoisonMessage(
        "nested_extra_field",
        b'{"id": "poison-nested", "title": "Parliament dissolved after vote", "extra": '
        + b"[" * 40
        + b"]" * 40
        + b"}",
        expected="categorized",
        why="an unknown field nested 40 levels: odd, but within reason",
    ),
    PoisonMessage(
        "blank_description",
        _item("poison-blank", title="Update", description=" ", body="Striker scores twice"),
        expected="categorized",
        why="a blank field, which is absent: the body is the text",
    ),
    PoisonMessage(
        "names_in_capitals",
        _item("poison-capitals", Title="Parliament dissolved", BODY="A vote of 120 to 80"),
        expected="categorized",
        why="field names in upper case, as spreadsheets export them",
    ),
    PoisonMessage(
        "whole_number_id",
        b'{"id": 123.0, "title": "Striker scores twice as hosts win the cup final"}',
        expected="categorized",
        why="an id that was a float on its way: it is 123",
    ),
    PoisonMessage(
        "time_in_milliseconds",
        _item("poison-epoch", title="Parliament dissolved", published="1712031212345"),
        expected="categorized",
        why="a time in milliseconds since the epoch, as a string",
    ),
    PoisonMessage(
        "time_of_a_feed",
        _item("poison-rfc", title="Stocks fell", pubDate="Wed, 03 Apr 2024 10:00:00 GMT"),
        expected="categorized",
        why="the time of an RSS feed, by its name there",
    ),
    PoisonMessage(
        "markup",
        _item("poison-html", title="&lt;b&gt;Striker #39;s&lt;/b&gt; two goals \\win the <br> cup"),
        expected="categorized",
        why="entities, tags and written-out breaks, as feeds hold them",
    ),
    PoisonMessage(
        "unreadable_key",
        _item("poison-key", title="Parliament dissolved after vote"),
        key=b"\x00\xff\xfe\x80",
        expected="categorized",
        why="a key that isn't text; keys are bytes and pass through",
    ),
)

#: All of them; names are unique.
POISON: tuple[PoisonMessage, ...] = (*_NOT_UTF8, *_NOT_JSON, *_WRONG_TYPES, *_NO_TEXT, *_HARMLESS)
