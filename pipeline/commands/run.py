"""`newsbeam run`: the pipeline, from a source to a sink."""

from __future__ import annotations

import logging
import os
import sys
from typing import Annotated

import typer

from pipeline.commands.model_options import (
    ActivationOption,
    LongText,
    LongTextOption,
    MaxLength,
    Model,
    MultiLabel,
    Temperature,
    TextCleanUp,
    Threshold,
)

_ENDS, _NEWS, _LOG = "Endpoints", "News items", "Logging"


def run(
    context: typer.Context,
    source: Annotated[
        str,
        typer.Option(
            "--source",
            metavar="URI",
            help="Where news comes from: topics, files, or stdin.",
            envvar="NEWSBEAM_SOURCE",
            rich_help_panel=_ENDS,
            show_default=False,
        ),
    ],
    sink: Annotated[
        str,
        typer.Option(
            "--sink",
            metavar="URI",
            help="Where categorized news goes: a topic, a file of JSON lines, or `-` for stdout.",
            envvar="NEWSBEAM_SINK",
            rich_help_panel=_ENDS,
            show_default=False,
        ),
    ],
    dead_letters: Annotated[
        str | None,
        typer.Option(
            "--dead_letters",
            metavar="URI",
            help="Where messages go that can't be processed, whole. Default: beside the sink "
            "(topic `SINK-dead-letters`, file `SINK.dead_letters.jsonl`, or stderr).",
            envvar="NEWSBEAM_DEAD_LETTERS",
            rich_help_panel=_ENDS,
            show_default=False,
        ),
    ] = None,
    stop_at_end: Annotated[
        bool,
        typer.Option(
            "--stop_at_end",
            help="Finish when everything that is in the topics now is processed, instead of "
            "waiting for more.",
            envvar="NEWSBEAM_STOP_AT_END",
            rich_help_panel=_ENDS,
        ),
    ] = False,
    delivery: Annotated[
        str | None,
        typer.Option(
            "--delivery",
            metavar="MODE",
            help="What holds when something fails. exactly_once needs source, sink and dead letters "
            "in one Kafka cluster: outputs and offsets are written in one transaction, which "
            "readers with isolation.level=read_committed see all of or nothing. at_least_once: "
            "nothing is lost, but some may come twice. Default: exactly once where it can be.",
            envvar="NEWSBEAM_DELIVERY",
            rich_help_panel=_ENDS,
            show_default=False,
        ),
    ] = None,
    on_offset_out_of_range: Annotated[
        str,
        typer.Option(
            "--on_offset_out_of_range",
            metavar="POLICY",
            help="What to do when the topic's retention deleted records before they were read: "
            "fail, since going on is loss, or go on at the earliest or latest record.",
            envvar="NEWSBEAM_ON_OFFSET_OUT_OF_RANGE",
            rich_help_panel=_ENDS,
        ),
    ] = "fail",
    max_delay: Annotated[
        float,
        typer.Option(
            "--max_delay",
            metavar="SECONDS",
            min=0,
            help="How long after its time a record may come to its topic without being late: the "
            "watermark stays that far behind. Longer loses less in windows, which close later.",
            envvar="NEWSBEAM_MAX_DELAY",
            rich_help_panel=_ENDS,
        ),
    ] = 2.0,
    shards: Annotated[
        int | None,
        typer.Option(
            "--shards",
            min=1,
            help="Parallel readers of the topics. More than partitions is of no use. Default: one on "
            "the runners of this machine, which read all partitions at once, elsewhere twice its cores.",
            envvar="NEWSBEAM_SHARDS",
            rich_help_panel=_ENDS,
            show_default=False,
        ),
    ] = None,
    kafka_config: Annotated[
        str | None,
        typer.Option(
            "--kafka_config",
            metavar="FILE",
            help="Properties file with Kafka client settings (TLS, SASL, tuning): kafka-python's "
            "names, or those of Java and librdkafka. Environment variables NEWSBEAM_KAFKA_<NAME> "
            "are stronger. Passwords belong here or there, never in a URI.",
            envvar="NEWSBEAM_KAFKA_CONFIG",
            rich_help_panel=_ENDS,
            show_default=False,
        ),
    ] = None,
    create_topics: Annotated[
        bool,
        typer.Option(
            "--create_topics",
            help="Create the sink's and the dead letters' topics where they are missing, with the "
            "broker's default partitions and replicas; otherwise a missing topic is an error.",
            envvar="NEWSBEAM_CREATE_TOPICS",
            rich_help_panel=_ENDS,
        ),
    ] = False,
    format: Annotated[
        str | None,
        typer.Option(
            "--format",
            metavar="FORMAT",
            help="What a message is: `json` (an object), `text`, or `csv` (a row; see --columns). "
            "Default: by the file's extension, else json.",
            envvar="NEWSBEAM_FORMAT",
            rich_help_panel=_NEWS,
            show_default=False,
        ),
    ] = None,
    text_fields: Annotated[
        str,
        typer.Option(
            "--text_fields",
            metavar="FIELDS",
            help="Fields that make the text, joined by a space; `a|b` is the first of them that "
            "the item has.",
            envvar="NEWSBEAM_TEXT_FIELDS",
            rich_help_panel=_NEWS,
        ),
    ] = "title,description|body|text",
    id_field: Annotated[
        str,
        typer.Option(
            "--id_field",
            metavar="FIELD",
            help="Field that holds the id; where it is missing, the place in the source is the id.",
            envvar="NEWSBEAM_ID_FIELD",
            rich_help_panel=_NEWS,
        ),
    ] = "id",
    time_field: Annotated[
        str,
        typer.Option(
            "--time_field",
            metavar="FIELD",
            help="Field that holds the time of publication, or `a|b`: ISO 8601, RFC 2822, or a number "
            "since the epoch. Where it is missing or can't be read, the record's own time counts.",
            envvar="NEWSBEAM_TIME_FIELD",
            rich_help_panel=_NEWS,
        ),
    ] = "published|publishedAt|pubDate|published_at|date",
    text_clean_up: TextCleanUp = "disabled",
    columns: Annotated[
        str | None,
        typer.Option(
            "--columns",
            metavar="NAMES",
            help="Column names of CSV without a header line, separated by commas: of files, stdin, "
            "and topics with --format csv. `?columns=` of a source is the same.",
            envvar="NEWSBEAM_COLUMNS",
            rich_help_panel=_NEWS,
            show_default=False,
        ),
    ] = None,
    delimiter: Annotated[
        str | None,
        typer.Option(
            "--delimiter",
            metavar="CHARACTER",
            help="What stands between the fields of CSV: a character, or `tab`. Default: comma, "
            "semicolon, tab or bar, by the first line. `?delimiter=` of a source is the same.",
            envvar="NEWSBEAM_DELIMITER",
            rich_help_panel=_NEWS,
            show_default=False,
        ),
    ] = None,
    items: Annotated[
        str | None,
        typer.Option(
            "--items",
            metavar="PATH",
            help="Where the list of items stands in a file or stdin that is one JSON document: "
            "`articles`, `response.docs`. Arrays at its top need none.",
            envvar="NEWSBEAM_ITEMS",
            rich_help_panel=_NEWS,
            show_default=False,
        ),
    ] = None,
    fail_fast: Annotated[
        bool,
        typer.Option(
            "--fail_fast",
            help="Fail when the first thousand records, or all of fewer, are dead letters for one "
            "reason: something is set up wrongly.",
            envvar="NEWSBEAM_FAIL_FAST",
            rich_help_panel=_NEWS,
        ),
    ] = False,
    model: Model = None,
    max_length: MaxLength = 512,
    long_text: LongTextOption = LongText.TRUNCATE,
    activation: ActivationOption = None,
    threshold: Threshold = 0.5,
    multi_label: MultiLabel = None,
    temperature: Temperature = None,
    log_level: Annotated[
        str,
        typer.Option(
            "--log_level",
            metavar="LEVEL",
            help="What is logged to stderr: debug, info, warning or error. With debug a failure "
            "shows where it came from.",
            envvar="NEWSBEAM_LOG_LEVEL",
            rich_help_panel=_LOG,
        ),
    ] = "info",
) -> int:
    """Read news, categorize it, write it; whole messages that can't be go to the dead letters.

    **Endpoints** are URIs:

    - `kafka://host:port[,host:port]/topic[,topic]`; a source also takes `?group=NAME` (default
      newsbeam) and `&start=`: committed (default; earliest if nothing is), or, at every start anew,
      earliest, latest, or a time such as 2026-01-31T12:00:00Z. Any other name there is a Kafka
      client setting.

    - a path or `file://` URI: JSON lines, CSV or text by extension, globs, .gz too; with
      `?columns=a,b` for CSV without a header line, `?delimiter=`, `?format=`.

    - `-`: stdin or stdout.

    Ends with its files, at the end of its topics with --stop_at_end, or on SIGTERM or Ctrl-C, when
    it finishes what it has read. Any other option is Beam's: --runner=FnApiRunner (default),
    PrismRunner, FlinkRunner, …

    Exit code 0: done, 1: the pipeline failed, 2: something was given wrongly, 3: another instance
    with the same group has taken over.
    """
    from pipeline.logs import set_up

    # Before Beam is imported, which would warn of optional parts that are not installed.
    set_up(log_level)
    from pipeline.options import RunOptions
    from transforms.errors import ConfigurationError

    options = RunOptions(
        source=source,
        sink=sink,
        dead_letters=dead_letters,
        model=model,
        format=format,
        text_fields=tuple(text_fields.split(",")),
        id_field=id_field,
        time_field=time_field,
        text_clean_up=text_clean_up,
        columns=None if columns is None else tuple(columns.split(",")),
        delimiter=delimiter,
        items=items,
        fail_fast=fail_fast,
        max_length=max_length,
        long_text=long_text.value,
        activation=activation.value if activation else None,
        threshold=threshold,
        multi_label=multi_label,
        temperature=temperature,
        stop_at_end=stop_at_end,
        delivery=delivery,
        on_offset_out_of_range=on_offset_out_of_range,
        max_delay=max_delay,
        shards=shards,
        kafka_config=kafka_config,
        create_topics=create_topics,
    )
    from models.errors import BundleError
    from pipeline.run import execute
    from transforms.failures import first_failure

    try:
        execute(options, context.args, live_status=True)
    except (ConfigurationError, BundleError):
        raise
    except Exception as e:
        logging.getLogger("newsbeam").debug("the pipeline failed", exc_info=True)
        failure = first_failure()
        print(f"newsbeam: {failure or f'the pipeline failed: {_reason(e)}'}", file=sys.stderr)
        _let_go_of_stdout()
        return failure.exit_code if failure else 1
    return 0


def _let_go_of_stdout() -> None:
    """What stdout's reader did not take any more stays in a buffer that Python would flush again."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _reason(error: BaseException) -> str:
    """The line that says what went wrong: the last one, where Beam passes on a whole traceback."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[-1]}" if lines else type(error).__name__
