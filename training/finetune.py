"""Fine-tune a classifier; resumable, alone or as one of several workers that average weights."""

from __future__ import annotations

import copy
import csv
import json
import math
import os
import shutil
import time
from collections.abc import Mapping
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
import torch
import torch.distributed as dist
from safetensors.torch import load_file, save_file
from torch.nn import functional
from tqdm import tqdm
from transformers import RobertaForSequenceClassification

from models.calibrate import fit_temperature, negative_log_likelihood
from training import cut, data, joined, label, prepare, scores, windows
from training.config import RunConfig

_MASK_ID = 4
_FIRST_WORD = 5


def learning_rate(config: RunConfig, step: int, total: int) -> float:
    """Linear warm-up, then a cosine down to `final_learning_rate`."""
    if step < config.warmup_steps:
        return config.learning_rate * (step + 1) / config.warmup_steps
    done = (step - config.warmup_steps) / max(1, total - config.warmup_steps)
    span = config.learning_rate - config.final_learning_rate
    return config.final_learning_rate + span * (1 + math.cos(math.pi * min(1.0, done))) / 2


def optimizer(model: RobertaForSequenceClassification, config: RunConfig) -> torch.optim.AdamW:
    """AdamW; embeddings and the last layer at rates of their own, no decay for biases and norms."""
    groups: dict[tuple[float, float], list[torch.nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        factor = 1.0
        if "word_embeddings" in name:
            factor = config.embedding_rate_factor
        elif name.startswith("classifier.out_proj"):
            factor = config.head_rate_factor
        decay = config.weight_decay if parameter.ndim > 1 and "embeddings" not in name else 0.0
        groups.setdefault((factor, decay), []).append(parameter)
    return torch.optim.AdamW(
        [
            {"params": parameters, "weight_decay": decay, "factor": factor}
            for (factor, decay), parameters in groups.items()
        ],
        lr=config.learning_rate,
        betas=(0.9, 0.98),
        fused=True,
    )


def _schedule(tokens: data.Tokens, config: RunConfig, rank: int, world: int) -> list[np.ndarray]:
    """The batches of the whole run, the same at every start: what makes resuming exact."""
    rows = np.arange(len(tokens))
    if config.fold >= 0:
        rows = rows[rows % config.folds == config.fold]
    lengths = tokens.lengths
    if config.window_lengths:
        lengths = np.minimum(lengths, max(config.window_lengths))
    found: list[np.ndarray] = []
    total = math.ceil(config.epochs * len(rows) / config.batch_rows / world)
    epoch = 0
    while len(found) < total:
        rng = np.random.default_rng((config.seed, epoch))
        batches = data.batches(lengths[rows], config.batch_rows, rng)
        found += [rows[batch] for batch in batches[rank::world]]
        epoch += 1
    return found[:total]


def _mask(ids: torch.Tensor, share: float, generator: torch.Generator) -> torch.Tensor:
    """Replace a share of the words by the mask token: no article hangs on one word."""
    hit = (torch.rand(ids.shape, generator=generator) < share) & (ids >= _FIRST_WORD)
    return ids.masked_fill(hit, _MASK_ID)


def _crop(ids: torch.Tensor, config: RunConfig, generator: torch.Generator) -> torch.Tensor:
    """Cut a share of the batches to each row's first words: about its title.

    Headlines alone are rare in AG News and common in what users send.
    """
    if torch.rand((), generator=generator) >= config.crop_batches:
        return ids
    shortest, longest = config.crop_tokens
    size = (len(ids), 1)
    kept = torch.randint(shortest, longest + 1, size, generator=generator)
    kept = kept.minimum((ids != scores.PAD).sum(1, keepdim=True) - 2)
    column = torch.arange(min(longest + 2, ids.shape[1]))
    short = ids[:, : len(column)].masked_fill(column > kept + 1, scores.PAD)
    return short.masked_fill(column == kept + 1, scores.END)


def _average(model: torch.nn.Module, world: int) -> None:
    with torch.no_grad():
        flat = torch.nn.utils.parameters_to_vector(model.parameters())
        dist.all_reduce(flat)
        torch.nn.utils.vector_to_parameters(flat / world, model.parameters())


def _update_ema(ema: torch.nn.Module, model: torch.nn.Module, decay: float) -> None:
    with torch.no_grad():
        torch._foreach_lerp_(list(ema.parameters()), list(model.parameters()), 1 - decay)


class _Trainer:
    """One worker's model, moving average and optimizer, and how they are saved and measured."""

    def __init__(
        self,
        config: RunConfig,
        start: Path,
        folder: Path,
        rank: int,
        world: int,
        label_weights: torch.Tensor | None = None,
    ) -> None:
        self.config, self.folder, self.rank, self.world = config, folder, rank, world
        self._label_weights = label_weights
        self.model = scores.build(start, config.dropout)
        self.model.load_state_dict(load_file(start / "model.safetensors"))
        self.ema = copy.deepcopy(self.model).eval()
        self.adam = optimizer(self.model, config)
        self.generator = torch.Generator().manual_seed(config.seed * 1000 + rank)
        self.step = 0
        self._checkpoint = folder / f"checkpoint{rank}.pt"
        self._kept, self._best = folder / "best.safetensors", math.inf
        self._began = time.monotonic()

    def resume(self) -> None:
        """Go on from the checkpoint, if there is one."""
        if self._checkpoint.exists():
            state = torch.load(self._checkpoint, weights_only=True)
            self.model.load_state_dict(state["model"])
            self.ema.load_state_dict(state["ema"])
            self.adam.load_state_dict(state["adam"])
            self.generator.set_state(state["generator"])
            self.step = state["step"]
            if "torch" in state:  # of what drops out
                torch.set_rng_state(state["torch"])
            self._began -= state.get("seconds", 0.0)
            self._best = state.get("best", math.inf)
        if self.world > 1:
            # Workers that were stopped while they wrote go on from the older one's step.
            first = torch.tensor([self.step])
            dist.all_reduce(first, op=dist.ReduceOp.MIN)
            self.step = int(first)
        if self.rank == 0:
            self._forget_later()

    def _forget_later(self) -> None:
        """Take measurements off the curve that come after the checkpoint: they come again."""
        curve = self.folder / "curve.csv"
        if not self.step:
            curve.unlink(missing_ok=True)
        if not curve.exists():
            return
        with curve.open(newline="") as file:
            reader = csv.DictReader(file)
            rows = [row for row in reader if int(row["step"]) <= self.step]
            names = list(reader.fieldnames or ())
        with curve.open("w", newline="") as file:
            writer = csv.DictWriter(file, names)
            writer.writeheader()
            writer.writerows(rows)

    def save(self) -> None:
        """Write the checkpoint, whole or not at all."""
        state = {
            "model": self.model.state_dict(),
            "ema": self.ema.state_dict(),
            "adam": self.adam.state_dict(),
            "generator": self.generator.get_state(),
            "torch": torch.get_rng_state(),
            "step": self.step,
            "seconds": time.monotonic() - self._began,
            "best": self._best,
        }
        torch.save(state, self._checkpoint.with_suffix(".new"))
        os.replace(self._checkpoint.with_suffix(".new"), self._checkpoint)

    def train(self, batch: _Batch, steps: int) -> float:
        """One step, of `steps` in all; returns its loss."""
        config = self.config
        ids, labels, taught, is_joined = batch
        self.model.train()
        cropped = ids if is_joined else _crop(ids, config, self.generator)
        seen = _mask(cropped, config.mask_tokens, self.generator)
        states = scores.encode(self.model, seen)
        out = scores.classify(self.model, states)
        # Joined rows have each label as often: they need no weights.
        weights = None if is_joined else self._label_weights
        loss = functional.cross_entropy(
            out, labels, weights, label_smoothing=config.label_smoothing
        )
        if config.ema_weight:
            # The moving average sees the whole article, and is steadier than its student.
            with torch.inference_mode():
                wiser = torch.softmax(scores.forward(self.ema, ids), -1)
            own = functional.cross_entropy(out, wiser.clone())
            loss = (1 - config.ema_weight) * loss + config.ema_weight * own
        if taught is not None:
            soft = functional.cross_entropy(out, taught.scores)
            loss = (1 - config.soft_weight) * loss + config.soft_weight * soft
            missed = functional.mse_loss(states[:, 0].float(), taught.states)
            loss = loss + config.state_weight * missed / taught.states.var()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        for group in self.adam.param_groups:
            group["lr"] = group["factor"] * learning_rate(config, self.step, steps)
        self.adam.step()
        self.adam.zero_grad()
        self.step += 1
        if config.average_every and self.world > 1 and self.step % config.average_every == 0:
            _average(self.model, self.world)
        # Early on the average reaches back a tenth of the run, so the start does not linger.
        decay = min(config.ema_decay, (1 + self.step) / (10 + self.step))
        _update_ema(self.ema, self.model, decay)
        return loss.item()

    def evaluate(self, held_out: Mapping[str, data.Tokens], train_loss: float) -> dict[str, float]:
        """Measure the moving average; returns the row that it adds to `curve.csv`."""
        row: dict[str, float] = {
            "step": self.step,
            "rows": self.step * self.config.batch_rows * self.world,
            "minutes": round((time.monotonic() - self._began) / 60, 1),
            "train_loss": round(train_loss, 4),
        }
        for name, part in held_out.items():
            values, _ = scores.outputs(self.ema, part)
            row[f"{name}_loss"] = round(negative_log_likelihood(values, part.labels, 1.0), 4)
            row[f"{name}_accuracy"] = round(scores.accuracy(values, part.labels), 4)
            if name == self.config.keep_best:
                self._keep(values, part.labels)
        curve = self.folder / "curve.csv"
        new = not curve.exists()
        with curve.open("a", newline="") as file:
            writer = csv.DictWriter(file, row)
            if new:
                writer.writeheader()
            writer.writerow(row)
        return row

    def _keep(self, values: np.ndarray, labels: np.ndarray) -> None:
        """Keep these weights, if none had a lower loss; how sure they are, calibration mends."""
        loss = negative_log_likelihood(values, labels, fit_temperature(values, labels))
        if loss < self._best:
            self._best = loss
            new = self._kept.with_suffix(".new")
            save_file(self.ema.state_dict(), new)
            os.replace(new, self._kept)

    def finish(self, start: Path) -> None:
        """Average the workers a last time and write the checkpoint that others start from."""
        if self.world > 1:
            _average(self.model, self.world)
            _average(self.ema, self.world)
        if self.rank > 0:
            return
        for name in ("config.json", "tokenizer.json"):
            (self.folder / name).write_bytes((start / name).read_bytes())
        if self.config.keep_best:
            shutil.copyfile(self._kept, self.folder / "model.safetensors")
        else:
            save_file(self.ema.state_dict(), self.folder / "model.safetensors")
        took = {"seconds": round(time.monotonic() - self._began, 1)}
        written = json.dumps(asdict(self.config) | took, indent=2)
        (self.folder / "run.json").write_text(written + "\n")


class _Taught(NamedTuple):
    """What another run makes of articles: scores (rows, labels), states (rows, hidden)."""

    scores: torch.Tensor
    states: torch.Tensor

    @classmethod
    def load(cls, folder: Path, rows: int) -> _Taught:
        found = cls(*(torch.from_numpy(np.load(folder / n)) for n in (label.SCORES, label.STATES)))
        if len(found.scores) != rows:
            raise ValueError(
                f"{folder}: {len(found.scores)} rows for {rows} articles; run `label` again"
            )
        return found

    def take(self, rows: torch.Tensor) -> _Taught:
        return _Taught(self.scores[rows], self.states[rows].float())


class _Batch(NamedTuple):
    """Token ids (rows, length) padded, labels (rows,), and what another run makes of them."""

    ids: torch.Tensor
    labels: torch.Tensor
    taught: _Taught | None
    joined: bool


class Rows:
    """The rows that a run learns from, in their forms.

    Args:
        config: the run.
        tokens: the rows.
        plain: the same without the marks of their sources; None where they have none.
        following: these as they follow another text; None where no rows are joined.
        taught: what another run makes of the rows.
        label_weights: what each label's rows count for; None for 1.
    """

    def __init__(
        self,
        config: RunConfig,
        tokens: data.Tokens,
        plain: data.Tokens | None = None,
        following: data.Tokens | None = None,
        taught: _Taught | None = None,
        label_weights: np.ndarray | None = None,
    ) -> None:
        self.config, self.tokens, self._taught = config, tokens, taught
        self._plain = tokens if plain is None else plain
        self._joiner = None
        if following is not None:
            lengths = joined.Lengths(*config.join_tokens)
            self._joiner = joined.Joiner(self._plain, following, lengths)
        self.label_weights = None
        if label_weights is not None:
            self.label_weights = torch.from_numpy(label_weights.astype(np.float32))

    @classmethod
    def load(cls, config: RunConfig, tokens_folder: Path, root: Path) -> Rows:
        """Read what `prepare` wrote."""
        tokens = prepare.load_trained(tokens_folder)
        taught = None
        if config.soft_labels:
            taught = _Taught.load(root / "runs" / config.soft_labels, len(tokens))
        plain = prepare.load_trained(tokens_folder, prepare.PLAIN)
        following = prepare.load_trained(tokens_folder, prepare.FOLLOWING)
        return cls(config, tokens, plain, following, taught)

    def batch(self, rows: np.ndarray, rng: np.random.Generator) -> _Batch:
        """The batch of these rows, or a joined one in its place."""
        if rng.random() < self.config.join_batches and self._joiner is not None:
            texts, labels = self._joiner.batch(self.config.batch_rows, rng)
            ids = torch.from_numpy(data.pad_rows(texts, scores.PAD))
            return _Batch(ids, torch.from_numpy(labels), None, True)
        unmarked = rng.random(len(rows)) < self.config.plain_rows
        texts = [
            (self._plain if bare else self.tokens).row(int(row))
            for row, bare in zip(rows, unmarked, strict=True)
        ]
        if self.config.window_lengths:
            texts = windows.cut(texts, self.config.window_lengths, rng)
        ids = torch.from_numpy(data.pad_rows(texts, scores.PAD))
        taught = None if self._taught is None else self._taught.take(torch.from_numpy(rows))
        return _Batch(ids, torch.from_numpy(self.tokens.labels[rows]), taught, False)


class Watch(Protocol):
    """Who sees how a run goes."""

    def stepped(self, step: int, steps: int, loss: float) -> None:
        """After each step, of `steps` in all, and with a loss of 0 where a run goes on.

        A KeyboardInterrupt that it raises stops the run, which the next one resumes just there.
        """

    def measured(self, row: Mapping[str, float]) -> None:
        """After each look at the held-out parts; `row` is that of `curve.csv`."""


class _Bar:
    """A bar on the terminal of those who walk the road."""

    def __init__(self, name: str, shown: bool) -> None:
        self._bar = tqdm(desc=name, mininterval=20, disable=not shown)

    def stepped(self, step: int, steps: int, loss: float) -> None:
        if self._bar.total is None:
            self._bar.total, self._bar.initial, self._bar.n = steps, step, step
        self._bar.update(step - self._bar.n)

    def measured(self, row: Mapping[str, float]) -> None:
        tqdm.write(json.dumps(row))


def _start(config: RunConfig, root: Path, folder: Path, rank: int, world: int) -> Path:
    """The folder to start from: as configured, or a cut of it that the first worker makes."""
    start = root / config.start
    if not config.layers:
        return start
    if rank == 0 and not (folder / "start").exists():
        cut.cut(start, folder / "start.new", config.layers)
        os.replace(folder / "start.new", folder / "start")
    if world > 1:
        dist.barrier()
    return folder / "start"


def seconds(folder: Path) -> float:
    """How long a finished run took, its parts added up where it was stopped."""
    found: float = json.loads((folder / "run.json").read_text())["seconds"]
    return found


def finetune(config: RunConfig, tokens_folder: Path, root: Path, rank: int, world: int) -> None:
    """Train, writing `runs/NAME/`: see `learn`.

    Args:
        config: the run.
        tokens_folder: what `prepare` wrote.
        root: folder that `config.start` and `runs/` are relative to.
        rank: the number of this worker.
        world: how many workers there are. Every `average_every` steps their weights are
            averaged (local SGD): on CPUs faster than one worker with as many threads.
    """
    folder = root / "runs" / config.name
    folder.mkdir(parents=True, exist_ok=True)
    if world > 1:
        dist.init_process_group("gloo", timeout=timedelta(days=1))
    start = _start(config, root, folder, rank, world)
    prepare.check_tokenizer(tokens_folder, start)
    rows = Rows.load(config, tokens_folder, root)
    held_out = {name: prepare.load(tokens_folder, name) for name in config.watch}
    learn(config, start, folder, rows, held_out, _Bar(config.name, rank == 0), rank, world)
    if world > 1:
        dist.destroy_process_group()


def learn(
    config: RunConfig,
    start: Path,
    folder: Path,
    learned: Rows,
    held_out: Mapping[str, data.Tokens],
    watch: Watch,
    rank: int = 0,
    world: int = 1,
) -> None:
    """Train, writing into `folder`: checkpoint, curve.csv and, at the end, model.safetensors.

    It goes on from the checkpoint, where there is one, and then ends with the weights that it would
    have had without a stop.

    Args:
        config: the run.
        start: the checkpoint to start from.
        folder: of the run.
        learned: what it learns from.
        held_out: what it is measured with on the way, by name.
        watch: who sees how it goes.
        rank: the number of this worker.
        world: how many workers there are.
    """
    torch.manual_seed(config.seed * 1000 + rank)
    trainer = _Trainer(config, start, folder, rank, world, learned.label_weights)
    trainer.resume()
    schedule = _schedule(learned.tokens, config, rank, world)
    first = rank == 0
    if first and trainer.step == 0 and config.evaluate_start:
        watch.measured(trainer.evaluate(held_out, 0.0))
    losses: list[float] = []
    watch.stepped(trainer.step, len(schedule), 0.0)
    while trainer.step < len(schedule):
        # Its own draws for each step: a run that is resumed goes on as it would have.
        rng = np.random.default_rng((config.seed, rank, trainer.step))
        batch = learned.batch(schedule[trainer.step], rng)
        losses.append(trainer.train(batch, len(schedule)))
        done = trainer.step == len(schedule)
        if first and (done or trainer.step % config.evaluate_every == 0):
            loss = float(np.mean(losses[-config.evaluate_every :]))
            watch.measured(trainer.evaluate(held_out, loss))
        if done or trainer.step % config.checkpoint_every == 0:
            trainer.save()
        try:
            watch.stepped(trainer.step, len(schedule), losses[-1])
        except KeyboardInterrupt:
            trainer.save()
            raise
    trainer.finish(start)
