"""A small random RoBERTa classifier, made on the spot."""

from __future__ import annotations

from pathlib import Path

import pytest

TEXTS = [
    "Oil prices rise as stocks fall on Wall Street",
    "The striker scored twice in the last ten minutes",
    "A new chip makes phones faster, its maker says",
    "Ministers met to talk about the peace plan on Monday",
]


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with config.json, tokenizer.json and model.safetensors: 3 layers x 32."""
    import torch
    from safetensors.torch import save_file
    from transformers import RobertaConfig, RobertaForSequenceClassification

    from training import vocabulary
    from training.data import LABELS

    folder = tmp_path_factory.mktemp("checkpoint")
    tokenizer = vocabulary.train(TEXTS, 300)
    tokenizer.save(str(folder / "tokenizer.json"))
    config = RobertaConfig(
        vocab_size=tokenizer.get_vocab_size(),
        max_position_embeddings=66,
        type_vocab_size=1,
        num_hidden_layers=3,
        hidden_size=32,
        num_attention_heads=4,
        intermediate_size=64,
        layer_norm_eps=1e-12,
        id2label=dict(enumerate(LABELS)),
        label2id={label: number for number, label in enumerate(LABELS)},
    )
    torch.manual_seed(0)
    model = RobertaForSequenceClassification(config)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.2)
    config.save_pretrained(folder)
    save_file(model.state_dict(), folder / "model.safetensors")
    return folder
