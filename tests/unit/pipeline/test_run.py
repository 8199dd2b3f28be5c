"""Running: Beam's options, signals, and whole runs in this process."""

from __future__ import annotations

import json
import os
import shutil
import signal
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from apache_beam.options.pipeline_options import StandardOptions

from models import onnx
from models.errors import BundleError
from models.locate import PACKAGED
from pipeline.demo.broker import EmbeddedBroker
from pipeline.ends.kafka.peek import read_topics
from pipeline.options import RunOptions
from pipeline.run import beam_options, execute
from pipeline.runners.local import drained_by_signals
from transforms.errors import ConfigurationError
from transforms.failures import PipelineFailure
from transforms.kafka.settings import KafkaSettings
from transforms.reading import draining
from transforms.records import Message, categorized_from_json
from transforms.tally import TALLY

# ---- Beam's options --------------------------------------------------------------------------------


def test_the_runner() -> None:
    assert beam_options([]).view_as(StandardOptions).runner == "FnApiRunner"
    flink = ["--runner=FlinkRunner", "--max_bundle_time_mills=100", "--savepoint_path", "s3://a/b"]
    assert beam_options(flink).view_as(StandardOptions).runner == "FlinkRunner"


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--no_such_option=3"], "--no_such_option=3"),
        (["stray"], "stray"),
        (["--direct_num_workers=many"], "'many'"),
        (["--runner=NoSuchRunner"], "NoSuchRunner"),
        (
            ["--runner=FlinkRunner", "--max_bundle_time_millis=100"],
            "did you mean --max_bundle_time_mills",
        ),
        (["--runner=FlinkRunner", "--savepoint_path", "a", "stray"], "stray"),
    ],
)
def test_options_that_beam_does_not_take(arguments: list[str], named: str) -> None:
    with pytest.raises(ConfigurationError, match=named) as caught:
        beam_options(arguments)
    assert "\n" not in str(caught.value)


# ---- signals ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_drains(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with drained_by_signals() as can:
        assert can
        os.kill(os.getpid(), number)
        assert draining()
    assert signal.getsignal(number) is before


def test_a_second_ctrl_c_interrupts() -> None:
    def twice() -> None:
        os.kill(os.getpid(), signal.SIGINT)
        assert draining()
        os.kill(os.getpid(), signal.SIGINT)

    with drained_by_signals(), pytest.raises(KeyboardInterrupt):
        twice()


def test_outside_the_main_thread_signals_are_left_alone() -> None:
    found: list[bool] = []

    def enter() -> None:
        with drained_by_signals() as can:
            found.append(can)

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    assert found == [False]


# ---- whole runs ------------------------------------------------------------------------------------


def test_a_file_to_a_file(tmp_path: Path) -> None:
    (tmp_path / "in.txt").write_text("Striker scores twice in the cup final\n\nShares fall\n")
    execute(RunOptions(str(tmp_path / "in.txt"), str(tmp_path / "out.jsonl")))
    lines = (tmp_path / "out.jsonl").read_bytes().splitlines()
    assert {categorized_from_json(line).fields["text"] for line in lines} == {
        "Striker scores twice in the cup final",
        "Shares fall",
    }
    assert TALLY.snapshot().categorized == 2


def test_a_run_starts_to_count_from_zero(tmp_path: Path) -> None:
    TALLY.categorized("left over")
    (tmp_path / "in.txt").write_text("Shares fall\n")
    execute(RunOptions(str(tmp_path / "in.txt"), str(tmp_path / "out.jsonl")))
    assert TALLY.snapshot().categorized == 1


def test_nothing_starts_where_something_is_wrong(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="matches no file"):
        execute(RunOptions(str(tmp_path / "none.txt"), str(tmp_path / "out.jsonl")))
    assert list(tmp_path.iterdir()) == []


