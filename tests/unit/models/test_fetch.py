"""Models from elsewhere: the hub and S3 from stand-ins on this machine, and gs:// from a fake file
system of Beam's.
"""

from __future__ import annotations

import functools
import json
import multiprocessing
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import pytest
from apache_beam.io.filesystem import BeamIOError, CompressionTypes
from apache_beam.io.filesystems import FileSystems
from apache_beam.io.localfilesystem import LocalFileSystem

from models import fetch
from models.bundle import Bundle
from models.classifier import TextClassifier
from models.locate import resolve
from models.model_files import MODEL_FILES
from models.verify import verify

from .conftest import MakeBundle, message_of, names
from .stand_ins import Hub

pytestmark = pytest.mark.usefixtures("cache")


# ---- The hub -------------------------------------------------------------------------------------


@pytest.fixture
def hub(make_bundle: MakeBundle, hub_of: Callable[[Path], Hub]) -> Hub:
    """The stand-in, with a tiny model: in float, quantized, and with files nobody needs."""
    folder = make_bundle("repository", dynamic=True)
    (folder / "model.onnx").rename(folder / "model_quantized.onnx")
    (folder / "model.onnx").write_bytes(b"the float model, which is not needed")
    (folder / "pytorch_model.bin").write_bytes(b"weights")
    return hub_of(folder)


