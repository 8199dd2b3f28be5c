"""What is checked before a run, and whether it is one."""

from __future__ import annotations

from typing import Annotated

from models.settings import Option, settings
from transforms.errors import ConfigurationError

#: Who may be asked before the start, by the names of `--skip_checks`.
ASKED = ("kafka", "pubsub", "bigquery", "schema_registry", "temp_location")


@settings(panel="Running")
class CheckSettings:
    """What is checked before the start."""

    skip_checks: Annotated[
        tuple[str, ...],
        Option(
            f"Start without asking these servers: of {', '.join(ASKED)}; for those that only the "
            "workers reach. What they would have refused ends the job, later.",
            metavar="NAME[,NAME]",
        ),
    ] = ()
    dry_run: Annotated[
        bool,
        Option(
            "Check everything, build the graph, show what would run, and start nothing. On Dataflow "
            "the job is translated as well."
        ),
    ] = False

    def __post_init__(self) -> None:
        for name in self.skip_checks:
            if name not in ASKED:
                raise ConfigurationError(
                    f"--skip_checks {name!r} is unknown: give some of {', '.join(ASKED)}"
                )

    def skips(self, name: str) -> bool:
        """Whether a server is left out; `name` is one of `ASKED`."""
        return name in self.skip_checks
