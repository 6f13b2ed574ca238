"""What keeps a figure of a paper from being measured here, and where that is had."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

from unlazy.backbones.cached import is_cached
from unlazy.benchmarks.base import Need
from unlazy.catalog import find
from unlazy.data.expected import EXPECTED, WITH_BOXES, Expected, Found, look
from unlazy.report.numbers import flattened
from unlazy.report.tables.row import Local, NotHad, Pretrained, Row, Trained
from unlazy.settings import override


def missing_file(row: Row) -> str:
    """What is missing of a file that a setting names; it is looked for in the current folder."""
    return f"{row.file}, from {row.where}" if row.file and not Path(row.file).is_file() else ""


def model_of(row: Row, given: str | None) -> tuple[str, str, str]:
    """MODEL, what is missing of it, and what it is instead of the paper's."""
    origin = row.origin
    if given is not None:
        model, _, file = given.partition("=")
        if isinstance(origin, Local) and (model, Path(file).name) == (origin.model, origin.file):
            return given, "", ""
        if not isinstance(origin, Trained):
            return given, "" if file else _published(model), f"model {given}"
        other = _other_run(given, origin)
        if origin.step and not other:
            other = f"model {given}: whether it is the step {origin.step} is not checked"
        return given, "" if file else _published(model), other
    if isinstance(origin, NotHad):
        return "", origin.reason, ""
    if isinstance(origin, Pretrained):
        return origin.model, _published(origin.model), ""
    use = f'--model "{row.model}='
    if isinstance(origin, Local):
        return (
            f"{origin.model}={origin.file}",
            f'weights {origin.file}, from {origin.where}; then {use}{origin.model}=FILE"',
            "",
        )
    public = f"; the paper's weights: {origin.public}" if origin.public else ""
    train = f"train it ({origin.data}, takes GPUs): {origin.command}{public}"
    model = f"file:{origin.run}"
    if origin.step:
        reason = (
            f'{train}; then, of the kept steps, the one {origin.step}: {use}{model}/steps/STEP"'
        )
        return f"{model}/steps/STEP", reason, ""
    other = _other_run(model, origin)
    return model, f"{other}; {train}" if other else "", ""


def _published(model: str) -> str:
    """What is missing of published weights, and what fetches them."""
    try:
        here = is_cached(model)
    except ImportError as error:
        return str(error)
    return "" if here else f"published weights, not on this machine: unlazy doctor {model} fetches"


def _other_run(model: str, origin: Trained) -> str:
    """Why a MODEL is not the finished run of a recipe; "" if it is.

    Whatever of the recipe differs is named, but for what says only how a run runs.
    """
    scheme, _, folder = model.partition(":")
    files = [Path(folder) / name for name in ("recipe.json", "model.safetensors")]
    if scheme != "file" or not all(file.is_file() for file in files):
        return f"model {model} is no finished run of {origin.recipe}"
    wanted = override(find("recipes", origin.recipe)(), origin.words)
    asked, there = (
        {key: text for key, text in flattened(each) if key.partition(".")[0] not in ignored}
        for ignored in [{"name", *wanted.of_the_machine}]
        for each in (dataclasses.asdict(wanted), json.loads(files[0].read_text()))
    )
    other = [
        f"{key} {there.get(key, 'not said')} instead of {text}"
        for key, text in asked.items()
        if there.get(key) != text
    ]
    return f"model {model} is a run of other settings ({', '.join(other)})" if other else ""


def data_state(name: str, root: Path | None, *, needs: frozenset[Need]) -> tuple[str, str]:
    """What is missing of a data set, and what of it is there in part; "" for nothing.

    Data that are not among the known ones are taken as they are.

    Args:
        name: as ``--on`` takes it.
        root: their folder; None: not said.
        needs: what the pictures must come with; boxes are not counted unless it has them.
    """
    parts = parts_of(name)
    if not parts:
        return "", ""
    masks = "masks" in needs
    part = next((each for each in parts if ("masks" in each.part) == masks), parts[0])
    if "boxes" not in needs:
        counts = {what: count for what, count in part.counts.items() if what != WITH_BOXES}
        part = dataclasses.replace(part, counts=counts)
    if root is None:
        return f"data {part.name} {part.part} (give --data ROOT), from {part.where}", ""
    found = look(part, root)
    if found.missing:
        return f"data {part.name} {part.part}: {found.missing}; from {part.where}", ""
    if WITH_BOXES in part.counts and not found.counts[WITH_BOXES]:
        return f"boxes of data {part.name} {part.part}: none found; from {part.where}", ""
    return "", "" if found.complete else _in_part(found)


def parts_of(name: str) -> list[Expected]:
    """What is known of a data set; more than one where no split is named, or masks are apart."""
    kind, _, split = name.partition(":")
    return [
        each
        for each in EXPECTED
        if each.name == kind and split in ("", each.part.partition(" ")[0])
    ]


def _in_part(found: Found) -> str:
    counts = (
        f"{found.counts.get(what, 0):,} of {count:,} {what}"
        for what, count in found.expected.counts.items()
    )
    return f"{found.expected.name} in part ({', '.join(counts)})"
