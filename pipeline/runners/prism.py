"""Prism, Beam's runner in Go: `python -m pipeline.runners.prism` builds the one of this Beam."""

from __future__ import annotations

import contextlib
import io
import logging
import shutil
import sys
from pathlib import Path

from apache_beam.options.pipeline_options import PipelineOptions, PrismRunnerOptions
from apache_beam.runners.portability.prism_runner import PrismJobServer
from apache_beam.version import __version__ as beam_version

from models.errors import one_line
from models.fetch import cache_folder
from pipeline.go_programs import built_once, run_go
from transforms.errors import ConfigurationError

log = logging.getLogger("newsbeam")

_NAME = f"prism-{beam_version}-program"
_MODULE = f"github.com/apache/beam/sdks/v2/go/cmd/prism@v{beam_version}"


def build_prism() -> Path:
    """The Prism that belongs to the installed Beam; built, in minutes, if it is not there.

    Raises:
        ConfigurationError: There is no Go, or it can't be built.
    """

    def build(program: Path) -> None:
        environment = {"GOBIN": str(program.parent)}
        run_go(["install", _MODULE], f"Prism {beam_version}", environment=environment)
        (program.parent / "prism").rename(program)

    return built_once(_NAME, build)


def locate_prism(beam_options: PipelineOptions) -> None:
    """Says where Prism is, if the user does not: built by `make prism`, on PATH, or fetched by Beam.

    Raises:
        ConfigurationError: It is nowhere, and can't be fetched; says how to get it.
    """
    options = beam_options.view_as(PrismRunnerOptions)
    if said := options.prism_location:
        if "://" not in said and not Path(said).is_file():
            raise ConfigurationError(
                f"--prism_location={said}: there is no such program; `make prism` builds one with Go, "
                "and is found without"
            )
        return
    ours = cache_folder() / _NAME
    found = str(ours) if ours.exists() else shutil.which("prism")
    if found is None:
        try:
            with contextlib.redirect_stdout(io.StringIO()):
                found = PrismJobServer(beam_options)._get_executable_path()
        except Exception as e:
            raise ConfigurationError(
                f"--runner=PrismRunner: Beam can't fetch Prism ({one_line(e)}): `make prism` or `python "
                "-m pipeline.runners.prism` builds it with Go; or give --prism_location=PROGRAM"
            ) from None
    options.prism_location = found


def main() -> int:
    """Builds Prism, and says where it is."""
    try:
        print(build_prism())
    except ConfigurationError as e:
        print(f"newsbeam: {e}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
