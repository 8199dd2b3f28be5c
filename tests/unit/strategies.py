"""Hypothesis strategies for the records and what they are made of."""

from __future__ import annotations

import datetime
from typing import Any

from hypothesis import strategies as st

from transforms.records import (
    CategorizedItem,
    DeadLetter,
    FilePosition,
    KafkaPosition,
    Message,
    NewsItem,
    PubSubPosition,
    TokenizedNews,
)

#: Text that UTF-8 can express.
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
json_values: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(min_value=2**63, max_value=2**80)
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=10,
)
fields = st.dictionaries(texts, json_values, max_size=5)
moments = st.datetimes(
    min_value=datetime.datetime(1, 1, 2), max_value=datetime.datetime(9999, 12, 30)
).map(lambda moment: moment.replace(tzinfo=datetime.UTC))
topic_names = st.from_regex(r"[A-Za-z0-9._-]{1,20}", fullmatch=True).filter(
    lambda name: name not in {".", ".."}
)
positions = (
    st.builds(KafkaPosition, topic_names, st.integers(0, 10_000), st.integers(0, 2**63 - 1))
    | st.builds(FilePosition, texts, st.integers(1, 10**9))
    | st.builds(PubSubPosition, topic_names, topic_names)
)
header_names = texts.filter(lambda name: not name.startswith("newsbeam."))
headers = st.lists(st.tuples(header_names, st.none() | st.binary(max_size=20)), max_size=4).map(
    tuple
)
messages = st.builds(
    Message,
    value=st.none() | st.binary(max_size=60),
    key=st.none() | st.binary(max_size=20),
    headers=headers,
    timestamp=st.none() | st.integers(0, 2**62),
    source=st.none() | positions,
    follows=st.none() | st.integers(0, 2**62),
    columns=st.none() | st.lists(texts, max_size=4).map(tuple),
    delimiter=st.none() | st.sampled_from([",", ";", "\t"]),
)
news_items = st.builds(
    NewsItem, message=messages, id=texts, text=texts, fields=fields, event_time=moments
)
scores = st.dictionaries(texts, st.floats(0, 1), min_size=1, max_size=5)
categorized_items = st.builds(
    CategorizedItem,
    id=texts,
    category=texts,
    score=st.floats(0, 1),
    scores=scores,
    labels=st.lists(texts, max_size=3).map(tuple),
    tokens=st.integers(0, 512),
    truncated=st.booleans(),
    model=texts,
    event_time=moments,
    processed_time=moments,
    source=st.none() | positions,
    fields=fields,
    message=st.none() | messages,
)
words = texts.filter(bool)
dead_letters = st.builds(
    DeadLetter,
    message=messages,
    stage=words,
    error_type=words,
    error=words,
    attempt=st.integers(1, 10**6),
    time=moments,
    model=st.none() | words,
)
records = (
    messages
    | news_items
    | st.builds(
        TokenizedNews,
        news=news_items,
        windows=st.lists(
            st.lists(st.integers(0, 50_000), max_size=6).map(tuple), min_size=1, max_size=3
        ).map(tuple),
        tokens=st.integers(0, 30_000),
        truncated=st.booleans(),
    )
    | categorized_items
    | dead_letters
)
