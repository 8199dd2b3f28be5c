"""Runs a bundle on ONNX Runtime: token ids in, logits out, each row's failure its own."""

from __future__ import annotations

import contextlib
import weakref
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import onnxruntime

from models.bundle import Bundle
from models.checks import is_whole
from models.errors import BundleError, ModelError, one_line
from models.micro_batch import micro_batches
from models.pool import Job, Jobs, cores

#: A micro-batch of a float model: enough rows to fill a matrix product, few enough for the cache.
MAX_TOKENS = 2048
MAX_ROWS = 32

_INPUTS = ("input_ids", "attention_mask", "token_type_ids")
_TYPES = {"tensor(int64)": np.int64, "tensor(int32)": np.int32}

Logits = np.ndarray


class OnnxModel:
    """A bundle's model, loaded. Safe to call from many threads at once.

    A session uses one thread a call, and the calls run on a pool of as many threads as cores that
    the whole process shares: so one caller uses the whole machine, and many callers no more.

    Args:
        bundle: The bundle.
        threads: The most threads of the pool that one call of `logits` uses; None for all.

    Raises:
        BundleError: The model cannot be loaded, or is no classifier of these labels.
    """

    def __init__(self, bundle: Bundle, threads: int | None = None) -> None:
        if threads is not None and (not is_whole(threads) or threads < 1):
            raise ValueError(
                f"threads {threads!r}: choose a number from 1 on, or None for all cores"
            )
        self.bundle = bundle
        self.threads = min(threads or cores(), cores())
        self._session = _session_of(bundle)
        self._dtypes = _check_inputs(bundle, self._session)
        _check_outputs(bundle, self._session)
        # What rows of one share: slices of these, so that a call allocates nothing but its ids.
        self._ones = np.ones((1, bundle.max_length), np.int64)
        self._zeros = np.zeros((1, bundle.max_length), np.int64)

    def logits(self, rows: Sequence[Sequence[int]]) -> list[Logits | Exception]:
        """Classifies rows of token ids.

        A model quantized dynamically runs row by row, so that a score never depends on the batch;
        any other runs in micro-batches, and a micro-batch that fails is run again row by row.

        Args:
            rows: Token ids, special tokens included, 1 to `bundle.max_length` of them a row.

        Returns:
            For each row, in order, its logits (float32, one per label), or a `ModelError` that
            says why there are none.
        """
        results: list[Logits | Exception] = [_UNKNOWN] * len(rows)

        def job(batch: list[int]) -> Job:
            def run() -> Iterator[Job]:
                found = self.run([rows[i] for i in batch])
                for i, result in zip(batch, found, strict=True):
                    results[i] = result
                return iter(())

            return run

        Jobs(map(job, self.batches([len(row) for row in rows])), self.threads).wait()
        return results

    def batches(self, lengths: Sequence[int]) -> list[list[int]]:
        """Which rows to run together, so that all threads have something to do.

        Args:
            lengths: The tokens of each row.

        Returns:
            The batches: each the indices of its rows, longest first.
        """
        if self.bundle.dynamic_int8:
            return [[i] for i in sorted(range(len(lengths)), key=lengths.__getitem__, reverse=True)]
        share = -(-len(lengths) // self.threads)
        return micro_batches(lengths, max_tokens=MAX_TOKENS, max_rows=max(1, min(MAX_ROWS, share)))

    def run(self, rows: Sequence[Sequence[int]]) -> list[Logits | Exception]:
        """Classifies the rows of one of `batches`, in this thread; each row by itself if that fails.

        Args:
            rows: Token ids, as `logits` takes them, the longest row first.

        Returns:
            For each row what `logits` gives for it.
        """
        try:
            return self._run(rows)
        except Exception as e:
            if len(rows) > 1:
                return [result for row in rows for result in self.run([row])]
            return [_model_error(e)]

    def run_together(self, rows: Sequence[Sequence[int]]) -> list[Logits]:
        """Classifies rows in one batch, whatever the model.

        Args:
            rows: Token ids, as `logits` takes them, the longest row first.

        Returns:
            For each row, in order, its logits.

        Raises:
            ModelError: A row has no logits that are finite, or the output is of another shape.
            Exception: What ONNX Runtime raises.
        """
        found = []
        for result in self._run(rows):
            if isinstance(result, Exception):
                raise result
            found.append(result)
        return found

    def _run(self, rows: Sequence[Sequence[int]]) -> list[Logits | Exception]:
        """Runs one batch; any error is the batch's."""
        length, shortest = len(rows[0]), len(rows[-1])  # longest first
        if length > self.bundle.max_length or not shortest:
            raise ModelError(
                f"{length if shortest else 0} tokens: the model takes 1 to {self.bundle.max_length}"
            )
        out: Any = self._session.run(["logits"], self._feed(rows, length))[0]
        labels = len(self.bundle.labels)
        if not isinstance(out, np.ndarray) or out.shape != (len(rows), labels):
            raise ModelError(
                f"the model gave logits of shape {list(getattr(out, 'shape', []))} for "
                f"{len(rows)} rows, but there are {labels} labels"
            )
        if out.dtype != np.float32:
            out = out.astype(np.float32)
        finite = np.isfinite(out).all(axis=1).tolist()
        return [
            found if good else ModelError("the logits are not finite")
            for found, good in zip(out, finite, strict=True)
        ]

    def _feed(self, rows: Sequence[Sequence[int]], length: int) -> dict[str, np.ndarray]:
        if len(rows) == 1:
            feed = {
                "input_ids": np.array([rows[0]], np.int64),
                "attention_mask": self._ones[:, :length],
                "token_type_ids": self._zeros[:, :length],
            }
        else:
            ids = np.full((len(rows), length), self.bundle.pad_id, np.int64)
            mask = np.zeros_like(ids)
            for place, row in enumerate(rows):
                ids[place, : len(row)] = row
                mask[place, : len(row)] = 1
            feed = {
                "input_ids": ids,
                "attention_mask": mask,
                "token_type_ids": np.zeros_like(ids),
            }
        return {name: feed[name].astype(t, copy=False) for name, t in self._dtypes.items()}

    def __reduce__(self) -> Any:
        raise TypeError("an OnnxModel cannot be pickled; pickle its bundle and load it there")


_UNKNOWN = ModelError("the row was not run")


#: The sessions that somebody holds. Whoever has a model in the same process uses the same one: it is
#: safe to call from many threads, and opening one takes longer than many a text.
_sessions: weakref.WeakValueDictionary[Bundle, onnxruntime.InferenceSession] = (
    weakref.WeakValueDictionary()
)
#: Those who keep sessions.
_keepers: list[list[onnxruntime.InferenceSession]] = []


def _session_of(bundle: Bundle) -> onnxruntime.InferenceSession:
    session = _sessions.get(bundle)
    if session is None:
        _sessions[bundle] = session = _open(bundle)
    for kept in _keepers:
        kept.append(session)
    return session


@contextlib.contextmanager
def sessions_kept() -> Iterator[None]:
    """Keeps the sessions that are opened meanwhile, for whoever opens the same models again."""
    kept: list[onnxruntime.InferenceSession] = []
    _keepers.append(kept)
    try:
        yield
    finally:
        _keepers[:] = [each for each in _keepers if each is not kept]


def _open(bundle: Bundle) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.inter_op.allow_spinning", "0")
    # A row that fails is reported by its exception: nothing of it on stderr.
    options.log_severity_level = 4
    try:
        return onnxruntime.InferenceSession(
            str(bundle.model_file),
            options,
            providers=["CPUExecutionProvider"],
            # The kernel that this fusion puts in is slower than the nodes it replaces.
            disabled_optimizers=["SkipLayerNormFusion"],
        )
    except Exception as e:  # onnxruntime has an exception class per error code, without a base
        raise BundleError(
            f"model {bundle.path}: ONNX Runtime cannot load {bundle.model_file.name} "
            f"({one_line(e)}); copy or export it again"
        ) from e


def _check_inputs(bundle: Bundle, session: onnxruntime.InferenceSession) -> dict[str, Any]:
    """The inputs that the model wants, and their types."""
    inputs = {i.name: _TYPES.get(i.type) for i in session.get_inputs()}
    wrong = sorted(name for name, t in inputs.items() if name not in _INPUTS or t is None)
    if wrong or "input_ids" not in inputs:
        raise BundleError(
            f"model {bundle.path}: {bundle.model_file.name} has the inputs {', '.join(inputs)}; a "
            f"text classifier has input_ids and attention_mask, of integers: export it with "
            "`newsbeam model export`"
        )
    return inputs


def _check_outputs(bundle: Bundle, session: onnxruntime.InferenceSession) -> None:
    outputs = {o.name: o.shape for o in session.get_outputs()}
    if "logits" not in outputs:
        raise BundleError(
            f"model {bundle.path}: {bundle.model_file.name} has the outputs {', '.join(outputs)}; "
            "a text classifier has logits: export it with "
            "`newsbeam model export`"
        )
    width = outputs["logits"][-1] if outputs["logits"] else None
    if width == 1 and len(bundle.labels) != 1:
        raise BundleError(
            f"model {bundle.path}: config.json names {len(bundle.labels)} labels, but the model "
            "gives one logit: a number, or yes and no; export a model with a logit for each label"
        )
    if isinstance(width, int) and width != len(bundle.labels):
        raise BundleError(
            f"model {bundle.path}: config.json names {len(bundle.labels)} labels, but the model "
            f"gives {width} logits; name one label for each in id2label"
        )


def _model_error(error: Exception) -> ModelError:
    return error if isinstance(error, ModelError) else ModelError(one_line(error))
