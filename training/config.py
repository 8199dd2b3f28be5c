"""The one configuration: read a TOML file into checked, frozen settings."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Protocol, TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class DataConfig:
    """Which articles train, which choose, which report."""

    folder: str
    validation_rows: int = 4000
    unseen_rows: int = 3000
    seed: int = 13
    max_length: int = 128
    train_rows: int = 0  # 0: all of them; the smoke setting takes a few
    test_rows: int = 0
    out_of_domain: str = ""  # news of other kinds, a CSV with a column `source`: it only reports


@dataclass(frozen=True)
class VocabularyConfig:
    """Our byte-level BPE."""

    tokens: int = 24_000


@dataclass(frozen=True)
class DistillConfig:
    """Word-level distillation of MiniLM into the transplanted RoBERTa."""

    epochs: int = 1
    learning_rate: float = 4e-4
    batch_rows: int = 32
    max_length: int = 128
    layers: tuple[int, ...] = (0, 3, 6)
    seed: int = 0
    checkpoint_every: int = 200


@dataclass(frozen=True)
class BundleConfig:
    """One exported bundle: which run, which part fits its temperature, how it reads texts."""

    name: str
    run: str
    calibrate_on: str = "validation"
    max_length: int = 512
    long_text: str = "truncate"
    window_tokens: int = 0  # of longer texts, in windows; 0: as many as max_length
    max_windows: int = 0  # 0: as many as there may be

    @property
    def reads(self) -> dict[str, Any]:
        """What the bundle's config.json says of long texts, see `models.reading`."""
        found = {"max_length": self.max_length, "long_text": self.long_text}
        of_windows = {"window_tokens": self.window_tokens, "max_windows": self.max_windows}
        return found | {name: value for name, value in of_windows.items() if value}


@dataclass(frozen=True)
class RunConfig:
    """One fine-tuning run."""

    name: str
    start: str  # folder, relative to the root: a checkpoint to start from
    layers: tuple[int, ...] = ()  # of the start's layers, those to keep; empty: all
    seed: int = 0
    batch_rows: int = 32
    epochs: float = 2.0
    learning_rate: float = 1e-4
    final_learning_rate: float = 0.0
    embedding_rate_factor: float = 3.0
    head_rate_factor: float = 1.0  # of the last layer, which gives the labels
    warmup_steps: int = 100
    weight_decay: float = 0.01
    dropout: float = 0.1
    mask_tokens: float = 0.05
    crop_batches: float = 0.0  # share of batches cut to their rows' first words
    crop_tokens: tuple[int, ...] = (4, 20)  # shortest and longest such cut
    plain_rows: float = 0.0  # share of rows without the marks of their sources, see plain.py
    join_batches: float = 0.0  # share of batches of joined rows, see joined.py
    join_tokens: tuple[int, ...] = (32, 384)  # the shortest and the longest of them
    window_lengths: tuple[int, ...] = ()  # longer rows are cut to this, see windows.py
    label_smoothing: float = 0.0
    soft_labels: str = ""  # run whose scores and states are taught, besides the labels
    soft_weight: float = 0.5
    state_weight: float = 0.0  # of how much of that run's states is missed, 0 to 1
    ema_weight: float = 0.0  # of the scores that the moving average gives the uncut article
    ema_decay: float = 0.998
    fold: int = -1  # -1: every row; otherwise only rows with number % folds == fold
    folds: int = 2
    average_every: int = 0  # steps between weight averages of the workers; 0: on its own
    evaluate_every: int = 400
    watch: tuple[str, ...] = ("unseen",)
    checkpoint_every: int = 100
    evaluate_start: bool = False
    keep_best: str = ""  # the watched part whose loss chooses the weights; empty: the last ones


@dataclass(frozen=True)
class SoupConfig:
    """Runs whose weights are averaged."""

    name: str
    of: tuple[str, ...]
    shares: tuple[float, ...]  # they add up to 1

    def __post_init__(self) -> None:
        if len(self.of) != len(self.shares) or abs(sum(self.shares) - 1) > 1e-6:
            raise ValueError(
                f"soup {self.name!r}: shares {list(self.shares)} of {list(self.of)}: give one for "
                "each, 1 in all"
            )


@dataclass(frozen=True)
class Config:
    """Everything `make train` reads."""

    data: DataConfig
    vocabulary: VocabularyConfig
    distill: DistillConfig
    runs: tuple[RunConfig, ...]
    soups: tuple[SoupConfig, ...]
    bundles: tuple[BundleConfig, ...]

    def run(self, name: str) -> RunConfig:
        """The run called `name`.

        Raises:
            ValueError: there is none; the message lists those there are. So do the others.
        """
        return _named(self.runs, name, "run")

    def soup(self, name: str) -> SoupConfig:
        """The soup called `name`."""
        return _named(self.soups, name, "soup")

    def bundle(self, name: str) -> BundleConfig:
        """The bundle called `name`."""
        return _named(self.bundles, name, "bundle")

    @property
    def starts(self) -> set[str]:
        """Where runs start that is no run of these."""
        names = [run.name for run in self.runs] + [soup.name for soup in self.soups]
        own = {f"runs/{name}" for name in names}
        return {run.start for run in self.runs} - own

    def curves(self, name: str) -> list[str]:
        """The runs that a run or soup consists of: those that have learned here."""
        for soup in self.soups:
            if soup.name == name:
                return [run for run in soup.of if any(run == r.name for r in self.runs)]
        return [self.run(name).name]


class _Named(Protocol):
    @property
    def name(self) -> str: ...


N = TypeVar("N", bound=_Named)


def _named(known: tuple[N, ...], name: str, kind: str) -> N:
    for one in known:
        if one.name == name:
            return one
    raise ValueError(f"no {kind} {name!r}; choose one of {[one.name for one in known]}")


def _make(cls: type[T], table: dict[str, Any], where: str) -> T:
    known = {field.name for field in fields(cls)}  # type: ignore[arg-type]
    if unknown := set(table) - known:
        raise ValueError(f"{where}: unknown {sorted(unknown)}; choose from {sorted(known)}")
    return cls(**{k: tuple(v) if isinstance(v, list) else v for k, v in table.items()})


def load(path: Path) -> Config:
    """Read `path`; unknown settings are errors that name the known ones."""
    with path.open("rb") as file:
        table = tomllib.load(file)
    data = _make(DataConfig, table["data"], "[data]")
    return Config(
        data,
        _make(VocabularyConfig, table.get("vocabulary", {}), "[vocabulary]"),
        _make(DistillConfig, table.get("distill", {}), "[distill]"),
        tuple(_make(RunConfig, run, "[[runs]]") for run in table.get("runs", [])),
        tuple(_make(SoupConfig, soup, "[[soups]]") for soup in table.get("soups", [])),
        tuple(_make(BundleConfig, bundle, "[[bundles]]") for bundle in table.get("bundles", [])),
    )
