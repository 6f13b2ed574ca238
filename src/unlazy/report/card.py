"""The card of a trained model: data, recipe, results with intervals, date, command."""

from __future__ import annotations

import datetime
import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar

import torch
from safetensors.torch import load_file, save_file

from unlazy.backbones.base import Backbone
from unlazy.data.tiny_imagenet import TinyImageNet
from unlazy.geometry import View
from unlazy.ledger import Batch, Estimate, Observation, Seen, estimates
from unlazy.measure import measure
from unlazy.measures.norms import Norms, NormShape
from unlazy.measures.patch_score import PatchScore
from unlazy.report.record import environment, write_whole
from unlazy.tokens import SHARED, Site, Trace

SMALL_BOX = 0.25  # of the picture's area: the public evaluator of Point-in-Box keeps only these


@dataclass(frozen=True)
class Accuracy:
    """Top-1 accuracy of the model's own classification head on labelled pictures."""

    head: torch.nn.Module
    name: str = "accuracy"

    @property
    def reads(self) -> frozenset[Site]:
        """Only the image vector is needed."""
        return frozenset()

    def observe(self, trace: Trace, batch: Batch) -> Observation:
        """Row ``correct``: 1 where the highest logit is the label."""
        labels = torch.tensor(batch.labels, device=trace.image.device)
        return {"correct": (self.head(trace.image).argmax(1) == labels).float()}

    def conclude(self, seen: Seen) -> dict[str, float]:
        """``top1``, in [0, 1]."""
        return {"top1": seen.mean("correct")}


@dataclass(frozen=True)
class SmallBoxes:
    """Point-in-Box over the pictures whose box covers less than a quarter of their area."""

    name: str = "small_boxes"
    extremes: ClassVar[frozenset[str]] = frozenset({"n", "best_position_entropy"})

    @property
    def reads(self) -> frozenset[Site]:
        """As ``PatchScore``."""
        return frozenset({SHARED}) | PatchScore().reads

    def observe(self, trace: Trace, batch: Batch) -> Observation:
        """Rows of ``PatchScore`` and ``area``, the share of the picture inside its box."""
        rows = dict(PatchScore().observe(trace, batch))
        sides = batch.pixels.shape[-2] * batch.pixels.shape[-1]
        boxes = [view.boxes[0] if view.boxes is not None else None for view in batch.views]
        areas = [
            float((box[2] - box[0]) * (box[3] - box[1])) / sides if box is not None else 1.0
            for box in boxes
        ]
        return rows | {"area": torch.tensor(areas)}

    def conclude(self, seen: Seen) -> dict[str, float]:
        """As ``PatchScore``, and how many pictures took part."""
        small = {int(index) for index, area in seen.kept["area"].items() if area < SMALL_BOX}
        order = tuple(index for index in seen.order if index in small)
        if not order:
            return {"n": 0.0}
        some = Seen(seen.kept, seen.sums, order)
        return PatchScore().conclude(some) | {"n": float(len(order))}


def results(backbone: Backbone, head: torch.nn.Module, data: Path) -> dict[str, Any]:
    """Validation results: ``n`` pictures and measure -> number -> estimate."""
    dataset = TinyImageNet(data, "val")
    measures = [Accuracy(head), PatchScore(), SmallBoxes(), Norms(), NormShape()]
    found = measure(backbone, dataset, measures, view=View(backbone.facts.size), batch_size=256)
    values = {each.name: estimates(each, found.seen[each.name]) for each in measures}
    return {"n": len(found.names), "values": values}


def write_card(run: Path, data: Path, *, command: str) -> dict[str, Any]:
    """Evaluate a finished run on the validation split and write ``card.json`` into it."""
    from unlazy.backbones.bundled import load_run

    recipe = json.loads((run / "recipe.json").read_text())
    backbone = load_run(str(run))
    head: Any = backbone.model.head  # pyright: ignore[reportAttributeAccessIssue]
    found = results(backbone, head, data)
    log = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    card = {
        "name": recipe["name"].replace("_", "-"),
        "what": f"plain ViT with a CLS token, {recipe['name']} recipe",
        "date": datetime.date.today().isoformat(),
        "command": command,
        "data": "Tiny ImageNet, training split; results on its validation split",
        "recipe": recipe,
        "steps": log[-1]["steps"],
        "final_training_loss": log[-1]["loss"],
        "weights_hash": backbone.fingerprint(),
        "n": found["n"],
        "values": found["values"],
        "environment": environment(device="cpu", dtype="float32", ranks=1, seed=0),
    }
    plain = _rounded(card)
    write_whole(run / "card.json", json.dumps(plain, indent=1, allow_nan=False).encode())
    return plain


def bundle(run: Path, data: Path, folder: Path) -> None:
    """Put a finished run into a folder of shipped models, in half precision.

    The card beside it is measured anew, on the rounded weights that are shipped.
    """
    command = json.loads((run / "card.json").read_text())["command"]
    shipped = run / "shipped"
    shipped.mkdir(exist_ok=True)
    for name in ("recipe.json", "log.jsonl"):
        shutil.copy(run / name, shipped / name)
    weights = {key: value.half() for key, value in load_file(run / "model.safetensors").items()}
    save_file(weights, shipped / "model.safetensors")
    card = write_card(shipped, data, command=command)
    for source, suffix in (("model.safetensors", ".safetensors"), ("card.json", ".json")):
        write_whole(folder / f"{card['name']}{suffix}", (shipped / source).read_bytes())


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.6g}")
    if isinstance(value, Estimate):
        return _rounded({key: item for key, item in asdict(value).items() if item is not None})
    if isinstance(value, Mapping):
        return {key: _rounded(item) for key, item in value.items()}
    return value
