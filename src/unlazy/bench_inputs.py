"""What the commands for benchmarks are given: data, and options that apply to them."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from unlazy.inputs import Mistake, Options, named_data


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
    raise Mistake(f"{said}; choose with --on NAME (`unlazy list data --data {root}`)")


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


def benchmark_data(
    chosen: Sequence[Any], on: str | None, root: Path | None
) -> tuple[str, dict[bool, Any], Any]:
    """What benchmarks run on.

    Returns:
        Name of the data set; with masks or without -> the pictures to evaluate; the training split,
        where one of the benchmarks learns.

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
    return name, opened, training


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
