"""Calibrated fixes as small files: ``fixed:FOLDER`` is the model that one was made for, fixed.

A folder holds ``fix.json`` (model, weights and their hash, settings, what calibration found),
``fix.safetensors`` where the fix has tensors, and the Record of the calibration.
"""

from __future__ import annotations

import dataclasses
import json
import typing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from unlazy.backbones.base import Backbone
from unlazy.catalog import UnknownName, find, load_backbone
from unlazy.fixes.base import Fix

VERSION = 1  # bump when the file's format changes
FIX, TENSORS = "fix.json", "fix.safetensors"
DAMAGED = (
    *(KeyError, TypeError, StopIteration, IndexError, json.JSONDecodeError, UnicodeDecodeError),
    SafetensorError,
)


@dataclass(frozen=True)
class Made:
    """What a fix was made for.

    Attributes:
        model: as the user named it.
        weights: "pretrained", "random", or the path of a local checkpoint.
        weights_hash: of the weights that it was calibrated on.
        size: pixels that the model was built for, or None for its own.
    """

    model: str
    weights: str
    weights_hash: str
    size: int | None = None


def contents(fix: Fix, made: Made) -> dict[str, bytes]:
    """File name -> content of a saved fix, without the Record."""
    tensors = {key: found for key, found in vars(fix).items() if isinstance(found, Tensor)}
    whole = {
        "version": VERSION,
        "fix": fix.name,
        **dataclasses.asdict(made),
        "parameters": parameters(fix),
    }
    files = {FIX: json.dumps(whole, indent=1, allow_nan=False).encode()}
    return files | ({TENSORS: save(tensors)} if tensors else {})


def parameters(fix: Fix) -> dict[str, Any]:
    """Everything but tensors: settings, and what calibration found."""
    return {key: _plain(found) for key, found in vars(fix).items() if not isinstance(found, Tensor)}


def read(folder: Path) -> tuple[Fix, Made]:
    """A saved fix and what it was made for.

    Raises:
        UnknownName: the folder holds no fix, or one of a name that is not known here.
        ValueError: the file is damaged, or of another version.
    """
    path = folder / FIX
    if not path.is_file():
        raise UnknownName(f"{folder} holds no saved fix ({FIX}); make one with: unlazy fix")
    try:
        whole = json.loads(path.read_text())
        if whole["version"] != VERSION:
            raise ValueError(
                f"{path} is of version {whole['version']}, this package reads {VERSION}"
            )
        kind = find("fixes", whole["fix"])
        made = Made(*(whole[each.name] for each in dataclasses.fields(Made)))
        given = dict(whole["parameters"])
        if (folder / TENSORS).is_file():
            given |= load_file(folder / TENSORS)
        return _built(kind, given), made
    except DAMAGED as error:
        raise ValueError(f"{path} is damaged ({error}); calibrate the fix again") from error


def apply_saved(folder: Path, backbone: Backbone) -> Backbone:
    """Apply a saved fix to the model that it was made for.

    Raises:
        ValueError: the weights are not those that it was calibrated on.
    """
    fix, made = read(folder)
    held = backbone.fingerprint()
    if held != made.weights_hash:
        raise ValueError(
            f"{folder} was calibrated on weights {made.weights_hash} of {made.model}"
            f" ({made.weights}, size {made.size or 'its own'}); {backbone.facts.name} has {held}."
            f" Calibrate again: unlazy fix {fix.name} MODEL IMAGES"
        )
    return fix.apply(backbone)


def load(folder: str, *, weights: Any = "pretrained", size: int | None = None) -> Backbone:
    """The fixed model of a folder that ``unlazy fix`` wrote.

    Args:
        folder: with ``fix.json``.
        weights: "pretrained" for those that the fix was made with, or the Path of their file.
        size: as the model was built for the calibration; None for the same.

    Raises:
        UnknownName: no such folder.
        ValueError: the weights are not those that it was calibrated on, or are not where they were.
    """
    made = read(Path(folder))[1]
    if weights == "pretrained":
        weights = made.weights
        if weights not in ("pretrained", "random"):
            weights = Path(weights)
            if not weights.is_file():
                raise ValueError(
                    f"the weights {weights} are gone; give them with --checkpoint FILE"
                )
    if weights == "random":
        torch.manual_seed(0)  # as the command line does
    backbone = load_backbone(made.model, weights=weights, size=size or made.size)
    return apply_saved(Path(folder), backbone)


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.asdict(value)
    return [_plain(each) for each in value] if isinstance(value, tuple) else value


def _built(kind: Any, given: dict[str, Any]) -> Fix:
    """The fix from plain JSON; its fields' annotations say what each value was."""
    hints = typing.get_type_hints(kind)
    return kind(**{key: _restored(hints.get(key), found) for key, found in given.items()})


def _restored(hint: Any, found: Any) -> Any:
    if isinstance(found, dict):
        inner = next(each for each in typing.get_args(hint) if dataclasses.is_dataclass(each))
        return inner(**found)  # type: ignore[operator]
    if isinstance(found, list):  # tuple[Row, ...]
        row = typing.get_args(hint)[0]
        return tuple(row(**each) for each in found)
    return found
