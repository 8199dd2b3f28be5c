"""What is checked before the start: each answer within seconds, each trouble one line with its fix."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from google.api_core import exceptions
from google.auth.exceptions import DefaultCredentialsError, GoogleAuthError
from google.pubsub_v1 import Subscription as SubscriptionProto

from transforms.errors import ConfigurationError
from transforms.pubsub.client import EMULATOR, PubSubSettings
from transforms.pubsub.faults import said
from transforms.pubsub.names import short, subscription_path, topic_path

T = TypeVar("T")

#: How long an answer may take, in seconds.
TIMEOUT = 10.0
_CREDENTIALS = (
    "run `gcloud auth application-default login`, set GOOGLE_APPLICATION_CREDENTIALS to the file of a "
    f"service account, or set {EMULATOR} for an emulator"
)
#: Where machines of Google Cloud are given credentials, and how long an answer may take, in seconds.
_METADATA, _METADATA_TIMEOUT = "169.254.169.254", 2.0
_DETACHED = "_deleted-topic_"


@dataclass(frozen=True)
class Found:
    """What a subscription is like.

    Attributes:
        notes: What is worth knowing of it, a line each.
        warnings: What should be changed, a line each.
        ordering: Whether it keeps messages of an ordering key in order.
        exactly_once: Whether it delivers exactly once.
        topic: The full name of its topic; None where it may not be looked at.
    """

    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    ordering: bool = False
    exactly_once: bool = False
    topic: str | None = None


def check_reached(settings: PubSubSettings) -> None:
    """Checks that there are credentials, or that the emulator is there.

    Raises:
        ConfigurationError: There is none.
    """
    if settings.emulator is None:
        if not _may_have_credentials():
            raise ConfigurationError(f"there are no credentials for Google Cloud: {_CREDENTIALS}")
        try:
            settings.subscriber()
        except (DefaultCredentialsError, GoogleAuthError) as e:
            raise ConfigurationError(
                f"there are no credentials for Google Cloud: {_CREDENTIALS}"
            ) from e
        return
    host, _, port = settings.emulator.rpartition(":")
    if not host or not port.isdigit():
        raise ConfigurationError(f"{EMULATOR} is {settings.emulator!r}: it has to be HOST:PORT")
    try:
        with contextlib.closing(socket.create_connection((host.strip("[]"), int(port)), TIMEOUT)):
            pass
    except (OSError, OverflowError) as e:
        raise ConfigurationError(
            f"nobody listens on {settings.emulator} ({e}): start the emulator, or unset {EMULATOR} for "
            "the service itself"
        ) from e


def check_subscription(settings: PubSubSettings, project: str, name: str) -> Found:
    """Checks that a subscription can be pulled from.

    Args:
        settings: How to reach Pub/Sub.
        project: Its project.
        name: Its name.

    Raises:
        ConfigurationError: It can't: it isn't there, is a topic, may not be read, is one of push.
    """
    path = subscription_path(project, name)
    check_reached(settings)
    client = settings.subscriber()
    try:
        found = _ask(
            lambda: client.get_subscription(subscription=path, retry=None, timeout=TIMEOUT), path
        )
    except exceptions.NotFound:
        if _exists(lambda: _get_topic(settings, topic_path(project, name))):
            raise ConfigurationError(
                f"{name} is a topic of project {project}, and what is read is a subscription: create "
                f"one with `gcloud pubsub subscriptions create NAME --topic {name}`"
            ) from None
        raise ConfigurationError(
            f"there is no subscription {name} in project {project}: create it with `gcloud pubsub "
            f"subscriptions create {name} --topic TOPIC --project {project}`"
        ) from None
    except exceptions.PermissionDenied as e:
        # Who may consume need not be allowed to look: that is what counts.
        _check_may_consume(settings, path, e)
        return Found(notes=(f"subscription {name} may be read, but not looked at",))
    _check_kind(found, name)
    return _described(found, name)


def check_topic(settings: PubSubSettings, project: str, name: str) -> None:
    """Checks that a topic can be published to, as far as that can be seen without publishing.

    Args:
        settings: How to reach Pub/Sub.
        project: Its project.
        name: Its name.

    Raises:
        ConfigurationError: It isn't there, is a subscription, or may not be published to.
    """
    path = topic_path(project, name)
    check_reached(settings)
    client = settings.publisher()
    try:
        _ask(lambda: _get_topic(settings, path), path)
    except exceptions.NotFound:
        subscriber, subscription = settings.subscriber(), subscription_path(project, name)
        if _exists(
            lambda: subscriber.get_subscription(
                subscription=subscription, retry=None, timeout=TIMEOUT
            )
        ):
            raise ConfigurationError(
                f"{name} is a subscription of project {project}, and what is written is a topic: name "
                "its topic"
            ) from None
        raise ConfigurationError(
            f"there is no topic {name} in project {project}: create it with `gcloud pubsub topics "
            f"create {name} --project {project}`"
        ) from None
    except exceptions.PermissionDenied:
        pass  # who may publish need not be allowed to look
    if settings.emulator is not None:
        return  # emulators have no permissions
    wanted = "pubsub.topics.publish"
    try:
        granted = _ask(
            lambda: client.test_iam_permissions(
                request={"resource": path, "permissions": [wanted]}, retry=None, timeout=TIMEOUT
            ),
            path,
        )
    except (exceptions.PermissionDenied, exceptions.NotFound) as e:
        raise ConfigurationError(f"topic {name} of project {project}: {said(e)}") from e
    if wanted not in granted.permissions:
        raise ConfigurationError(
            f"no permission to publish to topic {name} of project {project}: grant this account "
            "roles/pubsub.publisher on it"
        )


def _may_have_credentials() -> bool:
    """Whether it is worth asking for credentials: Google's library takes long to say that there aren't.

    They may be in a file that is named, in gcloud's, or come from the machine, if that is Google's.
    """
    config = os.environ.get("CLOUDSDK_CONFIG") or Path.home() / ".config" / "gcloud"
    if os.environ.get("GOOGLE_APPLICATION_CREDENTIALS") or os.name == "nt":
        return True
    if (Path(config) / "application_default_credentials.json").exists():
        return True
    host = os.environ.get("GCE_METADATA_HOST") or os.environ.get("GCE_METADATA_IP") or _METADATA
    name, _, port = host.partition(":")
    try:
        address = name, int(port or 80)
        with contextlib.closing(socket.create_connection(address, _METADATA_TIMEOUT)):
            return True
    except (OSError, ValueError):
        return False


def _check_kind(found: SubscriptionProto, name: str) -> None:
    kinds = {
        "push": bool(found.push_config.push_endpoint),
        "BigQuery": bool(found.bigquery_config.table),
        "Cloud Storage": bool(found.cloud_storage_config.bucket),
    }
    if kind := next((kind for kind, so in kinds.items() if so), None):
        raise ConfigurationError(
            f"subscription {name} is a {kind} subscription, whose messages can't be pulled: create one "
            f"of pull with `gcloud pubsub subscriptions create NAME --topic {short(found.topic)}`"
        )
    if found.detached or found.topic == _DETACHED:
        what = "is detached from its topic" if found.detached else "has lost its topic"
        raise ConfigurationError(
            f"subscription {name} {what}: nothing will ever come; create another one"
        )


def _described(found: SubscriptionProto, name: str) -> Found:
    notes, warnings = [], []
    if found.enable_exactly_once_delivery:
        notes.append(
            f"subscription {name} delivers exactly once: nothing that was acknowledged comes again; "
            "what is written before a crash may be written again"
        )
    policy = found.dead_letter_policy
    if policy.dead_letter_topic:
        warnings.append(
            f"subscription {name} has a dead-letter policy of its own: after "
            f"{policy.max_delivery_attempts} deliveries a message goes to "
            f"{short(policy.dead_letter_topic)}, and each crash or restart of newsbeam counts as one"
        )
    if found.retain_acked_messages:
        notes.append(f"subscription {name} retains acknowledged messages: they can be sought again")
    return Found(
        tuple(notes),
        tuple(warnings),
        ordering=found.enable_message_ordering,
        exactly_once=found.enable_exactly_once_delivery,
        topic=found.topic,
    )


def _get_topic(settings: PubSubSettings, path: str) -> Any:
    return settings.publisher().get_topic(topic=path, retry=None, timeout=TIMEOUT)


def _check_may_consume(settings: PubSubSettings, path: str, error: Exception) -> None:
    wanted = "pubsub.subscriptions.consume"
    granted: Any = None
    with contextlib.suppress(exceptions.GoogleAPICallError):
        granted = settings.subscriber().test_iam_permissions(
            request={"resource": path, "permissions": [wanted]}, retry=None, timeout=TIMEOUT
        )
    if granted is None or wanted not in granted.permissions:
        raise ConfigurationError(
            f"no permission to read subscription {short(path)}, or there is none ({said(error)}): grant "
            "this account roles/pubsub.subscriber and roles/pubsub.viewer on it"
        ) from error


def _exists(ask: Callable[[], object]) -> bool:
    try:
        ask()
    except exceptions.GoogleAPICallError:
        return False
    return True


def _ask(ask: Callable[[], T], path: str) -> T:
    """Asks; what neither says yes nor no is one line."""
    try:
        return ask()
    except (exceptions.NotFound, exceptions.PermissionDenied):
        raise
    except DefaultCredentialsError as e:
        raise ConfigurationError(
            f"there are no credentials for Google Cloud: {_CREDENTIALS}"
        ) from e
    except GoogleAuthError as e:
        raise ConfigurationError(
            f"the credentials for Google Cloud don't work ({said(e)}): {_CREDENTIALS}"
        ) from e
    except exceptions.Unauthenticated as e:
        raise ConfigurationError(
            f"the credentials for Google Cloud are not accepted: {_CREDENTIALS}"
        ) from e
    except (exceptions.GoogleAPICallError, OSError) as e:
        _not_answered(path, e)


def _not_answered(path: str, error: Exception) -> NoReturn:
    raise ConfigurationError(f"Pub/Sub gives no answer about {path}: {said(error)}") from error
