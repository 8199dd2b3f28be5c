"""Writes a checkpoint as an ONNX graph: `input_ids` and `attention_mask` in, `logits` out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from models.errors import BundleError
from models.export.checkpoint import FAMILIES, Checkpoint
from models.export.packages import package, reason
from models.quiet import quiet

#: The version of ONNX's operators; LayerNormalization is one of them from 17 on.
OPSET = 18
#: Weights beyond this many bytes lie beside the graph: protobuf ends at 2 GiB.
INLINE_BYTES = 1_800_000_000


def write_graph(checkpoint: Checkpoint, file: Path) -> None:
    """Writes the model in float32, for any number of rows and tokens.

    Torch's own exporter does it: optimum-onnx does not run with transformers 5.

    Args:
        checkpoint: The model.
        file: Where; large weights go beside it, with `.data` added to the name.

    Raises:
        BundleError: The exporter cannot, or its packages are missing.
    """
    torch = package("torch")
    package("onnx")
    package("onnxscript")

    class Logits(torch.nn.Module):  # type: ignore[name-defined]
        """The model with nothing but logits as its result."""

        def __init__(self) -> None:
            super().__init__()
            self.model = checkpoint.model

        def forward(self, input_ids: Any, attention_mask: Any) -> Any:
            return self.model(input_ids=input_ids, attention_mask=attention_mask).logits

    # Two rows of different lengths: a size of 1 would be taken for a constant.
    pad = checkpoint.model.config.pad_token_id or 0
    row = checkpoint.tokenizer("a b c d e f g h")["input_ids"]
    ids = torch.tensor([row, [*row[:2], *[pad] * (len(row) - 2)]])
    mask = torch.tensor([[1] * len(row), [1, 1, *[0] * (len(row) - 2)]])
    dimensions = {0: "batch", 1: "length"}
    size = sum(p.numel() * p.element_size() for p in checkpoint.model.parameters())
    try:
        with quiet():
            program = torch.onnx.export(
                Logits().eval(),
                (ids, mask),
                dynamo=True,
                input_names=["input_ids", "attention_mask"],
                output_names=["logits"],
                dynamic_shapes={"input_ids": dimensions, "attention_mask": dimensions},
                opset_version=OPSET,
                verbose=False,
            )
            program.save(str(file), external_data=size > INLINE_BYTES)
    except Exception as e:  # the exporter raises nearly everything
        raise BundleError(
            f"model {checkpoint.name!r}: torch cannot export a {checkpoint.family} ({reason(e)}); "
            f"tested are {', '.join(FAMILIES)}"
        ) from e
