"""Reading without end: a splittable DoFn over any source that can be polled.

    Impulse | shards | Reshuffle | ParDo(ReadShard)

A bundle is a micro-batch: it takes what there is and ends, so that light load gives low latency and
heavy load full batches, with no timer. How far a shard was read is its restriction; ending a bundle
is deferring the remainder; what a bundle read is committed when the runner says that the bundle's
outputs are durable (bundle finalization).

What differs between Kafka, Pub/Sub and stdin is a `Source` and its `Reader`s.
"""

from __future__ import annotations

import abc
import threading
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import apache_beam as beam
from apache_beam.io.iobase import RestrictionTracker
from apache_beam.options.pipeline_options import FlinkRunnerOptions, PipelineOptions
from apache_beam.transforms.core import RestrictionProvider
from apache_beam.transforms.window import GlobalWindow
from apache_beam.utils.timestamp import MAX_TIMESTAMP, Duration, Timestamp
from apache_beam.utils.windowed_value import WindowedValue, create

from transforms.event_time import event_micros
from transforms.garbage import spare_what_stays
from transforms.grouping import warn_of_groupings
from transforms.pace import PACE
from transforms.records import Message
from transforms.shard_state import Restriction, Shard, ShardCoder, StateCoder, Watermarks
from transforms.spread import even_groups, key_groups, number_for
from transforms.tally import TALLY, Backlog
from transforms.watching.exporter import watch_this_process
from transforms.watching.figures import FIGURES
from transforms.watching.health import HEALTH
from transforms.watching.memory import note_memory
from transforms.watching.metrics import BUNDLE_SIZE, WATERMARK

#: How long an idle bundle waits for a first message, in seconds. Longer saves little (all that is idle
#: takes 3% of a core on FnApiRunner), shorter makes runners spin.
IDLE_WAIT = 0.5
#: When a drained shard is looked at again.
RESUME_DELAY = Duration(micros=20_000)
#: How long after its time a message may come without being late, in seconds.
MAX_DELAY = 2.0

#: The watermark of a shard that knows none yet. Runners take a missing one for what they like; this is
#: the first that they can be told.
_NOTHING_YET = Timestamp(-62_135_596_800)

#: The windows of what is read: its users give it others.
_WINDOWS = (GlobalWindow(),)

#: Runners that read all shards in one process.
IN_ONE_PROCESS = {"FnApiRunner", "PrismRunner", "SwitchingDirectRunner"}
#: Runners that may be Flink's.
ON_FLINK = {"FlinkRunner", "PortableRunner"}

_draining = threading.Event()


def drain() -> None:
    """Ends every source of this process once what it has handed out is processed.

    On local runners, whose workers run in the process of the command line, the pipeline then
    finishes with state DONE and nothing is left half done.
    """
    _draining.set()
    HEALTH.draining(True)


def draining() -> bool:
    """Whether `drain` was called."""
    return _draining.is_set()


def undrain() -> None:
    """Lets sources of this process read again, for the next pipeline in it."""
    _draining.clear()
    HEALTH.draining(False)


@dataclass(frozen=True)
class Batch:
    """What one poll of a shard gave.

    Attributes:
        messages: The messages, in order.
        position: The shard's position after them: plain data that JSON can hold.
        watermark: No later message is older than this, in seconds since the epoch; None where that
            can't be said yet.
        backlog: What waits behind these, where that is known.
        live: Whether some of the shard is up to date: what comes there should soon be through.
    """

    messages: Sequence[Message]
    position: Any
    watermark: float | None
    backlog: Backlog | None = None
    live: bool = True


class Reader(abc.ABC):
    """Reads one shard; lives as long as the process, across bundles."""

    @abc.abstractmethod
    def resume(self, position: Any) -> None:
        """Makes the next poll start at a position; None is the start that the source was given.

        What a poll gave beyond it has to come again: the runner has split before it was claimed, or
        its bundle has failed. A source that can't be read from a place, such as Pub/Sub, keeps it.

        Cheap where the reader stands there already, which is the rule.
        """

    @abc.abstractmethod
    def poll(self, timeout: float, limit: int) -> Batch:
        """Takes up to `limit` messages, waiting up to `timeout` seconds for the first."""

    @abc.abstractmethod
    def at_end(self) -> bool:
        """Whether a source that ends (`--stop_at_end`, stdin) has no more messages."""

    def commit(self, position: Any) -> Callable[[], None] | None:
        """What to call once everything up to `position` is durable, if anything."""
        return None


