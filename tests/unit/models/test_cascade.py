"""Cascades: who is asked, who answers, what is refused."""

from __future__ import annotations

import json
import pickle
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from models.bundle import Bundle
from models.cascade import Answer, ModelCascade
from models.classifier import TextClassifier
from models.errors import BundleError, ModelError
from models.locate import PACKAGED
from models.onnx import OnnxModel
from models.scores import ScoreSettings
from models.tokenize import TextTokenizer
from tests.unit.models.conftest import WORDS, write_bundle

TEXTS = [
    "Striker scores twice as United win the cup final",
    "Shares fall",
    "Ministers meet",
    "Chip",
    "It was a long day for the central bank and the players, who lost to a computer.",
    "Oil prices " * 100,
]


def write_cascade(folder: Path, *stages: dict[str, object]) -> Path:
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"cascade": stages}))
    return folder


def of_shipped(folder: Path, min_score: float) -> Bundle:
    stages = ({"model": "ag_news_mini", "min_score": min_score}, {"model": "ag_news_small"})
    return Bundle.load(write_cascade(folder, *stages))


def test_the_default_is_a_cascade() -> None:
    bundle = Bundle.load()
    assert bundle.name == "ag_news"
    assert [stage.bundle for stage in bundle.stages] == [
        Bundle.load("ag_news_mini"),
        Bundle.load("ag_news_small"),
    ]
    full = Bundle.load("ag_news_small")
    assert (bundle.labels, bundle.path) == (full.labels, full.path)
    assert bundle.hash not in {full.hash, Bundle.load("ag_news_mini").hash}
    assert full.stages[0].bundle == full


@pytest.mark.parametrize("min_score", [0.0, 0.7, 0.95, 1.0])
def test_the_cheap_one_answers_where_it_is_sure(tmp_path: Path, min_score: float) -> None:
    cascade = TextClassifier(of_shipped(tmp_path / "both", min_score))
    mini, small = (TextClassifier.load(f"ag_news_{name}") for name in ("mini", "small"))
    asked = 0
    for text, found in zip(TEXTS, cascade.predict(TEXTS), strict=True):
        cheap = mini.predict(text)
        sure = cheap.score >= min_score
        asked += not sure
        assert found == (cheap if sure else small.predict(text))
    assert asked == {0.0: 0, 1.0: len(TEXTS)}.get(min_score, asked)


def test_whoever_shares_the_batch(tmp_path: Path) -> None:
    cascade = TextClassifier(of_shipped(tmp_path / "both", 0.9))
    assert cascade.predict(TEXTS) == [cascade.predict(text) for text in TEXTS]
    assert cascade.predict(TEXTS[::-1]) == cascade.predict(TEXTS)[::-1]


def test_what_is_asked_of_scores_decides_nothing(tmp_path: Path) -> None:
    bundle = of_shipped(tmp_path / "both", 0.9)
    plain = TextClassifier(bundle).predict(TEXTS)
    for settings in (
        ScoreSettings(temperature=9.0),
        ScoreSettings("sigmoid"),
        ScoreSettings(threshold=0.99),
    ):
        found = TextClassifier(bundle, settings=settings).predict(TEXTS)
        assert [p.model for p in found] == [p.model for p in plain]
        assert [p.category for p in found] == [p.category for p in plain]


def test_raw_output_says_who_answered(tmp_path: Path) -> None:
    cascade = TextClassifier(of_shipped(tmp_path / "both", 0.9))
    output = cascade.logits(TEXTS)
    names = [cascade.bundle.stages[stage].bundle.model_id for stage in output.answered]
    assert names == [p.model for p in cascade.predict(TEXTS)]
    assert len(set(names)) == 2
    assert output.windows[-1] == 2


def test_annotations(tmp_path: Path) -> None:
    cascade = TextClassifier(of_shipped(tmp_path / "both", 0.9))
    assert cascade.annotate(TEXTS[0])["class"] == ["Sports"]


# ---- In memory -------------------------------------------------------------------------------------


class Canned:
    """Stands for an `OnnxModel`: a row's logits are made of its first id."""

    def __init__(self, answer: Callable[[int], Sequence[float]], threads: int = 2) -> None:
        self.answer = answer
        self.threads = threads
        self.asked: list[int] = []

    def batches(self, lengths: Sequence[int]) -> list[list[int]]:
        return [[i] for i in range(len(lengths))]

    def run(self, rows: Sequence[Sequence[int]]) -> list[np.ndarray | Exception]:
        found: list[np.ndarray | Exception] = []
        for row in rows:
            self.asked.append(row[0])
            try:
                found.append(np.array(self.answer(row[0]), np.float32))
            except ModelError as e:
                found.append(e)
        return found


