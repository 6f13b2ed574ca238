"""What the commands for benchmarks are given: data, and options that apply to them."""

from __future__ import annotations

import hashlib
import inspect
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from unlazy.console import progress
from unlazy.inputs import Mistake, Options, Weights, named_data, named_fix, workers_of


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


def identity_of(backbone: Any, data: Data, benchmark: Any, options: Options) -> str:
    """What the numbers depend on: another one is measured anew; "" where that cannot be told."""
    from unlazy.identity import Unidentified, identity

    about = {"benchmark": benchmark, "version": benchmark.version, "seed": options.seed}
    about |= {"training": len(data.training) if data.training is not None else 0}
    try:
        view = benchmark.view(backbone.facts)
        return identity(backbone, data.of(benchmark), [], view=view, about=about)
    except Unidentified:
        return ""


def measured_before(path: Path, known: str) -> Any:
    """The Record of an earlier run of the same identity, if it is there; else None."""
    mark = _mark(path)
    if not known or not path.is_file() or not mark.is_file():
        return None
    return json.loads(path.read_text()) if mark.read_text() == _marked(path, known) else None


def mark_measured(path: Path, known: str) -> None:
    """Say of a Record what its numbers depend on."""
    from unlazy.whole_files import write_whole

    write_whole(_mark(path), _marked(path, known).encode())


def _mark(path: Path) -> Path:
    return path.with_name(f".{path.stem}.identity")


def _marked(path: Path, known: str) -> str:
    """Identity, and a hash of the Record itself: another one may have taken its place."""
    return f"{known} {hashlib.sha256(path.read_bytes()).hexdigest()}"


def recognised(root: Path) -> str:
    """The name of the data set that a folder is.

    Raises:
        Mistake: none of those known, or several; the message says how to choose.
    """
    from unlazy.data.expected import recognise

    found = recognise(root)
    if len(found) == 1:
        return found[0]
    said = f"{root} holds {' and '.join(found)}" if found else f"{root} is no data set known here"
    own = (
        ""
        if found
        else "; own pictures go with boxes.csv, a COCO JSON or YOLO's text files beside them"
        " (--on box-folder)"
    )
    raise Mistake(f"{said}; choose with --on NAME (`unlazy list data --data {root}`){own}")


def training_split(name: str, root: Path | None) -> Any:
    """The training split beside a data set, or None where it has none."""
    from unlazy.catalog import find

    kind = name if ".py:" in name else name.partition(":")[0]
    if "split" not in inspect.signature(find("data", kind)).parameters:
        return None
    try:
        return named_data(f"{kind}:train", root)
    except ValueError:
        return None


def benchmark_data(chosen: Sequence[Any], on: str | None, root: Path | None) -> Data:
    """What benchmarks run on; the training split is there where one of them learns.

    Raises:
        Mistake: no data are named, they are not recognised, or there is no split to learn from.
    """
    if root is None and on is None:
        raise Mistake(
            f"{chosen[0].name} needs --data FOLDER; `unlazy list data` names what it knows"
        )
    name = on or recognised(root) if root is not None else str(on)
    learning = [each.name for each in chosen if "training" in each.needs]
    if learning and name.endswith(":train"):
        raise Mistake(
            f"{', '.join(learning)} would learn from the pictures that are evaluated; choose"
            " another split with --on"
        )
    wanted = sorted({"masks" in each.needs for each in chosen})
    opened = {masks: named_data(name, root, masks=masks) for masks in wanted}
    training = training_split(name, root) if learning else None
    if learning and training is None:
        raise Mistake(
            f"{name} has no training split to learn from; leave out {', '.join(learning)}"
        )
    return Data(name, opened, training)


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
