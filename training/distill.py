"""Teach the transplanted RoBERTa to see each word as MiniLM does, layer by layer."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer
from torch.nn import functional
from tqdm import tqdm
from transformers import BertModel

from training import data, finetune, scores, vocabulary
from training.config import DistillConfig, RunConfig


def _encode(
    texts: list[str], tokenizer: Tokenizer, pad_id: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Right-padded ids and word numbers (-1: none), both (rows, length)."""
    encodings = tokenizer.encode_batch(texts)
    length = max(len(encoding.ids) for encoding in encodings)
    ids = np.full((len(texts), length), pad_id, np.int64)
    words = np.full((len(texts), length), -1, np.int64)
    for row, (text, encoding) in enumerate(zip(texts, encodings, strict=True)):
        ids[row, : len(encoding.ids)] = encoding.ids
        words[row, : len(encoding.ids)] = vocabulary.words(text, encoding)
    return torch.from_numpy(ids), torch.from_numpy(words)


def word_states(states: torch.Tensor, words: torch.Tensor, count: int) -> torch.Tensor:
    """Mean of each word's token states: (rows, count, hidden), zeros where there is no token."""
    rows, _, hidden = states.shape
    index = words.clamp(min=-1) + 1  # slot 0 takes the tokens outside of words
    index = index.where(index <= count, torch.zeros_like(index))
    sums = states.new_zeros(rows, count + 1, hidden)
    sums = sums.scatter_add(1, index[..., None].expand(-1, -1, hidden), states)
    tokens = states.new_zeros(rows, count + 1).scatter_add(
        1, index, torch.ones_like(states[..., 0])
    )
    return (sums / tokens.clamp(min=1)[..., None])[:, 1:]


def _loss(own: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
    """One minus cosine plus mean squared difference, over the words both saw."""
    both = (own.abs().sum(-1) > 0) & (wanted.abs().sum(-1) > 0)
    own, wanted = own[both], wanted[both]
    return (1 - functional.cosine_similarity(own, wanted, dim=-1)).mean() + functional.mse_loss(
        own, wanted
    )


def distill(config: DistillConfig, parent: Path, folder: Path, articles: data.Articles) -> None:
    """Train the classifier in `folder` in place, all but its head; resumes from its checkpoint.

    Args:
        config: epochs, learning rate, layers.
        parent: the teacher's folder.
        folder: what `transplant` wrote.
        articles: training articles; their labels are not looked at.
    """
    torch.manual_seed(config.seed)
    teacher = BertModel.from_pretrained(parent, add_pooling_layer=False).eval()
    teacher_tokenizer = Tokenizer.from_file(str(parent / "tokenizer.json"))
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    for each in (teacher_tokenizer, tokenizer):
        each.no_padding()
        each.enable_truncation(config.max_length)
    model = scores.build(folder)
    model.load_state_dict(load_file(folder / "model.safetensors"))
    run = RunConfig(name="distill", start="", learning_rate=config.learning_rate, warmup_steps=100)
    adam = finetune.optimizer(model, run)
    lengths = np.array([len(text) for text in articles.texts])
    schedule: list[np.ndarray] = []
    for epoch in range(config.epochs):
        rng = np.random.default_rng((config.seed, epoch))
        schedule += data.batches(lengths, config.batch_rows, rng)
    checkpoint = folder / "distill.pt"
    step = 0
    if checkpoint.exists():
        state = torch.load(checkpoint, weights_only=True)
        model.load_state_dict(state["model"])
        adam.load_state_dict(state["adam"])
        step = state["step"]
    model.train()
    bar = tqdm(total=len(schedule), initial=step, desc="distill", mininterval=20)
    while step < len(schedule):
        texts = [articles.texts[row] for row in schedule[step]]
        ids, words = _encode(texts, tokenizer, scores.PAD)
        teacher_ids, teacher_words = _encode(texts, teacher_tokenizer, 0)
        count = int(max(words.max(), teacher_words.max())) + 1
        with scores.fast():
            with torch.inference_mode():
                wanted = teacher(
                    input_ids=teacher_ids,
                    attention_mask=(teacher_ids != 0).long(),
                    output_hidden_states=True,
                ).hidden_states
            own = scores.hidden_states(model, ids, first_only=False)
        loss = torch.stack(
            [
                _loss(
                    word_states(own[layer].float(), words, count),
                    word_states(wanted[layer].float().clone(), teacher_words, count),
                )
                for layer in config.layers
            ]
        ).mean()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for group in adam.param_groups:
            rate = finetune.learning_rate(run, step, len(schedule))
            group["lr"] = group["factor"] * rate
        adam.step()
        adam.zero_grad()
        step += 1
        bar.update()
        bar.set_postfix(loss=f"{loss.item():.3f}", refresh=False)
        if step % config.checkpoint_every == 0 or step == len(schedule):
            new = {"model": model.state_dict(), "adam": adam.state_dict(), "step": step}
            torch.save(new, checkpoint.with_suffix(".new"))
            os.replace(checkpoint.with_suffix(".new"), checkpoint)
    save_file(model.state_dict(), folder / "model.safetensors")
