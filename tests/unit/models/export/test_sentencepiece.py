"""Checkpoints that come with SentencePiece's files alone, as many of XLM-R and DeBERTa v3 do."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer

from models.errors import BundleError
from models.export.checkpoint import load_checkpoint

from .conftest import LINES, MakeCheckpoint

#: Families: the name of the file, the pieces that come first, and how far ids of the model are from
#: those of the file.
KINDS: dict[str, tuple[str, dict[str, Any], int]] = {
    "xlm-roberta": ("sentencepiece.bpe.model", {}, 1),
    "deberta-v3": (
        "spm.model",
        {
            **{"pad_id": 0, "bos_id": 1, "eos_id": 2, "unk_id": 3},
            **{"pad_piece": "[PAD]", "bos_piece": "[CLS]"},
            **{"eos_piece": "[SEP]", "unk_piece": "[UNK]"},
        },
        0,
    ),
}


def replace_tokenizer(folder: Path, family: str) -> Any:
    """Gives a checkpoint a tokenizer of SentencePiece's instead of its own; returns it."""
    sentencepiece = pytest.importorskip("sentencepiece", reason="it is in the extra `export`")
    name, special, _ = KINDS[family]
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(LINES),
        model_writer=model,
        vocab_size=200,
        hard_vocab_limit=False,
        minloglevel=2,
        **special,
    )
    for file in folder.glob("tokenizer*"):
        file.unlink()
    (folder / name).write_bytes(model.getvalue())
    return sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())


@pytest.mark.parametrize("family", KINDS)
def test_the_tokenizer_is_kept(
    make_checkpoint: MakeCheckpoint, tmp_path: Path, family: str
) -> None:
    source = make_checkpoint(family)
    pieces = replace_tokenizer(source, family)
    load_checkpoint(str(source)).write_settings(tmp_path)
    tokenizer = Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    model = json.loads((tmp_path / "config.json").read_text())
    assert tokenizer.get_vocab_size() <= model["vocab_size"]
    for text in LINES[:4]:
        wanted = [piece + KINDS[family][2] for piece in pieces.encode(text)]
        assert tokenizer.encode(text).ids[1:-1] == wanted


@pytest.mark.parametrize("family", KINDS)
def test_the_package_that_reads_it_is_named(
    make_checkpoint: MakeCheckpoint, family: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = make_checkpoint(family)
    replace_tokenizer(source, family)
    for package in ("sentencepiece", "tiktoken"):
        monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(BundleError, match=r"pip install 'newsbeam\[export\]', or copy them") as e:
        load_checkpoint(str(source))
    assert "\n" not in str(e.value)
