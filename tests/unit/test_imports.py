"""Who imports whom: no circles, not even lazy ones, and no room that knows what it must not."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from tests.servers import starter

ROOT = Path(__file__).parents[2]

#: The rooms, and which of ours each may import.
MAY_IMPORT = {
    "models": {"models"},
    "transforms": {"transforms", "models"},
    "pipeline": {"pipeline", "transforms", "models", "training"},
    "newsbeam": {"transforms", "models"},
    "training": {"training", "models"},
}
#: What is ours beside them; nothing in a room may need it.
OUTSIDE = {"benchmarks", "tests"}
#: What a model is made of, in order: each imports what stands before it, or beside it.
ORDER_OF_MODELS = (
    ("errors",),
    ("model_files", "tokenizer_files", "fetch", "locate"),
    ("bundle",),
    ("reading",),
    ("tokenize",),
    ("onnx",),
    ("verify",),
)

Graph = dict[str, dict[str, int]]


def sources(root: Path, rooms: list[str]) -> dict[str, Path]:
    """The modules of the rooms, by the name that they are imported by."""
    found = {}
    for room in rooms:
        for file in [root / f"{room}.py", *sorted((root / room).rglob("*.py"))]:
            if file.is_file():
                parts = file.relative_to(root).with_suffix("").parts
                found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = file
    return found


def imports(module: str, file: Path) -> Iterator[tuple[str, int]]:
    """Everything that a module imports, with the line: in functions and for type checkers, too."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, node.lineno
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                package = module.split(".")
                up = node.level - (file.name == "__init__.py")
                base = ".".join([*package[: len(package) - up], *filter(None, [node.module])])
            for alias in node.names:
                yield f"{base}.{alias.name}", node.lineno
        elif isinstance(node, ast.Call) and node.args:
            function = node.func
            name = getattr(function, "attr", getattr(function, "id", None))
            value = getattr(node.args[0], "value", None)
            if name in ("import_module", "__import__") and isinstance(value, str):
                yield value, node.lineno


def graph_of(root: Path, rooms: list[str]) -> Graph:
    """For each module those of the rooms that it imports, and the line where it first does so."""
    modules = sources(root, rooms)
    graph: Graph = {module: {} for module in modules}
    for module, file in modules.items():
        for name, line in imports(module, file):
            # `from a.b import c`: c is a module, or a name in the module a.b.
            target = name if name in modules else name.rpartition(".")[0]
            if target in modules:
                graph[module].setdefault(target, line)
    return graph


def way(graph: Graph, start: str, end: str) -> list[str] | None:
    """The shortest way from one module to another, by at least one import."""
    ways = [[start]]
    seen = set()
    for path in ways:
        for target in graph[path[-1]]:
            if target == end:
                return [*path, target]
            if target not in seen:
                seen.add(target)
                ways.append([*path, target])
    return None


def circles(graph: Graph) -> list[str]:
    """The circles, each once, as a line that names the imports."""
    found = []
    told: set[str] = set()
    for module in graph:
        if module in told or (circle := way(graph, module, module)) is None:
            continue
        told.update(circle)
        steps = [f"{a}:{graph[a][b]}" for a, b in pairwise(circle)]
        found.append(" -> ".join([*steps, module]))
    return found


@pytest.fixture(scope="module")
def graph() -> Graph:
    """What our own modules import of each other."""
    return graph_of(ROOT, [*MAY_IMPORT])


def test_there_are_no_circles(graph: Graph) -> None:
    assert len(graph) > 100  # it looked where the code is
    assert not (found := circles(graph)), "imports in a circle:\n" + "\n".join(found)


@pytest.mark.parametrize("room", MAY_IMPORT)
def test_rooms_import_only_what_they_may(room: str) -> None:
    others = (MAY_IMPORT.keys() | OUTSIDE) - MAY_IMPORT[room]
    wrong = [
        f"{file.relative_to(ROOT)}:{line} imports {name}"
        for module, file in sources(ROOT, [room]).items()
        for name, line in imports(module, file)
        if name.partition(".")[0] in others
    ]
    assert not wrong, f"{room} may not import these:\n" + "\n".join(wrong)


