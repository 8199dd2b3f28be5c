"""How a `Submission` gets into the job: as an option of Beam's, which Flink shows."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from apache_beam.options.pipeline_options import PipelineOptions

from models.settings import SettingsSet
from pipeline.ends.end import Ends
from pipeline.runners.flink.submission import Submission
from transforms.shard_state import FORMAT


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
