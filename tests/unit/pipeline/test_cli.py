"""The command line as a user meets it: in a process of its own."""

from __future__ import annotations

import importlib.metadata
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.servers import starter
from tests.servers.processes import free_port

REPO = Path(__file__).parents[3]
PASSWORD = "correct-horse-battery"


class Said(NamedTuple):
    """How a process ended, and what it said."""

    returncode: int
    stdout: str
    stderr: str


def newsbeam(
    *args: str, stdin: str = "", environment: dict[str, str] | None = None, anew: bool = False
) -> Said:
    """Runs `newsbeam ARGS`; `anew` as a shell does, imports and all."""
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("NEWSBEAM_")}
    env = inherited | (environment or {})
    done = starter.run(args, stdin=stdin.encode(), env=env, cwd=REPO, anew=anew)
    return Said(done.returncode, done.stdout.decode(), done.stderr.decode())


def check_refused(found: Said, named: str) -> None:
    """One line on stderr that names the value; nothing else, and exit code 2."""
    assert found.returncode == 2, found.stderr
    assert found.stdout == ""
    assert len(found.stderr.splitlines()) == 1, found.stderr
    assert found.stderr.startswith("newsbeam: ")
    assert "Traceback" not in found.stderr
    assert named in found.stderr


@pytest.mark.parametrize(
    ("args", "named"),
    [
        ("run", "--source"),
        ("run --source -", "--sink"),
        ("run --source - --sink - --shards many", "--shards"),
        ("run --source - --sink - --shards 0", "--shards"),
        ("run --source - --sink - --max_length 513", "--max_length 513: choose 1 to 512"),
        ("run --source - --sink - --max_windows 65", "--max_windows 65: choose 1 to 64"),
        ("run --source - --sink - --max_length 9 --max_windows 2", "--max_windows 2: goes with"),
        ("run --source - --sink - --threshold 2", "2.0"),
        ("run --source - --sink - --activation relu", "relu"),
        ("run --source - --sink - --text_clean_up wash", "wash"),
        ("run --source - --sink - --format xml", "xml"),
        ("run --source - --sink - --log_level loud", "loud"),
        ("run --source - --sink - --delivery twice", "twice"),
        ("run --source - --sink - --no_such_option=3", "--no_such_option=3"),
        ("run --source - --sink - --runner=NoSuchRunner", "NoSuchRunner"),
        ("run --source - --sink - --direct_num_workers=2", "--direct_num_workers"),
        ("run --source rabbit://h/q --sink -", "rabbit"),
        ("run --source kafka://h/t --sink -", "'h'"),
        ("run --source kafka://h:1/t?colour=red --sink -", "'colour'"),
        ("run --source kafka://h:1/t --sink - --delivery exactly_once", "one Kafka cluster"),
        ("run --source no-such-file.jsonl --sink -", "no-such-file.jsonl"),
        ("run --source - --sink no-such-folder/out.jsonl", "no-such-folder"),
        ("run --source - --sink - --model no-such-model", "no-such-model"),
        ("run --source kafka://h:1/t --sink - --kafka_config no-such.conf", "no-such.conf"),
        ("classify --model no-such-model text", "no-such-model"),
        ("evaluate --csv no-such-file.csv", "no-such-file.csv"),
        ("consume no-such-file.jsonl", "no-such-file.jsonl"),
        ("no_such_command", "no_such_command"),
        ("run --source - --sink - --detach", "--detach is about a job on a cluster"),
        ("run --source - --sink - --on_stop=leave", "--on_stop=leave is about"),
        ("run --source - --sink - --savepoint_dir=/tmp", "--savepoint_dir is about"),
        (
            "run --source - --sink - --runner=PrismRunner --prism_location=/no/x",
            "/no/x: there is no",
        ),
        ("run --source kafka://h:1/t --sink - --standby --runner=FlinkRunner", "--standby is for"),
        ("jobs list --flink_master=[local]", "--flink_master=[local] is no address"),
        ("worker-pool --host 192.0.2.1", "(Cannot assign requested address)"),
    ],
)
def test_what_is_given_wrongly_is_one_line(args: str, named: str) -> None:
    check_refused(newsbeam(*args.split()), named)