def test_models_stand_in_order(graph: Graph) -> None:
    place = {f"models.{n}": i for i, names in enumerate(ORDER_OF_MODELS) for n in names}
    assert place.keys() <= graph.keys()
    wrong = [
        f"{module}:{line} imports {target}"
        for module in place
        for target, line in graph[module].items()
        if place.get(target, -1) > place[module]
    ]
    assert not wrong, "imports of what stands later:\n" + "\n".join(wrong)


@pytest.mark.parametrize(
    ("back", "line"),
    [
        ("from room.a import thing", 1),
        ("from room import a", 1),
        ("import room.a", 1),
        ("from .a import thing", 1),
        ("from . import a", 1),
        ("def f():\n    from room.a import thing", 2),
        ("if TYPE_CHECKING:\n    from room.a import thing", 2),
        ("a = importlib.import_module('room.a')", 1),
    ],
    ids=["name", "module", "plain", "relative", "beside", "lazy", "typing", "by_name"],
)
def test_a_circle_is_found(tmp_path: Path, back: str, line: int) -> None:
    (tmp_path / "room").mkdir()
    (tmp_path / "room/__init__.py").touch()
    (tmp_path / "room/a.py").write_text("import os\nfrom room.b import other\n")
    (tmp_path / "room/b.py").write_text("from room.c import more\n")
    (tmp_path / "room/c.py").write_text(back)
    (tmp_path / "room/d.py").write_text("from room.a import thing\n")
    found = circles(graph_of(tmp_path, ["room"]))
    assert found == [f"room.a:2 -> room.b:1 -> room.c:{line} -> room.a"]


def test_no_circle_is_made_up(tmp_path: Path) -> None:
    (tmp_path / "room").mkdir()
    (tmp_path / "room/__init__.py").touch()
    (tmp_path / "room/a.py").write_text("from room.b import other\nfrom room.c import more\n")
    (tmp_path / "room/b.py").write_text("from room.c import more\nimport json.decoder\n")
    (tmp_path / "room/c.py").touch()
    assert circles(graph_of(tmp_path, ["room"])) == []


def test_the_command_line_imports_nothing_that_starts_a_thread() -> None:
    """Neither does it cost a start, nor can the starter of the tests fork it otherwise."""
    look = (
        "import importlib, os\n"
        f"for name in {starter.HEAVY}: importlib.import_module(name)\n"
        "print(len(os.listdir('/proc/self/task')))"
    )
    env = {**os.environ, **starter.ONE_THREAD}
    found = subprocess.run([sys.executable, "-c", look], env=env, capture_output=True, check=True)
    assert found.stdout.strip() == b"1"


#: What is not needed before somebody asks for it, by what is imported.
NOT_YET = {
    "import newsbeam; dir(newsbeam)": (
        "models",
        "numpy",
        "onnxruntime",
        "tokenizers",
        "apache_beam",
    ),
    "import pipeline.cli": (
        "pipeline.commands.",
        "numpy",
        "rich",
        "pydantic",
        "apache_beam",
        "kafka",
    ),
    "from pipeline.cli import main; main(['--version'])": (
        "pipeline.commands.",
        "numpy",
        "pydantic",
    ),
    "from pipeline.cli import main; main(['classify', 'news'])": (
        "rich",
        "pydantic",
        "apache_beam",
    ),
}


@pytest.mark.parametrize("code", NOT_YET)
def test_a_start_imports_only_what_it_needs(code: str) -> None:
    look = f"{code}\nimport sys\nprint(*sys.modules, sep='\\n', file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", look], cwd=ROOT, capture_output=True, check=True)
    loaded = done.stderr.decode().splitlines()
    needless = [m for m in loaded if m.startswith(NOT_YET[code])]
    assert not needless


def test_a_run_leaves_clients_of_clouds_alone() -> None:
    code = (
        "import sys, atexit; from pipeline.imports import OF_CLOUDS; from pipeline.cli import main\n"
        "assert main(['run', '--source', '-', '--sink', '-', '--log_level', 'error']) == 0\n"
        "print({type(sys.modules[name]).__name__ for name in OF_CLOUDS if name in sys.modules})\n"
        "import boto3, google.cloud.pubsub; boto3.client, google.cloud.pubsub.SubscriberClient"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=True,
    )
    assert done.stdout.decode().strip() == "{'_LazyModule'}"