class Source(abc.ABC):
    """Something to read without end; pickled into the pipeline."""

    @abc.abstractmethod
    def shards(self) -> list[str]:
        """The names of the shards, each read on its own."""

    @abc.abstractmethod
    def reader(self, shard: str) -> Reader:
        """The reader of a shard in this process: the same one at each call."""

    def backlog(self, shard: str) -> Backlog | None:
        """What waits in a shard, where this process knows."""
        return None


class ShardTracker(RestrictionTracker):
    """Tracks how far a shard was read: a claim covers one polled batch.

    A split can only be a checkpoint (fraction 0): the primary keeps what was claimed, the residual
    is all that comes after.
    """

    def __init__(self, restriction: Restriction) -> None:
        self._restriction = restriction
        self._stopped = restriction.done

    def current_restriction(self) -> Restriction:
        return self._restriction

    def try_claim(self, position: Restriction) -> bool:
        if self._stopped:
            return False
        self._restriction = position
        self._stopped = position.done
        return True

    def try_split(self, fraction_of_remainder: float) -> tuple[Restriction, Restriction] | None:
        if fraction_of_remainder != 0 or self._stopped:
            return None
        residual = self._restriction
        self._restriction = Restriction(residual.position, done=True)
        self._stopped = True
        return self._restriction, residual

    def check_done(self) -> bool:
        if not self._stopped:
            raise ValueError(f"shard left at {self._restriction.position} without a checkpoint")
        return True

    def current_progress(self) -> None:
        # Prism computes NaN from a fraction of an endless restriction and fails the job.
        return None

    def is_bounded(self) -> bool:
        return False


class SharedWatermarks:
    """The watermarks of shards that are read in one process: for Prism.

    It takes the watermark of whichever shard reported last for that of all. So each reports the lowest.
    Of the others that is what they had when their last bundle ended: what they have read since may not
    be through yet.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._through: dict[tuple[str, str], Timestamp] = {}
        self._read: dict[tuple[str, str], tuple[Any, Timestamp]] = {}

    def resumed(self, reading: str, shard: str, position: Any) -> None:
        """Takes note that a shard goes on at a position: what it had read by then is through."""
        with self._lock:
            read, watermark = self._read.get((reading, shard), (None, _NOTHING_YET))
            self._through[reading, shard] = watermark if read == position else _NOTHING_YET

    def lowest(
        self, reading: str, shards: Sequence[str], shard: str, position: Any, own: Timestamp
    ) -> Timestamp:
        """The lowest watermark of all shards, for one that has read up to a position."""
        with self._lock:
            self._read[reading, shard] = position, own
            others = (s for s in shards if s != shard)
            return min([own, *(self._through.get((reading, s), _NOTHING_YET) for s in others)])


_shared_watermarks = SharedWatermarks()


class ReadShard(beam.DoFn, RestrictionProvider):
    """Reads a micro-batch of one shard and defers the rest.

    Args:
        source: What to read.
        in_one_process: A name for this reading, if all shards are read in one process.
    """

    def __init__(self, source: Source, in_one_process: str | None = None) -> None:
        super().__init__()
        self._source = source
        self._in_one_process = in_one_process

    def setup(self) -> None:
        self._shards = set(self._source.shards())
        watch_this_process()

    def initial_restriction(self, element: Shard) -> Restriction:
        return Restriction()

    def create_tracker(self, restriction: Restriction) -> ShardTracker:
        return ShardTracker(restriction)

    def restriction_size(self, element: Shard, restriction: Restriction) -> float:
        # The backlog, for runners that scale on it.
        backlog = None if restriction.done else self._source.backlog(element.shard)
        return 1.0 if backlog is None else float(backlog.messages)

    def restriction_coder(self) -> StateCoder:
        return StateCoder(Restriction)

    def truncate(self, element: Shard, restriction: Restriction) -> None:
        # A runner's own drain: nothing more is read.
        return None

    def start_bundle(self) -> None:
        # By now all steps are set up, the model loaded.
        spare_what_stays()
        self._empty = True

    @beam.DoFn.unbounded_per_element()
    def process(
        self,
        element: Shard,
        # Beam wants the finalizer before the tracker.
        finalizer: Any = beam.DoFn.BundleFinalizerParam,
        tracker: Any = beam.DoFn.RestrictionParam(),
        watermark: Any = beam.DoFn.WatermarkEstimatorParam(Watermarks()),
    ) -> Iterator[WindowedValue]:
        element.check(self._shards)
        shard = element.shard
        position = tracker.current_restriction().position
        if self._in_one_process:
            _shared_watermarks.resumed(self._in_one_process, shard, position)
        reader = self._source.reader(shard)
        reader.resume(position)
        taken, limit = 0, PACE.limit(shard)
        while True:
            if draining() or reader.at_end():
                position = tracker.current_restriction().position
                tracker.try_claim(Restriction(position, done=True))
                watermark.set_watermark(MAX_TIMESTAMP)
                break
            # Once the bundle has a message, of whichever shard, it must not wait for more.
            batch = reader.poll(IDLE_WAIT if self._empty else 0.0, limit - taken)
            if not tracker.try_claim(Restriction(batch.position)):
                # The runner has split here; whoever resumes gets these messages.
                break
            PACE.turn(shard, taken + len(batch.messages), limit, batch.live)
            if batch.backlog is not None:
                TALLY.backlog(shard, batch.backlog)
            if batch.watermark is not None:
                FIGURES.put(WATERMARK, batch.watermark, shard)
            HEALTH.polled()
            if not batch.messages:
                self._advance(watermark, shard, batch)
                tracker.defer_remainder(RESUME_DELAY)
                break
            self._empty = False
            taken += len(batch.messages)
            TALLY.read(len(batch.messages))
            for message in batch.messages:
                # What has a window costs Beam a third of what only has a timestamp.
                yield create(message, event_micros(message), _WINDOWS)
            self._advance(watermark, shard, batch)
            if taken >= limit:
                tracker.defer_remainder()
                break
        if taken:
            FIGURES.observe(BUNDLE_SIZE, taken)
        note_memory()
        # The restriction is now what this bundle read.
        commit = reader.commit(tracker.current_restriction().position)
        # Always, since Prism finalizes bundles that have nothing to finalize too, and Beam's worker
        # then prints a traceback.
        finalizer.register(commit or _nothing)

    def _advance(self, watermark: Any, shard: str, batch: Batch) -> None:
        """Moves a shard's watermark on; never back, which the estimator refuses."""
        new = _NOTHING_YET if batch.watermark is None else Timestamp.of(batch.watermark)
        if self._in_one_process:
            shards = self._source.shards()
            new = _shared_watermarks.lowest(
                self._in_one_process, shards, shard, batch.position, new
            )
        current = watermark.current_watermark()
        if current is None or new > current:
            watermark.set_watermark(new)