@pytest.mark.parametrize(
    "args",
    [
        "--metrics_port loud --log_format json",
        "--log_format json --on_stop never",
        "--log_format json --no_such_option",
        "--log_format JSON --sink",
    ],
)
def test_in_json_that_is_an_object(args: str) -> None:
    found = newsbeam("run", "--source", "-", "--sink", "-", *args.split())
    assert found.returncode == 2
    [line] = found.stderr.splitlines()
    assert json.loads(line)["level"] == "error"


@pytest.mark.parametrize("args", ["", "jobs", "model"])
def test_without_a_command_there_is_help(args: str) -> None:
    found = newsbeam(*args.split())
    assert found.returncode == 2
    assert "Commands" in found.stdout
    assert "no command was given; see `" in found.stderr


def test_as_a_shell_starts_it_too() -> None:
    """Beam warns of what is not installed where it is imported too early."""
    args = ("run", "--source", "-", "--sink", "-", "--runner=NoSuchRunner")
    check_refused(newsbeam(*args, anew=True), "NoSuchRunner")


@pytest.mark.parametrize("level", ["info", "debug"])
def test_a_broker_that_does_not_answer_is_one_line_and_the_password_does_not_show(
    level: str,
) -> None:
    server = f"127.0.0.1:{free_port()}"
    found = newsbeam(
        *("run", "--source", f"kafka://{server}/news", "--sink", "-", "--log_level", level),
        environment={
            "NEWSBEAM_KAFKA_SECURITY_PROTOCOL": "SASL_PLAINTEXT",
            "NEWSBEAM_KAFKA_SASL_MECHANISM": "PLAIN",
            "NEWSBEAM_KAFKA_SASL_PLAIN_USERNAME": "me",
            "NEWSBEAM_KAFKA_SASL_PLAIN_PASSWORD": PASSWORD,
            "NEWSBEAM_KAFKA_ADMIN_BOOTSTRAP_TIMEOUT_MS": "500",
        },
    )
    assert PASSWORD not in found.stdout + found.stderr
    assert found.returncode == 2
    assert server in found.stderr.splitlines()[-1]
    if level == "info":
        check_refused(found, server)


def test_a_password_in_a_uri_is_refused_and_not_shown() -> None:
    found = newsbeam("run", "--source", f"kafka://me:{PASSWORD}@h:1/t", "--sink", "-")
    check_refused(found, "NEWSBEAM_KAFKA_SASL_PLAIN_USERNAME")
    assert PASSWORD not in found.stderr


def test_a_pipe() -> None:
    lines = '{"id": "a", "title": "Striker scores twice as hosts win the cup final"}\n{"id": "b"\n'
    found = newsbeam("run", "--source", "-", "--sink", "-", stdin=lines, anew=True)
    assert found.returncode == 0, found.stderr
    [item] = map(json.loads, found.stdout.splitlines())
    assert (item["id"], item["category"]) == ("a", "Sports")
    [letter] = [json.loads(line) for line in found.stderr.splitlines() if line.startswith("{")]
    assert letter["stage"] == "ParseNews"
    assert "Traceback" not in found.stderr


def test_the_environment_gives_options(tmp_path: Path) -> None:
    (tmp_path / "in.txt").write_text("Shares fall\n")
    found = newsbeam(
        "run",
        environment={
            "NEWSBEAM_SOURCE": str(tmp_path / "in.txt"),
            "NEWSBEAM_SINK": str(tmp_path / "out.jsonl"),
            "NEWSBEAM_LOG_LEVEL": "error",
        },
        anew=True,
    )
    assert found.returncode == 0, found.stderr
    assert found.stderr == ""
    assert len((tmp_path / "out.jsonl").read_text().splitlines()) == 1


