"""The metrics: one table, from which what Prometheus scrapes, Beam's metrics and the docs are made."""

from __future__ import annotations

from dataclasses import dataclass

COUNTER, GAUGE, HISTOGRAM, INFO = "counter", "gauge", "histogram", "info"


@dataclass(frozen=True, eq=False)
class Metric:
    """A metric.

    Attributes:
        name: As Prometheus has it.
        kind: `counter`, `gauge`, `histogram` or `info`: a gauge of 1, whose labels are what it says.
        unit: Of its value, for the docs.
        labels: The names of its labels.
        help: What it says, in a sentence or two.
        beam: What it is called in Beam's metrics, in the namespace `newsbeam`; labels stand in braces.
            None where Beam has none. A histogram is a distribution there.
        scale: Beam knows whole numbers only: what it gets is the value times this.
        buckets: The upper bounds of a histogram's buckets; infinity is added.
        age: Its value is kept as a moment, and shown as the seconds since then.
        fades: What nobody has set for a while is shown no more: the shard is read elsewhere, then.
        standard: It is prometheus-client's own.
        known: Values of its label that are shown from the start: a rate is seen from the second
            value on only.
    """

    name: str
    kind: str
    unit: str
    help: str
    labels: tuple[str, ...] = ()
    beam: str | None = None
    scale: int = 1
    buckets: tuple[float, ...] = ()
    age: bool = False
    fades: bool = False
    standard: bool = False
    known: tuple[str, ...] = ()

    def beam_name(self, labels: tuple[str, ...]) -> str | None:
        """Its name in Beam's metrics, with these labels."""
        if self.beam is None:
            return None
        return self.beam.format(**dict(zip(self.labels, labels, strict=True)))

    @property
    def samples(self) -> tuple[str, ...]:
        """The names of its time series in Prometheus."""
        if self.kind == HISTOGRAM:
            return tuple(f"{self.name}_{part}" for part in ("bucket", "sum", "count"))
        return (self.name,)


_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_MILLIS, _MICROS = 1000, 1_000_000

# ---- records ---------------------------------------------------------------------------------------

READ = Metric(
    "newsbeam_read_total",
    COUNTER,
    "messages",
    "Messages read from the source. What is read again after a failure counts again.",
    beam="read",
)
CATEGORIZED = Metric(
    "newsbeam_categorized_total",
    COUNTER,
    "records",
    "News items categorized, by category. Beam's takes back those that their sink then refused.",
    ("category",),
    "categorized_{category}",
)
DEAD_LETTERS = Metric(
    "newsbeam_dead_letters_total",
    COUNTER,
    "records",
    "Messages that became dead letters, by the step that could not process them.",
    ("stage",),
    "dead_letters_{stage}",
)
WRITTEN = Metric(
    "newsbeam_written_total",
    COUNTER,
    "records",
    "Outcomes that are durable in their sink, by what they are: `categorized` or `dead_letter`.",
    ("outcome",),
    "written_{outcome}",
    known=("categorized", "dead_letter"),
)
UNREADABLE_TIMES = Metric(
    "newsbeam_unreadable_times_total",
    COUNTER,
    "records",
    "News items whose time of publication could not be read: they have their record's.",
    beam="unreadable_times",
)

# ---- the model -------------------------------------------------------------------------------------

TOKENS = Metric(
    "newsbeam_tokens_total",
    COUNTER,
    "tokens",
    "Tokens of categorized news, special tokens included: what inference costs grows with them.",
    beam="tokens",
)
TRUNCATED = Metric(
    "newsbeam_truncated_total",
    COUNTER,
    "records",
    "Categorized news whose text was longer than the model looked at.",
    beam="truncated",
)
RESULT_CACHE = Metric(
    "newsbeam_result_cache_total",
    COUNTER,
    "records",
    "Texts that were looked up in --result_cache, by result: `hit` where an identical one had been "
    "classified, or `miss`.",
    ("result",),
    "result_cache_{result}",
    known=("hit", "miss"),
)
BATCH_SIZE = Metric(
    "newsbeam_batch_size",
    HISTOGRAM,
    "records",
    "Records that the model was given at once; many small ones mean little load.",
    beam="batch_size",
    buckets=(1, 2, 4, 8, 16, 32, 64, 128),
)
BATCH_SECONDS = Metric(
    "newsbeam_batch_seconds",
    HISTOGRAM,
    "seconds",
    "What such a batch took, from token ids to scores.",
    beam="batch_micros",
    scale=_MICROS,
    buckets=_SECONDS,
)
INFERENCE_SECONDS = Metric(
    "newsbeam_inference_seconds",
    HISTOGRAM,
    "seconds",
    "What the model alone took of that.",
    beam="inference_micros",
    scale=_MICROS,
    buckets=_SECONDS,
)
MODEL = Metric(
    "newsbeam_model_info",
    INFO,
    "1",
    "The model that this process has loaded, as `name@hash`.",
    ("model",),
    "model_{model}",
)

