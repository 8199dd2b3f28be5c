"""Names of subscriptions and topics, as Pub/Sub has them."""

from __future__ import annotations

import re

from transforms.errors import ConfigurationError

_PROJECT = re.compile(r"[A-Za-z0-9.:_-]+")
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9._~%+-]{2,254}")


def subscription_path(project: str, name: str) -> str:
    """The full name of a subscription: `projects/PROJECT/subscriptions/NAME`.

    Raises:
        ConfigurationError: Pub/Sub has no such names.
    """
    return _path(project, "subscription", name)


def topic_path(project: str, name: str) -> str:
    """The full name of a topic: `projects/PROJECT/topics/NAME`.

    Raises:
        ConfigurationError: Pub/Sub has no such names.
    """
    return _path(project, "topic", name)


def short(path: str) -> str:
    """The name alone, out of a full one."""
    return path.rpartition("/")[2]


def _path(project: str, kind: str, name: str) -> str:
    if not _PROJECT.fullmatch(project):
        raise ConfigurationError(f"{project!r} is no project of Google Cloud: give its id")
    if not _NAME.fullmatch(name) or name.startswith("goog"):
        raise ConfigurationError(
            f"{name!r} is no {kind} of Pub/Sub: names have 3 to 255 letters, digits and -._~%+, begin "
            "with a letter, and not with goog"
        )
    return f"projects/{project}/{kind}s/{name}"