def _nothing() -> None:
    """What is to be done when a bundle that committed nothing is durable."""


def _each(begin: bytes, shards: Sequence[Shard]) -> Sequence[Shard]:
    return shards


def numbered(names: Sequence[str], options: PipelineOptions) -> list[Shard]:
    """Shards, with numbers by which a Flink job of these options spreads them over its subtasks."""
    flink = options.view_as(FlinkRunnerOptions)
    parallelism = max(1, flink.parallelism)
    groups = flink.max_parallelism if flink.max_parallelism > 0 else key_groups(parallelism)
    coder = ShardCoder()

    def shard(name: str, group: int) -> Shard:
        def of(number: int) -> Shard:
            return Shard(name, len(names), number)

        return of(number_for(group, groups, lambda number: coder.encode(of(number))))

    return [*map(shard, names, even_groups(len(names), parallelism, groups))]


class ReadUnbounded(beam.PTransform):
    """Reads messages from a source, all shards in parallel."""

    def __init__(self, source: Source) -> None:
        super().__init__()
        self._source = source
        self._pipeline: beam.Pipeline | None = None

    def to_runner_api_parameter(self, context: Any) -> Any:
        # By now the whole pipeline is known.
        if self._pipeline is not None:
            warn_of_groupings(self._pipeline)
        return super().to_runner_api_parameter(context)

    def expand(self, root: beam.pvalue.PBegin) -> beam.PCollection[Message]:
        self._pipeline = root.pipeline
        runner, names = type(root.pipeline.runner).__name__, self._source.shards()
        read = ReadShard(self._source, uuid.uuid4().hex if runner in IN_ONE_PROCESS else None)
        shards = (
            numbered(names, root.pipeline.options)
            if runner in ON_FLINK
            else [Shard(name, len(names)) for name in names]
        )
        return (
            root
            | "Begin" >> beam.Impulse()
            | "Shards" >> beam.FlatMap(_each, shards).with_output_types(Shard)
            | "Spread shards" >> beam.Reshuffle()
            | "Read shard" >> beam.ParDo(read).with_output_types(Message)
        )
