"""Compiles the source of Protobuf files, for registries that give nothing else.

protoc is a program in C++: it comes with grpcio-tools, which is no dependency of ours (its newer
versions want a newer protobuf than Beam does). It runs as a process of its own, once for a schema.
"""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from google.protobuf import descriptor_pb2

from transforms.formats.decoder import NotNews

_TOOLS = "grpc_tools"
#: Seconds after which protoc is stopped.
_TIMEOUT = 60.0


def compiler_is_there() -> bool:
    """Whether grpcio-tools is installed."""
    return importlib.util.find_spec(_TOOLS) is not None


def compiled(main: str, sources: Mapping[str, str]) -> list[descriptor_pb2.FileDescriptorProto]:
    """Compiles a file and all that it imports.

    Args:
        main: The name of the file.
        sources: Its source and that of other files, by their names in imports.

    Returns:
        The files, each after those that it imports.

    Raises:
        NotNews: They can't be compiled; says what protoc says.
    """
    with tempfile.TemporaryDirectory(prefix="newsbeam-") as folder:
        for name, source in sources.items():
            parts = PurePosixPath(name).parts
            if not parts or parts[0] == "/" or ".." in parts or "\0" in name:
                raise NotNews(f"it imports {name!r}, which is no name of a file")
            path = Path(folder, *parts)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(source, encoding="utf-8")
        result = Path(folder, "compiled.binpb")
        arguments = [f"--proto_path={path}" for path in (folder, *_well_known())]
        command = [
            sys.executable, "-m", f"{_TOOLS}.protoc", *arguments, "--include_imports",
            f"--descriptor_set_out={result}", main,
        ]  # fmt: skip
        try:
            run = subprocess.run(command, capture_output=True, timeout=_TIMEOUT, check=False)
        except subprocess.TimeoutExpired:
            raise NotNews(f"protoc does not compile it in {_TIMEOUT:.0f} s") from None
        if run.returncode:
            # Before what is wrong it warns of much.
            *_, said = run.stderr.decode(errors="replace").splitlines() or [f"{run.returncode}"]
            raise NotNews(f"protoc can't compile it: {said.removeprefix(folder)}")
        return list(descriptor_pb2.FileDescriptorSet.FromString(result.read_bytes()).file)


def _well_known() -> list[str]:
    """Folders with the files of Google's own types, where they are installed."""
    tools = importlib.util.find_spec(_TOOLS)
    assert tools is not None
    assert tools.origin is not None
    # googleapis-common-protos puts google/type/*.proto beside google/protobuf.
    return [
        str(Path(tools.origin).parent / "_proto"),
        str(Path(descriptor_pb2.__file__).parents[2]),
    ]