def again(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if this were a new process."""
    monkeypatch.setattr(fetch, "_found", {})


def test_a_model_of_the_hub(hub: Hub) -> None:
    bundle = Bundle.load("hf://news/tiny")
    assert bundle.name == "tiny"
    assert bundle.model_file.name == "model_quantized.onnx"
    assert names(bundle.path) == ["config.json", "model_quantized.onnx", "tokenizer.json"]
    assert sorted(hub.downloads) == names(bundle.path)
    assert TextClassifier(bundle).predict("goal").category == "Sports"


def test_loading_again_asks_nobody(hub: Hub) -> None:
    first = Bundle.load("hf://news/tiny")
    hub.asked.clear()
    assert Bundle.load("hf://news/tiny") == first
    assert hub.asked == []


def test_another_process_reads_no_file_again(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    first = Bundle.load("hf://news/tiny")
    again(monkeypatch)
    hub.asked.clear()
    assert Bundle.load("hf://news/tiny") == first
    assert len(hub.asked) == 1  # is there a newer commit?
    assert hub.downloads == []


def test_a_commit_is_not_asked_for_again(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    uri = f"hf://news/tiny@{hub.commit}"
    first = Bundle.load(uri)
    again(monkeypatch)
    hub.asked.clear()
    assert Bundle.load(uri) == first
    assert hub.asked == []


def test_a_new_commit_is_another_folder(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    first = Bundle.load("hf://news/tiny")
    config = hub.folder / "config.json"
    config.write_text(config.read_text().replace("Sports", "Games"))
    assert Bundle.load("hf://news/tiny") == first  # one process, one version
    again(monkeypatch)
    second = Bundle.load("hf://news/tiny")
    assert second.labels == ("Games", "Business")
    assert second.path != first.path
    assert Bundle.load(first.path) == first


def test_the_float_model_where_there_is_no_other(hub: Hub, make_bundle: MakeBundle) -> None:
    (hub.folder / "model_quantized.onnx").unlink()
    (hub.folder / "model.onnx").write_bytes((make_bundle("float") / "model.onnx").read_bytes())
    (hub.folder / "model.onnx_data").write_bytes(b"large weights")
    bundle = Bundle.load("hf://news/tiny")
    assert names(bundle.path) == ["config.json", "model.onnx", "model.onnx_data", "tokenizer.json"]
    assert not bundle.dynamic_int8


def test_a_model_in_the_folder_onnx(hub: Hub) -> None:
    (hub.folder / "onnx").mkdir()
    for name in ("model.onnx", "model_quantized.onnx"):
        (hub.folder / name).rename(hub.folder / "onnx" / name)
    bundle = Bundle.load("hf://news/tiny")
    assert names(bundle.path) == ["config.json", "model_quantized.onnx", "tokenizer.json"]
    assert "onnx/model.onnx" not in hub.downloads


@pytest.mark.parametrize("folder", ["", "onnx"])
def test_the_model_is_that_of_a_folder_here(
    hub: Hub, folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (hub.folder / "onnx").mkdir(exist_ok=True)
    content = (hub.folder / "model_quantized.onnx").read_bytes()
    for name in ("model.onnx", "model_quantized.onnx"):
        (hub.folder / name).unlink()
    for name in reversed(MODEL_FILES):  # each is better than those before
        (hub.folder / folder / name).write_bytes(content)
        again(monkeypatch)
        remote, local = Bundle.load("hf://news/tiny"), Bundle.load(hub.folder)
        assert remote.model_file.name == local.model_file.name == name
        assert remote.hash == local.hash
        assert local.model_file == hub.folder / folder / name


def test_without_connection_the_cache_does(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    first = Bundle.load("hf://news/tiny")
    again(monkeypatch)
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:1")
    assert Bundle.load("hf://news/tiny") == first


def test_without_connection_and_cache(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:1")
    message = message_of(lambda: resolve("hf://news/tiny"))
    assert "'hf://news/tiny': the hub cannot be reached" in message
    assert "HF_ENDPOINT" in message


@pytest.mark.parametrize(
    ("uri", "words"),
    [
        ("hf://news/other", "knows no such model; check the name"),
        ("hf://news/tiny@v9", "no revision 'v9'"),
        ("hf://", "names no model; write hf://org/name"),
        ("hf://news/tiny/model.onnx", "names no model; write hf://org/name"),
        ("hf://news/tiny--x", "check the name"),
    ],
)
def test_what_the_hub_does_not_have(hub: Hub, cache: Path, uri: str, words: str) -> None:
    message = message_of(lambda: resolve(uri))
    assert repr(uri) in message
    assert words in message
    assert not cache.exists() or not names(cache)


@pytest.mark.parametrize(
    ("gone", "words"),
    [
        (["config.json"], "has no config.json"),
        (["model.onnx", "model_quantized.onnx"], "`newsbeam model export news/tiny DIR`"),
    ],
)
def test_a_model_that_is_no_bundle(hub: Hub, gone: list[str], words: str) -> None:
    for name in gone:
        (hub.folder / name).unlink()
    assert words in message_of(lambda: resolve("hf://news/tiny"))


def test_a_cache_that_cannot_be_written(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("NEWSBEAM_CACHE", str(tmp_path / "file" / "cache"))
    assert "NEWSBEAM_CACHE" in message_of(lambda: resolve("hf://news/tiny"))


def cascade_of(*names: str) -> str:
    """A config.json that names models to be asked in turn."""
    *cheap, full = names
    entries = [{"model": name, "min_score": 0.9} for name in cheap]
    return json.dumps({"cascade": [*entries, {"model": full}]})


def without_model(folder: Path, config: str) -> None:
    for file in folder.iterdir():
        file.unlink()
    (folder / "config.json").write_text(config)


def test_a_cascade_on_the_hub(hub: Hub, cache: Path) -> None:
    without_model(hub.folder, cascade_of("ag_news_mini", "ag_news_small"))
    bundle = Bundle.load("hf://news/tiny")
    assert bundle.name == "tiny"
    assert [stage.bundle.name for stage in bundle.stages] == ["ag_news_mini", "ag_news_small"]
    assert hub.downloads == ["config.json"]
    assert TextClassifier(bundle).predict("United win the cup final").category == "Sports"


def test_models_on_the_hub_hold_no_others(hub: Hub) -> None:
    without_model(hub.folder, cascade_of("cheap", "full"))
    message = message_of(lambda: Bundle.load("hf://news/tiny"))
    assert message.startswith(
        "model hf://news/tiny: its cascade names cheap, and models on the hub"
    )
    assert "name each by its own address in config.json, hf://org/name" in message


# ---- Clouds --------------------------------------------------------------------------------------


class Bucket(LocalFileSystem):
    """gs://bucket/… as a folder of this machine."""

    @classmethod
    def scheme(cls) -> str:
        # Beam looks at every subclass: a second one for local paths would make those ambiguous.
        return "bucket-of-a-test"

    def __init__(self, folder: Path) -> None:
        super().__init__({})
        self.folder = folder
        self.opened: list[str] = []
        self.broken: str | None = None

    def match(self, patterns: list[str], limits: Any = None) -> Any:
        if self.broken == "match":
            raise BeamIOError("List operation failed", {patterns[0]: "403 Forbidden"})
        results = super().match([self._local(p) for p in patterns], limits)
        for result in results:
            for found in result.metadata_list:
                found.path = "gs://bucket/" + str(Path(found.path).relative_to(self.folder))
        return results

    def open(
        self,
        path: str,
        mime_type: str = "",
        compression_type: str = CompressionTypes.AUTO,
    ) -> BinaryIO:
        assert compression_type == CompressionTypes.UNCOMPRESSED
        if self.broken == "open":
            raise BeamIOError("Read failed", {path: "403 Forbidden"})
        self.opened.append(path)
        return Path(self._local(path)).open("rb")

    def _local(self, path: str) -> str:
        return str(self.folder / path.removeprefix("gs://bucket/"))


@pytest.fixture
def bucket(make_bundle: MakeBundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bucket:
    """A bucket with a bundle at gs://bucket/tiny."""
    make_bundle("tiny")
    bucket = Bucket(tmp_path)
    monkeypatch.setattr(FileSystems, "get_filesystem", staticmethod(lambda path: bucket))
    monkeypatch.setattr(fetch, "_ask_gcs_once", lambda base: None)
    monkeypatch.setitem(fetch.EXTRAS, "gs", ("gcp", "apache_beam"))  # as if it were installed
    return bucket


@pytest.mark.parametrize("uri", ["gs://bucket/tiny", "gs://bucket/tiny/"])
def test_a_bundle_in_a_bucket(bucket: Bucket, uri: str) -> None:
    (bucket.folder / "tiny" / "notes.txt").write_text("not needed")
    bundle = Bundle.load(uri)
    assert bundle.name == "tiny"
    assert names(bundle.path) == ["config.json", "model.onnx", "tokenizer.json"]
    assert bundle.hash == Bundle.load(bucket.folder / "tiny").hash
    verify(bundle)


def test_a_bucket_is_read_once(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    first = Bundle.load("gs://bucket/tiny")
    read = list(bucket.opened)
    again(monkeypatch)
    assert Bundle.load("gs://bucket/tiny") == first
    assert bucket.opened == read
    with (bucket.folder / "tiny" / "config.json").open("a") as f:
        f.write("\n")
    again(monkeypatch)
    assert Bundle.load("gs://bucket/tiny").hash != first.hash


@pytest.mark.parametrize(
    ("broken", "words"),
    [("match", "cannot be listed"), ("open", "cannot read gs://bucket/tiny/")],
)
def test_a_bucket_that_may_not_be_read(
    bucket: Bucket, cache: Path, broken: str, words: str
) -> None:
    bucket.broken = broken
    message = message_of(lambda: resolve("gs://bucket/tiny"))
    assert words in message
    assert "403 Forbidden" in message
    left = [f for f in cache.rglob("*") if f.is_file() and f.name != ".lock"]
    assert not left  # nothing is left half done


def test_a_cascade_in_a_bucket(
    bucket: Bucket, make_bundle: MakeBundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = bucket.folder / "both"
    folder.mkdir()
    (folder / "config.json").write_text(cascade_of("cheap", "../tiny"))
    make_bundle("cheap", dynamic=True).rename(folder / "cheap")
    bundle = Bundle.load("gs://bucket/both")
    assert bundle.name == "both"
    assert [stage.bundle.name for stage in bundle.stages] == ["cheap", "tiny"]
    assert bundle.hash == Bundle.load(folder).hash
    assert TextClassifier(bundle).predict("goal").category == "Sports"
    assert bucket.opened[0] == "gs://bucket/both/config.json"
    read = list(bucket.opened)
    again(monkeypatch)
    assert Bundle.load("gs://bucket/both") == bundle
    assert bucket.opened == read


@pytest.mark.parametrize("config", ["{}", '{"cascade": null}', "not JSON", "[1]"])
def test_neither_a_model_nor_a_cascade(bucket: Bucket, cache: Path, config: str) -> None:
    without_model(bucket.folder / "tiny", config)
    message = message_of(lambda: Bundle.load("gs://bucket/tiny"))
    assert "has neither model_quantized.onnx nor model.onnx; make one with" in message
    assert not [f for f in cache.rglob("*") if f.is_file() and f.name != ".lock"]


def test_a_cascade_that_names_what_is_not_there(bucket: Bucket) -> None:
    without_model(bucket.folder / "tiny", cascade_of("cheap", "full"))
    message = message_of(lambda: Bundle.load("gs://bucket/tiny"))
    assert message.startswith("model 'gs://bucket/tiny/cheap': no files there")


def test_an_empty_place(bucket: Bucket) -> None:
    assert "no files there" in message_of(lambda: resolve("gs://bucket/other"))


def test_an_extra_that_is_not_installed() -> None:
    """In a process that cannot load the packages of any cloud, and in which no pipeline was made."""
    code = (
        "import sys\n"
        "for name in ('boto3', 'google.cloud.storage', 'azure'): sys.modules[name] = None\n"
        "from models.errors import BundleError\nfrom models.locate import resolve\n"
        "for scheme in ('s3', 'gs', 'azfs'):\n"
        "    try: resolve(f'{scheme}://bucket/model')\n"
        "    except BundleError as e: print(e)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [
        f"model '{scheme}://bucket/model': reading {scheme}:// needs Beam's {extra} extra; pip "
        f"install 'apache-beam[{extra}]'"
        for scheme, extra in (("s3", "aws"), ("gs", "gcp"), ("azfs", "azure"))
    ]
    assert "bigquery" not in done.stderr  # which nobody asked for


def test_an_unknown_scheme() -> None:
    assert "name a folder, hf://, gs:// or s3://" in message_of(lambda: resolve("gopher://a/b"))


# ---- The cache -----------------------------------------------------------------------------------


def fill(fetched: Any, folder: Path) -> None:
    """Fills a folder, and says so."""
    fetched.put(folder)
    for i in range(20):
        (folder / str(i)).write_bytes(bytes(100_000))


def fill_cache(meeting: Any, fetched: Any, results: Any) -> None:
    """Wants a model in the same moment as the others."""
    meeting.wait()
    results.put(fetch._cached("version", "name", functools.partial(fill, fetched)))


def test_processes_at_once(cache: Path) -> None:
    context = multiprocessing.get_context("fork")
    meeting, fetched, results = context.Barrier(3), context.SimpleQueue(), context.Queue()
    processes = [
        context.Process(target=fill_cache, args=(meeting, fetched, results)) for _ in range(3)
    ]
    for process in processes:
        process.start()
    folders = {results.get() for _ in processes}
    for process in processes:
        process.join()
    (folder,) = folders
    assert len(names(folder)) == 20
    fetched.get()
    assert fetched.empty()  # the others have waited for the first
    assert names(cache) == [folder.parent.name]  # no temporary folder is left


def test_where_the_cache_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert fetch.cache_folder() == tmp_path / "cache"
    monkeypatch.delenv("NEWSBEAM_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert fetch.cache_folder() == tmp_path / "newsbeam"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert fetch.cache_folder() == Path.home() / ".cache" / "newsbeam"