def test_csv_without_a_header_and_html(tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_text('3;"Shares &lt;b&gt;fall&lt;/b&gt;; 12"" TV"\n')
    source = f"{tmp_path}/train.csv?columns=class,title"
    execute(RunOptions(source, str(tmp_path / "out.jsonl"), text_clean_up="html"))
    [line] = (tmp_path / "out.jsonl").read_bytes().splitlines()
    title = 'Shares &lt;b&gt;fall&lt;/b&gt;; 12" TV'
    assert categorized_from_json(line).fields == {"class": "3", "title": title}


def test_fail_fast_ends_a_run_whose_records_are_all_dead_letters(tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text("id,name\n1,A\n2,B\n")
    options = RunOptions(str(tmp_path / "in.csv"), str(tmp_path / "out.jsonl"), fail_fast=True)
    with pytest.raises(PipelineFailure, match="none of the fields title"):
        execute(options)


def test_a_document_whose_list_is_not_named_ends_with_the_remedy(tmp_path: Path) -> None:
    (tmp_path / "in.json").write_text('{"articles": [{"title": "Shares fall"}]}')
    out = tmp_path / "out.jsonl"
    with pytest.raises(Exception, match="give --items articles"):
        execute(RunOptions(str(tmp_path / "in.json"), str(out)))
    assert not out.exists()
    execute(RunOptions(str(tmp_path / "in.json"), str(out), items="articles"))
    assert TALLY.snapshot().categorized == 1


def test_topic_to_topic_until_its_end_and_on_from_there(
    embedded_broker: EmbeddedBroker, topics: Callable[..., str], unique: Callable[[str], str]
) -> None:
    source, sink, dead = topics("in", partitions=2), topics("out"), topics("dead")
    at = f"kafka://{embedded_broker.bootstrap_servers}"
    options = RunOptions(
        f"{at}/{source}?group={unique('group')}",
        f"{at}/{sink}",
        dead_letters=f"{at}/{dead}",
        stop_at_end=True,
        delivery="at_least_once",
    )

    def produce(first: int, end: int) -> None:
        producer = KafkaSettings.of(embedded_broker.bootstrap_servers, environment={}).producer()
        for i in range(first, end):
            value = json.dumps({"id": i, "title": "Shares fall"}).encode() if i % 5 else b"{"
            producer.send(source, value, key=b"%d" % i, partition=i % 2)
        producer.flush()
        producer.close()

    def written(topic: str) -> list[Message]:
        settings = KafkaSettings.of(embedded_broker.bootstrap_servers, environment={})
        return [m for batch in read_topics("", settings, [topic]) for m in batch]

    for first, end in ((0, 40), (40, 50)):
        produce(first, end)
        execute(options)
        keys = sorted(int(m.key or b"") for m in written(sink) + written(dead))
        assert keys == list(range(end))
    assert sorted(int(m.key or b"") for m in written(dead)) == list(range(0, 50, 5))


# ---- the model -------------------------------------------------------------------------------------


def test_a_local_run_opens_its_model_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    real = onnx._open
    monkeypatch.setattr(onnx, "_open", lambda bundle: opened.append(bundle.name) or real(bundle))
    (tmp_path / "in.txt").write_text("Shares fall\n")
    out = tmp_path / "out.jsonl"
    # One that nobody else in this process has open.
    model = shutil.copytree(PACKAGED["ag_news_mini"], tmp_path / "model")
    execute(RunOptions(str(tmp_path / "in.txt"), str(out), model=str(model)))
    assert len(out.read_text().splitlines()) == 1
    assert opened == ["model"]


def test_a_model_that_cannot_be_opened_is_told_after_what_else_is_wrong(tmp_path: Path) -> None:
    (tmp_path / "in.txt").write_text("Shares fall\n")
    (tmp_path / "model").mkdir()
    source, model = str(tmp_path / "in.txt"), str(tmp_path / "model")
    with pytest.raises(ConfigurationError, match="no-such-folder"):
        execute(RunOptions(source, str(tmp_path / "no-such-folder/out.jsonl"), model=model))
    with pytest.raises(BundleError, match=r"config\.json is missing"):
        execute(RunOptions(source, str(tmp_path / "out.jsonl"), model=model))
