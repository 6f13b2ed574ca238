"""The training loop: one process, exact resume, a line of JSON every few steps.

Every step draws its randomness from (seed, step) alone, so a run that was killed and resumed
gives the same losses and weights as one that never stopped.
"""

from __future__ import annotations

import dataclasses
import json
import math
import os
import time
from collections.abc import Iterator
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from unlazy.backbones.vit import ViT, ViTConfig
from unlazy.training import label
from unlazy.training.recipes import LabelRecipe

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
LOG_EVERY, SAVE_EVERY = 50, 250


def build(recipe: LabelRecipe) -> nn.Module:
    """The model of a recipe, freshly initialised from the recipe's seed."""
    torch.manual_seed(recipe.seed)
    return ViT(recipe.model)


def learning_rate(recipe: LabelRecipe, step: int, steps: int) -> float:
    """Linear warm-up from zero, then a cosine to zero.

    >>> recipe = LabelRecipe("example", warmup=0.1, learning_rate=1.0)
    >>> [round(learning_rate(recipe, step, 100), 3) for step in (0, 5, 10, 55, 100)]
    [0.0, 0.5, 1.0, 0.5, 0.0]
    """
    warm = max(1, round(recipe.warmup * steps))
    if step < warm:
        return recipe.learning_rate * step / warm
    return recipe.learning_rate * 0.5 * (1 + math.cos(math.pi * (step - warm) / (steps - warm)))


def train(recipe: LabelRecipe, pixels: Tensor, labels: Tensor, out: Path) -> Iterator[dict]:
    """Train on uint8 ``pixels`` (n, 3, H, W) and yield a row of the log every few steps.

    Resumes from ``out/last.pt`` where there is one. The finished weights are
    ``out/model.safetensors``, the resolved recipe ``out/recipe.json``.

    Raises:
        ValueError: ``out`` holds a run of another recipe.
        FloatingPointError: the loss is not finite; the message names the step.
    """
    out.mkdir(parents=True, exist_ok=True)
    _claim(out, recipe)
    model = build(recipe)
    optimizer = torch.optim.AdamW(
        _groups(model, recipe.weight_decay), lr=recipe.learning_rate, fused=True
    )
    per_epoch = len(pixels) // recipe.batch
    steps, first = per_epoch * recipe.epochs, 0
    if (out / "last.pt").is_file():
        state = torch.load(out / "last.pt", weights_only=True)
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        first = state["step"]
    model.train()
    started, epoch, order = time.perf_counter(), -1, torch.empty(0)
    for step in range(first, steps):
        if step // per_epoch != epoch:
            epoch = step // per_epoch
            generator = torch.Generator().manual_seed(recipe.seed * 1_000_003 + epoch)
            order = torch.randperm(len(pixels), generator=generator)
        chosen = order[(step % per_epoch) * recipe.batch :][: recipe.batch]
        torch.manual_seed((recipe.seed + 1) * 1_000_003 + step)
        images = label.normalise(label.augment(pixels[chosen], recipe.padding), MEAN, STD)
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(recipe, step, steps)
        loss = label.loss(model, images, labels[chosen], recipe)
        if not torch.isfinite(loss):
            raise FloatingPointError(f"the loss became {loss.item()} at step {step} of {steps}")
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), recipe.clip_norm)
        optimizer.step()
        done = step + 1
        if done % LOG_EVERY == 0 or done == steps:
            rate = (done - first) * recipe.batch / (time.perf_counter() - started)
            row = {"step": done, "steps": steps, "loss": loss.item(), "images_per_second": rate}
            with (out / "log.jsonl").open("a") as log:
                log.write(json.dumps(row) + "\n")
            yield row
        if done % SAVE_EVERY == 0 or done == steps:
            state = {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "step": done}
            torch.save(state, out / "last.pt.part")
            os.replace(out / "last.pt.part", out / "last.pt")
    save_file(model.state_dict(), out / "model.safetensors.part")
    os.replace(out / "model.safetensors.part", out / "model.safetensors")


def load(out: Path) -> nn.Module:
    """The trained model of a finished run, in evaluation mode."""
    fields = json.loads((out / "recipe.json").read_text())
    model = build(LabelRecipe(**fields | {"model": _config(fields["model"])}))
    model.load_state_dict(load_file(out / "model.safetensors"))
    return model.eval()


def _config(fields: dict):
    return ViTConfig(**fields)


def _claim(out: Path, recipe: LabelRecipe) -> None:
    """Write the recipe, or check that the run already there has the same one."""
    path, text = out / "recipe.json", json.dumps(dataclasses.asdict(recipe), indent=2)
    if path.is_file() and path.read_text() != text:
        old, new = json.loads(path.read_text()), json.loads(text)
        changed = [key for key in new if old.get(key) != new[key]]
        raise ValueError(
            f"{out} holds a run whose {', '.join(changed)} differ; choose another folder"
        )
    path.write_text(text)


def _groups(model: nn.Module, weight_decay: float) -> list[dict]:
    """Weight decay for matrices only, as is usual for ViTs."""
    decayed = [p for p in model.parameters() if p.ndim > 1]
    plain = [p for p in model.parameters() if p.ndim <= 1]
    return [
        {"params": decayed, "weight_decay": weight_decay},
        {"params": plain, "weight_decay": 0.0},
    ]
