"""Folders in object stores: who completes what, and what is said where one can't be written."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.integration.files.folder_run import categorize
from tests.servers.object_stores import GcsServer, S3Server
from tests.servers.processes import free_port
from tests.unit.transforms.files.reading_back import items_of
from transforms.errors import ConfigurationError
from transforms.failures import PipelineFailure, forget_failures
from transforms.files import objects
from transforms.files.archives import OpenFile
from transforms.files.folder import FolderSink, close_folders, make_files
from transforms.files.folder_checks import check_folder
from transforms.files.folder_options import FolderOptions
from transforms.files.journal import frame
from transforms.files.objects import ObjectPlace
from transforms.files.paths import find
from transforms.files.remote import check_source
from transforms.files.write import to_line
from transforms.records import CategorizedItem, KafkaPosition, Message


@pytest.fixture
def s3(s3_server: S3Server, clients: pytest.MonkeyPatch) -> Iterator[S3Server]:
    for name, value in s3_server.environment.items():
        clients.setenv(name, value)
    forget_failures()
    yield s3_server
    forget_failures()


@pytest.fixture
def gcs(gcs_server: GcsServer, clients: pytest.MonkeyPatch) -> GcsServer:
    for name, value in gcs_server.environment.items():
        clients.setenv(name, value)
    return gcs_server


@pytest.fixture
def bucket(s3: S3Server, unique: Callable[[str], str]) -> str:
    return s3.make_bucket(unique("bucket"))


def item(number: int) -> CategorizedItem:
    return categorize(Message(b"%d" % number, source=KafkaPosition("numbers", 0, number)))


def bundle(*numbers: int) -> bytes:
    return frame([(item(n), to_line(item(n))) for n in numbers], ())


def visible(s3: S3Server, bucket: str) -> dict[str, Counter[int]]:
    return {
        name: Counter(int(i.id) for i in items_of(name, data))
        for name, data in s3.objects(bucket).items()
        if ".newsbeam" not in name
    }


def hidden(s3: S3Server, bucket: str) -> list[str]:
    return [name for name in s3.objects(bucket) if ".newsbeam" in name]


# ---- who completes what ----------------------------------------------------------------------------


def test_a_bundle_is_an_object_until_it_is_in_a_file(s3: S3Server, bucket: str) -> None:
    writer = FolderSink(FolderOptions(f"s3://{bucket}/x", partition_by=("category",))).writer()
    for numbers in ((0, 1), (2, 3)):
        for number in numbers:
            writer.add(item(number))
        assert not list(writer.flush())
    assert len([name for name in hidden(s3, bucket) if "/part-" in name]) == 2
    assert not visible(s3, bucket)
    close_folders()
    assert not hidden(s3, bucket)
    found = visible(s3, bucket)
    assert sum(found.values(), Counter()) == {0: 1, 1: 1, 2: 1, 3: 1}
    assert {name.split("/")[1] for name in found} == {
        "category=World", "category=Sci%2FTech", "category=Sports",
    }  # fmt: skip


def test_what_another_left_is_completed_when_it_is_gone(
    s3: S3Server, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = ObjectPlace(f"s3://{bucket}/x")
    left = place.begin("jsonl")
    left.append(bundle(1, 2))
    left.append(bundle(3))
    other = ObjectPlace(f"s3://{bucket}/x")
    other.tend()
    assert not list(other.left_behind())
    monkeypatch.setattr(objects, "GONE", -1.0)
    [found] = other.left_behind()
    make_files(other, found)
    assert list(visible(s3, bucket).values()) == [{1: 1, 2: 1, 3: 1}]
    assert not [name for name in hidden(s3, bucket) if "/part-" in name]


def test_who_was_taken_for_gone_loses_nothing(s3: S3Server, bucket: str) -> None:
    sleeper = ObjectPlace(f"s3://{bucket}/x")
    kept = sleeper.begin("jsonl")
    kept.append(bundle(1))
    kept.append(bundle(2))
    other = ObjectPlace(f"s3://{bucket}/x")
    other.tend()
    # As if its sign of life had become too old.
    s3.client().delete_object(Bucket=bucket, Key=sleeper._sign + sleeper._process)
    [found] = other.left_behind()
    make_files(other, found)
    kept.append(bundle(3))
    make_files(sleeper, kept)
    found_now = visible(s3, bucket)
    assert len(found_now) == 2
    assert sum(found_now.values(), Counter()) == {1: 1, 2: 1, 3: 1}


@pytest.mark.parametrize("part", [0, 1])
def test_two_that_complete_the_same_make_one_of_it(
    s3: S3Server, bucket: str, monkeypatch: pytest.MonkeyPatch, part: int
) -> None:
    gone = ObjectPlace(f"s3://{bucket}/x")
    left = gone.begin("jsonl")
    left.append(bundle(1))
    left.append(bundle(2))
    quick, slow = ObjectPlace(f"s3://{bucket}/x"), ObjectPlace(f"s3://{bucket}/x")
    quick.tend()
    slow.tend()
    monkeypatch.setattr(objects, "GONE", -1.0)
    get, asked = ObjectPlace.get, []

    def while_another_completes_it(self: ObjectPlace, key: str) -> bytes:
        if self is slow:
            asked.append(key)
            if len(asked) == part + 1:
                for found in quick.left_behind():
                    make_files(quick, found)
        return get(self, key)

    monkeypatch.setattr(ObjectPlace, "get", while_another_completes_it)
    for found in slow.left_behind():
        make_files(slow, found)
    assert asked
    assert list(visible(s3, bucket).values()) == [{1: 1, 2: 1}]
    assert not [name for name in hidden(s3, bucket) if "/part-" in name or "/done-" in name]


def test_a_bundle_that_was_damaged_is_not_deleted(
    s3: S3Server, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = ObjectPlace(f"s3://{bucket}/x")
    left = place.begin("jsonl")
    left.append(bundle(1))
    left.append(bundle(2))
    [_, second] = [name for name in hidden(s3, bucket) if "/part-" in name]
    s3.client().put_object(Bucket=bucket, Key=second, Body=bundle(2)[:-1])
    other = ObjectPlace(f"s3://{bucket}/x")
    other.tend()
    monkeypatch.setattr(objects, "GONE", -1.0)
    with pytest.raises(OSError, match="is damaged after"):
        list(other.left_behind())
    assert len([name for name in hidden(s3, bucket) if "/part-" in name]) == 2


def test_who_dies_while_deleting_leaves_no_doubles(
    s3: S3Server, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = ObjectPlace(f"s3://{bucket}/x")
    kept = place.begin("jsonl")
    kept.append(bundle(1))
    kept.append(bundle(2))

    def dies(self: ObjectPlace, keys: list[str]) -> None:
        self._store.delete(keys[:1])
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(ObjectPlace, "delete", dies)
        with pytest.raises(KeyboardInterrupt):
            make_files(place, kept)
    other = ObjectPlace(f"s3://{bucket}/x")
    other.tend()
    monkeypatch.setattr(objects, "GONE", -1.0)
    for found in other.left_behind():
        make_files(other, found)
    assert list(visible(s3, bucket).values()) == [{1: 1, 2: 1}]
    assert not [name for name in hidden(s3, bucket) if "/part-" in name]


def test_a_store_that_is_down_is_waited_for(
    s3: S3Server, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from botocore.exceptions import EndpointConnectionError

    from transforms.files.stores import S3Store

    put, tries = S3Store.put, []

    def fails_twice(self: S3Store, key: str, body: Any) -> None:
        tries.append(key)
        if len(tries) <= 2:
            raise EndpointConnectionError(endpoint_url="x")
        put(self, key, body)

    monkeypatch.setattr(S3Store, "put", fails_twice)
    writer = FolderSink(FolderOptions(f"s3://{bucket}/x")).writer()
    writer.add(item(1))
    assert not list(writer.flush())
    close_folders()
    assert list(visible(s3, bucket).values()) == [{1: 1}]


def test_a_bucket_that_vanishes_ends_the_run(s3: S3Server) -> None:
    writer = FolderSink(FolderOptions("s3://no-such-bucket/x")).writer()
    writer.add(item(1))
    with pytest.raises(PipelineFailure, match="no-such-bucket/x can't be written any further: "):
        writer.flush()
    with pytest.raises(PipelineFailure, match="NoSuchBucket"):
        close_folders()


# ---- read back -------------------------------------------------------------------------------------


@pytest.mark.parametrize("ending", ["jsonl.gz", "parquet"])
def test_files_of_s3_are_read_back(s3: S3Server, bucket: str, ending: str) -> None:
    check_read_back(f"s3://{bucket}/x", ending)


@pytest.mark.parametrize("ending", ["jsonl.gz", "parquet"])
def test_files_of_google_cloud_storage_are_read_back(
    gcs: GcsServer, unique: Callable[[str], str], ending: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Otherwise Beam looks for credentials for twenty seconds, emulator or not.
    monkeypatch.setattr("apache_beam.internal.gcp.auth._Credentials._credentials_init", True)
    check_read_back(f"gs://{gcs.make_bucket(unique('bucket'))}/x", ending)


def check_read_back(path: str, ending: str) -> None:
    writer = FolderSink(FolderOptions(path, ending, ("category", "hour"))).writer()
    # Not Sci/Tech: the emulator takes the escape in a name for the escape of a URL.
    writer.add(item(6))
    assert not list(writer.flush())
    close_folders()
    [name] = find(path).files
    with OpenFile(name) as file:
        [line] = file.lines()
    assert json.loads(line)["id"] == "6"


# ---- before the start ------------------------------------------------------------------------------


def said(path: str) -> str:
    with pytest.raises(ConfigurationError) as caught:
        check_folder("--sink", FolderOptions.of(path, path, {}), letters=False)
    return str(caught.value)


def test_a_bucket_that_can_be_written(s3: S3Server, bucket: str) -> None:
    check_folder("--sink", FolderOptions(f"s3://{bucket}/x/y"), letters=False)
    check_folder("--sink", FolderOptions(f"s3://{bucket}"), letters=False)
    assert not s3.objects(bucket)


def test_a_bucket_of_google_that_can_be_written(
    gcs: GcsServer, unique: Callable[[str], str]
) -> None:
    bucket = gcs.make_bucket(unique("bucket"))
    check_folder("--sink", FolderOptions(f"gs://{bucket}/x"), letters=False)
    assert not gcs.objects(bucket)


def test_no_bucket(s3: S3Server, gcs: GcsServer) -> None:
    for path in ("s3://no-such-bucket/x", "gs://no-such-bucket/x"):
        assert said(path) == (
            f"--sink '{path}': there is no bucket 'no-such-bucket': make it, or check the name"
        )


def test_no_credentials(clients: pytest.MonkeyPatch) -> None:
    clients.setenv("AWS_EC2_METADATA_DISABLED", "true")
    clients.setenv("NO_GCE_CHECK", "true")
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE", "CLOUDSDK_CONFIG"):
        clients.setenv(name, "/nowhere")
    assert said("s3://bucket/x").startswith(
        "--sink 's3://bucket/x': there are no credentials for s3://: set AWS_ACCESS_KEY_ID"
    )
    assert said("gs://bucket/x").startswith(
        "--sink 'gs://bucket/x': there are no credentials for gs://: run `gcloud auth"
    )


def test_a_store_that_does_not_answer(
    clients: pytest.MonkeyPatch, s3: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    clients.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{free_port()}")
    assert "can't write to bucket 'bucket': Could not connect to the endpoint" in said(
        "s3://bucket/x"
    )


def test_sources(s3: S3Server, bucket: str) -> None:
    check_source("--source", f"s3://{bucket}/none/*.jsonl")
    check_source("--source", "news/*.jsonl")
    with pytest.raises(ConfigurationError, match="'s3://no-such-bucket/x': there is no bucket"):
        check_source("--source", "s3://no-such-bucket/x")


def test_other_schemes() -> None:
    assert said("ftp://host/x") == (
        "--sink: 'ftp://host/x': can't write to ftp://; give a local path, gs://bucket/folder or "
        "s3://bucket/folder"
    )
    assert said("s3:///x").startswith("--sink: 's3:///x' names no bucket")