# ---- time ------------------------------------------------------------------------------------------

END_TO_END_SECONDS = Metric(
    "newsbeam_end_to_end_seconds",
    HISTOGRAM,
    "seconds",
    "From the time that a record carries (when it was produced or published) until its outcome is "
    "durable. Records without a time are left out.",
    beam="end_to_end_millis",
    scale=_MILLIS,
    buckets=(0.05, 0.1, 0.2, 0.3, 0.5, 0.8, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0, 7200.0),
)
SOURCE_LAG = Metric(
    "newsbeam_source_lag_messages",
    GAUGE,
    "messages",
    "What waits in a shard of the source, about. Pub/Sub does not tell: see its own metrics.",
    ("shard",),
    "lag_{shard}",
    fades=True,
)
SECONDS_BEHIND = Metric(
    "newsbeam_source_behind_seconds",
    GAUGE,
    "seconds",
    "How long ago the oldest message of a shard that waits was produced, about; 0 where none does.",
    ("shard",),
    "seconds_behind_{shard}",
    age=True,
    fades=True,
)
WATERMARK = Metric(
    "newsbeam_watermark_timestamp_seconds",
    GAUGE,
    "seconds since 1970",
    "No message of the shard that is still to come should be older than this.",
    ("shard",),
    "watermark_{shard}",
    fades=True,
)

# ---- writing ---------------------------------------------------------------------------------------

BUNDLE_SIZE = Metric(
    "newsbeam_bundle_size",
    HISTOGRAM,
    "messages",
    "Messages that a bundle read: all of them are written and committed together.",
    beam="bundle_size",
    buckets=(1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000),
)
WRITE_SECONDS = Metric(
    "newsbeam_write_seconds",
    HISTOGRAM,
    "seconds",
    "What it took to make a bundle's outcomes durable: sending, waiting, the transaction.",
    beam="write_millis",
    scale=_MILLIS,
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0),
)
COMMITS = Metric(
    "newsbeam_commits_total",
    COUNTER,
    "commits",
    "Commits of what was read (offsets, acknowledgements, progress files), by result: `ok` or "
    "`failed`. A failed one does no harm until a restart, which reads that again.",
    ("result",),
    "commits_{result}",
    known=("ok", "failed"),
)
UNCOMMITTED = Metric(
    "newsbeam_uncommitted_shards",
    GAUGE,
    "shards",
    "Shards whose last commit failed.",
)
RETRIES = Metric(
    "newsbeam_retries_total",
    COUNTER,
    "attempts",
    "Attempts that failed for something that may heal by itself, and are made again, by whom "
    "they were for: `kafka`, `pubsub`, `bigquery`, `files` and others.",
    ("client",),
    "retries_{client}",
)

# ---- the process -----------------------------------------------------------------------------------

READY = Metric(
    "newsbeam_ready",
    GAUGE,
    "0 or 1",
    "What `/readyz` says: the model is loaded, the source answers (or it stands by), and nothing is "
    "draining.",
)
STANDING_BY = Metric(
    "newsbeam_standing_by",
    GAUGE,
    "0 or 1",
    "Whether it waits, loaded, for another instance to end (`--standby`).",
)
BUILD = Metric(
    "newsbeam_build_info",
    INFO,
    "1",
    "The versions of newsbeam and of Beam.",
    ("version", "beam"),
)
MEMORY = Metric(
    "process_resident_memory_bytes",
    GAUGE,
    "bytes",
    "Memory of this process that is in use.",
    beam="process_resident_memory_bytes",
    standard=True,
)
MEMORY_LIMIT = Metric(
    "newsbeam_memory_limit_bytes",
    GAUGE,
    "bytes",
    "What its container may use, or else what the machine has.",
)
CPU = Metric(
    "process_cpu_seconds_total",
    COUNTER,
    "seconds",
    "CPU time of this process.",
    standard=True,
)
STARTED = Metric(
    "process_start_time_seconds",
    GAUGE,
    "seconds since 1970",
    "When this process was started.",
    standard=True,
)
FILES = Metric(
    "process_open_fds",
    GAUGE,
    "descriptors",
    "Files and connections that it has open.",
    standard=True,
)

#: All of them, in the order of the docs.
METRICS: tuple[Metric, ...] = (
    READ,
    CATEGORIZED,
    DEAD_LETTERS,
    WRITTEN,
    UNREADABLE_TIMES,
    TOKENS,
    TRUNCATED,
    RESULT_CACHE,
    BATCH_SIZE,
    BATCH_SECONDS,
    INFERENCE_SECONDS,
    MODEL,
    END_TO_END_SECONDS,
    SOURCE_LAG,
    SECONDS_BEHIND,
    WATERMARK,
    BUNDLE_SIZE,
    WRITE_SECONDS,
    COMMITS,
    UNCOMMITTED,
    RETRIES,
    READY,
    STANDING_BY,
    BUILD,
    MEMORY,
    MEMORY_LIMIT,
    CPU,
    STARTED,
    FILES,
)
