"""From a recipe and a folder of data to a finished run."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch

from unlazy import distributed
from unlazy.backbones.vit_files import LABELS
from unlazy.training import checkpoint, loop, tracking
from unlazy.training.distill import Distill
from unlazy.training.evaluation import Evaluation
from unlazy.training.feeds import Feed, Held, Read, reading_workers
from unlazy.training.initial import start_from
from unlazy.training.kinds import DistillRecipe, LabelRecipe, TextRecipe
from unlazy.training.label import Label
from unlazy.training.objective import Objective
from unlazy.training.plan import plan
from unlazy.training.reading import Caption, label_of, transform_of
from unlazy.training.recipe import Recipe
from unlazy.training.sources import Source, hold, open_source
from unlazy.training.text import Text
from unlazy.whole_files import write_whole


def run(
    recipe: Recipe, data: Path | None, out: Path, *, trackers: Iterable[tracking.Tracker] = ()
) -> Iterator[dict[str, Any]]:
    """Train ``recipe`` on the data folder and yield rows of the log; resumes where it stopped.

    Under torchrun every rank calls this, inside ``distributed.started()``.
    """
    goes_on = checkpoint.claim(out, recipe)
    source = open_source(recipe, data)
    if source.classes and distributed.on_main():
        _keep_labels(out / LABELS, source.label_names(), goes_on)
    device = _device()
    objective = build(recipe, source)
    feed = _feed(recipe, objective, source, device)
    evaluate = None
    if source.validation is not None:
        evaluate = Evaluation(recipe, objective, source.validation, source.labelled, device)
    tell = tracking.writers(trackers, out, recipe.name) if distributed.on_main() else []
    for row in loop.train(recipe, objective, feed, out, evaluate=evaluate):
        for write in tell:
            write(row["step"], tracking.numbers(row))
        yield row
    distributed.gather(None)  # no rank reads the run before it is written


def _keep_labels(path: Path, labels: Sequence[str], goes_on: bool) -> None:
    """What the labels of a run mean; a run that goes on must mean the same.

    Raises:
        ValueError: it means something else.
    """
    before = json.loads(path.read_text()) if goes_on and path.is_file() else labels
    if list(before) != list(labels):
        raise ValueError(
            f"{path.parent} learned other classes ({', '.join(before[:3])}, ...) than these"
            f" ({', '.join(labels[:3])}, ...); give the same --data to go on, or choose another"
            " folder with -o"
        )
    write_whole(path, json.dumps(list(labels)).encode())


def describe(recipe: Recipe, data: Path | None) -> str:
    """The dry run: what ``recipe`` would do; with a data folder its pictures are counted."""
    source = open_source(recipe, data) if data or recipe.data == "scenes" else None
    count = len(source.training) if source else None
    if not recipe.hold:
        transform_of(recipe)  # refuses what the run would
    return plan(recipe, build(recipe, source), count)


def build(recipe: Recipe, source: Source | None) -> Objective:
    """The objective of a recipe, freshly initialised from the recipe's seed or from ``init``."""
    torch.manual_seed(recipe.seed)
    if isinstance(recipe, TextRecipe):
        made: Objective = Text(recipe, source.classes if source else ())
    elif isinstance(recipe, DistillRecipe):
        made = Distill(recipe)
    else:
        assert isinstance(recipe, LabelRecipe)
        made = Label(recipe)
    if recipe.init is not None:
        trained, averaged = made.trained, made.averaged
        start_from(_trunk(trained), recipe.init)
        if averaged is not None:
            averaged.load_state_dict(trained.state_dict())
    return made


def _trunk(module: Any) -> Any:
    """The ViT inside what is trained."""
    return getattr(module, "visual", getattr(module, "backbone", module))


def _device() -> torch.device:
    """This process's GPU, if there is one."""
    if not torch.cuda.is_available():
        return torch.device("cpu")
    return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))


def _feed(recipe: Recipe, objective: Objective, source: Source, device: torch.device) -> Feed:
    if recipe.hold:
        workers = 0 if recipe.data == "scenes" else reading_workers(recipe)
        found = hold(source.training, recipe.model.img_size, workers=workers)
        where = found.indices.tolist()
        return Held(
            recipe,
            objective,
            found.pixels.to(device),
            found.labels,
            names=lambda index: source.training.name_of(where[index]),
            skipped=found.skipped,
        )
    target = label_of
    if isinstance(objective, Text):
        target = Caption(objective.tokens, objective.recipe.text.context)
    skipped = dict(getattr(source.training, "skipped", {}))
    return Read(recipe, source.training, transform_of(recipe), target, device, skipped)
