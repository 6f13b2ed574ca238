"""The command line: parse, build nouns, call one function, write.

Heavy imports are inside the commands, so that ``--help`` answers at once.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import App, CycloptsError, Parameter

from unlazy.arguments import Images, PageOutput
from unlazy.cli_bench import bench
from unlazy.cli_claims import claims
from unlazy.cli_dynamics import dynamics
from unlazy.cli_extract import extract
from unlazy.cli_fix import fix
from unlazy.cli_probe import probe
from unlazy.cli_reproduce import reproduce
from unlazy.cli_train import train
from unlazy.console import Stopped, complain, leave, plain_warnings, progress, stoppable, tell_fix
from unlazy.inputs import (
    Mistake,
    Options,
    Weights,
    backbone_of,
    dataset_of,
    device_of,
    fixed_of,
    labels_of,
)
from unlazy.pages import read_records, records_of, write_page

app = App(
    name="unlazy",
    help="Find, measure and remove the artifacts of vision transformers.",
    version_flags=["--version"],
    suppress_keyboard_interrupt=False,  # main says a word before it ends
)
app.command(train)
app.command(bench)
app.command(probe)
app.command(dynamics)
app.command(extract)
app.command(fix)
app.command(claims)
app.command(reproduce)


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point of the ``unlazy`` command."""
    plain_warnings()
    with stoppable():
        try:
            app(arguments, print_error=False, exit_on_error=False)
        except Stopped as stop:
            leave(stop)
        except BrokenPipeError:  # head, or another reader, has seen enough
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(128 + signal.SIGPIPE)
        except (CycloptsError, Mistake, ValueError, OSError, ImportError) as problem:
            complain(problem)
            sys.exit(1)


@app.command
def report(
    model: str,
    images: Images,
    /,
    *,
    output: PageOutput = Path("runs/report"),
    high_resolution: Annotated[
        bool, Parameter(negative="", help="Look at the shown pictures again at 800 px.")
    ] = False,
    fix: Annotated[
        str | None,
        Parameter(help="Also show MODEL under a fix: its name, or a saved one's folder."),
    ] = None,
    records: Annotated[
        list[Path],
        Parameter(
            consume_multiple=1,
            negative="",
            help="Also show what `unlazy claims` and `unlazy probe` wrote of MODEL: folders.",
        ),
    ] = [],  # noqa: B006
    weights: Weights = Weights(),
    options: Options = Options(),
) -> None:
    """Measure MODEL on IMAGES: one HTML page, a JSON Record and PNG maps in OUTPUT.

    MODEL is bundled:NAME, timm:NAME, open_clip:ARCH/TAG, torchvision:NAME, hf:ORG/NAME or
    file:RUN or fixed:FOLDER; see `unlazy list models`. MODEL=FILE gives it local weights, as
    --checkpoint does. A fix that is named is calibrated on IMAGES.
    """
    _measure_and_write(
        *([model], images, output, weights, options),
        high_resolution=high_resolution,
        fix=fix,
        records=records,
    )


@app.command
def compare(
    models_and_images: Annotated[list[str], Parameter(help="MODEL... IMAGES...")],
    /,
    *,
    output: PageOutput = Path("runs/compare"),
    weights: Weights = Weights(),
    options: Options = Options(),
) -> None:
    """Set models side by side on the same photos, with one colour scale.

    Arguments that start with a scheme such as timm: are models, the others images. MODEL=FILE
    gives one model local weights; --random and --checkpoint apply to every model.
    """
    from unlazy.catalog import table

    schemes = set(table("backbones"))
    models = [
        each for each in models_and_images if each.partition(":")[0] in schemes or ".py:" in each
    ]
    images = [each for each in models_and_images if each not in models]
    if len(models) < 2 or not images:
        raise Mistake(
            f"compare takes two or more models and some images; got {len(models)} models and"
            f" {len(images)} images. Example: unlazy compare timm:A timm:B photos/ --random"
        )
    _measure_and_write(models, images, output, weights, options)


