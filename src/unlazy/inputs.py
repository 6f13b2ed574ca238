"""What a user gives on the command line, and the nouns that it names."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter

Progress = Callable[[str], AbstractContextManager[tuple[Any, Any]]]
"""A progress bar and its task, for a description."""


class Mistake(Exception):
    """Something that the user can put right; shown without a traceback."""


@Parameter(name="*")
@dataclass(frozen=True)
class Weights:
    """Which weights a model gets; by default its published ones."""

    checkpoint: Path | None = None
    """Local weights: safetensors, or a torch file (tensors only)."""
    random: Annotated[bool, Parameter(negative="")] = False
    """Random weights; page and Record say so."""


@Parameter(name="*")
@dataclass(frozen=True)
class Options:
    """How pictures are read and passed through a model."""

    data: Path | None = None
    """Folder of a data: data set."""
    size: int | None = None
    """Input pixels, a multiple of the patch; default: the model's own."""
    fit: Literal["crop", "squash", "native"] = "crop"
    """How a picture becomes that size; native keeps each picture's own."""
    shown: int = 8
    """Pictures on the page, evenly spread over all."""
    batch_size: int | None = None
    """Images a forward pass; default: by size."""
    workers: int | None = None
    """Decoding processes; default: by processors."""
    device: str | None = None
    """cpu, cuda, cuda:1, ...; default: a GPU if there is one."""
    seed: int = 0
    """Of the bootstrap."""


def view_of(backbone: Any, options: Options) -> Any:
    """The view that the options ask for, checked against the model."""
    from unlazy.geometry import View

    facts = backbone.facts
    size = (options.size, options.size) if options.size else facts.size
    backbone.check_size(*size)
    return View(
        size=size, fit=options.fit, interpolation=facts.interpolation, multiple=facts.multiple
    )


def backbone_of(model: str, weights: Weights, size: int | None) -> Any:
    """The model with the weights asked for; random ones come from a fixed seed.

    Args:
        model: a name, or NAME=FILE for local weights.
        weights: what applies to any model.
        size: as in ``catalog.load_backbone``.

    Raises:
        Mistake: weights are asked for in two ways, the file is missing, or the model has its own.
    """
    from unlazy.catalog import load_backbone

    name, own = own_weights(model)
    file = own or weights.checkpoint
    if own is not None and weights.checkpoint is not None:
        raise Mistake(f"{model} names its weights, and so does --checkpoint; give one of them")
    if file is not None and weights.random:
        raise Mistake(f"weights from {file} and --random exclude each other")
    if file is not None and not file.is_file():
        raise Mistake(f"there is no checkpoint {file}")
    if file is not None and ".py:" in name:
        raise Mistake(f"{name} builds its model with weights; let it load {file} itself")
    if not weights.random:
        return load_backbone(name, weights=file or "pretrained", size=size)
    import torch

    torch.manual_seed(0)
    return load_backbone(name, weights="random", size=size)


def own_weights(model: str) -> tuple[str, Path | None]:
    """The two halves of MODEL=FILE; an ``=`` in the path of a folder that exists is no separator.

    >>> own_weights("timm:vit_tiny_patch16_224=runs/last.pth")
    ('timm:vit_tiny_patch16_224', PosixPath('runs/last.pth'))
    """
    name, equals, file = model.rpartition("=")
    if not equals or Path(model.partition(":")[2]).exists():
        return model, None
    return name, Path(file)


def labels_of(models: list[str], backbones: Sequence[Any]) -> list[str]:
    """How a page calls the models: their names, and apart where two have the same.

    A file's name tells weights apart, else a number does: Records and maps are named by labels.
    """
    files = [own_weights(model)[1] for model in models]
    labels = [
        backbone.facts.name + (f"={file.name}" if file else "")
        for backbone, file in zip(backbones, files, strict=True)
    ]
    before = [labels[:place].count(label) for place, label in enumerate(labels)]
    return [
        f"{label} ({count + 1})" if count else label
        for label, count in zip(labels, before, strict=True)
    ]


