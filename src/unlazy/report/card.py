"""The card of a trained model: recipe, data, results with intervals, curve, date, command."""

from __future__ import annotations

import datetime
import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from unlazy import distributed
from unlazy.backbones.bundled import CLASSES, load_run
from unlazy.backbones.trained import TrainedViT
from unlazy.backbones.vit_config import ViTConfig
from unlazy.backbones.vit_files import LABELS
from unlazy.benchmarks.card_boxes import OtherMaps, SmallBoxes
from unlazy.benchmarks.classification import Accuracy, Neighbours, Vectors, among
from unlazy.benchmarks.views import usual_view
from unlazy.ledger import Estimate, Measure, estimates
from unlazy.measure import measure
from unlazy.measures.norms import Norms, NormShape
from unlazy.measures.patch_score import PatchScore
from unlazy.report.record import environment
from unlazy.whole_files import write_whole


@dataclass(frozen=True)
class Splits:
    """What a model was trained on, and what it is evaluated on.

    Attributes:
        name: of the data.
        training: labelled pictures among which neighbours are sought; None: it has no labels.
        validation: labelled pictures that the training never showed.
    """

    name: str
    training: Any
    validation: Any


def results(backbone: TrainedViT, splits: Splits) -> dict[str, Any]:
    """Validation results: ``n`` pictures, ``neighbours`` sought, measure -> number -> estimate.

    ``skipped`` has name -> reason of pictures that could not be read, where there are any.
    Under torchrun all ranks take part and get the same.
    """
    backbone.to("cuda" if torch.cuda.is_available() else "cpu")
    view = usual_view(backbone.facts)
    measures: list[Measure] = [PatchScore(), SmallBoxes(), OtherMaps(), Norms(), NormShape()]
    sought = 0
    if splits.training is not None:
        bank = among(splits.training, len(splits.validation))
        vectors = measure(backbone, bank, [Vectors()], view=view).seen["vectors"]
        device = next(backbone.parameters()).device
        measures.append(Accuracy(Neighbours.among(vectors, device), name="knn"))
        sought = len(vectors.order)
    if backbone.classifier() is not None:
        measures.append(Accuracy(backbone.classify))
    found = measure(backbone, splits.validation, measures, view=view)
    values = {each.name: estimates(each, found.seen[each.name]) for each in measures}
    skipped = {item.name: item.reason for item in found.skipped}
    told = {"skipped": skipped} if skipped else {}
    return {"n": len(found.names), "neighbours": sought, "values": values} | told


def write_card(run: Path, splits: Splits, *, command: str) -> dict[str, Any]:
    """Evaluate a finished run and write ``card.json`` into it; on all ranks."""
    recipe = json.loads((run / "recipe.json").read_text())
    backbone: Any = load_run(str(run))
    labels = {"label_names": backbone.label_names} if backbone.label_names else {}
    found = results(backbone, splits)
    log = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    card = {
        "name": recipe["name"].replace("_", "-"),
        "what": f"{backbone.facts.supervision} supervision, {_architecture(recipe['model'])}",
        "date": datetime.date.today().isoformat(),
        "command": command,
        "data": f"{splits.name}, training split; results on its validation split",
        "recipe": recipe,
        "steps": log[-1]["steps"],
        "final_training_loss": log[-1]["loss"],
        "curve": [{"step": row["step"], **row["evaluation"]} for row in log if "evaluation" in row],
        "weights_hash": backbone.fingerprint(),
        **labels,
        **found,
        "environment": environment(
            device=str(next(backbone.parameters()).device),
            dtype="float32",
            ranks=distributed.world(),
            seed=0,
        ),
    }
    plain = _rounded(card)
    if distributed.on_main():
        write_whole(run / "card.json", json.dumps(plain, indent=1, allow_nan=False).encode())
    return plain


def bundle(run: Path, splits: Splits, folder: Path, name: str) -> None:
    """Put a finished run into a folder of shipped models, in half precision.

    The card beside it is measured anew, on the rounded weights that are shipped.
    """
    command = json.loads((run / "card.json").read_text())["command"]
    shipped = run / "shipped"
    shipped.mkdir(exist_ok=True)
    for file in ("recipe.json", "log.jsonl", LABELS):
        if (run / file).is_file():
            shutil.copy(run / file, shipped / file)
    for file in ("model.safetensors", CLASSES):
        if not (run / file).is_file():
            continue
        halves = {key: value.half() for key, value in load_file(run / file).items()}
        save_file(halves, shipped / file)
        target = f"{name}.{CLASSES}" if file == CLASSES else f"{name}.safetensors"
        write_whole(folder / target, (shipped / file).read_bytes())
    write_card(shipped, splits, command=command)
    write_whole(folder / f"{name}.json", (shipped / "card.json").read_bytes())


def _architecture(model: Mapping[str, Any]) -> str:
    """The model in words.

    >>> _architecture({"pool": "cls", "registers": 4, "patch_size": 8, "windows": [1, 2]})
    'ViT, pool cls, 4 registers, windows of 4 in blocks 1, 2, patch 8'
    """
    full = asdict(ViTConfig()) | dict(model)
    words = ["ViT", f"pool {full['pool']}"]
    if full["pool"] == "lazy_strike":
        words.append(f"reading {full['reading']}, keep {full['keep']}")
        words += ["kernel centred"] * (full["kernel"] == "centred")
        words += ["channels redrawn"] * (full["shuffle"] is not None)
    words += ["no CLS token"] * (not full["class_token"])
    if full["registers"]:
        words.append(f"{full['registers']} registers")
    if full["windows"]:
        blocks = ", ".join(map(str, full["windows"]))
        words.append(f"windows of {full['window']} in blocks {blocks}")
    words += [f"{key} {full[key]}" for key in ("drop_path", "layer_scale") if full[key]]
    return ", ".join([*words, f"patch {full['patch_size']}"])


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.6g}")
    if isinstance(value, Estimate):
        return _rounded({key: item for key, item in asdict(value).items() if item is not None})
    if isinstance(value, Mapping):
        return {key: _rounded(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_rounded(item) for item in value]
    return value
