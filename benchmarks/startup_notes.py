"""`python -m benchmarks.startup_notes FILE ARGS` is `newsbeam ARGS`, and notes the stages of a run."""

from __future__ import annotations

import contextlib
import functools
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any


def main() -> None:
    notes = Path(sys.argv.pop(1))
    from pipeline import imports
    from pipeline.cli import main as newsbeam

    noted = set()

    def note(stage: str) -> None:
        if stage not in noted:
            noted.add(stage)
            with notes.open("a") as file:
                print(json.dumps([stage, time.time()]), file=file)

    def ends(owner: Any, name: str, before: str = "", after: str = "") -> None:
        """Notes stages that end where a function begins, or where it is done."""
        function = getattr(owner, name)

        @functools.wraps(function)
        def noting(*args: Any, **keywords: Any) -> Any:
            if before:
                note(before)
            result = function(*args, **keywords)
            if after:
                note(after)
            return result

        setattr(owner, name, noting)

    importing = imports.clouds_when_used

    @contextlib.contextmanager
    def imported() -> Iterator[None]:
        with importing():
            yield
        note("imports, Beam among them")
        import pipeline.run
        from transforms.classify import OnnxTextClassifier
        from transforms.kafka.shard_reader import ShardReader
        from transforms.kafka.transactions import ShardTransactions

        ends(pipeline.run, "check", after="checks: brokers, topics, the group")
        ends(pipeline.run, "built", after="the model is tried, the graph is built")
        ends(ShardReader, "resume", "the runner starts", "the shard is taken over")
        ends(OnnxTextClassifier, "run_inference", before="the first records come")
        ends(ShardTransactions, "commit", before="the first bundle")

    imports.clouds_when_used = imported
    note("Python, the command line")
    sys.exit(newsbeam())


if __name__ == "__main__":
    main()
