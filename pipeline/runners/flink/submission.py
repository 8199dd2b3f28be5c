"""What a job was submitted with: kept in the job itself, so that it can be resumed and upgraded.

Flink shows the pipeline options of a job by REST; one of them is ours, and holds this as JSON. What is
noted there of the source says which savepoints a job can be resumed from.
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.version import __version__ as beam_version

from models.settings import SettingsSet, fields_of
from pipeline.ends.end import Ends
from pipeline.ends.uris import shown
from pipeline.runners.flink.words import version_of
from transforms.errors import ConfigurationError
from transforms.release import release
from transforms.shard_state import FORMAT

#: As Flink shows the option of ours.
_SHOWN_AS = "newsbeamSubmission"
#: What is said anew at each submission.
_NOT_KEPT = frozenset(
    {"savepoint_path", "flink_master", "detach", "newsbeam_submission", "allow_non_restored_state"}
)
#: A user and password in a URI, or in one within its query.
_CREDENTIALS = re.compile(r"://[^/?#\s]*@")
#: A savepoint of a job server before this version of Beam loses what was being read after it.
_RESIDUALS = (2, 76)


@dataclass(frozen=True)
class Submission:
    """What a job was submitted with.

    Attributes:
        arguments: The options of `newsbeam run`, as flags; secrets are none of them.
        reads: What a savepoint of it can't be resumed without: kind, topics, group and number of
            shards.
        newsbeam: Its version.
        beam: That of Beam's SDK.
        job_server: That of Beam's job server, where it is known.
        left_out: The names of options that hold a password, and so are not among the arguments.
    """

    arguments: tuple[str, ...]
    reads: Mapping[str, Any] = field(default_factory=dict, hash=False)
    newsbeam: str = ""
    beam: str = ""
    job_server: str | None = None
    left_out: tuple[str, ...] = ()

    def to_json(self) -> str:
        """As the job keeps it."""
        return json.dumps(dataclasses.asdict(self), separators=(",", ":"))

    @classmethod
    def of(cls, options: SettingsSet, given: Sequence[str], job_server: str | None) -> Submission:
        """What is going to be submitted.

        Args:
            options: Ours.
            given: Beam's, as the user gave them.
            job_server: The version of Beam's job server.
        """
        beams = [flag for flag in _joined(given) if _name(flag) not in _NOT_KEPT]
        flags = [*_flags(options), *beams]
        arguments = [flag for flag in flags if not _CREDENTIALS.search(flag)]
        return cls(
            tuple(arguments),
            {},
            release().version,
            beam_version,
            job_server,
            tuple(sorted({_name(flag) for flag in flags if flag not in arguments})),
        )

    @classmethod
    def from_json(cls, text: str) -> Submission | None:
        """What a job has kept; None where that is none."""
        try:
            kept = json.loads(text)
            kept["arguments"] = tuple(map(str, kept["arguments"]))
            kept["left_out"] = tuple(map(str, kept.get("left_out", ())))
            names = {each.name for each in dataclasses.fields(cls)}
            return cls(**{name: value for name, value in kept.items() if name in names})
        except (ValueError, KeyError, TypeError):
            return None

    @classmethod
    def found_in(cls, user_config: Mapping[str, str]) -> Submission | None:
        """That of a job, by what Flink says of it; None where newsbeam did not submit it."""
        return cls.from_json(user_config.get(_SHOWN_AS, ""))

    def with_changes(self, changes: Sequence[str]) -> list[str]:
        """Its options with others in their place: what is given anew replaces what was.

        Raises:
            ConfigurationError: One that it does not keep is not given anew.
        """
        new = _joined(changes)
        names = {_name(flag) for flag in new}
        if missing := [name for name in self.left_out if name not in names]:
            raise ConfigurationError(
                f"the job does not keep --{missing[0]}, which holds a password: give it again"
            )
        return [*(flag for flag in self.as_it_was() if _name(flag) not in names), *new]

    def as_it_was(self) -> list[str]:
        """Its options, but for those that it does not keep."""
        # Its number of shards was a matter of the machine it was submitted from.
        shards = self.reads.get("shards")
        kept = [flag for flag in self.arguments if not shards or _name(flag) != "shards"]
        return [f"--shards={shards}", *kept] if shards else kept

    def obstacle(self, reads: Mapping[str, Any], job_server: str | None) -> str | None:
        """Why a savepoint of it can't be resumed by a submission; None where it can."""
        for name, why in _FIXED.items():
            old, new = self.reads.get(name), reads.get(name)
            if old is not None and old != new:
                return (
                    f"{why}: the job has {_words(old)}, this would have {_words(new)}. Keep it, or stop "
                    "the job and start anew with `newsbeam run`, which goes on where the group stands"
                )
        known = self.job_server and job_server
        if known and version_of(self.job_server or "") < _RESIDUALS <= version_of(job_server or ""):
            return (
                f"a savepoint of Beam's job server {self.job_server} loses its place in one of "
                f"{job_server}: stop the job and start anew with `newsbeam run`, which goes on where "
                "the group stands"
            )
        return None


