"""What a recipe would do, without data: ``unlazy train RECIPE --dry-run``."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import torch
from torch import Tensor, nn

from unlazy import distributed
from unlazy.training.feeds import steps_of
from unlazy.training.kinds import DistillRecipe, TextRecipe
from unlazy.training.objective import Batch, Objective
from unlazy.training.recipe import SIZES, Recipe

PROBE = 2  # pictures of the pass that is weighed


def plan(recipe: Recipe, objective: Objective, count: int | None) -> str:
    """Resolved recipe, parameters, steps and an estimate of memory, as text.

    Args:
        recipe: resolved.
        objective: freshly built, on the CPU.
        count: training pictures, where they are known from the data itself.
    """
    if count is None and recipe.classes is None:
        count = SIZES.get(recipe.data)
    trained = _parameters(objective.trained)
    kept = {name: _parameters(module) for name, module in objective.exports().items()}
    lines = [
        f"{key} = {json.dumps(value)}" for key, value in _flat(dataclasses.asdict(recipe)).items()
    ]
    lines += [
        "",
        f"parameters trained: {trained:,}",
        f"parameters kept: {', '.join(f'{value:,} ({key})' for key, value in kept.items())}",
        f"steps: {_steps(recipe, count)}",
        f"memory: {_memory(recipe, objective, count)}",
    ]
    return "\n".join(lines)


def _flat(fields: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in fields.items():
        found |= (
            _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: value}
        )
    return found


def _parameters(module: nn.Module) -> int:
    return sum(weight.numel() for weight in module.parameters())


def _steps(recipe: Recipe, known: int | None) -> str:
    if known is None:
        steps_of(recipe, recipe.batch)
        return "unknown until the pictures are counted; give --data to count them"
    per_epoch = known // recipe.batch
    return (
        f"{steps_of(recipe, known):,} ({recipe.epochs} epochs of {per_epoch:,}, from"
        f" {known:,} pictures in batches of {recipe.batch})"
    )


def _memory(recipe: Recipe, objective: Objective, count: int | None) -> str:
    """Weights, gradients, optimizer and average; and what a pass keeps for its gradient.

    The latter is weighed on two pictures in float32 and scaled up; bfloat16 needs about half.
    """
    ranks = distributed.world()
    fixed = 16 * _parameters(objective.trained)
    if objective.averaged is not None:
        fixed += 4 * _parameters(objective.averaged)
    if recipe.sharding == "fully_shard":
        fixed //= ranks
    part = recipe.batch // (ranks * recipe.accumulate)
    kept = _kept_by_a_pass(recipe, objective) * part // PROBE
    kept //= 2 if recipe.precision == "bfloat16" else 1
    held = ""
    if recipe.hold and count:
        held = f" + {_size(count * 3 * recipe.model.img_size**2)} of held pixels"
    return (
        f"about {_size(fixed)} of weights, gradients and optimizer + {_size(kept)} of activations"
        f" ({part} pictures a part){held}, {_where(ranks)}"
    )


def _where(ranks: int) -> str:
    return (
        f"on each of {ranks} ranks" if ranks > 1 else "on one rank; more, under torchrun, share it"
    )


def _kept_by_a_pass(recipe: Recipe, objective: Objective) -> int:
    """Bytes that autograd keeps of a forward pass over ``PROBE`` pictures, weights left out."""
    own = {weight.untyped_storage().data_ptr() for weight in objective.trained.parameters()}
    seen: dict[int, int] = {}

    def weigh(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            seen[storage.data_ptr()] = storage.nbytes()
            alive.append(tensor)  # so that no other tensor gets its address
        return tensor

    alive: list[Tensor] = []
    with torch.autograd.graph.saved_tensors_hooks(weigh, lambda tensor: tensor):
        objective.loss(objective.trained, _probe(recipe), step=0, steps=1)
    return sum(seen.values())


def _probe(recipe: Recipe) -> Batch:
    side = recipe.model.img_size
    views = [torch.zeros(PROBE, 3, side, side)]
    targets = torch.zeros(PROBE, dtype=torch.int64)
    if isinstance(recipe, DistillRecipe):
        whole, local = (
            torch.zeros(PROBE, 3, size, size) for size in (recipe.whole, recipe.local_size)
        )
        views = [whole] * 2 + [local] * recipe.local_crops
    if isinstance(recipe, TextRecipe):
        targets = torch.zeros(PROBE, recipe.text.context, dtype=torch.int64)
    return Batch(views, targets, torch.arange(PROBE))


def _size(count: int) -> str:
    """Bytes for a reader.

    >>> _size(3_400_000), _size(2_500_000_000)
    ('3 MB', '2.5 GB')
    """
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"
