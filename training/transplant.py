"""Give MiniLM-L6 our vocabulary: its encoder, and embeddings made from its WordPieces'."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer
from transformers import RobertaConfig, RobertaForSequenceClassification

from training.data import LABELS

_SPECIAL = {"<s>": "[CLS]", "<pad>": "[PAD]", "</s>": "[SEP]", "<unk>": "[UNK]", "<mask>": "[MASK]"}


def word_embeddings(tokenizer: Tokenizer, parent: Tokenizer, table: torch.Tensor) -> torch.Tensor:
    """One row for each token of `tokenizer`: the mean of the rows of the WordPieces it spells.

    A token that continues a word takes the `##` piece where the parent has one.
    """
    parent.no_truncation()
    parent.no_padding()
    mean = table.mean(0)
    rows = torch.empty(tokenizer.get_vocab_size(), table.shape[1])
    for number in range(len(rows)):
        token = tokenizer.id_to_token(number)
        if token in _SPECIAL:
            rows[number] = table[parent.token_to_id(_SPECIAL[token])]
            continue
        text = tokenizer.decoder.decode([token])
        continued = parent.token_to_id(f"##{text.lower()}")
        if not text.startswith(" ") and continued is not None:
            pieces = [continued]
        else:
            pieces = parent.encode(text.strip(), add_special_tokens=False).ids
        rows[number] = table[pieces].mean(0) if pieces else mean
    return rows


def transplant(parent: Path, tokenizer: Tokenizer, target: Path, seed: int = 0) -> None:
    """Write the untrained-as-yet RoBERTa classifier `target` made from the BERT in `parent`.

    Args:
        parent: a Hugging Face folder of a BERT encoder (config, model.safetensors, tokenizer).
        tokenizer: the new vocabulary.
        target: folder to write config.json, tokenizer.json and model.safetensors to.
        seed: for the classifier's random weights.
    """
    torch.manual_seed(seed)
    bert = json.loads((parent / "config.json").read_text())
    config = RobertaConfig(
        vocab_size=tokenizer.get_vocab_size(),
        max_position_embeddings=bert["max_position_embeddings"] + 2,
        type_vocab_size=1,
        num_hidden_layers=bert["num_hidden_layers"],
        hidden_size=bert["hidden_size"],
        num_attention_heads=bert["num_attention_heads"],
        intermediate_size=bert["intermediate_size"],
        hidden_act=bert["hidden_act"],
        layer_norm_eps=bert["layer_norm_eps"],
        id2label=dict(enumerate(LABELS)),
        label2id={label: number for number, label in enumerate(LABELS)},
    )
    config.architectures = ["RobertaForSequenceClassification"]
    model = RobertaForSequenceClassification(config)
    weights = {
        name.removeprefix("bert."): array.float()
        for name, array in load_file(parent / "model.safetensors").items()
    }
    own = model.state_dict()
    for name in own:
        short = name.removeprefix("roberta.")
        if short in weights and (".LayerNorm." in short or "embeddings." not in short):
            own[name] = weights[short]
    table = weights["embeddings.word_embeddings.weight"]
    parent_tokenizer = Tokenizer.from_file(str(parent / "tokenizer.json"))
    prefix = "roberta.embeddings"
    own[f"{prefix}.word_embeddings.weight"] = word_embeddings(tokenizer, parent_tokenizer, table)
    positions = own[f"{prefix}.position_embeddings.weight"].zero_()
    positions[2:] = weights["embeddings.position_embeddings.weight"]
    own[f"{prefix}.token_type_embeddings.weight"] = weights[
        "embeddings.token_type_embeddings.weight"
    ][:1]
    target.mkdir(parents=True, exist_ok=True)
    config.save_pretrained(target)
    tokenizer.save(str(target / "tokenizer.json"))
    save_file(
        {name: array.contiguous() for name, array in own.items()}, target / "model.safetensors"
    )
