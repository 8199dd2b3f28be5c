"""Dry runs, and checks that are left out."""

from __future__ import annotations

import contextlib
import logging
import tempfile
from pathlib import Path

import pytest

from models.errors import BundleError
from pipeline.options import RunOptions
from pipeline.preflight import check
from pipeline.run import beam_options, execute
from transforms.errors import ConfigurationError
from transforms.kafka.settings import KafkaSettings

#: Nobody listens there.
AWAY = "kafka://127.0.0.1:1"


def test_a_dry_run_shows_all_and_writes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "in.txt").write_text("Shares fall\n")
    options = RunOptions(
        str(tmp_path / "in.txt"), str(tmp_path / "out.jsonl"), dry_run=True, max_length=9
    )
    execute(options)
    shown = capsys.readouterr().out
    for part in ("has started nothing", "FnApiRunner", str(tmp_path / "in.txt"), "exactly once"):
        assert part in shown
    assert "\n  reads         the first 9 tokens\n" in shown
    steps = [line.strip() for line in shown.splitlines()]
    assert steps.index("Read news") < steps.index("Tokenize news") < steps.index("Write results")
    assert [each.name for each in tmp_path.iterdir()] == ["in.txt"]


@pytest.mark.parametrize("model", ["ag_news_mini", "no-such-model"])
def test_beam_leaves_no_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model: str) -> None:
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    options = RunOptions(
        f"{AWAY}/in", f"{AWAY}/out", skip_checks=("kafka",), model=model, dry_run=True
    )
    with contextlib.suppress(BundleError):
        execute(options, ["--runner=PortableRunner", "--job_endpoint=h:1"])
    assert not any((tmp_path / "tmp").iterdir())


def test_a_dry_run_checks_what_a_run_does(tmp_path: Path) -> None:
    options = RunOptions(str(tmp_path / "none.txt"), str(tmp_path / "out.jsonl"), dry_run=True)
    with pytest.raises(ConfigurationError, match="matches no file"):
        execute(options)


def test_who_is_left_out_is_not_asked_and_that_is_said(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def asked(*args: object, **kwargs: object) -> None:
        raise AssertionError("somebody was asked")

    monkeypatch.setattr(KafkaSettings, "_connect", asked)
    # Two clusters: their ids would be asked for as well.
    options = RunOptions(f"{AWAY}/in", "kafka://127.0.0.2:1/out", skip_checks=("kafka",))
    with caplog.at_level(logging.WARNING, "newsbeam"):
        ends = check(options, beam_options([]))
    assert ends.delivery == "at_least_once"
    assert [r.getMessage() for r in caplog.records] == [
        "not asked before the start, as --skip_checks says: kafka"
    ]


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"skip_checks": ("kafka",), "stop_at_end": True}, "--stop_at_end asks the brokers"),
        ({"skip_checks": ("kafak",)}, "'kafak' is unknown"),
    ],
)
def test_what_can_not_be_left_out(given: dict[str, object], named: str) -> None:
    with pytest.raises(ConfigurationError, match=named):
        check(RunOptions(f"{AWAY}/in", f"{AWAY}/out", **given), beam_options([]))


def test_results_in_avro_need_their_registry() -> None:
    sink = f"{AWAY}/out?format=avro&schema_registry=http://127.0.0.1:1"
    options = RunOptions(f"{AWAY}/in", sink, skip_checks=("kafka", "schema_registry"))
    with pytest.raises(ConfigurationError, match="drop schema_registry from --skip_checks"):
        check(options, beam_options([]))


def test_secrets_are_for_runners_of_this_machine_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEWSBEAM_KAFKA_SASL_PLAIN_PASSWORD", "hunter2")
    options = RunOptions(f"{AWAY}/in", f"{AWAY}/out", skip_checks=("kafka",))
    check(options, beam_options([]))
    with pytest.raises(ConfigurationError, match="env://VARIABLE") as caught:
        check(options, beam_options(["--runner=FlinkRunner", "--job_endpoint=h:1"]))
    assert "hunter2" not in str(caught.value)
