"""Models that are trained here: those shipped with the package, and the runs of users."""

from __future__ import annotations

import json
from importlib import resources
from pathlib import Path
from typing import Any

from unlazy.backbones.base import Backbone
from unlazy.backbones.text_tower import RunTexts
from unlazy.backbones.vit_files import CLASSES, LABELS, WEIGHTS, read_vectors
from unlazy.catalog import UnknownName, suggest

FOLDER = resources.files("unlazy") / "bundled"
SUPERVISIONS = ("label", "text", "self")


def names() -> dict[str, list[str]]:
    """Shipped models."""
    found = [path.name[: -len(".json")] for path in FOLDER.iterdir() if path.name.endswith(".json")]
    return {"bundled, trained on Tiny ImageNet": sorted(found)}


def card(name: str) -> dict[str, Any]:
    """Data, recipe, results, date and command of a shipped model.

    Raises:
        UnknownName: no such model.
    """
    path = FOLDER / f"{name}.json"
    if not path.is_file():
        known = [each for group in names().values() for each in group]
        raise UnknownName(f"no bundled model is called {name!r}; {suggest(name, known)}")
    return json.loads(path.read_text())


def load(name: str, *, weights: Any = "pretrained", size: int | None = None) -> Backbone:
    """A shipped model; ``weights`` as in ``catalog.load_backbone``, ``size`` is not needed."""
    found = card(name)
    if weights != "pretrained":
        return _build(found, name=f"bundled:{name}", weights=weights)
    with resources.as_file(FOLDER) as folder:
        return _build(
            found,
            name=f"bundled:{name}",
            weights=folder / f"{name}.safetensors",
            classes=folder / f"{name}.{CLASSES}",
        )


def load_run(folder: str, *, weights: Any = "pretrained", size: int | None = None) -> Backbone:
    """The model of a training run, or one that ``save_pretrained`` wrote; ``size`` is not needed.

    Raises:
        UnknownName: the folder is neither.
    """
    run = Path(folder)
    if not run.is_dir():
        raise UnknownName(f"there is no folder {folder}")
    found = _described(run)
    if found is None or not (run / WEIGHTS).is_file():
        missing = WEIGHTS if found is not None else "recipe.json"
        raise UnknownName(
            f"{folder} is no finished run, nor a saved model: {missing} is missing."
            " For weights of a known architecture use --checkpoint FILE with timm:NAME."
        )
    chosen = run / WEIGHTS if weights == "pretrained" else weights
    backbone = _build(found, name=f"file:{run.name}", weights=chosen, classes=run / CLASSES)
    if weights == "pretrained":
        backbone.texts = RunTexts.of(run, found["recipe"])
    return backbone


def _described(folder: Path) -> dict[str, Any] | None:
    """Recipe and label names of a run; of a saved model, as its configuration says; None: neither.

    One that does not say how it was supervised is taken for label supervision if it has a head.
    """
    if (folder / "recipe.json").is_file():
        recipe = json.loads((folder / "recipe.json").read_text())
        labels = folder / LABELS
        return {"recipe": recipe} | (
            {"label_names": json.loads(labels.read_text())} if labels.is_file() else {}
        )
    if not (folder / "config.json").is_file():
        return None
    config = json.loads((folder / "config.json").read_text())
    fields = config.get("unlazy")
    if not isinstance(fields, dict):
        return None
    usual = "label" if fields.get("num_classes") else "self"
    recipe = {"model": fields, "supervision": config.get("supervision") or usual}
    return {"recipe": recipe, "label_names": config.get("label_names")}


def _build(
    found: dict[str, Any], *, name: str, weights: Any, classes: Path | None = None
) -> Backbone:
    """The model of a recipe, of which ``model`` and ``supervision`` are read.

    Args:
        found: ``recipe``, and ``label_names`` where they are known.
        name: of the model.
        weights: "random" or a file.
        classes: a file with the vectors of the classes, if it is there; needs trained weights.

    Raises:
        UnknownName: the recipe does not describe a model.
    """
    from unlazy.backbones.trained import TrainedViT
    from unlazy.backbones.vit import ViT, ViTConfig
    from unlazy.backbones.vit_files import load_weights

    recipe, labels = found["recipe"], found.get("label_names")
    supervision = recipe.get("supervision", "label")
    try:
        if supervision not in SUPERVISIONS:
            raise ValueError(f"supervision is {supervision!r}; there are {', '.join(SUPERVISIONS)}")
        model = ViT(ViTConfig.from_fields(recipe["model"]))
    except (KeyError, TypeError, ValueError) as error:
        raise UnknownName(f"the recipe of {name} describes no model: {error}") from error
    if weights != "random":
        load_weights(model, Path(weights))
    source = "random" if weights == "random" else Path(weights).name
    vectors = None if weights == "random" or classes is None else read_vectors(classes)
    model.supervision, model.class_vectors = supervision, vectors  # for ``save_pretrained``
    model.label_names = labels
    backbone = TrainedViT(
        model, name=name, weights=source, supervision=supervision, class_vectors=vectors
    )
    backbone.label_names = labels
    return backbone
