"""What the commands for benchmarks are given: data, and options that apply to them."""

from __future__ import annotations

import dataclasses
import inspect
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from unlazy.console import progress
from unlazy.inputs import Mistake, Options, Weights, named_data, named_fix, workers_of

KEPT = ".unlazy-kept"
"""Folder in the output for what was observed so far; goes when Records and page are written."""


@dataclass(frozen=True)
class Data:
    """What benchmarks run on.

    Attributes:
        name: of the data set.
        opened: with masks or without -> the pictures to evaluate.
        training: the training split, or None.
    """

    name: str
    opened: Mapping[bool, Any]
    training: Any

    def of(self, benchmark: Any) -> Any:
        """The pictures that a benchmark evaluates."""
        return self.opened["masks" in benchmark.needs]

    @cached_property
    def learned_from(self) -> str:
        """What tells the training split from another one; "" without one."""
        from unlazy.identity import data_identity

        return "" if self.training is None else data_identity(self.training)


def run_one(
    benchmark: Any,
    backbone: Any,
    data: Data,
    options: Options,
    *,
    label: str | None = None,
    keep: Path | None = None,
    traces: Any = None,
) -> Any:
    """Run one benchmark under a progress bar; on all ranks."""
    from unlazy import distributed
    from unlazy.report.bench import run_benchmark

    evaluated, first = data.of(benchmark), getattr(benchmark, "learns_from", None)
    if "training" not in benchmark.needs:
        first = None
    lengths = [len(evaluated), *([] if first is None else [len(first(data.training))])]
    with progress(label or benchmark.name) as (bar, task):
        fit = bar.add_task("fitting, in epochs", total=None, visible=False)
        bar.update(task, total=sum(len(distributed.shard(length)) for length in lengths))
        return run_benchmark(
            benchmark,
            backbone,
            evaluated,
            data.training,
            source=data.name,
            batch_size=options.batch_size,
            workers=workers_of(options.workers),
            seed=options.seed,
            progress=lambda done: bar.update(task, advance=done),
            keep=keep,
            traces=traces,
            fitting=lambda done, total: bar.update(fit, completed=done, total=total, visible=True),
        )


def run_several(
    probes: Sequence[Any],
    backbone: Any,
    data: Data,
    options: Options,
    *,
    label: str = "",
    keep: Path | None = None,
    tokens: Path | None = None,
) -> list[Any]:
    """Run probes, which share their passes, under a progress bar; on all ranks."""
    from unlazy.report.probe import run_probes

    names = ", ".join(each.name for each in probes)
    with progress(f"{label}: {names}" if label else names) as (bar, task):
        return run_probes(
            probes,
            backbone,
            next(iter(data.opened.values())),
            data.training,
            source=data.name,
            batch_size=options.batch_size,
            workers=workers_of(options.workers),
            seed=options.seed,
            progress=lambda done: bar.update(task, advance=done),
            keep=keep,
            tokens=tokens,
        )


def folder_of(command: str, model: str, weights: Weights, fix: str | None) -> Path:
    """Where a command's Records of a model go that no folder was named for.

    >>> folder_of("bench", "timm:vit_tiny", Weights(random=True), "norm-clipping")
    PosixPath('runs/bench/timm-vit_tiny-random-norm-clipping')
    """
    from unlazy.report.write import slug

    file = weights.checkpoint.stem if weights.checkpoint else ""
    words = (model, file, "random" if weights.random else "", fix or "")
    return Path("runs") / command / slug("-".join(word for word in words if word))


def refuse_others(output: Path, backbone: Any, fix: str | None) -> None:
    """A folder holds Records of one model, or its page and they would not belong together.

    Args:
        output: the folder.
        backbone: the model, not yet under ``fix``.
        fix: its name, or a saved one's folder.

    Raises:
        Mistake: there is a Record of another model, of other weights or under another fix.
    """
    from unlazy.fixes.base import fixed_name

    name, under = backbone.facts.name, backbone.fix
    if fix is not None:
        found = named_fix(fix)
        name, under = fixed_name(name, found), found.name
    own = (name, backbone.fingerprint(), under)
    for path in sorted(output.glob("*.json")):
        try:
            record = json.loads(path.read_text())
            model = record["model"]
            there = (model["name"], model["weights_hash"], record["fix"])
        except (ValueError, KeyError, TypeError):  # no Record
            continue
        if there != own:
            weights = " with other weights" if there[0] == name else ""
            raise Mistake(
                f"{output} holds the Records of {there[0]}{weights}; choose another folder with -o,"
                " or delete it"
            )


