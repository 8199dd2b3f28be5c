"""Which of a folder's ONNX files is the model: the same answer here, on the hub and in a cloud."""

from __future__ import annotations

from collections.abc import Collection

#: Model files in order of preference: int8 is smaller and faster, half precision is slow on a CPU.
MODEL_FILES = (
    "model_quantized.onnx",
    "model_int8.onnx",
    "model_uint8.onnx",
    "model.onnx",
    "model_fp16.onnx",
)
#: Where they lie: beside config.json, or, as often on the hub, in a folder of their own.
MODEL_FOLDERS = ("", "onnx/")
#: The weights of large models lie beside the graph, under its name with one of these.
WEIGHTS = ("_data", ".data")


def model_places(there: Collection[str]) -> list[str]:
    """The model files among the paths in a folder, the one to use first."""
    return [
        folder + name for name in MODEL_FILES for folder in MODEL_FOLDERS if folder + name in there
    ]


def no_model(there: Collection[str]) -> str:
    """Why none of the paths in a folder is taken for the model: the beginning of a line."""
    others = sorted(name for name in there if name.endswith(".onnx"))
    if not others:
        return f"has neither {' nor '.join(('model_quantized.onnx', 'model.onnx'))}"
    return f"its ONNX files are {', '.join(others)}, none of them {', '.join(MODEL_FILES)}"
