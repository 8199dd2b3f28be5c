"""The model on ONNX Runtime: right logits, one score per text, one failure per row."""

from __future__ import annotations

import dataclasses
import gc
import json
import pickle
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models.bundle import Bundle
from models.errors import ModelError
from models.onnx import MAX_ROWS, OnnxModel, sessions_kept
from models.tokenize import TextTokenizer

POISON, INFINITE, OUT_OF_RANGE = 8, 9, 999


class Spy:
    """Records the shapes of what a session runs."""

    def __init__(self, session: Any) -> None:
        self.session = session
        self.shapes: list[tuple[int, ...]] = []

    def run(self, outputs: Any, feed: dict[str, np.ndarray]) -> Any:
        self.shapes.append(feed["input_ids"].shape)
        return self.session.run(outputs, feed)


def spied(bundle: Bundle, threads: int = 1) -> tuple[OnnxModel, Spy]:
    model = OnnxModel(bundle, threads=threads)
    spy = Spy(model._session)
    model._session = spy
    return model, spy


def rows_of(count: int) -> list[tuple[int, ...]]:
    random = np.random.default_rng(3)
    return [(1, *random.integers(3, 8, random.integers(0, 13)).tolist(), 2) for _ in range(count)]


@pytest.mark.parametrize("token_types", [False, True])
@pytest.mark.parametrize("threads", [1, None])
def test_logits_are_those_of_each_row(
    make_bundle: Callable[..., Path], embedding: np.ndarray, token_types: bool, threads: int | None
) -> None:
    model = OnnxModel(Bundle.load(make_bundle(token_types=token_types)), threads=threads)
    rows = rows_of(100)
    results = model.logits(rows)
    assert len(results) == len(rows)
    for row, logits in zip(rows, results, strict=True):
        assert isinstance(logits, np.ndarray)
        assert logits.dtype == np.float32
        np.testing.assert_allclose(logits, embedding[list(row)].sum(axis=0), atol=1e-5)


