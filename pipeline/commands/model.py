"""`newsbeam model`: makes model bundles, looks into them, and checks them."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import onnxruntime
import typer
from rich.table import Table
from rich.text import Text

from models.bundle import Bundle
from models.errors import BundleError
from models.export.export import ParityError
from models.export.export import export as export_model
from models.export.parity import INT8_TOLERANCE, TOLERANCE, Difference, Parity
from models.export.spark_nlp import import_spark_nlp, is_spark_nlp
from models.export.texts import read_texts
from models.operators import read_operators
from models.reading import Reading
from models.tokenize import TextTokenizer
from models.verify import verify as verify_bundle
from pipeline.commands import model_cascade, model_train
from pipeline.terminal import output
from transforms.errors import ConfigurationError

#: Options of `export` that mean nothing for a model of Spark NLP.
_OF_CHECKPOINTS = ("int8", "revision", "texts", "tolerance", "int8_tolerance")

#: Operators that are listed one by one; the rest are counted.
LISTED = 12

app = typer.Typer(
    help="Make model bundles of Hugging Face and Spark NLP models, train one on news of your own, or "
    "put two into a cascade; look into bundles.",
    no_args_is_help=True,
)

_Target = Annotated[
    Path,
    typer.Argument(
        metavar="DIR",
        help="The folder to make. It may exist, but must be empty.",
        show_default=False,
    ),
]
_Named = Annotated[
    str,
    typer.Argument(
        metavar="MODEL",
        help="A folder, an ONNX file in one, hf://org/name\\[@revision], gs://bucket/folder or "
        "s3://bucket/folder.",
        show_default=False,
    ),
]


@app.command("export")
def export(
    ctx: typer.Context,
    source: Annotated[
        str,
        typer.Argument(
            metavar="SOURCE",
            help="A Hugging Face checkpoint with a sequence classifier: a folder, or a name on the "
            "hub such as org/name. RoBERTa, DistilRoBERTa, XLM-R, BERT, DistilBERT, MPNet and "
            "DeBERTa v2 and v3 are tested. Or a folder as Spark NLP's "
            "RoBertaForSequenceClassification.loadSavedModel takes it: an ONNX file, and assets with "
            "vocab.txt, merges.txt and labels.txt.",
            show_default=False,
        ),
    ],
    target: _Target,
    int8: Annotated[
        bool,
        typer.Option(
            "--int8/--no-int8",
            help="Also make model_quantized.onnx, which bundles prefer: a quarter of the size and "
            "several times faster, with scores that differ a little (see the report).",
            envvar="NEWSBEAM_EXPORT_INT8",
            rich_help_panel="Model",
        ),
    ] = True,
    revision: Annotated[
        str | None,
        typer.Option(
            "--revision",
            help="Branch, tag or commit on the hub. Default: its main branch.",
            envvar="NEWSBEAM_EXPORT_REVISION",
            rich_help_panel="Model",
        ),
    ] = None,
    texts: Annotated[
        Path | None,
        typer.Option(
            "--texts",
            metavar="FILE",
            help="Texts on which the bundle is compared with torch, one a line; yours say most. "
            "Default: a few that come with newsbeam.",
            envvar="NEWSBEAM_EXPORT_TEXTS",
            rich_help_panel="Report",
        ),
    ] = None,
    tolerance: Annotated[
        float,
        typer.Option(
            "--tolerance",
            min=0,
            help="The most that a score of the float model may differ from torch's. Beyond, "
            "nothing is made, and the exit code is 2.",
            envvar="NEWSBEAM_EXPORT_TOLERANCE",
            rich_help_panel="Report",
        ),
    ] = TOLERANCE,
    int8_tolerance: Annotated[
        float,
        typer.Option(
            "--int8_tolerance",
            min=0,
            help="The most that scores of the int8 model may differ from torch's on average: of each "
            "text the score that differs most counts. Newsbeam's own model differs by 0.02 on the "
            "default texts, which are odd, and by 0.003 on news. Beyond, nothing is made, and the "
            "exit code is 2.",
            envvar="NEWSBEAM_EXPORT_INT8_TOLERANCE",
            rich_help_panel="Report",
        ),
    ] = INT8_TOLERANCE,
    as_json: model_train.AsJson = False,
) -> int:
    """Turn a Hugging Face checkpoint into a model bundle, and compare the two.

    Needs `pip install 'newsbeam[export]'`. A Spark NLP folder is taken as it is, without torch.
    """
    folder = Path(source).expanduser()
    if is_spark_nlp(folder):
        _refuse_options(ctx, folder)
        _show_facts(facts(import_spark_nlp(folder, target)), as_json)
        return 0
    try:
        bundle, parity = export_model(
            source,
            target,
            revision=revision,
            int8=int8,
            texts=read_texts(texts),
            tolerance=tolerance,
            int8_tolerance=int8_tolerance,
            say=_note,
        )
    except ParityError as e:
        _show_parity(e.parity, None, as_json)
        raise
    _show_parity(parity, bundle, as_json)
    return 0


app.command("train")(model_train.train)
app.command("cascade")(model_cascade.cascade)


@app.command("inspect")
def inspect(model: _Named, as_json: model_train.AsJson = False) -> int:
    """Show what a model bundle is made of: labels, inputs, operators, sizes."""
    bundle = Bundle.load(model)
    if not bundle.cascade:
        _show_facts(facts(bundle), as_json)
        return 0
    values = _facts_of_cascade(bundle)
    if as_json:
        print(json.dumps(values))
        return 0
    output().print(
        Text(f"{bundle.model_id}, a cascade: each is asked what those before are not sure of")
    )
    for stage in values["cascade"]:
        output().print()
        _show_facts(stage, as_json)
    return 0


@app.command("verify")
def verify(model: _Named, as_json: model_train.AsJson = False) -> int:
    """Check a model bundle: its files fit together, and each of its models classifies texts.

    They are a sentence and the longest text that it may take, and for a float model both in one
    batch. Exit code 2 if one is broken; one line says how.
    """
    bundle = Bundle.load(model)
    for stage in bundle.stages:
        for file in dict.fromkeys([stage.bundle.model_file, *stage.bundle.model_files()]):
            verify_bundle(Bundle.load(file), thorough=True)
    if as_json:
        print(json.dumps({"model": bundle.model_id, "path": str(bundle.path), "ok": True}))
    else:
        print(f"{bundle.model_id}: good, {len(bundle.labels)} labels")
    return 0


def _refuse_options(ctx: typer.Context, folder: Path) -> None:
    """Refuses what would mean nothing: an import changes no number, and compares none.

    Raises:
        ConfigurationError: An option was given that is for checkpoints.
    """
    for option in ctx.command.params:
        given = ctx.get_parameter_source(option.name or "")
        if option.name in _OF_CHECKPOINTS and given and given.name != "DEFAULT":
            name = "/".join([*option.opts, *option.secondary_opts])
            if given.name == "ENVIRONMENT":
                name = str(option.envvar)
            raise ConfigurationError(
                f"{name}: {folder} is a model of Spark NLP, which is taken as it is; leave it out"
            )


def facts(bundle: Bundle) -> dict[str, Any]:
    """What there is to know about a bundle, as values for JSON.

    Raises:
        BundleError: Its model cannot be opened.
    """
    try:
        operators = read_operators(bundle.model_file)
        session = onnxruntime.InferenceSession(
            str(bundle.model_file), providers=["CPUExecutionProvider"]
        )
    except Exception as e:  # onnxruntime has an exception class per error code, without a base
        raise BundleError(
            f"model {bundle.path}: cannot open {bundle.model_file.name} "
            f"({' '.join(str(e).split())[:200]}); copy or export it again"
        ) from e
    tokenizer = bundle.tokenizer()
    parts = json.loads(tokenizer.to_str())
    config = json.loads((bundle.path / "config.json").read_bytes())
    problem_type = f"{'multi' if bundle.multi_label else 'single'}_label_classification"
    return {
        "model": bundle.model_id,
        "path": str(bundle.path),
        "hash": bundle.hash,
        "model_type": config.get("model_type"),
        "labels": list(bundle.labels),
        "max_length": bundle.max_length,
        "reads": _reads(bundle),
        "temperature": bundle.temperature,
        "problem_type": problem_type,
        "case_sensitive": TextTokenizer(bundle).case_sensitive,
        "tokenizer": {
            "type": parts["model"]["type"],
            "pre_tokenizer": (parts["pre_tokenizer"] or {}).get("type"),
            "vocabulary": tokenizer.get_vocab_size(),
            "pad_id": bundle.pad_id,
        },
        "inputs": {i.name: [i.type, i.shape] for i in session.get_inputs()},
        "outputs": {o.name: [o.type, o.shape] for o in session.get_outputs()},
        "model_file": bundle.model_file.relative_to(bundle.path).as_posix(),
        "quantized": operators.quantized,
        "dynamic_int8": bundle.dynamic_int8,
        "producer": operators.producer,
        "opsets": operators.opsets,
        "operators": operators.counts,
        "files": {
            f.relative_to(bundle.path).as_posix(): f.stat().st_size
            for f in [
                *sorted(f for f in bundle.path.iterdir() if f.is_file()),
                *sorted(f for f in (bundle.path / "onnx").glob("*") if f.is_file()),
            ]
        },
    }


def _facts_of_cascade(bundle: Bundle) -> dict[str, Any]:
    """What there is to know about a cascade: what holds for all, and the facts of each model."""
    return {
        "model": bundle.model_id,
        "labels": list(bundle.labels),
        "max_length": bundle.max_length,
        "reads": _reads(bundle),
        "cascade": [
            {**facts(stage.bundle), "min_score": stage.min_score} for stage in bundle.stages
        ],
    }


def _reads(bundle: Bundle) -> dict[str, Any]:
    reading = Reading.of(bundle)
    return {**asdict(reading), "words": str(reading)}


def _show_facts(values: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print(json.dumps(values))
        return
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")

    def row(name: str, value: object) -> None:
        table.add_row(name, Text(str(value)))

    tokenizer, operators = values["tokenizer"], values["operators"]
    row("model", values["model"])
    if values.get("min_score"):
        row("answers", f"where its score is at least {values['min_score']:g}")
    row("folder", values["path"])
    row("type", values["model_type"] or "not said")
    row("labels", ", ".join(values["labels"]))
    row("problem type", values["problem_type"])
    row("max length", f"{values['max_length']} tokens")
    row("reads", f"{values['reads']['words']}, unless asked otherwise")
    if values["temperature"] != 1:
        row("temperature", f"{values['temperature']:.4g}")
    row(
        "tokenizer",
        f"{tokenizer['type']}, {tokenizer['vocabulary']:,} tokens, pads with {tokenizer['pad_id']}",
    )
    row("case", "matters" if values["case_sensitive"] else "does not matter")
    row("inputs", ", ".join(values["inputs"]))
    row("outputs", ", ".join(values["outputs"]))
    kind = "int8" if values["quantized"] else "float"
    how = ", dynamic ranges: rows run one by one" if values["dynamic_int8"] else ""
    row("runs", f"{values['model_file']} ({kind}{how})")
    row("made by", values["producer"] or "not said")
    row("opsets", ", ".join(f"{name} {version}" for name, version in values["opsets"].items()))
    listed = [f"{name} {count}" for name, count in list(operators.items())[:LISTED]]
    more = f", and {len(operators) - LISTED} more" if len(operators) > LISTED else ""
    row("operators", f"{sum(operators.values()):,}: {', '.join(listed)}{more}")
    for name, size in values["files"].items():
        row("file", f"{name}, {_size(size)}")
    output().print(table)


def _show_parity(parity: Parity, bundle: Bundle | None, as_json: bool) -> None:
    """Shows the report, and the bundle if one was made."""
    if as_json:
        values = json.loads(parity.to_json())
        if bundle is not None:
            values |= {"model": bundle.model_id, "path": str(bundle.path)}
        print(json.dumps(values))
        return
    console = output()
    table = Table(
        title=f"Against torch: {parity.activation} scores of {parity.texts} texts",
        title_justify="left",
    )
    table.add_column("model")
    for name in ("largest difference", "mean difference", "same category"):
        table.add_column(name, justify="right")
    compared: list[tuple[str, Difference]] = [("fp32", parity.fp32)]
    if parity.int8 is not None:
        compared.append(("int8", parity.int8))
    for name, found in compared:
        table.add_row(
            name,
            f"{found.max_difference:.2e}",
            f"{found.mean_difference:.2e}",
            f"{found.agreement:.1%}",
        )
    console.print(table)
    if bundle is not None:
        files = sorted(bundle.path.glob("*.onnx*"))
        sizes = ", ".join(f"{f.name} {_size(f.stat().st_size)}" for f in files)
        console.print(Text(f"{bundle.model_id} in {bundle.path}: {sizes}"))


def _size(size: int) -> str:
    return f"{size / 1e6:.1f} MB" if size >= 100_000 else f"{size / 1e3:.1f} kB"


def _note(text: str) -> None:
    print(f"newsbeam: {text}", file=sys.stderr)
