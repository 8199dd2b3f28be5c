"""Object stores: what a sink asks of them, each in one request that is done or not done."""

from __future__ import annotations

import abc
import functools
import os
from collections.abc import Callable, Iterable
from typing import IO, Any, NamedTuple

from transforms.errors import ConfigurationError

#: How many objects one request deletes.
_AT_ONCE = 1000
#: What S3 calls errors that go away by themselves, where their status doesn't say it.
_PASSING = {"SlowDown", "RequestTimeout", "Throttling", "ThrottlingException", "InternalError"}


class Found(NamedTuple):
    """An object that is there.

    Attributes:
        key: Its name in the bucket.
        updated: When it was written, in seconds since the epoch, by the clock of the store.
    """

    key: str
    updated: float


class ObjectStore(abc.ABC):
    """A bucket."""

    @abc.abstractmethod
    def put(self, key: str, body: IO[bytes]) -> None:
        """Makes an object, or replaces it: whole, or not at all."""

    @abc.abstractmethod
    def get(self, key: str) -> bytes:
        """The content of an object.

        Raises:
            FileNotFoundError: It is not there.
        """

    @abc.abstractmethod
    def list(self, prefix: str, limit: int | None = None) -> list[Found]:
        """The objects whose names begin so, by name; the first `limit` of them."""

    @abc.abstractmethod
    def delete(self, keys: Iterable[str]) -> None:
        """Deletes objects, those included that are not there."""

    @abc.abstractmethod
    def is_passing(self, error: Exception) -> bool:
        """Whether an error may go away by itself."""


class S3Store(ObjectStore):
    """A bucket of S3, or of what speaks like it; set up as Beam's own S3 client is."""

    def __init__(self, bucket: str, options: Any) -> None:
        from apache_beam.io.aws.clients.s3.boto3_client import Client

        self._bucket = bucket
        self._client = Client(options).client

    def put(self, key: str, body: IO[bytes]) -> None:
        self._client.put_object(Bucket=self._bucket, Key=key, Body=body)

    def get(self, key: str) -> bytes:
        try:
            found = self._client.get_object(Bucket=self._bucket, Key=key)
        except self._client.exceptions.NoSuchKey:
            raise FileNotFoundError(key) from None
        data: bytes = found["Body"].read()
        return data

    def list(self, prefix: str, limit: int | None = None) -> list[Found]:
        config = {} if limit is None else {"MaxItems": limit}
        pages = self._client.get_paginator("list_objects_v2").paginate(
            Bucket=self._bucket, Prefix=prefix, PaginationConfig=config
        )
        return [
            Found(found["Key"], found["LastModified"].timestamp())
            for page in pages
            for found in page.get("Contents", ())
        ]

    def delete(self, keys: Iterable[str]) -> None:
        left = list(keys)
        for begin in range(0, len(left), _AT_ONCE):
            objects = [{"Key": key} for key in left[begin : begin + _AT_ONCE]]
            done = self._client.delete_objects(
                Bucket=self._bucket, Delete={"Objects": objects, "Quiet": True}
            )
            for error in done.get("Errors", ()):
                raise OSError(f"{error['Key']} can't be deleted: {error.get('Message')}")

    def is_passing(self, error: Exception) -> bool:
        from botocore import exceptions

        if isinstance(error, exceptions.ClientError):
            status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
            return status >= 500 or error.response.get("Error", {}).get("Code") in _PASSING
        return isinstance(error, exceptions.HTTPClientError | exceptions.ConnectionError)


class GcsStore(ObjectStore):
    """A bucket of Google Cloud Storage; set up as Beam's own client is.

    Without retries of its own: who asks knows how long it may take.
    """

    def __init__(self, bucket: str, options: Any) -> None:
        from apache_beam.io.gcp.gcsio import create_storage_client
        from apache_beam.options.pipeline_options import GoogleCloudOptions
        from google.auth import default

        # An emulator asks for no credentials.
        anonymous = (
            "STORAGE_EMULATOR_HOST" in os.environ or options.view_as(GoogleCloudOptions).no_auth
        )
        if not anonymous:
            # Beam looks for them for twenty seconds, and then goes without.
            default()
        self._client = create_storage_client(options, use_credentials=not anonymous)
        self._bucket = self._client.bucket(bucket)

    def put(self, key: str, body: IO[bytes]) -> None:
        self._bucket.blob(key).upload_from_file(
            body, size=_size_of(body), content_type="application/octet-stream", retry=None
        )

    def get(self, key: str) -> bytes:
        from google.api_core.exceptions import NotFound

        try:
            data: bytes = self._bucket.blob(key).download_as_bytes(retry=None)
        except NotFound:
            raise FileNotFoundError(key) from None
        return data

    def list(self, prefix: str, limit: int | None = None) -> list[Found]:
        found = self._client.list_blobs(self._bucket, prefix=prefix, max_results=limit, retry=None)
        return [Found(blob.name, blob.updated.timestamp()) for blob in found]

    def delete(self, keys: Iterable[str]) -> None:
        from google.api_core.exceptions import NotFound

        for key in keys:
            try:
                self._bucket.blob(key).delete(retry=None)
            except NotFound:
                continue

    def is_passing(self, error: Exception) -> bool:
        import requests
        from google.api_core import exceptions
        from google.auth.exceptions import TransportError

        return isinstance(
            error,
            exceptions.ServerError
            | exceptions.TooManyRequests
            | exceptions.RetryError
            | requests.ConnectionError
            | requests.Timeout
            | TransportError,
        )


#: The stores by scheme: the extra of Beam that each needs, and what makes it.
STORES: dict[str, tuple[str, Callable[[str, Any], ObjectStore]]] = {
    "gs": ("gcp", GcsStore),
    "s3": ("aws", S3Store),
}


def store_of(path: str) -> tuple[ObjectStore, str]:
    """The store of an address, and its key in there.

    Args:
        path: `gs://bucket/key` or `s3://bucket/key`.

    Raises:
        ConfigurationError: There is no such store, or its packages are missing.
    """
    scheme, _, rest = path.partition("://")
    bucket, _, key = rest.partition("/")
    if scheme.lower() not in STORES:
        raise ConfigurationError(
            f"{path!r}: can't write to {scheme}://; give a local path, gs://bucket/folder or "
            "s3://bucket/folder"
        )
    if not bucket:
        raise ConfigurationError(f"{path!r} names no bucket: write {scheme}://bucket/folder")
    return _store(scheme.lower(), bucket), key


@functools.cache
def _store(scheme: str, bucket: str) -> ObjectStore:
    extra, make = STORES[scheme]
    try:
        return make(bucket, beam_options())
    except (ImportError, AssertionError):
        raise ConfigurationError(
            f"{scheme}:// needs Beam's {extra} extra: pip install 'apache-beam[{extra}]'"
        ) from None


def forget() -> None:
    """Forgets the clients of this process: the next use makes new ones."""
    _store.cache_clear()


def beam_options() -> Any:
    """The options that Beam's file systems have here: of the pipeline, or none."""
    from apache_beam.io.filesystems import FileSystems
    from apache_beam.options.pipeline_options import PipelineOptions

    options = FileSystems._pipeline_options
    return PipelineOptions([]) if options is None else options


def _size_of(body: IO[bytes]) -> int:
    at = body.tell()
    size = body.seek(0, 2) - at
    body.seek(at)
    return size
