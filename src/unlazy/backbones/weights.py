"""Weights from local files: read safely, fitted exactly, or refused in words that help.

A checkpoint is never loaded in part: keys that are missing, unexpected or of another shape are an
error that names them. The one exception is keys of heads that the model was built without, which
are reported.
"""

from __future__ import annotations

import argparse
import logging
import pickle
import re
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

Weights = Literal["pretrained", "random"] | Path
"""Where a model's weights come from; a Path is a local checkpoint."""

Convert = Callable[[dict[str, Tensor]], dict[str, Tensor]]

NESTS = ("teacher", "state_dict_ema", "model_ema", "state_dict", "model_state", "model", "student")
PREFIXES = ("module.", "model.", "backbone.", "teacher.", "encoder.", "visual.")
HEADS = ("head.", "heads.", "head_dist.", "fc.", "dino_head", "ibot_head", "attn_pool.", "decoder")
COUNTERS = "num_batches_tracked"  # never used in evaluation, absent from old files
PICKLE_STARTS = (b"PK", b"\x80")  # a torch archive, a bare pickle
SHOWN = 4  # keys that an error names

_log = logging.getLogger(__name__)


class BadCheckpoint(ValueError):
    """A file that holds no readable weights."""


class CheckpointMismatch(ValueError):
    """Weights that are not those of the model they were asked for."""


class PretrainedUnavailable(ValueError):
    """Published weights that cannot be had here.

    Attributes:
        reason: a line.
    """

    def __init__(self, name: str, reason: Exception) -> None:
        self.reason = _first_line(reason)
        super().__init__(
            f"cannot get the published weights of {name} ({self.reason});"
            " give a local file with --checkpoint FILE, or build it untrained with --random"
        )


@dataclass(frozen=True)
class Loaded:
    """What came of fitting a checkpoint into a model.

    Attributes:
        name: the file's name.
        prefix: what was stripped from the front of its keys.
        ignored: keys of heads that the model was built without.
    """

    name: str
    prefix: str
    ignored: tuple[str, ...]


def read_checkpoint(path: Path) -> dict[str, Tensor]:
    """The named tensors of a safetensors or torch file; no code in the file is run.

    Weights nested in a training checkpoint are found; an EMA teacher is preferred to its student.

    Raises:
        BadCheckpoint: the file is missing, truncated, would run code, or holds no weights.
    """
    if not path.is_file():
        raise BadCheckpoint(f"there is no checkpoint file {path}")
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        with (
            torch.serialization.safe_globals([argparse.Namespace]),  # holds settings, runs nothing
            warnings.catch_warnings(),
        ):
            warnings.filterwarnings("ignore", "Detected pickle protocol")  # it is read or refused
            held = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise BadCheckpoint(_unpickling(path, str(error))) from error
    except (SafetensorError, RuntimeError, EOFError, ValueError, KeyError) as error:
        raise BadCheckpoint(
            f"{path.name} is damaged, truncated or not a checkpoint ({_first_line(error)});"
            " download or copy it again"
        ) from error
    return _unnest(held, path.name)


def load_into(model: nn.Module, path: Path, *, convert: Convert | None = None) -> Loaded:
    """Load a checkpoint file into a model, exactly.

    Args:
        model: built with the shapes that the file should have.
        path: the file.
        convert: from another library's key names to the model's.

    Raises:
        BadCheckpoint: the file cannot be read, or a weight is not finite.
        CheckpointMismatch: its keys or shapes are not the model's.
    """
    return fit(model, read_checkpoint(path), name=path.name, convert=convert)


def fit(
    model: nn.Module,
    state: Mapping[str, Tensor],
    *,
    name: str,
    convert: Convert | None = None,
) -> Loaded:
    """Load named tensors into a model, exactly; see ``load_into``."""
    prefix, fitted = stripped(model, state, convert=convert)
    wanted = model.state_dict()
    outside = [key for key in state if not key.startswith(prefix)]
    unused = [key for key in fitted if key not in wanted]
    ignored = [key for key in (*unused, *outside) if is_head(key)]
    missing = [key for key in wanted if key not in fitted and not key.endswith(COUNTERS)]
    unexpected = [key for key in (*unused, *outside) if not is_head(key)]
    shapes = [
        f"{key} is {tuple(fitted[key].shape)} in the file, {tuple(tensor.shape)} in the model"
        for key, tensor in wanted.items()
        if key in fitted and fitted[key].shape != tensor.shape
    ]
    if missing or unexpected or shapes:
        raise CheckpointMismatch(_mismatch(name, model, missing, unexpected, shapes))
    used = {key: tensor for key, tensor in fitted.items() if key in wanted}
    _check_finite(used, name)
    model.load_state_dict(used, strict=True)
    if ignored:
        _log.warning("%s: not used, the model has no such head: %s", name, _some(ignored))
    return Loaded(name, prefix, tuple(ignored))


