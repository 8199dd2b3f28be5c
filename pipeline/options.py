"""The options of a run, as one value."""

from __future__ import annotations

from dataclasses import dataclass, field

from transforms.parse import TEXT_FIELDS, TIME_FIELDS
from transforms.reading import MAX_DELAY
from transforms.tokenize import MAX_LENGTH


@dataclass(frozen=True)
class RunOptions:
    """What `newsbeam run` is asked to do; the flags of the command line have the same names.

    Attributes:
        source: URI to read from.
        sink: URI to write categorized items to.
        dead_letters: URI for what can't be processed; by default beside the sink.
        model: Folder of the model bundle; None is the default one.
        format: `json`, `text` or `csv`; None goes by the source's file extension, else JSON.
        text_fields: Fields that make the text.
        id_field: Field that holds the id.
        time_field: Field that holds the time of publication.
        text_clean_up: Clean-up of the text.
        columns: Column names of CSV without a header line; None takes them from the first row.
        delimiter: What stands between the fields of CSV; None goes by the first row.
        items: Where the list of items stands in a JSON document; None takes arrays at its top.
        fail_fast: Fail when the first thousand records are all dead letters for one reason.
        max_length: The most tokens of a row.
        long_text: What becomes of a longer text: `truncate`, `average` or `max`.
        activation: `softmax` or `sigmoid`; None goes by the model.
        threshold: Score from which on a label is among an item's labels.
        multi_label: Whether several labels may hold; None goes by the model.
        temperature: What logits are divided by; None goes by the model.
        stop_at_end: Finish when everything that is in the topics now is processed.
        delivery: `exactly_once` or `at_least_once`; None is exactly once where it can be.
        on_offset_out_of_range: When records were deleted before they were read: `fail`, or go on at
            the `earliest` or `latest`.
        max_delay: How long after its time a record may come to its topic, in seconds, without being
            late in a window.
        shards: Parallel readers of the source; None goes by the runner.
        kafka_config: Properties file with Kafka client settings.
        create_topics: Create missing sink and dead-letter topics.
    """

    source: str
    sink: str
    dead_letters: str | None = None
    model: str | None = None
    format: str | None = None
    text_fields: tuple[str, ...] = field(default=TEXT_FIELDS)
    id_field: str = "id"
    time_field: str = TIME_FIELDS
    text_clean_up: str = "disabled"
    columns: tuple[str, ...] | None = None
    delimiter: str | None = None
    items: str | None = None
    fail_fast: bool = False
    max_length: int = MAX_LENGTH
    long_text: str = "truncate"
    activation: str | None = None
    threshold: float = 0.5
    multi_label: bool | None = None
    temperature: float | None = None
    stop_at_end: bool = False
    delivery: str | None = None
    on_offset_out_of_range: str = "fail"
    max_delay: float = MAX_DELAY
    shards: int | None = None
    kafka_config: str | None = None
    create_topics: bool = False
