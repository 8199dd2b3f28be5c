"""Looking at what waits in a subscription: all of it is seen, and nothing is taken."""

from __future__ import annotations

from collections.abc import Callable

from tests.integration.pubsub import News, ids
from tests.servers.pubsub import PROJECT, PubSubServer
from transforms.pubsub.peek import peek


def test_peeking_takes_nothing(pubsub: PubSubServer, unique: Callable[[str], str]) -> None:
    news = News(pubsub, unique("t"))
    sent = news.publish(25)
    seen = [
        m for some in peek(pubsub.settings, PROJECT, news.subscription, quiet=0.5) for m in some
    ]
    assert sorted(ids(seen)) == sorted(sent)
    some = [m for p in peek(pubsub.settings, PROJECT, news.subscription, most=5) for m in p]
    assert len(some) == 5
    assert sorted(news.left()) == sorted(sent)


def test_following_gives_what_comes(pubsub: PubSubServer, unique: Callable[[str], str]) -> None:
    news = News(pubsub, unique("t"))
    following = peek(pubsub.settings, PROJECT, news.subscription, follow=True)
    assert next(following) == []
    sent = news.publish(1)
    found = next(messages for messages in following if messages)
    assert ids(found) == sent
    following.close()  # type: ignore[attr-defined]
    assert news.left() == sent