def test_float_models_run_in_micro_batches(make_bundle: Callable[..., Path]) -> None:
    model, spy = spied(Bundle.load(make_bundle()))
    rows = rows_of(100)
    model.logits(rows)
    assert sum(rows for rows, _ in spy.shapes) == 100
    assert len(spy.shapes) == -(-100 // MAX_ROWS)
    # Padded to the longest of the batch, no further.
    assert spy.shapes[0][1] == max(len(row) for row in rows)
    assert spy.shapes[-1][1] < spy.shapes[0][1]


def test_dynamic_models_run_row_by_row_longest_first(make_bundle: Callable[..., Path]) -> None:
    model, spy = spied(Bundle.load(make_bundle(dynamic=True)))
    rows = rows_of(20)
    model.logits(rows)
    assert spy.shapes == sorted(((1, len(row)) for row in rows), reverse=True)


def test_nothing_to_do(make_bundle: Callable[..., Path]) -> None:
    model, spy = spied(Bundle.load(make_bundle()))
    assert model.logits([]) == []
    assert spy.shapes == []


BAD_ROWS = [
    ((1, INFINITE, 2), "not finite"),
    ((1, OUT_OF_RANGE, 2), "out of"),
    ((), "0 tokens: the model takes 1 to 16"),
    ((1,) * 17, "17 tokens: the model takes 1 to 16"),
    ((1, "x", 2), "invalid literal"),
]


@pytest.mark.parametrize(
    ("dynamic", "bad", "reason"),
    [
        (False, (1, POISON, 2), "not finite"),  # quantizing turns NaN into a number
        *[(dynamic, bad, reason) for dynamic in (False, True) for bad, reason in BAD_ROWS],
    ],
)
def test_one_poison_row_costs_one_row(
    make_bundle: Callable[..., Path],
    embedding: np.ndarray,
    capfd: pytest.CaptureFixture[str],
    dynamic: bool,
    bad: tuple[Any, ...],
    reason: str,
) -> None:
    model = OnnxModel(Bundle.load(make_bundle(dynamic=dynamic)))
    rows: list[Any] = rows_of(40)
    rows[7] = rows[23] = bad
    for i, logits in enumerate(model.logits(rows)):
        if i in (7, 23):
            assert isinstance(logits, ModelError)
            assert reason in str(logits)
            assert "\n" not in str(logits)
        else:
            assert isinstance(logits, np.ndarray)
            expected = embedding[list(rows[i])].sum(axis=0)
            np.testing.assert_allclose(logits, expected, atol=0.1 if dynamic else 1e-5)
    assert capfd.readouterr().err == ""  # ONNX Runtime logs such things otherwise


def test_all_rows_poisoned(make_bundle: Callable[..., Path]) -> None:
    model = OnnxModel(Bundle.load(make_bundle()))
    results = model.logits([(1, OUT_OF_RANGE, 2)] * 5)
    assert all(isinstance(r, ModelError) for r in results)


def test_logits_of_another_shape(make_bundle: Callable[..., Path]) -> None:
    model = OnnxModel(Bundle.load(make_bundle()))
    model.bundle = dataclasses.replace(model.bundle, labels=("a", "b", "c"))
    for result in model.logits(rows_of(3)):
        assert isinstance(result, ModelError)
        assert "shape [1, 2] for 1 rows, but there are 3 labels" in str(result)


def test_same_text_same_score_whoever_shares_its_batch(default_bundle: Bundle) -> None:
    model = OnnxModel(default_bundle)
    texts = [f"Shares of company {i} rise" + " and fall" * (i % 9) for i in range(24)]
    rows = [t.windows[0] for t in TextTokenizer(default_bundle)(texts)]
    together = model.logits(rows)
    alone = [model.logits([row])[0] for row in rows]
    for a, b in zip(together, alone, strict=True):
        assert isinstance(a, np.ndarray)
        assert isinstance(b, np.ndarray)
        np.testing.assert_array_equal(a, b)


def test_dynamic_ranges_do_depend_on_the_batch(default_bundle: Bundle) -> None:
    """What running row by row is for: in one batch, the same rows give other logits."""
    model = OnnxModel(default_bundle)
    texts = ["Rain stops play", "Shares fall hard"]
    rows = [t.windows[0] for t in TextTokenizer(default_bundle)(texts)]
    assert len(rows[0]) == len(rows[1])
    ids = np.array(rows, np.int64)
    (batch,) = model._session.run(
        ["logits"], {"input_ids": ids, "attention_mask": np.ones_like(ids)}
    )
    alone = np.stack([r for r in model.logits(rows) if isinstance(r, np.ndarray)])
    assert np.abs(batch - alone).max() > 1e-5


def test_many_callers_at_once(make_bundle: Callable[..., Path], embedding: np.ndarray) -> None:
    model = OnnxModel(Bundle.load(make_bundle()))
    rows = rows_of(64)
    expected = np.stack([embedding[list(row)].sum(axis=0) for row in rows])
    with ThreadPoolExecutor(8) as callers:
        for results in callers.map(lambda _: model.logits(rows), range(32)):
            np.testing.assert_allclose(np.stack(results), expected, atol=1e-5)  # type: ignore[arg-type]


def test_settings(make_bundle: Callable[..., Path]) -> None:
    bundle = Bundle.load(make_bundle())
    with pytest.raises(ValueError, match="threads 0: choose"):
        OnnxModel(bundle, threads=0)
    with pytest.raises(TypeError, match="cannot be pickled"):
        pickle.dumps(OnnxModel(bundle))


def test_models_of_a_bundle_share_their_session(default_copy: Path) -> None:
    bundle = Bundle.load(default_copy)
    one = OnnxModel(bundle)
    assert OnnxModel(Bundle.load(default_copy))._session is one._session
    config = json.loads((default_copy / "config.json").read_text())
    (default_copy / "config.json").write_text(json.dumps({**config, "temperature": 3.5}))
    assert OnnxModel(Bundle.load(default_copy))._session is not one._session


def test_sessions_are_kept_for_as_long_as_somebody_asks_for_it(default_copy: Path) -> None:
    bundle = Bundle.load(default_copy)
    with sessions_kept():
        kept = weakref.ref(OnnxModel(bundle)._session)
        assert OnnxModel(bundle)._session is kept()
    gc.collect()
    assert kept() is None
