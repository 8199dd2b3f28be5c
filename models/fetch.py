"""Brings a model from the Hugging Face hub or a cloud's storage into a folder of the local cache."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import importlib
import json
import logging
import os
import re
import shutil
import sys
import tempfile
import threading
from collections.abc import Callable, Collection, Iterator
from pathlib import Path

from models.errors import BundleError, one_line
from models.model_files import MODEL_FILES, MODEL_FOLDERS, WEIGHTS, model_places, no_model
from models.quiet import quiet
from models.tokenizer_files import TOKENIZER_FILES

log = logging.getLogger("newsbeam")

#: How long Google Cloud Storage may take to answer, in seconds.
_GCS_TIMEOUT = 10.0
#: What pip has to install before Apache Beam can read an address, and the module that tells.
EXTRAS = {
    "gs": ("gcp", "google.cloud.storage"),
    "s3": ("aws", "boto3"),
    "azfs": ("azure", "azure.storage.blob"),
}

_HUB_NAME = re.compile(r"(?:[\w.-]+/)?[\w.-]+(?:@(?P<revision>\S+))?", re.ASCII)
_SETTINGS = ("config.json", *TOKENIZER_FILES)

# One address is one model for as long as the process lives: the step that tokenizes and the one
# that classifies load it separately, and must not get two versions of it.
_found: dict[str, Path] = {}
_lock = threading.Lock()


def fetch(uri: str) -> Path:
    """Turns the address of a model into a local folder, which holds only what a bundle needs.

    Of a cascade that is its config.json; the models that it names are fetched when they are loaded.

    What was fetched stays in a cache (`cache_folder`), under the version of its files, so that it
    is fetched once a machine; any number of processes may do so at once. Of several ONNX files, only
    the one that a bundle would use is fetched.

    Args:
        uri: `hf://org/name` or `hf://org/name@revision` (branch, tag or commit), or an address that
            Apache Beam reads, such as `gs://bucket/folder` and `s3://bucket/folder`.

    Raises:
        BundleError: It cannot be had; the message says why, and what to do.
    """
    with _lock:
        known = _found.get(uri)
        if known is None or not known.is_dir():
            try:
                known = _from_hub(uri) if uri.lower().startswith("hf://") else _from_beam(uri)
            except OSError as e:
                raise BundleError(
                    f"model {uri!r}: cannot be kept in {cache_folder()} ({one_line(e, 200)}); name "
                    "another folder in NEWSBEAM_CACHE"
                ) from e
            _found[uri] = known
        return known


def cache_folder() -> Path:
    """Where fetched models are kept: NEWSBEAM_CACHE, or newsbeam in the user's folder of caches."""
    if named := os.environ.get("NEWSBEAM_CACHE"):
        return Path(named).expanduser()
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path("~/.cache").expanduser()) / "newsbeam"


def split_hub_uri(uri: str) -> tuple[str, str | None]:
    """The name of a model on the hub and its revision, out of `hf://org/name[@revision]`.

    Raises:
        BundleError: It is no such address.
    """
    text = uri[len("hf://") :]
    match = _HUB_NAME.fullmatch(text)
    if not match:
        raise BundleError(
            f"model {uri!r}: names no model; write hf://org/name or hf://org/name@revision"
        )
    return text.partition("@")[0], match["revision"]


# ---- The hub -------------------------------------------------------------------------------------


def _from_hub(uri: str) -> Path:
    name, revision = split_hub_uri(uri)
    there: list[str] = []
    for model in MODEL_FILES:
        found = snapshot(uri, name, revision, [*_SETTINGS, *_places(model)])
        there = [p.relative_to(found).as_posix() for p in found.rglob("*") if p.is_file()]
        if any(place in there for place in _places(model)) or _is_cascade(found / "config.json"):
            break
        # The folder of a snapshot is called by its commit: all parts are of one version.
        revision = found.name
    chosen = _choose(uri, there)

    def fill(folder: Path) -> None:
        for target, source in chosen.items():
            _link(found / source, folder / target)
        _check(uri, folder, there, f"`newsbeam model export {name} DIR`")

    version = "\n".join([name, found.name, *chosen.values()])
    return _cached(version, name.rpartition("/")[2], fill)