def stripped(
    model: nn.Module, state: Mapping[str, Tensor], *, convert: Convert | None = None
) -> tuple[str, dict[str, Tensor]]:
    """The prefix whose removal makes most keys the model's, and the keys without it, converted.

    >>> model = nn.Linear(2, 2)
    >>> stripped(model, {"module.backbone." + k: v for k, v in model.state_dict().items()})[0]
    'module.backbone.'
    """
    wanted = set(model.state_dict())
    candidates: dict[str, dict[str, Tensor]] = {}
    for prefix in sorted({chain for key in state for chain in _chains(key)}, key=len):
        part = {key[len(prefix) :]: state[key] for key in state if key.startswith(prefix)}
        try:
            candidates[prefix] = convert(part) if convert else part
        except (KeyError, RuntimeError) as error:  # not the format that the conversion expects
            _log.debug("keys after %r do not convert: %s", prefix, error)
            candidates[prefix] = part
    best = max(candidates, key=lambda prefix: len(wanted & set(candidates[prefix])), default="")
    return best, candidates.get(best, {})


def is_head(key: str) -> bool:
    """Whether a key belongs to a head rather than to the backbone.

    >>> is_head("module.head.mlp.0.weight"), is_head("blocks.0.attn.qkv.weight")
    (True, False)
    """
    return any(key[len(chain) :].startswith(HEADS) for chain in _chains(key))


def _chains(key: str) -> list[str]:
    """Every run of known prefixes that a key starts with, the empty one first."""
    chains = [""]
    while True:
        rest = key[len(chains[-1]) :]
        found = next((prefix for prefix in PREFIXES if rest.startswith(prefix)), None)
        if found is None:
            return chains
        chains.append(chains[-1] + found)


def _unnest(held: object, name: str) -> dict[str, Tensor]:
    while isinstance(held, Mapping):
        inner = next((held[key] for key in NESTS if isinstance(held.get(key), Mapping)), None)
        if inner is None:
            break
        held = inner
    if isinstance(held, Mapping):
        tensors = {str(key): value for key, value in held.items() if isinstance(value, Tensor)}
        if tensors:
            return tensors
    found = ", ".join(map(str, held)) if isinstance(held, Mapping) else type(held).__name__
    raise BadCheckpoint(
        f"{name} holds no named weights (found: {found[:200]});"
        f" save a state_dict, alone or under one of {', '.join(NESTS)}"
    )


def _unpickling(path: Path, reason: str) -> str:
    with path.open("rb") as file:
        starts = file.read(2)
    if not starts.startswith(PICKLE_STARTS):
        return f"{path.name} is damaged or not a checkpoint; download or copy it again"
    found = re.search(r"GLOBAL (\S+)", reason)
    named = found[1] if found else "it holds Python objects that are not weights"
    return (
        f"{path.name} was refused, since loading it could run code ({named}). If you trust it,"
        " re-save only its state_dict as safetensors, in the environment that made it"
    )


def _check_finite(state: Mapping[str, Tensor], name: str) -> None:
    for key, tensor in state.items():
        if not bool(torch.isfinite(tensor).all()):
            bad = int((~torch.isfinite(tensor)).sum())
            raise BadCheckpoint(
                f"{name}: {bad} of {tensor.numel()} values of {key} are NaN or infinite;"
                " the training run diverged or the file is damaged, use an earlier checkpoint"
            )


def _mismatch(
    name: str, model: nn.Module, missing: list[str], unexpected: list[str], shapes: list[str]
) -> str:
    parts = [
        f"{len(keys)} {what} ({_some(keys)})"
        for what, keys in (
            ("keys missing", missing),
            ("keys unexpected", unexpected),
            ("of another shape", shapes),
        )
        if keys
    ]
    return (
        f"{name} does not fit {type(model).__name__}: {'; '.join(parts)}."
        " Nothing was loaded; name the model that the file was trained as"
    )


def _some(keys: list[str]) -> str:
    more = f", and {len(keys) - SHOWN} more" if len(keys) > SHOWN else ""
    return ", ".join(keys[:SHOWN]) + more


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n")[0][:160] or type(error).__name__
