"""A Dockerfile, read as far as the tests need it."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[3]
DOCKER = ROOT / "deploy" / "docker"


@dataclass
class Stage:
    """A stage of a build.

    Attributes:
        name: As other stages name it.
        base: The image or stage that it begins with.
        steps: Its instructions and their arguments, in order.
    """

    name: str
    base: str
    steps: list[tuple[str, str]] = field(default_factory=list)

    def of(self, instruction: str) -> list[str]:
        """The arguments of each of its instructions of a kind."""
        return [arguments for each, arguments in self.steps if each == instruction]


@dataclass
class Dockerfile:
    """All of it.

    Attributes:
        args: What stands before the first stage, with the defaults.
        stages: By name, in order.
    """

    args: dict[str, str] = field(default_factory=dict)
    stages: dict[str, Stage] = field(default_factory=dict)

    @classmethod
    def read(cls, file: Path = DOCKER / "Dockerfile") -> Dockerfile:
        """Reads a file."""
        lines = [s for s in file.read_text().splitlines() if s and not s.lstrip().startswith("#")]
        found = cls()
        stage: Stage | None = None
        for step in re.split(r"(?<!\\)\n", "\n".join(lines)):
            instruction, _, arguments = step.replace("\\\n", " ").partition(" ")
            arguments = " ".join(arguments.split())
            if instruction == "FROM":
                base, _, name = arguments.partition(" AS ")
                stage = found.stages[name] = Stage(name, base)
            elif stage is not None:
                stage.steps.append((instruction, arguments))
            else:
                name, _, default = arguments.partition("=")
                found.args[name] = default
        return found

    def resolved(self, name: str) -> str:
        """An image with its argument's default in its place."""
        return re.sub(r"\$\{(\w+)\}", lambda m: self.args[m[1]], name)


@dataclass(frozen=True)
class Copy:
    """A COPY.

    Attributes:
        stage: Where from; None is the folder that is built from.
        sources: What.
        target: Where to.
    """

    stage: str | None
    sources: tuple[str, ...]
    target: str

    @classmethod
    def parse(cls, arguments: str) -> Copy:
        """Reads the arguments of a COPY."""
        words = arguments.split()
        flags = dict(w[2:].split("=", 1) for w in words if w.startswith("--"))
        *sources, target = [w for w in words if not w.startswith("--")]
        return cls(flags.get("from"), tuple(sources), target)


def as_list(arguments: str) -> list[str]:
    """An ENTRYPOINT or CMD in its form as a list."""
    return list(json.loads(arguments))