@app.command
def doctor(model: str, /, *, weights: Weights = Weights(), size: int | None = None) -> None:
    """Prove that MODEL is read correctly on this machine, and print what was checked."""
    from rich.console import Console
    from rich.table import Table

    from unlazy.backbones.doctor import examine, summary

    backbone = backbone_of(model, weights, size)
    facts = Table(title=model, show_header=False, title_justify="left")
    for key, value in summary(backbone).items():
        facts.add_row(key, value)
    checks = Table(show_header=False)
    found = examine(backbone)
    for check in found:
        checks.add_row("ok" if check.passed else "FAILED", check.what, check.evidence)
    console = Console()
    console.print(facts)
    console.print(checks)
    failed = sum(not check.passed for check in found)
    console.print(f"{len(found) - failed} of {len(found)} checks passed")
    if failed:
        sys.exit(1)


@app.command(name="list")
def list_names(
    kind: Literal[
        "models", "data", "measures", "fixes", "benchmarks", "probes", "recipes", "tables"
    ],
    pattern: str = "",
    /,
    *,
    data: Annotated[
        Path | None, Parameter(help="With `list data`: what is in this folder, what is missing.")
    ] = None,
) -> None:
    """List what there is; PATTERN keeps the names that contain it."""
    from unlazy.catalog import find, summary, table

    if data is not None:
        if kind != "data":
            raise Mistake(f"--data goes with `unlazy list data`, not with `unlazy list {kind}`")
        if not data.is_dir():
            what = "is a file" if data.exists() else "does not exist"
            raise Mistake(f"--data {data} {what}; give the folder of a data set, or around several")
        from unlazy.data.expected import survey
        from unlazy.data.recognise import survey_own

        known = False
        for found in survey(data, pattern):
            known = known or not found.missing
            print(found, flush=True)
        if not known and (own := survey_own(data, pattern)):
            print(own)
        return
    if kind != "models":
        names = sorted(name for name in table(kind) if pattern in name)
        width = max(map(len, names), default=0)
        for name in names:
            try:
                print(f"{name:{width}}  {summary(find(kind, name))}".rstrip())
            except ImportError:  # of an extra, or somebody's own
                print(name)
        return
    for scheme in table("models"):
        for family, names in find("models", scheme)().items():
            kept = [name for name in names if pattern in name]
            if kept:
                print(f"\n{family} ({len(kept)})")
                print("\n".join(f"  {scheme}:{name}" for name in kept))


def _measure_and_write(
    models: list[str],
    images: list[str],
    output: Path,
    weights: Weights,
    options: Options,
    *,
    high_resolution: bool = False,
    fix: str | None = None,
    records: Sequence[Path] = (),
) -> None:
    """Measure each model on the same pictures, then write page, Records and maps.

    All models are loaded before the first is measured: the last one's name may be misspelt.
    With ``fix``, the only model is followed by itself under that fix; ``records`` are of the model
    as it is.
    """
    from unlazy import distributed
    from unlazy.report.write import claim

    read = read_records(records, output)
    dataset = dataset_of(images, options.data)
    with distributed.started():
        if distributed.on_main():
            claim(output)
        backbones = [backbone_of(model, weights, options.size) for model in models]
        labels = labels_of(models, backbones)
        beside = {labels[0]: records_of(read, backbones[0], models[0], weights, options)}
        if fix is not None:
            original = backbones[0].to(device_of(options.device))
            fixed = fixed_of(fix, original, dataset, images, options, progress)
            backbones.append(tell_fix(fixed))
            labels.append(backbones[-1].facts.name)
        write_page(
            ((label, backbones.pop(0)) for label in labels),  # each is freed after its turn
            dataset,
            output,
            options,
            source=" ".join(images),
            high_resolution=high_resolution,
            beside=beside,
        )
