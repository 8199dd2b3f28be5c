"""Object stores on this machine: S3 by moto, Google Cloud Storage by gcp-storage-emulator."""

from __future__ import annotations

import contextlib
import importlib.util
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from tests.servers.cache import Unavailable
from tests.servers.processes import ServerProcess, free_port, wait_until


class S3Server:
    """An S3 in memory; a context manager.

    Args:
        folder: where its log goes.
    """

    def __init__(self, folder: Path) -> None:
        _needed("moto")
        self.port = free_port()
        self.endpoint = f"http://127.0.0.1:{self.port}"
        self.process = ServerProcess(
            [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(self.port)],
            folder / "moto.log",
        )

    @property
    def environment(self) -> dict[str, str]:
        """The variables with which boto3 finds it, and nothing else."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": "nobody",
            "AWS_SECRET_ACCESS_KEY": "secret",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_CONFIG_FILE": "/dev/null",
            "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
            "AWS_EC2_METADATA_DISABLED": "true",
            "NO_PROXY": "127.0.0.1",
        }

    def client(self) -> Any:
        """A client of it."""
        import boto3

        return boto3.client(
            "s3",
            endpoint_url=self.endpoint,
            aws_access_key_id="nobody",
            aws_secret_access_key="secret",
            region_name="us-east-1",
        )

    def make_bucket(self, name: str) -> str:
        self.client().create_bucket(Bucket=name)
        return name

    def objects(self, bucket: str) -> dict[str, bytes]:
        """The objects of a bucket; those that are deleted meanwhile are left out."""
        client = self.client()
        pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket)
        objects = {}
        for key in [found["Key"] for page in pages for found in page.get("Contents", ())]:
            with contextlib.suppress(client.exceptions.NoSuchKey):
                objects[key] = client.get_object(Bucket=bucket, Key=key)["Body"].read()
        return objects

    def __enter__(self) -> S3Server:
        _start(self.process, f"{self.endpoint}/moto-api/")
        return self

    def __exit__(self, *error: object) -> None:
        self.process.stop()


class GcsServer:
    """A Google Cloud Storage in memory; a context manager.

    Args:
        folder: where its log goes.
    """

    def __init__(self, folder: Path) -> None:
        _needed("gcp_storage_emulator")
        self.port = free_port()
        self.endpoint = f"http://127.0.0.1:{self.port}"
        self.process = ServerProcess(
            [
                Path(sys.executable).with_name("gcp-storage-emulator"),
                "start",
                "--host=127.0.0.1",
                f"--port={self.port}",
                "--in-memory",
            ],
            folder / "gcs.log",
        )

    @property
    def environment(self) -> dict[str, str]:
        """The variables with which Google's client finds it, and asks nobody for credentials."""
        return {
            "STORAGE_EMULATOR_HOST": self.endpoint,
            "GOOGLE_CLOUD_PROJECT": "tests",
            "NO_GCE_CHECK": "true",
            "CLOUDSDK_CONFIG": "/nowhere",
            "NO_PROXY": "127.0.0.1",
        }

    def client(self) -> Any:
        """A client of it."""
        from google.auth.credentials import AnonymousCredentials
        from google.cloud import storage

        return storage.Client(
            project="tests",
            credentials=AnonymousCredentials(),
            client_options={"api_endpoint": self.endpoint},
        )

    def make_bucket(self, name: str) -> str:
        self.client().create_bucket(name)
        return name

    def objects(self, bucket: str) -> dict[str, bytes]:
        """The objects of a bucket; those that are deleted meanwhile are left out."""
        from google.api_core.exceptions import NotFound

        objects = {}
        for blob in self.client().list_blobs(bucket):
            with contextlib.suppress(NotFound):
                objects[blob.name] = blob.download_as_bytes()
        return objects

    def __enter__(self) -> GcsServer:
        _start(self.process, self.endpoint)
        return self

    def __exit__(self, *error: object) -> None:
        self.process.stop()


def _needed(module: str) -> None:
    if importlib.util.find_spec(module) is None:
        raise Unavailable(f"{module} is not installed: it is in the extra `test`")


def _start(process: ServerProcess, url: str) -> None:
    process.start()

    def answers() -> bool:
        process.check_running()
        try:
            urllib.request.urlopen(url, timeout=5).close()
        except urllib.error.HTTPError:
            return True
        except OSError:
            return False
        return True

    wait_until(answers, f"an answer of {url}")
