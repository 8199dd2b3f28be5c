"""What newsbeam knows of a runner of Beam's, whichever it is: what it sets, refuses, and how it runs."""

from __future__ import annotations

import abc
import contextlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from models.model_settings import ModelSettings
from transforms.errors import ConfigurationError
from transforms.kafka.names import is_secret

if TYPE_CHECKING:
    import apache_beam as beam
    from apache_beam.options.pipeline_options import PipelineOptions

    from models.settings import SettingsSet
    from pipeline.ends.end import Ends


#: Options of Beam's whose names don't say that they are secret.
_SECRET_OPTIONS = frozenset({"azure_connection_string"})


@dataclass(frozen=True)
class Job:
    """A pipeline that is built, checked and ready to be run.

    Attributes:
        pipeline: The pipeline.
        options: What it was made of.
        beam_options: Beam's options; those that only a job server knows are in there too.
        ends: Its ends.
        live_status: Show on stderr how it goes.
    """

    pipeline: beam.Pipeline
    options: SettingsSet
    beam_options: PipelineOptions
    ends: Ends
    live_status: bool = False

    def warm_up(self) -> None:
        """Has all in memory that the first record needs, so that it need not wait for it."""
        # ONNX Runtime starts a thread when it is imported: not before it is needed.
        from models.classifier import TextClassifier

        TextClassifier.load(self.options.of(ModelSettings).model).predict("news")


class Runner(abc.ABC):
    """A runner of Beam's."""

    #: Whether it works in the process of the command line, or beside it on the same machine.
    LOCAL: ClassVar[bool] = False

    def known_options(self) -> Collection[str] | None:
        """Names of options that are not in Beam's Python classes, but known where the job goes.

        None: that is not known, and what nobody knows is passed on.
        """
        return ()

    def configure(  # noqa: B027 - not all need it
        self, beam_options: PipelineOptions, given: Collection[str], options: SettingsSet
    ) -> None:
        """Sets the options that matter and were not given, and says so in one line.

        Args:
            beam_options: Beam's options, to be changed in place.
            given: The names of those that the user gave.
            options: Ours.

        Raises:
            ConfigurationError: Something is known not to work; says what to do.
        """

    def checkpoint(self, beam_options: PipelineOptions) -> float | None:
        """Seconds between two checkpoints; None where there are none, or their pace isn't known."""
        return None

    def processes(self, beam_options: PipelineOptions) -> int:
        """How many processes a host has that run the model; 0 is one for each core."""
        if self.LOCAL:
            return 1
        from apache_beam.options.pipeline_options import PortableOptions

        return max(0, beam_options.view_as(PortableOptions).sdk_worker_parallelism)

    def prepare(self, job: Job) -> None:  # noqa: B027 - not all need it
        """Sets what only the ends tell, once the graph is built; and tries what a dry run can.

        Raises:
            ConfigurationError: It can't run so; says what to do.
        """

    def around(self) -> contextlib.AbstractContextManager[None]:
        """Surrounds all of a run, the building of the pipeline too."""
        return contextlib.nullcontext()

    def server(self, beam_options: PipelineOptions) -> object | None:
        """Starts what runs beside this process; Beam finds it for as long as somebody holds it."""
        return None

    @abc.abstractmethod
    def run(self, job: Job) -> None:
        """Submits a job, and stays with it to its end, or as long as was asked for.

        Raises:
            PipelineFailure: It failed, or was cancelled by somebody else: a line, and an exit code.
            Exception: What Beam says of a failure.
        """


def option_names(arguments: Sequence[str]) -> set[str]:
    """The names of the options in a command line: `--a=1 --b 2` are a and b."""
    return {each[2:].partition("=")[0] for each in arguments if each.startswith("--")}


def refuse_secrets(beam_options: PipelineOptions, given: Collection[str]) -> None:
    """Refuses options of Beam's that are secrets: all of its options stand in a job.

    Args:
        beam_options: Beam's options.
        given: The names of those that the user gave.

    Raises:
        ConfigurationError: There is one.
    """
    known = beam_options.get_all_options()
    for name in sorted(given):
        if (is_secret(name) or name in _SECRET_OPTIONS) and known.get(name):
            raise ConfigurationError(
                f"--{name} would stand in the job, where whoever may look at it reads it: give it to "
                "the workers by their environment or their image, or by an account of theirs"
            )
