"""What a launcher of flex templates runs, as FLEX_TEMPLATE_PYTHON_PY_FILE: it makes the job, and ends.

The launcher gives the template's parameters and Dataflow's own options, all of them as `--name=value`,
and where to write the job (`--template_location`); it submits that itself.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence

if __name__ == "__main__" and os.path.realpath(sys.path[0]) == os.path.dirname(
    os.path.realpath(__file__)
):
    # Run by its path: what lies beside it must not stand for other modules of these names.
    del sys.path[0]

_TRUE, _FALSE = "true", "false"


def arguments(given: Sequence[str]) -> list[str]:
    """The arguments of `newsbeam run`, of those that a launcher gives."""
    made = ["run", *_flags(given)]
    if not any(each.startswith("--runner=") for each in made):
        made.append("--runner=DataflowRunner")
    return [*made, "--detach"]


def _flags(given: Sequence[str]) -> Iterator[str]:
    from models.settings import fields_of, without_none
    from pipeline.options import RUN_SETTINGS

    fields = {field.name: field for cls in RUN_SETTINGS for field in fields_of(cls)}
    for each in given:
        name, equals, value = each.removeprefix("--").partition("=")
        field = fields.get(name)
        switch = field is None or without_none(field.type) is bool
        if not equals:
            yield each
        elif not value or (switch and value.lower() == _FALSE):
            # A parameter that was left empty, or a switch that is off.
            continue
        elif switch and value.lower() == _TRUE:
            yield f"--{name}"
        elif field is not None and field.option.repeated:
            yield from (f"--{name}={part}" for part in value.split())
        else:
            yield each


def main(given: Sequence[str] | None = None) -> int:
    """Makes the job.

    Args:
        given: As the launcher gives them; the process's own by default.

    Returns:
        The exit code of `newsbeam run`.
    """
    from pipeline.cli import main as newsbeam

    return newsbeam(arguments(sys.argv[1:] if given is None else given))


if __name__ == "__main__":
    sys.exit(main())
