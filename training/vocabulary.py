"""Train our byte-level BPE on the AG News texts, and find words in what a tokenizer returns."""

from __future__ import annotations

import re
from collections.abc import Iterable

import numpy as np
from tokenizers import Encoding, Tokenizer, decoders, models, pre_tokenizers, processors, trainers

SPECIAL = ("<s>", "<pad>", "</s>", "<unk>", "<mask>")


def train(texts: Iterable[str], size: int) -> Tokenizer:
    """A RoBERTa tokenizer of at most `size` tokens; special tokens are the first five."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        min_frequency=2,
        special_tokens=list(SPECIAL),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=True,
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.post_processor = processors.RobertaProcessing(
        ("</s>", SPECIAL.index("</s>")),
        ("<s>", SPECIAL.index("<s>")),
        trim_offsets=True,
        add_prefix_space=False,
    )
    return tokenizer


def words(text: str, encoding: Encoding) -> np.ndarray:
    """For each token, the number of the whitespace-separated word it lies in; -1 for specials."""
    number = np.full(len(text) + 1, -1)
    for k, match in enumerate(re.finditer(r"\S+", text)):
        number[match.start() : match.end()] = k
    found = [number[end - 1] if end > start else -1 for start, end in encoding.offsets]
    return np.asarray(found, dtype=np.int64)