def canned(
    bundle: Bundle, cheap: Callable[[int], Sequence[float]], full: Callable[[int], Sequence[float]]
) -> tuple[ModelCascade, Canned, Canned]:
    cascade = ModelCascade(bundle)
    models = Canned(cheap), Canned(full)
    cascade.models = models  # type: ignore[assignment]
    return cascade, *models


def sure_of_even(first: int) -> list[float]:
    return [9.0, 0, 0, 0] if first % 2 == 0 else [0.1, 0, 0, 0]


def test_windows_are_judged_together(tmp_path: Path) -> None:
    """Sure of one window, and not of the other: the average is not."""
    cascade, cheap, full = canned(of_shipped(tmp_path / "both", 0.9), sure_of_even, sure_of_even)
    answers = cascade.answers([[[2], [4]], [[2], [3]], [[6]]])
    assert [answer.stage for answer in answers if isinstance(answer, Answer)] == [0, 1, 0]
    assert sorted(cheap.asked) == [2, 2, 3, 4, 6]
    assert sorted(full.asked) == [2, 3]


def test_one_that_fails_is_asked_of_the_next(tmp_path: Path) -> None:
    def broken(first: int) -> list[float]:
        if first == 9:
            raise ModelError("poison")
        return [9.0, 0, 0, 0]

    bundle = of_shipped(tmp_path / "both", 0.9)
    cascade, _, full = canned(bundle, broken, sure_of_even)
    [good, found] = cascade.answers([[[1]], [[9], [1]]])
    assert isinstance(good, Answer)
    assert isinstance(found, Answer)
    assert found.stage == 1
    assert sorted(full.asked) == [1, 9]
    cascade, _, _ = canned(bundle, broken, broken)
    [good, failed] = cascade.answers([[[1]], [[9], [1]]])
    assert isinstance(good, Answer)
    assert isinstance(failed, ModelError)


def test_many_at_once(tmp_path: Path) -> None:
    cascade, _, _ = canned(of_shipped(tmp_path / "both", 0.9), sure_of_even, sure_of_even)
    asked = [cascade.start([[[i + j]] for i in range(50)]) for j in range(20)]
    for j, each in enumerate(asked):
        stages = [answer.stage for answer in each.result() if isinstance(answer, Answer)]
        assert stages == [(i + j) % 2 for i in range(50)]


def test_of_a_multi_label_model_every_label_counts(tmp_path: Path) -> None:
    config = {"problem_type": "multi_label_classification"}
    for name in ("cheap", "full"):
        write_bundle(tmp_path / name, config=config)
    folder = write_cascade(
        tmp_path / "both", {"model": "../cheap", "min_score": 0.9}, {"model": "../full"}
    )
    bundle = Bundle.load(folder)
    logits = {1: [9.0, -9], 2: [9.0, 9], 3: [-9.0, -9], 4: [9.0, 0], 5: [0.0, 0]}
    cascade, _, full = canned(bundle, logits.__getitem__, logits.__getitem__)
    answers = cascade.answers([[[i]] for i in logits])
    assert [answer.stage for answer in answers if isinstance(answer, Answer)] == [0, 0, 0, 1, 1]
    assert sorted(full.asked) == [4, 5]


def test_a_float_model_beside_a_dynamic_one(tmp_path: Path) -> None:
    for name, dynamic in (("cheap", True), ("full", False)):
        write_bundle(tmp_path / name, dynamic=dynamic)
    folder = write_cascade(
        tmp_path / "both", {"model": "../cheap", "min_score": 1}, {"model": "../full"}
    )
    bundle = Bundle.load(folder)
    texts = [" ".join(WORDS[4 : 4 + n]) for n in (1, 2, 3, 4)] * 5
    rows = [t.windows for t in TextTokenizer(bundle)(texts)]
    alone = OnnxModel(bundle.stages[1].bundle).logits([w for windows in rows for w in windows])
    for answer, expected in zip(ModelCascade(bundle).answers(rows), alone, strict=True):
        assert isinstance(answer, Answer)
        assert isinstance(expected, np.ndarray)
        if answer.stage == 1:
            assert np.allclose(answer.logits[0], expected, atol=1e-5)


def test_it_stays_where_it_is() -> None:
    with pytest.raises(TypeError, match="cannot be pickled"):
        pickle.dumps(ModelCascade(Bundle.load()))


# ---- As files --------------------------------------------------------------------------------------


def test_models_in_its_folder(tmp_path: Path) -> None:
    both = write_cascade(tmp_path / "both", {"model": "mini", "min_score": 0.9}, {"model": "small"})
    for name in ("mini", "small"):
        shutil.copytree(PACKAGED[f"ag_news_{name}"], both / name)
    bundle = Bundle.load(both)
    assert [stage.bundle.path for stage in bundle.stages] == [both / "mini", both / "small"]