def snapshot(uri: str, name: str, revision: str | None, files: list[str]) -> Path:
    """Files of a model, in the hub's own cache, which other programs share.

    Args:
        uri: The model, as the user named it.
        name: Its name on the hub.
        revision: A branch, tag or commit; None for the main branch.
        files: The files, or patterns of them; what it does not have is left out.

    Returns:
        The folder that holds them, called by the commit that they are of.

    Raises:
        BundleError: They cannot be had; the message says why, and what to do.
    """
    import huggingface_hub
    from huggingface_hub import errors
    from huggingface_hub.utils.tqdm import disable_progress_bars

    if not sys.stderr.isatty():
        disable_progress_bars()
    try:
        return Path(
            huggingface_hub.snapshot_download(
                name,
                revision=revision,
                allow_patterns=files,
                endpoint=os.environ.get("HF_ENDPOINT"),
            )
        )
    except errors.GatedRepoError as e:
        raise BundleError(
            f"model {uri!r}: its owner must let you in; ask on its page, and set HF_TOKEN"
        ) from e
    except errors.RevisionNotFoundError as e:
        raise BundleError(
            f"model {uri!r}: the hub knows no revision {revision!r} of it; name a branch, tag or "
            "commit"
        ) from e
    except errors.RepositoryNotFoundError as e:
        raise BundleError(
            f"model {uri!r}: the hub knows no such model; check the name, and set HF_TOKEN if it "
            "is private"
        ) from e
    except errors.HFValidationError as e:
        raise BundleError(f"model {uri!r}: {one_line(e, 200)}; check the name") from e
    except Exception as e:  # httpx's errors, and the hub's, which have no base in common
        if isinstance(e, OSError) and e.errno in (errno.ENOSPC, errno.EACCES, errno.EROFS):
            raise
        raise BundleError(
            f"model {uri!r}: the hub cannot be reached, and the model is not in its cache yet "
            f"({_reason(e)}); check the connection and HF_ENDPOINT, or name a local folder"
        ) from e


def _link(source: Path, target: Path) -> None:
    """A second name for a file: it outlives a cleaning of the hub's cache, and costs no space."""
    source = source.resolve()
    try:
        os.link(source, target)
    except OSError:  # another file system
        shutil.copyfile(source, target)


# ---- What Apache Beam reads ----------------------------------------------------------------------


def _from_beam(uri: str) -> Path:
    with quiet():  # it warns of parts that are missing, and that nobody asked for
        from apache_beam.io.filesystem import CompressionTypes
        from apache_beam.io.filesystems import FileSystems

    base = uri.rstrip("/")
    scheme = uri.partition("://")[0].lower()
    patterns = [f"{base}/{folder}*" for folder in MODEL_FOLDERS]
    _give_options()
    try:
        if scheme == "s3":
            _ask_s3_once(base)
        if scheme == "gs":
            _ask_gcs_once(base)
        matches = FileSystems.match(patterns)
    except Exception as e:  # every cloud has errors of its own
        # Where its packages are missing, each says so in its own way, or not at all.
        if extra := _missing_extra(scheme):
            raise BundleError(
                f"model {uri!r}: reading {scheme}:// needs Beam's {extra} extra; pip install "
                f"'apache-beam[{extra}]'"
            ) from e
        if isinstance(e, ValueError) and scheme not in EXTRAS:  # no file system for this scheme
            raise BundleError(
                f"model {uri!r}: cannot read {scheme}://; name a folder, hf://, gs:// or s3://"
            ) from e
        raise BundleError(
            f"model {uri!r}: cannot be listed ({_reason(e)}); check the address and your "
            "credentials"
        ) from e
    there = {
        found.path[len(base) + 1 :]: found for match in matches for found in match.metadata_list
    }
    if not there:
        raise BundleError(f"model {uri!r}: no files there; check the address")
    chosen = _choose(uri, there)
    files = {target: there[source] for target, source in chosen.items()}

    def fill(folder: Path) -> None:
        for target, found in files.items():
            try:
                # As it is: `.gz` and its like mean nothing here.
                with (
                    FileSystems.open(
                        found.path, compression_type=CompressionTypes.UNCOMPRESSED
                    ) as source,
                    (folder / target).open("wb") as copy,
                ):
                    shutil.copyfileobj(source, copy, 1 << 20)
            except Exception as e:
                if isinstance(e, OSError) and e.errno == errno.ENOSPC:
                    raise
                raise BundleError(
                    f"model {uri!r}: cannot read {found.path} ({_reason(e)}); check your "
                    "credentials and try again"
                ) from e
        _check(uri, folder, there, "`newsbeam model export`, and copy its folder there")

    version = [f"{f.path} {f.size_in_bytes} {f.last_updated_in_seconds}" for f in files.values()]
    return _cached("\n".join([base, *version]), base.rpartition("/")[2], fill)


def _give_options() -> None:
    """Gives Beam's file systems options where no pipeline has: that of s3:// does not go without."""
    from apache_beam.io.filesystems import FileSystems
    from apache_beam.options.pipeline_options import PipelineOptions
    from apache_beam.options.value_provider import RuntimeValueProvider

    if FileSystems._pipeline_options is None and RuntimeValueProvider.runtime_options is None:
        FileSystems.set_options(PipelineOptions([]))


