"""Small checkpoints made on the spot: one of each family, with random weights.

The tokenizers are trained on a few lines, of the kind that the family has. What needs torch and
transformers is skipped where they are missing: `make test` has an environment with them.
"""

from __future__ import annotations

import functools
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from tokenizers import Tokenizer, decoders, normalizers, pre_tokenizers, processors, trainers
from tokenizers.models import BPE, Unigram, WordPiece

from models.bundle import Bundle
from models.export import export as exporting
from models.export.checkpoint import Checkpoint
from models.export.export import export
from models.export.parity import Parity
from models.export.texts import TEXTS

LABELS = ("World", "Sports", "Business")
#: The texts that everything is compared on, without the long ones.
LINES = [text for text in TEXTS if len(text) < 200]
VOCABULARY = 320
POSITIONS = 48

MakeCheckpoint = Callable[..., Path]


def byte_level() -> Tokenizer:
    """RoBERTa's kind."""
    tokenizer = Tokenizer(BPE(unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=special,
        initial_alphabet=alphabet,
        show_progress=False,
    )
    tokenizer.train_from_iterator(LINES, trainer)
    tokenizer.post_processor = processors.RobertaProcessing(
        ("</s>", 2), ("<s>", 0), add_prefix_space=False
    )
    return tokenizer


def word_piece(
    special: tuple[str, ...] = ("[PAD]", "[UNK]", "[CLS]", "[SEP]"),
    begin: str = "[CLS]",
    end: str = "[SEP]",
    unknown: str = "[UNK]",
) -> Tokenizer:
    """BERT's kind; with other special tokens, MPNet's."""
    tokenizer = Tokenizer(WordPiece(unk_token=unknown))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    trainer = trainers.WordPieceTrainer(
        vocab_size=VOCABULARY, special_tokens=list(special), show_progress=False
    )
    tokenizer.train_from_iterator(LINES, trainer)
    return _around(tokenizer, begin, end)


def unigram(special: tuple[str, ...], begin: str, end: str, unknown: str) -> Tokenizer:
    """XLM-R's and DeBERTa's kind, which comes from SentencePiece."""
    tokenizer = Tokenizer(Unigram())
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    trainer = trainers.UnigramTrainer(
        vocab_size=VOCABULARY,
        special_tokens=list(special),
        unk_token=unknown,
        show_progress=False,
    )
    tokenizer.train_from_iterator(LINES, trainer)
    return _around(tokenizer, begin, end)


def _around(tokenizer: Tokenizer, begin: str, end: str) -> Tokenizer:
    ids = [(token, tokenizer.token_to_id(token)) for token in (begin, end)]
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{begin} $A {end}", special_tokens=ids
    )
    return tokenizer


_SIZE = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 64,
}
_ROBERTA = {**_SIZE, "pad_token_id": 1, "max_position_embeddings": POSITIONS + 2}

#: For each family the name of its configuration and classifier, its settings and its tokenizer.
FAMILIES: dict[str, tuple[str, dict[str, Any], Callable[[], Tokenizer]]] = {
    "roberta": ("Roberta", {**_ROBERTA, "bos_token_id": 0, "eos_token_id": 2}, byte_level),
    "distilroberta": ("Roberta", {**_ROBERTA, "num_hidden_layers": 1}, byte_level),
    "xlm-roberta": (
        "XLMRoberta",
        _ROBERTA,
        lambda: unigram(("<s>", "<pad>", "</s>", "<unk>"), "<s>", "</s>", "<unk>"),
    ),
    "bert": ("Bert", {**_SIZE, "max_position_embeddings": POSITIONS}, word_piece),
    "distilbert": (
        "DistilBert",
        {
            "dim": 32,
            "n_layers": 2,
            "n_heads": 4,
            "hidden_dim": 64,
            "max_position_embeddings": POSITIONS,
        },
        word_piece,
    ),
    "mpnet": (
        "MPNet",
        _ROBERTA,
        lambda: word_piece(("<s>", "<pad>", "</s>", "[UNK]"), "<s>", "</s>"),
    ),
    "deberta-v3": (
        "DebertaV2",
        {
            **_SIZE,
            "max_position_embeddings": POSITIONS,
            "relative_attention": True,
            "position_buckets": 16,
            "norm_rel_ebd": "layer_norm",
            "share_att_key": True,
            "pos_att_type": "p2c|c2p",
            "type_vocab_size": 0,
            "position_biased_input": False,
            "pooler_hidden_size": 32,
        },
        lambda: unigram(("[PAD]", "[CLS]", "[SEP]", "[UNK]"), "[CLS]", "[SEP]", "[UNK]"),
    ),
}


@pytest.fixture(scope="session")
def torch() -> Any:
    """Torch, with what else the extra has."""
    for name in ("transformers", "onnx", "onnxscript"):
        pytest.importorskip(name, reason=f"{name} is in the extra `export`")
    return pytest.importorskip("torch", reason="torch is in the extra `export`")


@pytest.fixture(scope="session")
def make_checkpoint(torch: Any, tmp_path_factory: pytest.TempPathFactory) -> MakeCheckpoint:
    """Makes the folder of a checkpoint; `config` overrides settings."""
    import transformers

    def make(family: str, kind: str = "ForSequenceClassification", **config: Any) -> Path:
        name, settings, tokenizer = FAMILIES[family]
        made = tokenizer()
        special = {
            role: token
            for role, tokens in {
                "pad_token": ("<pad>", "[PAD]"),
                "unk_token": ("<unk>", "[UNK]"),
                "cls_token": ("<s>", "[CLS]"),
                "sep_token": ("</s>", "[SEP]"),
            }.items()
            for token in tokens
            if made.token_to_id(token) is not None
        }
        labels = dict(enumerate(LABELS))
        values = settings | {"vocab_size": made.get_vocab_size(), "id2label": labels} | config
        values["label2id"] = {label: i for i, label in values["id2label"].items()}
        torch.manual_seed(7)
        model = getattr(transformers, name + kind)(getattr(transformers, name + "Config")(**values))
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.mul_(4)  # weights as they are drawn give every text the same scores
        folder = tmp_path_factory.mktemp("checkpoint") / family
        model.save_pretrained(folder)
        transformers.PreTrainedTokenizerFast(tokenizer_object=made, **special).save_pretrained(
            folder
        )
        return folder

    return make


@pytest.fixture(scope="session")
def texts() -> list[str]:
    """Short texts and a long one."""
    return [*LINES, " ".join(LINES)]


class Exported(NamedTuple):
    """A checkpoint of a family, and what was made of it."""

    source: Path
    bundle: Bundle
    parity: Parity
    said: list[str]


@pytest.fixture(scope="session")
def exported(
    make_checkpoint: MakeCheckpoint, tmp_path_factory: pytest.TempPathFactory, texts: list[str]
) -> Callable[[str], Exported]:
    """Exports a family, once for all tests that only look at it."""

    @functools.cache
    def make(family: str) -> Exported:
        source, said = make_checkpoint(family), []
        target = tmp_path_factory.mktemp("exported") / "news"
        bundle, parity = export(str(source), target, texts=texts, say=said.append)
        return Exported(source, bundle, parity, said)

    return make


@pytest.fixture(scope="session")
def bert(exported: Callable[[str], Exported]) -> Exported:
    return exported("bert")


@pytest.fixture
def ready_graph(bert: Exported, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets exports of the BERT go without torch's exporter, which takes seconds, to what follows."""

    def copy(checkpoint: Checkpoint, file: Path) -> None:
        shutil.copyfile(bert.bundle.path / "model.onnx", file)

    monkeypatch.setattr(exporting, "write_graph", copy)
