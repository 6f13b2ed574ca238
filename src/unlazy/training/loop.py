"""The training loop: any number of ranks, exact resume, a line of JSON every few steps.

Every step draws its randomness from (seed, step) alone, or from (seed, step, rank) inside the
model, so a run that was killed and resumed gives the same losses and weights as one that never
stopped.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from unlazy import distributed
from unlazy.backbones.vit_files import LABELS
from unlazy.training import checkpoint, parallel
from unlazy.training.feeds import Feed, pictures_of
from unlazy.training.kinds import DistillRecipe
from unlazy.training.objective import Batch, Objective
from unlazy.training.recipe import Recipe
from unlazy.training.schedule import cosine, learning_rate
from unlazy.whole_files import write_tensors, write_whole

PLACES = ("pos_embed", "cls_token")  # which DeiT does not decay
Evaluate = Callable[[], dict[str, float]]


def train(
    recipe: Recipe,
    objective: Objective,
    feed: Feed,
    out: Path,
    *,
    evaluate: Evaluate | None = None,
) -> Iterator[dict[str, Any]]:
    """Train and yield a row of the log every few steps; resumes from the latest checkpoint.

    The finished weights are ``out/model.safetensors``, the resolved recipe ``out/recipe.json``.

    Raises:
        ValueError: ``out`` holds a run of another recipe, or on other pictures.
        FloatingPointError: the loss is not finite; the message names the step and the batch.
    """
    checkpoint.claim(out, recipe)
    device = feed.device
    objective.trained.to(device).train()
    objective.state = {key: value.to(device) for key, value in objective.state.items()}
    module = parallel.wrap(objective.trained, recipe, device)
    if objective.averaged is not None:
        objective.averaged.to(device).eval().requires_grad_(False)
        if recipe.sharding == "fully_shard" and distributed.world() > 1:
            parallel.shard(objective.averaged)
    optimizer = build_optimizer(objective.trained, recipe)
    pictures, steps = pictures_of(feed), feed.steps
    first = checkpoint.restore(out, objective, optimizer, pictures)
    _rewind(out, first)
    feed.skipped.update(_skipped_before(out) if first else {})
    started = time.perf_counter()
    for step, batch in enumerate(feed.batches(first), start=first):
        loss = _step(recipe, objective, module, optimizer, batch, step=step, steps=steps)
        if not torch.isfinite(loss):
            _stop(out, feed, batch, loss, step=step, steps=steps)
        done = step + 1
        due = done == steps or done % (recipe.evaluate_every or steps) == 0
        before = time.perf_counter()
        evaluated = evaluate() if evaluate and recipe.evaluate_every and due else {}
        started += time.perf_counter() - before  # images/s is the training's alone
        if done % recipe.log_every == 0 or done == steps or evaluated:
            rate = (done - first) * recipe.batch / (time.perf_counter() - started)
            yield _log(out, feed, evaluated, loss, rate=rate, step=done)
        if recipe.keep_every and done % recipe.keep_every == 0:
            _keep(out, done, objective)  # before the checkpoint: a kill between them loses neither
        if done % recipe.save_every == 0 or done == steps:
            checkpoint.save(out, done, objective, optimizer, pictures)
    _write_models(out, objective)


def build_optimizer(module: nn.Module, recipe: Recipe) -> torch.optim.AdamW:
    """AdamW; which weights decay is the recipe's ``decay``."""

    def decays(name: str, weight: Tensor) -> bool:
        if recipe.decay == "deit" and name.rpartition(".")[2] in PLACES:
            return False
        return weight.ndim > 1 or recipe.decay == "all"

    named = list(module.named_parameters())
    groups = [
        {"params": [p for n, p in named if decays(n, p)], "weight_decay": recipe.weight_decay},
        {"params": [p for n, p in named if not decays(n, p)], "weight_decay": 0.0},
    ]
    made = torch.optim.AdamW(
        groups, lr=recipe.learning_rate, betas=recipe.betas, eps=recipe.eps, fused=True
    )
    for weight in module.parameters():  # from the start: a frozen weight is saved like the others
        made.state[weight] = {
            "step": torch.zeros((), device=weight.device),
            "exp_avg": torch.zeros_like(weight),
            "exp_avg_sq": torch.zeros_like(weight),
        }
    return made