def recognised(root: Path, *, boxes: bool = False) -> str:
    """The name of the data set that a folder is.

    Args:
        root: the folder.
        boxes: whether boxes or masks are needed: those that cannot be used are told then, though
            the folder has classes too.

    Raises:
        Mistake: none of those known, or several; the message says how to choose. Or its annotations
            are broken; the message names the file.
    """
    from unlazy.data.recognise import CLASS_FOLDERS, recognise, unusable

    found = recognise(root)
    classes = found == [CLASS_FOLDERS]
    if (not found or (boxes and classes)) and (reason := unusable(root)):
        raise Mistake(f"{reason}; without them: --on {CLASS_FOLDERS}" if classes else reason)
    if len(found) == 1:
        return found[0]
    said = f"{root} holds {' and '.join(found)}" if found else f"{root} is no data set known here"
    own = (
        ""
        if found
        else "; own pictures go with boxes.csv, a COCO JSON or YOLO's text files beside them"
        " (--on box-folder), or in a folder a class (--on class-folders)"
    )
    raise Mistake(f"{said}; choose with --on NAME (`unlazy list data --data {root}`){own}")


def training_name(name: str) -> str:
    """How the training split beside a data set is called; "" for an object of the user's.

    >>> training_name("imagenet:val"), training_name("hf:org/cats@test:xyxy")
    ('imagenet:train', 'hf:org/cats@train:xyxy')
    """
    if ".py:" in name:
        return ""
    kind, _, rest = name.partition(":")
    if kind != "hf":
        return f"{kind}:train"
    from unlazy.data.hugging_face import read_name

    bare, _, form = read_name(rest)
    return f"hf:{bare}@train" + (f":{form}" if form else "")


def is_training_split(name: str, evaluated: Any) -> bool:
    """Whether a data set that was opened by its name is what benchmarks would learn from."""
    return name == training_name(name) or getattr(evaluated, "split", "") == "train"


def training_split(name: str, root: Path | None) -> tuple[Any, str]:
    """The training split beside a data set, without boxes; or None and why there is none."""
    from unlazy.catalog import call, find

    kind = name if ".py:" in name else name.partition(":")[0]
    found = find("data", kind)
    parameters = inspect.signature(found).parameters
    if "split" not in parameters:
        return None, "it has no splits"
    try:
        if ".py:" in name:
            given = {"root": root} if "root" in parameters else {}
            return call(name, found, **given, split="train"), ""
        return named_data(training_name(name), root, boxes=False), ""
    except (FileNotFoundError, ValueError) as error:
        return None, str(error)


def benchmark_data(chosen: Sequence[Any], on: str | None, root: Path | None) -> Data:
    """What benchmarks run on; the training split is there where one of them learns.

    Raises:
        Mistake: no data are named, they are not recognised, or there is no split to learn from.
        ValueError: what learns labels would be asked about pictures without any.
    """
    if root is None and on is None:
        raise Mistake(
            f"{chosen[0].name} needs --data FOLDER; `unlazy list data` names what it knows"
        )
    drawn = any(each.needs & {"boxes", "masks"} for each in chosen)
    name = on or recognised(root, boxes=drawn) if root is not None else str(on)
    learning = [each for each in chosen if "training" in each.needs]
    if learning and name == training_name(name):
        raise _learned(learning)
    boxes = any("boxes" in each.needs for each in chosen)
    wanted = sorted({"masks" in each.needs for each in chosen})
    opened = {masks: named_data(name, root, masks=masks, boxes=boxes) for masks in wanted}
    data = Data(name, opened, None)
    return dataclasses.replace(data, training=_training(learning, data, root)) if learning else data


def _training(learning: Sequence[Any], data: Data, root: Path | None) -> Any:
    """The split to learn from; the evaluated pictures are looked at before it is opened."""
    from unlazy.report.lacking import check_pictures

    for each in learning:
        check_pictures(each, data.of(each), data.name)
    if any(is_training_split(data.name, each) for each in data.opened.values()):
        raise _learned(learning)
    training, reason = training_split(data.name, root)
    if training is None:
        raise Mistake(
            f"{data.name} has no training split to learn from ({reason}); leave out"
            f" {', '.join(each.name for each in learning)}"
        )
    return training


def _learned(learning: Sequence[Any]) -> Mistake:
    return Mistake(
        f"{', '.join(each.name for each in learning)} would learn from the pictures that are"
        " evaluated; choose another split with --on"
    )


def check_options(options: Options, backbone: Any) -> None:
    """Benchmarks have a view of their own: options that would change it are refused.

    Raises:
        Mistake: such an option is set.
    """
    default = Options()
    if options.fit != default.fit or options.shown != default.shown:
        raise Mistake("benchmarks have a view of their own; --fit and --shown do not apply")
    if options.size is not None and backbone.facts.size != (options.size, options.size):
        raise Mistake(
            f"{backbone.facts.name} is evaluated at its own size, {backbone.facts.size[0]} px;"
            " --size does not apply"
        )
    if options.batch_size is not None and options.batch_size < 1:
        raise Mistake("--batch-size must be at least 1")