def _ask_s3_once(base: str) -> None:
    """Lists a place on S3, for the error: Beam would wait ten minutes for credentials to appear."""
    from apache_beam.io.aws.clients.s3.messages import ListRequest, S3ClientError
    from apache_beam.io.aws.s3io import S3IO, parse_s3_path
    from apache_beam.io.filesystems import FileSystems

    bucket, prefix = parse_s3_path(f"{base}/", object_optional=True)
    options = FileSystems.get_filesystem(base)._options
    try:
        S3IO(options=options).client.list(ListRequest(bucket, prefix))
    except S3ClientError as e:
        if e.code != 404:  # nothing there: listing it properly says the same
            raise


def _ask_gcs_once(base: str) -> None:
    """Lists a place on Google Cloud Storage: Beam would try for minutes to reach who isn't there."""
    from apache_beam.io.filesystems import FileSystems
    from apache_beam.io.gcp.gcsio import create_storage_client, parse_gcs_path
    from google.auth import default
    from google.auth.exceptions import DefaultCredentialsError

    bucket, prefix = parse_gcs_path(f"{base}/", object_optional=True)
    anonymous = "STORAGE_EMULATOR_HOST" in os.environ
    try:
        if not anonymous:
            default()
    except DefaultCredentialsError:
        anonymous = True  # public buckets let anyone read
    options = FileSystems.get_filesystem(base)._pipeline_options
    client = create_storage_client(options, use_credentials=not anonymous)
    blobs = client.list_blobs(
        bucket, prefix=prefix, max_results=1, timeout=_GCS_TIMEOUT, retry=None
    )
    next(iter(blobs), None)


def _missing_extra(scheme: str) -> str | None:
    """The extra of Beam that reads a scheme, if it is not installed."""
    if scheme not in EXTRAS:
        return None
    extra, module = EXTRAS[scheme]
    try:
        importlib.import_module(module)
    except ImportError:
        return extra
    return None


# ---- Both ----------------------------------------------------------------------------------------


def _places(model: str) -> list[str]:
    return [folder + model + suffix for folder in MODEL_FOLDERS for suffix in ("", *WEIGHTS)]


def _choose(uri: str, there: Collection[str]) -> dict[str, str]:
    """Which files make the bundle: the name of each in the bundle, and its path there.

    Where there is no model, it is config.json: that of a cascade, or `_check` says what is missing.
    """
    if "config.json" not in there:
        raise BundleError(f"model {uri!r}: has no config.json; name a Hugging Face folder")
    places = model_places(there)
    if not places:
        return {"config.json": "config.json"}
    model = places[0]
    return {name: name for name in _SETTINGS if name in there} | {
        model.rpartition("/")[2] + suffix: model + suffix
        for suffix in ("", *WEIGHTS)
        if model + suffix in there
    }


def _check(uri: str, folder: Path, there: Collection[str], how: str) -> None:
    """Refuses what was fetched if it is neither a model nor a cascade of others.

    Args:
        uri: The model, as the user named it.
        folder: What was fetched.
        there: The paths of the place that it was fetched from.
        how: How a model is made.
    """
    if not model_places(there) and not _is_cascade(folder / "config.json"):
        raise BundleError(f"model {uri!r}: {no_model(there)}; make one with {how}")


def _is_cascade(config: Path) -> bool:
    """Whether a config.json names models that are asked in turn, instead of describing one."""
    try:
        found = json.loads(config.read_bytes())
    except (OSError, ValueError):
        return False  # who loads the bundle says what is wrong with it
    return isinstance(found, dict) and found.get("cascade") is not None


def _cached(version: str, name: str, fill: Callable[[Path], None]) -> Path:
    """The folder of the cache for a version of a model, filled unless it is there already."""
    root = cache_folder()
    # Called as the model is: records name the model by its folder.
    folder = root / hashlib.sha256(version.encode()).hexdigest()[:16] / name
    if folder.is_dir():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with (
        _alone(folder.parent / ".lock"),
        tempfile.TemporaryDirectory(dir=root, prefix=".fetching-") as temporary,
    ):
        if folder.is_dir():
            return folder  # another process has fetched it meanwhile
        new = Path(temporary) / name
        new.mkdir()
        fill(new)
        try:
            new.rename(folder)  # all of it, or nothing
        except OSError:
            if not folder.is_dir():
                raise
            # Another process was faster, with the same files.
    return folder


@contextlib.contextmanager
def _alone(file: Path) -> Iterator[None]:
    """Lets one process of this machine in at a time: each of many workers would fetch the same."""
    with file.open("w") as lock:
        try:
            import fcntl

            fcntl.flock(lock, fcntl.LOCK_EX)
        except (ImportError, OSError) as e:
            # There are systems, and disks, without locks: then each fetches for itself.
            log.debug("no lock for %s: %s", file, e)
        yield


def _reason(error: Exception) -> str:
    """The error at the bottom of it, in one line."""
    bottom: BaseException = error
    while bottom.__cause__ is not None:
        bottom = bottom.__cause__
    return f"{type(bottom).__name__}: {one_line(bottom, 200)}"