@pytest.mark.parametrize(
    ("args", "closed", "named"),
    [
        ("run --source - --sink -", "<&-", "stdin is closed"),
        ("run --source - --sink - </dev/null", ">&-", "stdout is closed"),
        ("classify", "<&-", "stdin is closed"),
        ("classify", "<&- 0>/dev/null", "stdin is open for writing only"),
        ("classify text", ">&-", "stdout is closed"),
        ("consume -", "<&-", "stdin is closed"),
        ("consume - </dev/null", ">&-", "stdout is closed"),
    ],
)
def test_closed_streams_are_one_line(args: str, closed: str, named: str) -> None:
    check_refused(shell(f"{args} {closed}"), named)


def test_stderr_that_is_closed() -> None:
    found = shell("classify 'Stocks rally as oil falls' 2>&-")
    assert found.returncode == 0
    assert found.stdout.startswith("Business\t")
    # Dead letters would be lost, and there is nowhere to say so.
    found = shell("run --source - --sink - </dev/null 2>&-")
    assert (found.returncode, found.stdout) == (2, "")


def test_version() -> None:
    found = newsbeam("--version")
    assert (found.returncode, found.stderr) == (0, "")
    assert found.stdout == f"newsbeam {importlib.metadata.version('newsbeam')}\n"


def test_completion_needs_no_beam() -> None:
    code = (
        "import sys; from pipeline.cli import main\n"
        "try: main([])\n"  # it ends the process
        "finally: assert not [m for m in sys.modules if m.startswith(('apache_beam', 'kafka.'))]"
    )
    asked = {"_NEWSBEAM_COMPLETE": "complete_bash", "COMP_WORDS": "newsbeam cl", "COMP_CWORD": "1"}
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.argv = ['newsbeam']; {code}"],
        cwd=REPO,
        env={**os.environ, **asked},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout.split(), done.stderr) == (["classify"], "")


def test_help_without_colour() -> None:
    found = newsbeam("--help", environment={"NO_COLOR": "1", "FORCE_COLOR": "1"})
    assert "\x1b[3" not in found.stdout  # bold is no colour
    plain = re.sub("\x1b\\[[0-9;]*m", "", found.stdout)
    assert "--version" in plain
    assert "--install-completion" in plain


def shell(line: str) -> Said:
    """Runs `newsbeam LINE` in a shell."""
    done = subprocess.run(
        ["sh", "-c", f'exec "{sys.executable}" -m pipeline {line}'],
        cwd=REPO,
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    return Said(done.returncode, done.stdout, done.stderr)


#: Presses Ctrl-C while a module is looked for, in what may raise nothing.
INTERRUPTED = """
import os, signal, sys
class Dropped:
    def __del__(self): os.kill(os.getpid(), signal.SIGINT)
class Finder:
    def find_spec(self, name, path, target=None):
        if name == MODULE: Dropped()
sys.meta_path.insert(0, Finder())
from pipeline.__main__ import main
sys.exit(main())
"""


@pytest.mark.parametrize(
    ("module", "args"),
    [
        ("typer", ["--version"]),
        ("pipeline.commands.classify", ["classify", "news"]),
        ("apache_beam", ["run", "--source", "-", "--sink", "-"]),
    ],
)
@pytest.mark.parametrize("ignored", [False, True])
def test_interrupted_while_it_starts(module: str, args: list[str], ignored: bool) -> None:
    ignore = "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)\n" if ignored else ""
    code = f"{ignore}MODULE = {module!r}\n{INTERRUPTED}"
    done = subprocess.run(
        [sys.executable, "-c", code, *args],
        cwd=REPO,
        input="",
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == (0 if ignored else 130)
    assert ignored or (done.stdout, done.stderr) == ("", "")
