"""What tells one pass over pictures from another: a hash over all that its numbers depend on."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import importlib.metadata
import inspect
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from unlazy.backbones.base import Backbone
from unlazy.geometry import View

PACKAGES = ("unlazy", "torch", "torchvision", "timm", "numpy", "pillow")
"""Those whose version a number may depend on."""


class Unidentified(Exception):
    """Something that may differ from another one without showing it."""


def identity(
    backbone: Backbone,
    dataset: Any,
    measures: Iterable[Any],
    *,
    view: View,
    about: Mapping[str, Any],
    weights: str | None = None,
) -> str:
    """SHA-256 over weights, fix, device, view, measures, data and versions, in hex digits.

    Of the data: its type, names, length, numbers, texts and tuples of these that it carries and,
    where it has one, its ``fingerprint``, as ``unlazy.data`` has over the sizes of files and over
    annotations; the pictures themselves are not read.

    Args:
        backbone: the model.
        dataset: the pictures.
        measures: what observes, with all its parameters and the code that it is in.
        view: of the pictures.
        about: what else tells passes apart.
        weights: the backbone's fingerprint, where it is known already.

    Raises:
        Unidentified: a part has no value to recognise it by.
    """
    whole = _model(backbone, weights) | {
        "view": described(view),
        "measures": [described(each) for each in measures],
        "data": _data(dataset),
        "about": described(about),
    }
    return _sha(json.dumps(whole, sort_keys=True).encode())


def model_identity(backbone: Backbone, *, about: Any) -> str:
    """SHA-256 over weights, fix, device and versions, in hex digits.

    Args:
        backbone: the model.
        about: what else tells what is known by it apart.

    Raises:
        Unidentified: a part has no value to recognise it by.
    """
    whole = _model(backbone, None) | {"about": described(about)}
    return _sha(json.dumps(whole, sort_keys=True).encode())


def data_identity(dataset: Any) -> str:
    """SHA-256 over what tells a data set from another one, in hex digits; see ``identity``."""
    return _sha(json.dumps(_data(dataset), sort_keys=True).encode())


def _model(backbone: Backbone, weights: str | None) -> dict[str, Any]:
    """A model as JSON; ``weights``: its fingerprint, where it is known already."""
    reference = next(backbone.parameters())
    lower = [] if backbone.precision is None else [f"autocast to {backbone.precision}"]
    return {
        "weights": [_code(type(backbone)), weights or backbone.fingerprint()],
        "facts": described(backbone.facts),
        "fix": [backbone.fix, described(getattr(backbone, "install", None))],
        "runs on": [reference.device.type, str(reference.dtype), *lower],
        "versions": [importlib.metadata.version(name) for name in PACKAGES],
    }


def described(value: Any) -> Any:
    """A value as JSON that differs wherever two values of the kind do.

    A path stands for its file's content too; a folder, and a file that is not there, for its name.

    >>> described((1, {"b": None}))
    [1, {"'b'": None}]

    Raises:
        Unidentified: it is of another kind than numbers, texts, paths, collections, arrays,
            dataclasses, modules and functions.
    """
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, torch.Tensor | np.ndarray | np.generic):
        return _array(value)
    if isinstance(value, Mapping):
        return {repr(key): described(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [described(item) for item in value]
    if isinstance(value, set | frozenset):
        return sorted((described(item) for item in value), key=json.dumps)
    if isinstance(value, nn.Module):
        return [_code(type(value)), repr(value), described(value.state_dict())]
    if isinstance(value, type):
        return _code(value)
    if isinstance(value, Path):
        return [str(value), _content(value)]
    if dataclasses.is_dataclass(value):
        found = {each.name: getattr(value, each.name) for each in dataclasses.fields(value)}
        return [_code(type(value)), described(found)]
    return _function(value)


def _function(value: Any) -> Any:
    """A function with all that it carries."""
    if isinstance(value, functools.partial):
        return [described(each) for each in (value.func, value.args, value.keywords)]
    if inspect.ismethod(value):
        return [value.__func__.__qualname__, described(value.__self__)]
    if inspect.isfunction(value):
        cells = [cell.cell_contents for cell in value.__closure__ or ()]
        carried = [cells, value.__defaults__, value.__kwdefaults__]
        lines = [value.__code__.co_firstlineno, _sha(value.__code__.co_code)]
        return [_code(value), lines, described(carried)]
    if inspect.isbuiltin(value):
        return [value.__module__, value.__qualname__]
    if isinstance(value, torch.dtype | torch.device):
        return str(value)
    raise Unidentified(f"a {type(value).__module__}.{type(value).__qualname__}")


def _code(kind: Any) -> list[str]:
    """A class or function: its name, and the file that it is written in."""
    try:
        file = inspect.getsourcefile(kind)
    except TypeError:  # written in C
        file = None
    return [kind.__module__, kind.__qualname__, _file(file) if file else ""]


@functools.lru_cache(maxsize=64)
def _file(path: str) -> str:
    return _content(Path(path))


def _content(path: Path) -> str:
    if not path.is_file():
        return ""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _array(value: torch.Tensor | np.ndarray | np.generic) -> list[Any]:
    if isinstance(value, torch.Tensor):
        plain = value.detach().cpu().contiguous().reshape(-1)
        return [str(value.dtype), list(value.shape), _sha(plain.view(torch.uint8).numpy())]
    if value.dtype.hasobject:
        raise Unidentified("an array of Python objects")
    return [str(value.dtype), list(value.shape), _sha(np.ascontiguousarray(value).tobytes())]


def _data(dataset: Any) -> list[Any]:
    """Type, length, plain attributes, names and fingerprint; of its parts, if it has some."""
    plain = {key: value for key, value in getattr(dataset, "__dict__", {}).items() if _plain(value)}
    found = [type(dataset).__qualname__, len(dataset), plain]
    if hasattr(dataset, "name_of"):
        names = (dataset.name_of(index) for index in range(len(dataset)))
        found.append(_sha(json.dumps(list(names)).encode()))
    if hasattr(dataset, "fingerprint"):
        found.append(dataset.fingerprint())
    inside = getattr(dataset, "parts", [dataset.dataset] if hasattr(dataset, "dataset") else [])
    return [*found, *map(_data, inside)]


def _plain(value: Any) -> bool:
    if isinstance(value, tuple):
        return all(map(_plain, value))
    return isinstance(value, bool | int | float | str)


def _sha(content: Any) -> str:
    return hashlib.sha256(content).hexdigest()
