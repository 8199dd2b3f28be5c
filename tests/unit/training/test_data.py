"""Splits do not leak, batches cover every row, words are found in tokens."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

for _needed in ("torch", "transformers", "onnx"):
    pytest.importorskip(_needed, reason="training needs newsbeam[train]")

import torch
from tokenizers import Tokenizer

from training import config, data, distill, vocabulary
from training.finetune import _schedule, learning_rate

from .conftest import TEXTS


def test_near_duplicates_leave_the_training_part():
    words = [f"word{n}" for n in range(400)]
    texts = [" ".join(words[i : i + 12]) for i in range(0, 396, 12)]
    copies = [f"Another title. {text}" for text in texts]
    train, validation = data.split(data.Articles(texts + copies, [0] * 66), 20, seed=1)
    assert len(validation) == 20
    assert not data.near_duplicates(train.texts, validation.texts)
    assert len(train) < 66 - 20
    assert not set(train.texts) & set(validation.texts)


def test_reading_replaces_backslashes_and_counts_labels_from_zero(tmp_path: Path):
    (tmp_path / "train.csv").write_text('label,text\n3,"Oil\\prices, up"\n', encoding="utf-8")
    (tmp_path / "test.csv").write_text('"4","A chip","is\\fast"\n', encoding="utf-8")
    assert data.read_train(tmp_path / "train.csv") == data.Articles(["Oil prices, up"], [2])
    assert data.read_test(tmp_path / "test.csv") == data.Articles(["A chip is fast"], [3])


def test_batches_cover_every_row_once_with_little_padding():
    rng = np.random.default_rng(0)
    lengths = rng.integers(10, 100, 1000)
    batches = data.batches(lengths, 32, rng)
    assert sorted(np.concatenate(batches)) == list(range(1000))
    padded = sum(len(batch) * lengths[batch].max() for batch in batches)
    assert padded < 1.1 * lengths.sum()


def test_workers_share_an_epoch_without_overlap():
    tokens = data.Tokens(np.zeros(640, np.int32), np.arange(0, 641, 10), np.zeros(64, np.int64))
    run = config.RunConfig(name="r", start="s", batch_rows=8, epochs=1.0)
    parts = [_schedule(tokens, run, rank, 2) for rank in range(2)]
    rows = np.concatenate([np.concatenate(part) for part in parts])
    assert sorted(rows) == list(range(64))
    again = _schedule(tokens, run, 0, 2)
    assert all(np.array_equal(a, b) for a, b in zip(parts[0], again, strict=True))


def test_learning_rate_rises_then_falls_to_its_end():
    run = config.RunConfig(name="r", start="s", warmup_steps=10, final_learning_rate=1e-6)
    rates = [learning_rate(run, step, 100) for step in range(101)]
    assert max(rates) == pytest.approx(run.learning_rate)
    assert rates.index(max(rates)) in (9, 10)
    assert rates[100] == pytest.approx(1e-6)


def test_words_number_tokens_by_whitespace(checkpoint: Path):
    tokenizer = Tokenizer.from_file(str(checkpoint / "tokenizer.json"))
    text = TEXTS[2]
    encoding = tokenizer.encode(text)
    numbers = vocabulary.words(text, encoding)
    assert numbers[0] == numbers[-1] == -1
    # A token that is only a space lies in no word.
    assert set(numbers) == {-1, *range(len(text.split()))}
    for number, word in enumerate(text.split()):
        spelled = tokenizer.decode([encoding.ids[i] for i in np.flatnonzero(numbers == number)])
        assert spelled.strip() == word


def test_word_states_average_the_tokens_of_a_word():
    states = torch.tensor([[[9.0], [1.0], [3.0], [5.0], [9.0]]])
    words = torch.tensor([[-1, 0, 0, 2, -1]])
    assert distill.word_states(states, words, 3).flatten().tolist() == [2.0, 0.0, 5.0]


def test_an_unknown_setting_names_the_known_ones(tmp_path: Path):
    path = tmp_path / "c.toml"
    path.write_text('[data]\nfolder = "x"\nvalidation = 3\n')
    with pytest.raises(ValueError, match="validation_rows"):
        config.load(path)
