"""The embedded Pub/Sub: built once, and a clear line where it can't be."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from pipeline.demo.pubsub import EmbeddedPubSub, fake_program
from tests.servers.pubsub import PubSubServer
from transforms.errors import ConfigurationError


@pytest.fixture
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("NEWSBEAM_CACHE", str(tmp_path))
    return tmp_path


def test_it_is_built_once(cache: Path) -> None:
    built: list[Path] = []

    def build(program: Path) -> None:
        built.append(program)
        program.write_text("program")

    program = fake_program(build)
    assert fake_program(build) == program
    assert len(built) == 1
    assert program.read_text() == "program"
    assert program.parent == cache


def test_a_build_that_fails_is_begun_anew(cache: Path) -> None:
    def fail(program: Path) -> None:
        program.write_text("half")
        raise ConfigurationError("no")

    with pytest.raises(ConfigurationError):
        fake_program(fail)
    assert [p.suffix for p in cache.iterdir()] == [".lock"]


def test_without_go(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with pytest.raises(
        ConfigurationError, match="built with Go, and `go` is not on PATH: install it"
    ):
        EmbeddedPubSub().start()


def test_it_ends_when_it_is_stopped_and_comes_back_on_its_port(pubsub: PubSubServer) -> None:
    with EmbeddedPubSub() as fake:
        address = fake.address
        assert fake.running
    assert not fake.running
    with pytest.raises(RuntimeError, match="not started"):
        _ = fake.pid
    with fake:
        assert fake.address == address
    with pytest.raises(RuntimeError, match=r"does not listen.*in use"):
        EmbeddedPubSub(int(pubsub.address.rpartition(":")[2])).start()


def program(folder: Path, name: str, script: str) -> None:
    """Puts a shell script on the PATH that is this folder."""
    folder.mkdir(exist_ok=True)
    file = folder / name
    file.write_text(f"#!/bin/sh\n{script}\n")
    file.chmod(0o755)


def test_that_it_is_built_is_said_once(
    cache: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    # What is built says where it listens, and ends with its stdin.
    built = "#!/bin/sh\\necho 127.0.0.1:7\\nread -r _\\n"
    program(tmp_path / "bin", "go", f'printf \'{built}\' >"$3"; chmod +x "$3"')
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    said: list[str] = []
    for _ in range(2):
        with EmbeddedPubSub(building=lambda: said.append("now")) as fake:
            assert fake.address == "127.0.0.1:7"
    assert said == ["now"]


def test_what_go_says_is_told(cache: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    program(tmp_path / "bin", "go", "echo 'no such\nhost'; exit 1")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    with pytest.raises(ConfigurationError, match=r"can't be built with Go: no such host$"):
        EmbeddedPubSub().start()
