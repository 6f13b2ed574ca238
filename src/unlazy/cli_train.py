"""The ``train`` command."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from unlazy.arguments import OUTPUT
from unlazy.console import progress
from unlazy.inputs import Mistake, Options
from unlazy.pages import write_page

PICTURES, COLUMNS = 200, 6  # of the page that ends a recipe of several models; larger ones: none


def train(
    recipe: str,
    /,
    *overrides: Annotated[str, Parameter(help="KEY=VALUE, for example epochs=2 model.keep=0.5.")],
    data: Annotated[Path | None, Parameter(help="The data set's folder.")] = None,
    output: Annotated[Path | None, Parameter(name=OUTPUT)] = None,
    dry_run: Annotated[
        bool, Parameter(negative="", help="Print recipe, parameters, memory and steps; stop.")
    ] = False,
    track: Annotated[
        list[Literal["tensorboard", "wandb"]], Parameter(negative="", help="Also log there.")
    ] = [],  # noqa: B006
) -> None:
    """Train RECIPE on DATA; started again, it resumes. Also under torchrun -m unlazy train.

    A recipe of several models trains one after the other and ends with a page that compares them.
    See `unlazy list recipes`.
    """
    from unlazy import distributed
    from unlazy.catalog import make
    from unlazy.settings import override
    from unlazy.training.recipe import Recipe
    from unlazy.training.run import describe

    made = make("recipes", recipe)
    several = isinstance(made, tuple) and bool(made)
    if not all(isinstance(each, Recipe) for each in (made if several else (made,))):
        raise Mistake(f"{recipe} returns {made!r}; it must return a recipe, or a tuple of them")
    if several:
        _refuse_same(recipe, [each.name for each in made])
        _refuse_varied(recipe, made, overrides)
    recipes = [override(each, overrides) for each in (made if several else (made,))]
    if dry_run:
        with distributed.started():
            text = "\n\n".join(describe(each, data) for each in recipes)
            if distributed.on_main():
                print(text)
        return
    if data is None and recipes[0].data != "scenes":
        raise Mistake(f"{recipe} needs --data FOLDER ({recipes[0].data}), or --dry-run")
    folder = output or Path("runs") / (recipe if several else recipes[0].name)
    folders = [folder / each.name for each in recipes] if several else [folder]
    command = " ".join(["unlazy train", recipe, *overrides])
    with distributed.started():
        for each, place in zip(recipes, folders, strict=True):
            _one(each, data, place, track, command)
        if 1 < len(recipes) <= COLUMNS:
            _side_by_side(recipes[0], data, folders, folder / "page")


def _refuse_same(recipe: str, names: Sequence[str]) -> None:
    """Each model has a folder of its own."""
    twice = sorted({each for each in names if names.count(each) > 1})
    if twice:
        raise Mistake(f"{recipe} has several models called {twice[0]!r}; give each its own name")


def _refuse_varied(name: str, recipes: Sequence[Any], overrides: Sequence[str]) -> None:
    """An override of what a recipe's models differ in would make equal models of other names."""
    from unlazy.settings import varied

    differing = varied(recipes)
    words = [word for word in overrides if word.partition("=")[0] in differing]
    if words:
        single = "tiny_scene" if recipes[0].data == "scenes" else "tiny_label"
        keys = " and ".join(word.partition("=")[0] for word in words)
        raise Mistake(
            f"the {len(recipes)} models of {name} differ in {keys}, which cannot be set for all of"
            f" them; for one model: unlazy train {single} {' '.join(overrides)}"
        )


def _one(recipe: Any, data: Path | None, folder: Path, track: Any, command: str) -> None:
    """Train one recipe, evaluate it and say what came out; on all ranks."""
    from unlazy import distributed
    from unlazy.data.sample import Unreadable
    from unlazy.report.card import Splits, write_card
    from unlazy.training.run import run
    from unlazy.training.sources import open_source

    row: dict[str, Any] = {}
    with progress("step") as (bar, task):
        try:
            for row in run(recipe, data, folder, trackers=track):
                text = f"{recipe.name}: loss {row['loss']:.3f}"
                text += f", {row['images_per_second']:.0f} images/s"
                bar.update(task, completed=row["step"], total=row["steps"], description=text)
        except (FloatingPointError, Unreadable) as problem:
            raise Mistake(problem) from problem
    source, card = open_source(recipe, data), None
    if not row and (folder / "card.json").is_file():  # it was finished before
        card = json.loads((folder / "card.json").read_text())
    elif source.validation is not None:
        where = f" --data {data.name}" if data else ""
        splits = Splits(recipe.data, source.labelled, source.validation)
        card = write_card(folder, splits, command=f"{command}{where}")
    if not distributed.on_main():
        return
    if row.get("skipped"):
        print(f"skipped for training: {row['skipped']}; see {folder / 'skipped.json'}")
    if card and "skipped" in card:
        print(f"skipped for validation: {len(card['skipped'])}: {_few(card['skipped'])}")
    print(f"{recipe.name}: finished; use it as file:{folder}")
    for name, found in (_headline(card["values"]) if card else {}).items():
        print(f"  {name}: {found['value']:.3f} ({found['low']:.3f} to {found['high']:.3f})")


def _few(skipped: dict[str, str], shown: int = 3) -> str:
    """The first names with their reasons.

    >>> _few({"a.png": "not a picture", "b.png": "truncated"}, shown=1)
    'a.png (not a picture), ... in card.json'
    """
    told = [f"{name} ({why})" for name, why in list(skipped.items())[:shown]]
    return ", ".join([*told, "... in card.json"] if len(skipped) > shown else told)


def _headline(values: dict[str, Any]) -> dict[str, Any]:
    """The numbers of a card that are printed."""
    score = values["patch_score"]
    names = {"top1": "accuracy", "top1 of neighbours": "knn"}
    found = {name: values[key]["top1"] for name, key in names.items() if key in values}
    keys = ("cosine", "centred_cosine", "chance")
    return found | {
        f"point_in_box/{key}": score[f"point_in_box/{key}"]
        for key in keys
        if f"point_in_box/{key}" in score
    }


def _side_by_side(recipe: Any, data: Path | None, folders: list[Path], output: Path) -> None:
    """The page of all models on the same validation pictures."""
    from unlazy.catalog import load_backbone
    from unlazy.data.spread import Spread
    from unlazy.training.sources import open_source

    pictures = Spread(open_source(recipe, data).validation, PICTURES)
    models = ((place.name, load_backbone(f"file:{place}")) for place in folders)
    source = f"validation split of {recipe.data}"
    write_page(models, pictures, output, Options(), source=source, trained_on=True)