def dataset_of(images: list[str], root: Path | None) -> Any:
    """Pictures from paths and data: names, joined: those from paths first."""
    from unlazy.data.folder import ImageFiles
    from unlazy.data.joined import Joined

    parts: list[Any] = []
    paths = [each for each in images if not each.startswith("data:")]
    if paths:
        parts.append(ImageFiles(paths))
    parts += [named_data(each.removeprefix("data:"), root) for each in images if each not in paths]
    return parts[0] if len(parts) == 1 else Joined(parts)


def named_data(name: str, root: Path | None, *, masks: bool = False, boxes: bool = True) -> Any:
    """A data set by NAME, NAME:SPLIT below ``root``, or NAME:WHICH where it is not below one.

    With ``masks`` it is opened with them where it has some; without ``boxes`` none are read where
    that takes files of their own.

    Raises:
        Mistake: the root is missing, or what stands after the name does not belong there.
    """
    from unlazy.catalog import call, find

    kind, _, rest = (name, "", "") if ".py:" in name else name.partition(":")
    make = find("data", kind)
    parameters = inspect.signature(make).parameters
    if "root" in parameters:
        if root is None:
            raise Mistake(
                f"data:{kind} needs --data FOLDER; `unlazy list data --data FOLDER` says what is"
                " there and what is missing"
            )
        if rest and "split" not in parameters:
            raise Mistake(f"data:{kind} has no splits; leave out :{rest}")
        given: dict[str, Any] = {"split": rest} if rest else {}
        if masks and "masks" in parameters:
            given["masks"] = True
        if not boxes and "boxes" in parameters:
            given["boxes"] = False
        return call(kind, make, root, **given)
    needed = [each for each in parameters.values() if each.default is each.empty]
    if needed and not rest:
        raise Mistake(f"write data:{kind}:{needed[0].name.upper()}, it does not go without")
    if rest and not needed:
        raise Mistake(f"nothing stands after data:{kind}; leave out :{rest}")
    return call(kind, make, rest) if rest else call(kind, make)


def device_of(name: str | None) -> str:
    """The device asked for; without a wish, this process's GPU if there is one."""
    import torch

    if name is None:
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.empty(0, device=name)
    except (RuntimeError, AssertionError) as problem:
        reason = str(problem).splitlines()[0]
        raise Mistake(f"--device {name} cannot be used here: {reason}") from problem
    return name


def workers_of(count: int | None) -> int:
    """Decoding processes asked for; without a wish, one less than the processors, 1 to 4."""
    return max(1, min(4, len(os.sched_getaffinity(0)) - 1)) if count is None else count


def fixed_of(
    fix: str, backbone: Any, dataset: Any, images: list[str], options: Options, progress: Progress
) -> Any:
    """The model under a saved fix, or under a named one that is calibrated on the pictures."""
    from unlazy.fixes.files import FIX, apply_saved

    if (Path(fix) / FIX).is_file():
        return apply_saved(Path(fix), backbone)
    found, _ = calibrated(named_fix(fix), backbone, dataset, images, options, progress)
    return found.apply(backbone)


def named_fix(fix: str) -> Any:
    """A saved fix, or a named one that is not calibrated yet."""
    from unlazy.fixes.files import FIX, read
    from unlazy.fixes.settings import with_settings

    return read(Path(fix))[0] if (Path(fix) / FIX).is_file() else with_settings(fix, [])


def calibrated(
    fix: Any,
    backbone: Any,
    dataset: Any,
    images: list[str],
    options: Options,
    progress: Progress,
) -> tuple[Any, Any]:
    """A fix calibrated on pictures, with its Record."""
    from unlazy.report.calibration import calibrate

    with progress(f"calibrating {fix.name}") as (bar, task):
        return calibrate(
            fix,
            backbone,
            dataset,
            source=" ".join(images),
            view=view_of(backbone, options),
            batch_size=options.batch_size,
            workers=workers_of(options.workers),
            progress=lambda done: bar.update(task, advance=done),
        )
