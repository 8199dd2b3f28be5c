"""Records as Pub/Sub carries them: whatever a record has comes back."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from tests.unit import strategies
from transforms.pubsub.attributes import (
    Carried,
    Content,
    excess,
    from_attributes,
    header_attributes,
    size_of,
    to_attributes,
)

odd_names = st.sampled_from(
    ["", "goog", "googclient_x", "newsbeam.header.0.a", "newsbeam.key", "newsbeam.value",
     "newsbeam.timestamp", "newsbeam.stage", "a", "b"]
)  # fmt: skip
headers = st.lists(
    st.tuples(
        odd_names | strategies.texts,
        st.none() | st.binary(max_size=20) | strategies.texts.map(str.encode),
    ),
    max_size=6,
).map(tuple)
contents = st.builds(
    Content,
    value=st.none() | st.binary(max_size=60),
    key=st.none() | st.binary(max_size=20) | strategies.texts.map(str.encode),
    headers=headers,
    timestamp=st.none() | st.integers(0, 2**62),
)


@given(contents, st.booleans())
def test_what_a_record_has_comes_back(content: Content, ordering: bool) -> None:
    carried = to_attributes(content, ordering=ordering)
    back = from_attributes(*carried)
    assert back.value == content.value
    assert back.key == content.key
    assert back.timestamp == content.timestamp
    assert Counter(back.headers) == Counter(content.headers)
    # Those of one name stay in their order.
    for name in {name for name, _ in content.headers}:
        of_name = [h for h in content.headers if h[0] == name]
        assert [h for h in back.headers if h[0] == name] == of_name


@given(
    st.binary(max_size=20),
    st.dictionaries(odd_names.filter(bool) | strategies.words, strategies.texts, max_size=6),
    strategies.texts,
)
def test_any_message_can_be_read(data: bytes, attributes: dict[str, str], key: str) -> None:
    content = from_attributes(data, attributes, key)
    # Whoever writes attributes of ours wrongly gets them as headers.
    assert content.value in {data, None}
    assert len(content.headers) <= len(attributes)


@given(st.dictionaries(strategies.words.filter(lambda w: not w.startswith(("goog", "newsbeam."))),
                       strategies.texts, max_size=6))  # fmt: skip
def test_attributes_of_a_message_are_headers_and_attributes_again(
    attributes: dict[str, str],
) -> None:
    content = from_attributes(b"", attributes, "")
    assert content.headers == tuple((n, v.encode()) for n, v in sorted(attributes.items()))
    assert header_attributes(content.headers) == attributes


def test_a_header_whose_name_is_taken_steps_aside_and_comes_back() -> None:
    carried = to_attributes(Content(b"x", None, (("category", b"own"),)), taken=("category",))
    assert carried.attributes == {"newsbeam.header.0.category": "text:own"}
    assert from_attributes(*carried).headers == (("category", b"own"),)


def test_ordering_keys() -> None:
    def carried(key: bytes | None) -> Carried:
        return to_attributes(Content(b"x", key, ()), ordering=True)

    assert carried(None) == (b"x", {}, "")
    assert carried(b"k1") == (b"x", {}, "k1")
    assert carried(b"\xff") == (b"x", {"newsbeam.key": "base64:/w=="}, "/w==")
    # Where all of it doesn't fit, there is no order to keep.
    assert carried(b"k" * 1025).ordering_key == ""


def test_limits() -> None:
    def why(data: bytes, attributes: dict[str, str]) -> str:
        return excess(Carried(data, attributes, "")) or ""

    assert why(b"x", {str(i): "" for i in range(100)}) == ""
    assert "101 attributes" in why(b"x", {str(i): "" for i in range(101)})
    assert why(b"x", {"é" * 128: "v" * 1024}) == ""
    assert "256 bytes" in why(b"x", {"é" * 129: ""})
    assert "1024 bytes" in why(b"x", {"a": "é" * 513})
    assert "neither data nor attributes" in why(b"", {})
    assert why(b"x" * 10_000_000, {}) == ""
    assert "10000001 bytes" in why(b"x" * 9_999_999, {"a": "b"})


@given(contents)
def test_the_size_counts_everything(content: Content) -> None:
    carried = to_attributes(content)
    assert size_of(carried) >= len(content.value or b"")