#: What can't change, and why.
_FIXED = {
    "kind": "a savepoint holds positions of one kind of source",
    "topics": "a savepoint holds positions in the topics that the job reads",
    "group": "a savepoint goes on where its consumer group stands",
    "shards": "a savepoint holds one position a shard, so --shards can't change",
    "format": "this newsbeam reads savepoints of another format",
}


def _flags(options: SettingsSet) -> list[str]:
    """Options that are not as they are by default, as flags."""
    found: list[str] = []
    for cls in options.classes:
        theirs: Any = options.of(cls)
        for each in fields_of(cls):
            value = getattr(theirs, each.name)
            if value == each.default or value is None or each.name in _NOT_KEPT:
                continue
            if isinstance(value, bool):
                found.append(f"--{each.name}")
            elif each.option.repeated:
                found += [f"--{each.name}={one}" for one in value]
            elif isinstance(value, tuple):
                found.append(f"--{each.name}={','.join(value)}")
            else:
                found.append(f"--{each.name}={value}")
    return found


def _joined(arguments: Sequence[str]) -> list[str]:
    """Options with their values in one: `--a b` is `--a=b`."""
    found: list[str] = []
    for each in arguments:
        if each.startswith("--") or not found or "=" in found[-1]:
            found.append(each)
        else:
            found[-1] += f"={each}"
    return found


def _name(flag: str) -> str:
    return flag.removeprefix("--").partition("=")[0]


def _words(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return "none" if value is None else shown(str(value))


# ---- in the job ------------------------------------------------------------------------------------


class SubmissionOptions(PipelineOptions):
    """Carries a `Submission` to Flink."""

    @classmethod
    def _add_argparse_args(cls, parser: Any) -> None:
        parser.add_argument("--newsbeam_submission", default=None, help="Set by newsbeam itself.")


def begin(
    beam_options: PipelineOptions,
    options: SettingsSet,
    given: Sequence[str],
    job_server: str | None,
) -> None:
    """Has Beam's options carry what is going to be submitted, before anything is set in them."""
    made = Submission.of(options, given, job_server)
    beam_options.view_as(SubmissionOptions).newsbeam_submission = made.to_json()


def keep(beam_options: PipelineOptions, ends: Ends) -> None:
    """Has the job keep what it is submitted with, now that its ends are known."""
    made = submission_in(beam_options)
    if made is not None:
        view = beam_options.view_as(SubmissionOptions)
        view.newsbeam_submission = dataclasses.replace(made, reads=reads_of(ends)).to_json()


def submission_in(beam_options: PipelineOptions) -> Submission | None:
    """What Beam's options carry."""
    return Submission.from_json(beam_options.view_as(SubmissionOptions).newsbeam_submission or "")


def reads_of(ends: Ends) -> dict[str, Any]:
    """What a savepoint rests on, of a source."""
    end = ends.source.end
    found: dict[str, Any] = {"kind": end.uri.partition("://")[0] if "://" in end.uri else "file"}
    subscription = getattr(getattr(ends.source, "source", None), "subscription", None)
    if subscription is not None:
        # Of Pub/Sub it is the subscription itself, and there are no groups.
        topics = getattr(subscription, "topics", None) or (subscription.name,)
        found |= {
            "topics": sorted(topics),
            "group": getattr(subscription, "group", None),
            "shards": subscription.shard_count,
            "format": FORMAT,
        }
    return found