def _step(
    recipe: Recipe,
    objective: Objective,
    module: nn.Module,
    optimizer: torch.optim.Optimizer,
    batch: Batch,
    *,
    step: int,
    steps: int,
) -> Tensor:
    """One optimizer step; the mean loss of this rank's parts, before the step."""
    torch.manual_seed((recipe.seed + 1) * 1_000_003 + step + (distributed.rank() << 40))
    _schedule(optimizer, recipe, step, steps)
    optimizer.zero_grad()
    device = batch.targets.device
    low = recipe.precision == "bfloat16"
    total = torch.zeros((), device=device)
    for place, part in enumerate(batch.parts(recipe.accumulate)):
        last = place == recipe.accumulate - 1
        with parallel.without_sync(module, last=last):
            with torch.autocast(device.type, dtype=torch.bfloat16, enabled=low):
                loss = objective.loss(module, part, step=step, steps=steps) / recipe.accumulate
            if not torch.isfinite(loss):
                return loss.detach()
            loss.backward()
        total += loss.detach()
    if recipe.clip_norm is not None:
        nn.utils.clip_grad_norm_(objective.trained.parameters(), recipe.clip_norm)
    objective.after_backward(step, steps)
    optimizer.step()
    objective.after_step(step, steps)
    if objective.averaged is not None:
        average(objective.averaged, objective.trained, objective.momentum(step, steps))
    return total


def _schedule(optimizer: torch.optim.Optimizer, recipe: Recipe, step: int, steps: int) -> None:
    for group in optimizer.param_groups:
        group["lr"] = learning_rate(recipe, step, steps)
    if isinstance(recipe, DistillRecipe):
        decay = cosine(recipe.weight_decay, recipe.final_weight_decay, step / steps)
        optimizer.param_groups[0]["weight_decay"] = decay


@torch.no_grad()
def average(averaged: nn.Module, trained: nn.Module, momentum: float) -> None:
    """``averaged = momentum * averaged + (1 - momentum) * trained``, for each weight."""
    for slow, fast in zip(averaged.parameters(), trained.parameters(), strict=True):
        slow.lerp_(fast, 1 - momentum)


def _stop(out: Path, feed: Feed, batch: Batch, loss: Tensor, *, step: int, steps: int) -> None:
    indices = batch.indices.tolist()
    path = out / f"not_finite-rank{distributed.rank()}.json"
    names = {index: feed.name_of(index) for index in indices}
    write_whole(path, json.dumps({"step": step, "batch": names}, indent=1).encode())
    raise FloatingPointError(
        f"the loss became {loss.item()} at step {step} of {steps}; its batch holds"
        f" {', '.join(map(str, indices[:8]))}{', ...' if len(indices) > 8 else ''}"
        f" ({names[indices[0]]}, ...): all are named in {path}."
        " A lower learning_rate, or clip_norm, is the usual cure; it is another run, with a folder"
        " of its own (-o)."
    )


def _log(
    out: Path, feed: Feed, evaluated: dict[str, float], loss: Tensor, *, rate: float, step: int
) -> dict[str, Any]:
    """A row of the log, the same on every rank, written by the main one."""
    row: dict[str, Any] = {"step": step, "steps": feed.steps, "loss": parallel.mean(loss).item()}
    row["images_per_second"] = rate
    if evaluated:
        row["evaluation"] = evaluated
    skipped = {name: why for each in distributed.gather(feed.skipped) for name, why in each.items()}
    if skipped:
        row["skipped"] = len(skipped)
    if distributed.on_main():
        if skipped:
            write_whole(out / "skipped.json", json.dumps(skipped, indent=1).encode())
        with (out / "log.jsonl").open("a") as log:
            log.write(json.dumps(row) + "\n")
    return row


def _rewind(out: Path, first: int) -> None:
    """Drop the rows of steps that are done again, and half a row that a kill left."""
    path = out / "log.jsonl"
    if not path.is_file() or not distributed.on_main():
        return
    kept = []
    for line in path.read_text().splitlines(keepends=True):
        if line.endswith("\n") and json.loads(line)["step"] <= first:
            kept.append(line)
    write_whole(path, "".join(kept).encode())


def _skipped_before(out: Path) -> dict[str, str]:
    """What the run skipped until it was stopped."""
    path = out / "skipped.json"
    return json.loads(path.read_text()) if path.is_file() else {}


def _keep(out: Path, step: int, objective: Objective) -> None:
    """The model after so many steps, as a run of its own."""
    folder = out / "steps" / f"{step:08d}"
    if distributed.on_main():
        folder.mkdir(parents=True, exist_ok=True)
        for name in ("recipe.json", LABELS):
            if (out / name).is_file():
                write_whole(folder / name, (out / name).read_bytes())
    _write_models(folder, objective)


def _write_models(out: Path, objective: Objective) -> None:
    """Write the weights that the run is for."""
    for name, module in objective.exports().items():
        weights = {key: value.cpu().contiguous() for key, value in parallel.whole(module).items()}
        if distributed.on_main():
            write_tensors(out / f"{name}.safetensors", weights)
    for name, tensors in objective.vectors().items():
        if distributed.on_main():
            held = {key: value.cpu().contiguous() for key, value in tensors.items()}
            write_tensors(out / f"{name}.safetensors", held)
