"""The ``train`` command."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from unlazy.console import progress
from unlazy.inputs import Mistake


def train(
    recipe: str,
    /,
    *overrides: Annotated[str, Parameter(help="KEY=VALUE, for example epochs=2 model.keep=0.5.")],
    data: Annotated[Path | None, Parameter(help="The data set's folder.")] = None,
    output: Annotated[Path | None, Parameter(name=["-o", "--output"])] = None,
    dry_run: Annotated[
        bool, Parameter(negative="", help="Print recipe, parameters, memory and steps; stop.")
    ] = False,
    track: Annotated[
        list[Literal["tensorboard", "wandb"]], Parameter(negative="", help="Also log there.")
    ] = [],  # noqa: B006
) -> None:
    """Train RECIPE on DATA; started again, it resumes. Also under torchrun -m unlazy train.

    See `unlazy list recipes`.
    """
    from unlazy import distributed
    from unlazy.catalog import find
    from unlazy.data.sample import Unreadable
    from unlazy.training.overrides import override
    from unlazy.training.run import describe, run

    resolved = override(find("recipes", recipe)(), overrides)
    if dry_run:
        print(describe(resolved, data))
        return
    if data is None:
        raise Mistake(f"{recipe} needs --data FOLDER ({resolved.data}), or --dry-run")
    folder, row = output or Path("runs") / resolved.name, {}
    with distributed.started(), progress("step") as (bar, task):
        try:
            for row in run(resolved, data, folder, trackers=track):
                text = f"loss {row['loss']:.3f}, {row['images_per_second']:.0f} images/s"
                bar.update(task, completed=row["step"], total=row["steps"], description=text)
        except (FloatingPointError, Unreadable) as problem:
            raise Mistake(problem) from problem
        if not distributed.on_main():
            return
    if row.get("skipped"):
        print(f"{row['skipped']} pictures were skipped; see {folder / 'skipped.json'}")
    if resolved.supervision == "label" and resolved.data == "tiny-imagenet":
        from unlazy.report.card import write_card

        words = " ".join(["unlazy train", recipe, *overrides])
        values = write_card(folder, data, command=f"{words} --data {data.name}")["values"]
        for measure, number in (("accuracy", "top1"), ("patch_score", "point_in_box/cosine")):
            found = values[measure][number]
            print(f"{number}: {found['value']:.3f} ({found['low']:.3f} to {found['high']:.3f})")
    else:
        for number, value in row.get("evaluation", {}).items():
            print(f"{number}: {value:.3f}")
    print(f"finished: use it as file:{folder}")
