"""Turns a RoBERTa classifier as Spark NLP loads it (ONNX and assets/) into a bundle."""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path

import numpy as np
import onnxruntime

from models.bundle import Bundle
from models.errors import BundleError, TokenizerFilesError
from models.export.card import public_name, write_card
from models.export.target import load_new, new_folder
from models.tokenizer_files import load_tokenizer

#: The most positions that are looked for; Spark NLP takes no more tokens.
MOST_POSITIONS = 512

_ASSETS = ("vocab.txt", "merges.txt", "labels.txt")


def import_spark_nlp(source: Path, target: Path) -> Bundle:
    """Makes a bundle of a folder that `RoBertaForSequenceClassification.loadSavedModel` takes.

    Args:
        source: A folder with one ONNX file, and with `assets/vocab.txt` (a token a line, in the
            order of their ids), `assets/merges.txt` and `assets/labels.txt` (a label a line). Of a
            config.json beside them, which Spark NLP does not read, `problem_type` is kept.
        target: The folder to make.

    Raises:
        BundleError: It is no such folder, or its files do not fit together.
    """
    source = source.expanduser()
    model = _model_file(source)
    assets = source / "assets"
    for name in _ASSETS:
        if not (assets / name).is_file():
            raise BundleError(
                f"model {source}: assets/{name} is missing; RoBERTa models for Spark NLP have "
                f"{', '.join(_ASSETS)}; for others, export the Hugging Face checkpoint with "
                "`newsbeam model export`"
            )
    vocabulary, labels = _lines(assets / "vocab.txt"), _lines(assets / "labels.txt")
    if "<pad>" not in vocabulary:
        raise BundleError(
            f"model {source}: assets/vocab.txt has no <pad>, as RoBERTa's has; export the Hugging "
            "Face checkpoint with `newsbeam model export`"
        )
    pad = vocabulary.index("<pad>")
    config = {
        "architectures": ["RobertaForSequenceClassification"],
        "model_type": "roberta",
        "vocab_size": len(vocabulary),
        "pad_token_id": pad,
        "id2label": {str(i): label for i, label in enumerate(labels)},
        "label2id": {label: i for i, label in enumerate(labels)},
    }
    for role, token in (("bos", "<s>"), ("eos", "</s>")):
        if token in vocabulary:
            config[f"{role}_token_id"] = vocabulary.index(token)
    if problem_type := _problem_type(source):
        config["problem_type"] = problem_type
    with new_folder(target) as folder:
        _write_tokenizer(source, vocabulary, config, folder)
        shutil.copyfile(model, folder / "model.onnx")
        for weights in source.glob(f"{model.name}?*"):  # beside the graph, which knows their name
            shutil.copyfile(weights, folder / weights.name)
        positions = _positions(source, folder / "model.onnx", pad)
        config["max_position_embeddings"] = positions + pad + 1
        text = json.dumps(config, indent=2, ensure_ascii=False)
        (folder / "config.json").write_text(text + "\n", encoding="utf-8")
        bundle = load_new(folder, str(source))
        write_card(bundle, public_name(str(source)), "roberta", None)
    return Bundle.load(target)


def is_spark_nlp(source: Path) -> bool:
    """Whether a folder is Spark NLP's, rather than a Hugging Face checkpoint.

    Spark NLP's notebooks put `assets/` and the ONNX file beside a checkpoint's config.json and
    tokenizer, and leave its weights away. A folder that Spark itself saved is Spark NLP's, too,
    though it cannot be imported.
    """
    if any(any(source.glob(f"*.{weights}")) for weights in ("safetensors", "bin")):
        return False
    if (source / "config.json").exists():
        return (source / "assets" / "labels.txt").is_file() and any(source.glob("*.onnx"))
    return (source / "assets").is_dir() or (source / "metadata").is_dir()


def _problem_type(source: Path) -> str | None:
    """What config.json says about labels: whether a text may have several."""
    file = source / "config.json"
    if not file.is_file():
        return None
    try:
        config = json.loads(file.read_bytes())
        value = config.get("problem_type")
    except (OSError, ValueError, AttributeError) as e:
        raise BundleError(
            f"model {file}: cannot be read ({' '.join(str(e).split())}); copy it again, or leave it "
            "out"
        ) from e
    return str(value) if value else None


def _model_file(source: Path) -> Path:
    if not source.is_dir():
        raise BundleError(f"model {source}: no such folder; name a model folder of Spark NLP")
    if (source / "metadata").is_dir() and not (source / "assets").is_dir():
        raise BundleError(
            f"model {source}: was saved by Spark, in a form of its own; export the Hugging Face "
            "checkpoint that it was made of with `newsbeam model export`"
        )
    found = sorted(source.glob("*.onnx"))
    if len(found) != 1:
        names = ", ".join(f.name for f in found) or "none"
        raise BundleError(
            f"model {source}: needs one .onnx file, but has {names}; models with TensorFlow or "
            "OpenVINO cannot be imported: export the Hugging Face checkpoint instead"
        )
    return found[0]


def _lines(file: Path) -> list[str]:
    """The lines of a file; tokens may hold every blank but the line feed."""
    try:
        text = file.read_bytes().decode("utf-8")
    except (OSError, UnicodeDecodeError) as e:
        raise BundleError(f"model {file}: cannot be read as UTF-8 ({e}); copy it again") from e
    lines = [line.removesuffix("\r") for line in text.split("\n")]
    while lines and not lines[-1]:
        lines.pop()
    return lines


def _write_tokenizer(
    source: Path, vocabulary: list[str], config: dict[str, object], folder: Path
) -> None:
    """Writes tokenizer.json: RoBERTa's byte-level BPE."""
    with tempfile.TemporaryDirectory() as temporary:
        files = Path(temporary)
        ids = {token: i for i, token in enumerate(vocabulary)}
        (files / "vocab.json").write_text(json.dumps(ids), encoding="utf-8")
        merges = _lines(source / "assets" / "merges.txt")
        if merges and not merges[0].startswith("#version"):
            merges.insert(0, "#version: 0.2")
        (files / "merges.txt").write_text("\n".join([*merges, ""]), encoding="utf-8")
        try:
            load_tokenizer(files, config).save(str(folder / "tokenizer.json"))
        except TokenizerFilesError as e:
            raise BundleError(f"model {source}: assets make no tokenizer: {e}") from e


def _positions(source: Path, model: Path, pad: int) -> int:
    """How many tokens the model takes: nothing but trying tells."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4  # that a length fails is what we look for
    try:
        session = onnxruntime.InferenceSession(
            str(model), options, providers=["CPUExecutionProvider"]
        )
    except Exception as e:
        raise BundleError(
            f"model {source}: ONNX Runtime cannot load it ({' '.join(str(e).split())[:200]}); "
            "copy it again"
        ) from e
    inputs = {
        i.name: np.int32 if i.type == "tensor(int32)" else np.int64 for i in session.get_inputs()
    }
    other = 0 if pad else 1

    def takes(length: int) -> bool:
        values = {"input_ids": other, "attention_mask": 1}
        feed = {n: np.full((1, length), values.get(n, 0), t) for n, t in inputs.items()}
        try:
            session.run(None, feed)
        except Exception:
            return False
        return True

    if takes(MOST_POSITIONS):
        return MOST_POSITIONS
    low, high = 1, MOST_POSITIONS  # takes low, if anything; does not take high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if takes(middle) else (low, middle)
    return low
