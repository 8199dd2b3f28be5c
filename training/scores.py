"""Score tokens with a torch classifier."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from transformers import RobertaConfig, RobertaForSequenceClassification
from transformers.models.roberta.modeling_roberta import RobertaLayer

from training import data

PAD, END = 1, 2
#: bfloat16 is twice as fast where the CPU multiplies it, and 16 times slower where it does not.
BFLOAT16: bool = torch.cpu._is_avx512_bf16_supported()


def build(folder: Path, dropout: float = 0.1) -> RobertaForSequenceClassification:
    """A classifier of the configuration in `folder`, not yet loaded."""
    config = RobertaConfig.from_pretrained(folder)
    config.hidden_dropout_prob = dropout
    config.attention_probs_dropout_prob = 0.0
    config.classifier_dropout = dropout
    return RobertaForSequenceClassification(config)


def _layer(
    layer: RobertaLayer, hidden: torch.Tensor, queried: torch.Tensor, bias: torch.Tensor
) -> torch.Tensor:
    """One encoder layer for the positions `queried`, which attend to all of `hidden`."""
    attention = layer.attention.self
    size = attention.attention_head_size

    def heads(value: torch.Tensor) -> torch.Tensor:
        split: torch.Tensor = value.unflatten(-1, (-1, size))
        return split.transpose(1, 2)

    query = heads(attention.query(queried)) * size**-0.5
    key, value = heads(attention.key(hidden)), heads(attention.value(hidden))
    weights = torch.softmax(query @ key.transpose(2, 3) + bias, -1).to(value.dtype)
    mixed = (weights @ value).transpose(1, 2).flatten(2)
    attended = layer.attention.output(mixed, queried)
    out: torch.Tensor = layer.output(layer.intermediate(attended), attended)
    return out


def hidden_states(
    model: RobertaForSequenceClassification, ids: torch.Tensor, first_only: bool = True
) -> list[torch.Tensor]:
    """The embeddings' and every layer's output for right-padded `ids` (rows, length).

    The same numbers as the model's own forward, a third faster on CPUs: plain attention, whose
    backward costs 4 ms a layer where the fused one costs 52, and, if `first_only`, a last layer
    that computes only the token the classifier reads.
    """
    bias = torch.zeros(ids.shape).masked_fill(ids == PAD, -1e4)[:, None, None, :]
    states = [model.roberta.embeddings(input_ids=ids)]
    layers: list[RobertaLayer] = list(model.roberta.encoder.layer)
    for layer in layers:
        last = states[-1]
        cut = first_only and layer is layers[-1]
        states.append(_layer(layer, last, last[:, :1] if cut else last, bias))
    return states


def fast() -> torch.autocast:
    """Computes in bfloat16 inside, if that is fast here."""
    return torch.autocast("cpu", torch.bfloat16, enabled=BFLOAT16)


def encode(model: RobertaForSequenceClassification, ids: torch.Tensor) -> torch.Tensor:
    """What the classifier reads of right-padded `ids` (rows, length): (rows, 1, hidden)."""
    with fast():
        return hidden_states(model, ids)[-1]


def classify(model: RobertaForSequenceClassification, states: torch.Tensor) -> torch.Tensor:
    """Logits (rows, labels), float32, of what `encode` gave."""
    with fast():
        out: torch.Tensor = model.classifier(states)
    return out.float()


def forward(model: RobertaForSequenceClassification, ids: torch.Tensor) -> torch.Tensor:
    """Logits (rows, labels), float32, of right-padded `ids`."""
    return classify(model, encode(model, ids))


def outputs(
    model: RobertaForSequenceClassification, tokens: data.Tokens
) -> tuple[np.ndarray, np.ndarray]:
    """Logits (rows, labels) and states (rows, hidden) in the order of `tokens`, float32."""
    model.eval()
    logits = np.zeros((len(tokens), int(model.config.num_labels or 0)), np.float32)
    states = np.zeros((len(tokens), model.config.hidden_size), np.float32)
    order = np.argsort(tokens.lengths, kind="stable")
    with torch.inference_mode():
        for start in range(0, len(order), 64):
            rows = order[start : start + 64]
            found = encode(model, torch.from_numpy(data.pad(tokens, rows, PAD)))
            logits[rows] = classify(model, found).numpy()
            states[rows] = found[:, 0].float().numpy()
    return logits, states


def accuracy(values: np.ndarray, labels: np.ndarray) -> float:
    """Share of rows whose largest logit is at the label."""
    return float((values.argmax(1) == labels).mean())