@pytest.mark.parametrize(
    ("stages", "words"),
    [
        ([], "name two models or more"),
        ([{"model": "ag_news_mini"}], "name two models or more"),
        ([{"model": "ag_news_mini"}, {"model": "ag_news_small"}], "and the score, 0 to 1"),
        ([{"model": "ag_news_mini", "min_score": 2}, {"model": "ag_news_small"}], "0 to 1"),
        ([{"model": "ag_news_mini", "min_score": "x"}, {"model": "ag_news_small"}], "0 to 1"),
        ([{"model": 7, "min_score": 0.9}, {"model": "ag_news_small"}], "name two models"),
        ([{"model": "ag_news_mini", "min_score": 0.9}, {}], "the last model of cascade"),
        ([{"model": "ag_news_mini", "min_score": 0.9}, "ag_news_small"], "the last model"),
        ([{"model": "no_such", "min_score": 0.9}, {"model": "ag_news_small"}], "no_such"),
        ([{"model": "ag_news", "min_score": 0.9}, {"model": "ag_news_small"}], "a cascade itself"),
    ],
)
def test_what_is_no_cascade(tmp_path: Path, stages: list[dict[str, object]], words: str) -> None:
    with pytest.raises(BundleError, match=words) as e:
        Bundle.load(write_cascade(tmp_path / "both", *stages))
    assert "\n" not in str(e.value)


def test_a_cascade_of_itself(tmp_path: Path) -> None:
    stages = {"model": ".", "min_score": 0.9}, {"model": "ag_news_small"}
    with pytest.raises(BundleError, match=r"\. of its cascade is a cascade itself"):
        Bundle.load(write_cascade(tmp_path / "both", *stages))


def test_shipped_ones_are_those_of_the_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever lies where the process was started."""
    expected = Bundle.load()
    write_bundle(tmp_path / "ag_news_mini")
    monkeypatch.chdir(tmp_path)
    assert Bundle.load() == expected
    assert Bundle.load("ag_news_mini").path == tmp_path / "ag_news_mini"  # asked for by name


def test_models_that_do_not_go_together(tmp_path: Path) -> None:
    write_bundle(tmp_path / "tiny")
    write_bundle(tmp_path / "several", config={"problem_type": "multi_label_classification"})
    for first, last, words in (
        ("../tiny", "ag_news_small", "the labels of tiny and ag_news_small differ"),
        ("../tiny", "../several", "the problem types of tiny and several differ"),
    ):
        folder = tmp_path / f"both{len(last)}"
        with pytest.raises(BundleError, match=words):
            Bundle.load(write_cascade(folder, {"model": first, "min_score": 0.9}, {"model": last}))
    copy = shutil.copytree(PACKAGED["ag_news_mini"], tmp_path / "copy")
    tokenizer = json.loads((copy / "tokenizer.json").read_text())
    tokenizer["pre_tokenizer"]["add_prefix_space"] = not tokenizer["pre_tokenizer"].get(
        "add_prefix_space"
    )
    (copy / "tokenizer.json").write_text(json.dumps(tokenizer))
    stages = {"model": "../copy", "min_score": 0.9}, {"model": "ag_news_small"}
    with pytest.raises(BundleError, match="different tokenizers"):
        Bundle.load(write_cascade(tmp_path / "two", *stages))


def test_the_shortest_of_positions_counts(tmp_path: Path) -> None:
    for name, positions in (("cheap", 12), ("full", 16)):
        write_bundle(tmp_path / name, config={"max_position_embeddings": positions})
    stages = {"model": "../cheap", "min_score": 0.9}, {"model": "../full"}
    bundle = Bundle.load(write_cascade(tmp_path / "both", *stages))
    cheap = bundle.stages[0].bundle
    assert bundle.max_length == cheap.max_length < bundle.stages[1].bundle.max_length
    assert bundle.row_length == bundle.max_length


@pytest.mark.parametrize("name", ["temperature", "long_text", "problem_type"])
def test_settings_of_a_model_are_none_of_a_cascade(tmp_path: Path, name: str) -> None:
    both = write_cascade(
        tmp_path / "both", {"model": "ag_news_mini", "min_score": 0.9}, {"model": "ag_news_small"}
    )
    config = json.loads((both / "config.json").read_text())
    (both / "config.json").write_text(json.dumps({**config, "comment": "ours"}))
    assert Bundle.load(both).stages
    (both / "config.json").write_text(json.dumps({**config, name: 2}))
    with pytest.raises(BundleError, match=f"{name} in config.json of a cascade would count for"):
        Bundle.load(both)
