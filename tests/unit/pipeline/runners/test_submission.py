"""What a job remembers of its submission, and what of it can change."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.connect import connect
from pipeline.options import RunOptions
from pipeline.runners.flink.submission import Submission, reads_of
from transforms.errors import ConfigurationError

READS = {"kind": "kafka", "topics": ["news"], "group": "desk", "shards": 4, "format": 1}


def kept(job_server: str | None = "2.77.0", **changes: Any) -> Submission:
    arguments = ("--source=kafka://k/news", "--model=a", "--route=World=x", "--route=Sports=y")
    return Submission(arguments, READS | changes, "0.1", "2.77.0", job_server)


def test_it_comes_back_as_it_was() -> None:
    assert Submission.from_json(kept().to_json()) == kept()
    assert Submission.found_in({"newsbeamSubmission": kept().to_json()}) == kept()


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"arguments": 3}', "{"])
def test_a_job_of_somebody_else(text: str) -> None:
    assert Submission.found_in({"newsbeamSubmission": text}) is None
    assert Submission.found_in({}) is None


def test_what_later_versions_keep_is_passed_over() -> None:
    later = kept().to_json().replace('"newsbeam"', '"more":1,"newsbeam"')
    assert Submission.from_json(later) == kept()


def test_options_become_flags_again() -> None:
    options = RunOptions(
        source="kafka://k/a", create_topics=True, route=("A=x", "B=y"), text_fields=("a", "b")
    )
    given = ["--parallelism", "2", "--object_reuse", "--savepoint_path=x", "--flink_master=y"]
    made = Submission.of(options, given, None)
    assert set(made.arguments) == {
        "--source=kafka://k/a",
        "--create_topics",
        "--route=A=x",
        "--route=B=y",
        "--text_fields=a,b",
        "--parallelism=2",
        "--object_reuse",
    }


def test_passwords_are_not_kept() -> None:
    source = "kafka://k/a?format=avro&schema_registry=http://u:secret@h/"
    made = Submission.of(RunOptions(source=source), ["--artifacts_dir=x://u:secret@h"], None)
    assert "secret" not in made.to_json()
    assert made.left_out == ("artifacts_dir", "source")
    again = Submission.from_json(made.to_json())
    assert again == made
    with pytest.raises(ConfigurationError, match="does not keep --source, which holds a password"):
        made.with_changes(["--artifacts_dir=y"])
    assert made.with_changes(["--source=s", "--artifacts_dir=y"]) == [
        "--source=s",
        "--artifacts_dir=y",
    ]


def test_changes_take_the_place_of_what_was() -> None:
    assert kept().with_changes(["--model", "b", "--route=World=z"]) == [
        "--shards=4",
        "--source=kafka://k/news",
        "--model=b",
        "--route=World=z",
    ]
    assert kept().with_changes(["--shards=5"])[-1] == "--shards=5"
    assert kept(shards=None).with_changes([])[0] == "--source=kafka://k/news"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"shards": 3}, "--shards can't change: the job has 4, this would have 3"),
        ({"topics": ["news", "more"]}, "the job has news, this would have news, more"),
        ({"group": "other"}, "the job has desk, this would have other"),
        ({"kind": "pubsub"}, "the job has kafka, this would have pubsub"),
        ({"format": 2}, "reads savepoints of another format"),
    ],
)
def test_what_can_not_change(change: dict[str, Any], words: str) -> None:
    why = kept().obstacle(READS | change, "2.77.0")
    assert why is not None
    assert words in why


@pytest.mark.parametrize(
    ("old", "new", "fits"),
    [
        ("2.77.0", "2.78.0", True),
        ("2.70.0", "2.75.0", True),
        ("2.75.0", "2.76.0", False),
        (None, "2.77.0", True),
        ("2.70.0", None, True),
    ],
)
def test_versions_of_the_job_server(old: str | None, new: str | None, fits: bool) -> None:
    assert (kept(old).obstacle(READS, new) is None) is fits


def test_what_a_savepoint_rests_on_is_kept() -> None:
    def reads(source: str, sink: str) -> dict[str, Any]:
        options = RunOptions(source=source, sink=sink, shards=3)
        return reads_of(connect(options, runner="FlinkRunner", local=False))

    common = {"shards": 3, "format": 1}
    of_kafka = reads("kafka://k:9092/b,a?group=g", "kafka://k:9092/out")
    assert of_kafka == {"kind": "kafka", "topics": ["a", "b"], "group": "g", **common}
    of_pubsub = reads("pubsub://my-project/news-sub", "pubsub://my-project/out")
    assert of_pubsub == {"kind": "pubsub", "topics": ["news-sub"], "group": None, **common}
