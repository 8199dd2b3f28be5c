"""Which model classifies, and how much of a text it sees."""

from __future__ import annotations

from typing import Annotated

from models.settings import Option, settings

#: The most tokens of a row: what Spark NLP's annotator takes, and the default.
MAX_LENGTH = 512


@settings(panel="Model")
class ModelSettings:
    """Which model, and the length of its rows."""

    model: Annotated[
        str | None,
        Option(
            "The model: a Hugging Face folder with config.json, tokenizer and model.onnx or "
            "model_quantized.onnx (int8, which is taken where both are there); one of these two "
            "files; or the address of a folder: hf://org/name\\[@revision], gs://bucket/folder, "
            "s3://bucket/folder. Addresses are fetched once a machine. The folder may be a cascade, as "
            "`newsbeam model cascade` makes it. Or one of those that come with newsbeam: ag_news "
            "(default; ag_news_mini, and ag_news_small where that is not sure), ag_news_small, "
            "ag_news_mini (fastest, a little less accurate).",
            metavar="MODEL",
        ),
    ] = None
    max_length: Annotated[
        int | None,
        Option(
            "The most tokens of a row, 1 to 512; --long_text says what becomes of texts that have "
            "more, and given without it, they are cut off there. Long rows cost more than their "
            "share: lower is faster, and sees less. Default: max_length in the model's config.json, "
            "where that has long_text, too, else 512."
        ),
    ] = None
    threads: Annotated[
        int | None,
        Option(
            "Threads of the model in each process, at most as many as cores. Default: as many as "
            "cores, shared by the processes that the runner starts on a host: on Dataflow, which has "
            "one for each core, 1; on Flink by --sdk_worker_parallelism.",
            min=1,
        ),
    ] = None
