"""What is asked of the ends of a run, whatever their kind."""

from __future__ import annotations

from typing import Annotated

from models.settings import Option, settings

EXACTLY_ONCE, AT_LEAST_ONCE = "exactly_once", "at_least_once"


@settings(panel="Endpoints")
class EndSettings:
    """Where news comes from, where it goes, and what holds on the way."""

    source: Annotated[str, Option("Where news comes from: topics, files, or stdin.", metavar="URI")]
    sink: Annotated[
        str | None,
        Option(
            "Where categorized news goes, routes excepted: a topic, files, a table, or `-` for stdout.",
            metavar="URI",
        ),
    ] = None
    dead_letters: Annotated[
        str | None,
        Option(
            "Where messages go that can't be processed, whole. Default: beside the sink (topic "
            "`SINK-dead-letters`, file `SINK.dead_letters.jsonl`, folder `SINK-dead-letters/`, table "
            "`SINK_dead_letters`, or stderr).",
            metavar="URI",
        ),
    ] = None
    route: Annotated[
        tuple[str, ...],
        Option(
            "Where news of these categories goes, in place of the sink; may be given again (in the "
            "environment variable: with spaces between). Without --sink, each category needs a route.",
            metavar="CATEGORY[,CATEGORY]=URI",
            repeated=True,
        ),
    ] = ()
    stop_at_end: Annotated[
        bool,
        Option(
            "Finish when everything that is in the topics now is processed, instead of waiting for "
            "more."
        ),
    ] = False
    delivery: Annotated[
        str | None,
        Option(
            "What holds when something fails. exactly_once needs source, sinks and dead letters "
            "in one Kafka cluster: outputs and offsets are written in one transaction, which "
            "readers with isolation.level=read_committed see all of or nothing. at_least_once: "
            "nothing is lost, but some may come twice. Default: exactly once where it can be.",
            metavar="MODE",
        ),
    ] = None
    standby: Annotated[
        bool,
        Option(
            "Wait, loaded, as long as another instance with --standby reads for the same group, and "
            "take its place when it ends or is silent for 6 s. Otherwise the instance that starts "
            "last takes over, and the other ends with exit code 3. Kafka sources, on the runners of "
            "this machine."
        ),
    ] = False
    max_delay: Annotated[
        float,
        Option(
            "How long after its time a record may come to its topic without being late: the "
            "watermark stays that far behind. Longer loses less in windows, which close later.",
            metavar="SECONDS",
            min=0,
        ),
    ] = 2.0
    shards: Annotated[
        int | None,
        Option(
            "Parallel readers of the topics. More than partitions is of no use. Default: one on "
            "the runners of this machine, which read all partitions at once, elsewhere twice its "
            "cores.",
            min=1,
        ),
    ] = None
