"""Checkpoints: a folder a step, written whole or not at all; safetensors and JSON, no pickle.

``weights.safetensors`` holds the trained module, its average and what else the objective must
remember, ``optimizer.safetensors`` the optimizer's moments, ``state.json`` the step. Order and
randomness are functions of seed and step, so there is nothing else to keep.
"""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
from pathlib import Path
from typing import Any, cast

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.distributed.checkpoint import state_dict as dcp
from torch.optim import Optimizer

from unlazy import distributed
from unlazy.backbones.vit_files import LABELS
from unlazy.training.objective import Objective
from unlazy.training.recipe import OF_THE_MACHINE, Recipe
from unlazy.whole_files import write_tensors, write_whole

SAVED = dcp.StateDictOptions(full_state_dict=True, cpu_offload=True)  # whole, on the main rank
WHERE, WHAT = ("", "steps/*/"), ("*.safetensors", "*.json", "log.jsonl")  # what a run writes
FULL = dcp.StateDictOptions(full_state_dict=True)  # whole, on every rank


def claim(out: Path, recipe: Recipe) -> bool:
    """Write the recipe into the run's folder, or check that the run there has the same one.

    One that never came to a step, since its settings were mistaken, gives way.

    Returns:
        Whether a run goes on there, as the main rank sees it.

    Raises:
        ValueError: another recipe; the message shows what differs.
        OSError: the folder cannot be written.
    """
    if not distributed.on_main():
        return False
    path, new = out / "recipe.json", json.loads(json.dumps(dataclasses.asdict(recipe)))
    started = out.is_dir() and any(each.name not in (path.name, LABELS) for each in out.iterdir())
    if started and path.is_file():
        try:
            old = json.loads(path.read_text())
        except ValueError as problem:
            raise ValueError(
                f"{path} cannot be read ({problem}): choose another folder with -o, or delete"
                f" {out} to train anew"
            ) from problem
        changed = differences(_completed(old, recipe), new)
        if changed:
            lines = "".join(f"\n  {line}" for line in changed)
            raise ValueError(
                f"{out} holds a run of another recipe:{lines}\n"
                "set these back to go on with it, or choose another folder with -o"
            )
    try:
        out.mkdir(parents=True, exist_ok=True)
        write_whole(path, json.dumps(new, indent=2).encode())
    except OSError as problem:
        raise OSError(f"cannot write to {out}: {problem.strerror}") from problem
    written = (f"{where}.{name}.part" for where in WHERE for name in WHAT)
    ours = ("checkpoint-????????.part", *written)
    for part in (each for name in ours for each in out.glob(name)):
        shutil.rmtree(part) if part.is_dir() else part.unlink()
    return started


def _completed(old: dict[str, Any], like: Any) -> dict[str, Any]:
    """A recipe as it was written, with the defaults of fields that came later."""
    found = dict(old)
    for each in dataclasses.fields(like):
        made: Any = each.default_factory
        default: Any = each.default if made is dataclasses.MISSING else made()
        if dataclasses.is_dataclass(default):
            default = dataclasses.asdict(cast(Any, default))
        if default is not dataclasses.MISSING:
            found.setdefault(each.name, json.loads(json.dumps(default)))
        now, before = getattr(like, each.name), found.get(each.name)
        if dataclasses.is_dataclass(now) and isinstance(before, dict):
            found[each.name] = _completed(before, now)
    return found


def differences(old: dict[str, Any], new: dict[str, Any], prefix: str = "") -> list[str]:
    """``key: old -> new`` for each field that differs and is not ``OF_THE_MACHINE``.

    >>> differences({"epochs": 1, "model": {"depth": 2}}, {"epochs": 3, "model": {"depth": 2}})
    ['epochs: 1 there, 3 now']
    """
    lines = []
    for key in dict.fromkeys([*old, *new]):
        before, after = old.get(key, "absent"), new.get(key, "absent")
        if isinstance(before, dict) and isinstance(after, dict):
            lines += differences(before, after, f"{prefix}{key}.")
        elif before != after and key not in OF_THE_MACHINE:
            lines.append(f"{prefix}{key}: {before} there, {after} now")
    return lines


def save(
    out: Path, step: int, objective: Objective, optimizer: Optimizer, pictures: dict[str, Any]
) -> None:
    """Write the checkpoint of ``step``, then delete the one before.

    ``pictures`` are those that the run learns from. Every rank takes part in collecting; the main
    one writes.

    Raises:
        OSError: it could not be written; the message names the last good one, which stays.
    """
    weights = _modules(objective)
    moments = {
        f"{weight}.{key}": tensor
        for weight, own in _moments(objective, optimizer, SAVED).get("state", {}).items()
        for key, tensor in own.items()
    }
    if not distributed.on_main():
        return
    part, state = out / f"checkpoint-{step:08d}.part", {"step": step, "pictures": pictures}
    try:
        part.mkdir()
        write_tensors(part / "weights.safetensors", weights, sync=True)
        write_tensors(part / "optimizer.safetensors", moments, sync=True)
        write_whole(part / "state.json", json.dumps(state).encode(), sync=True)
        os.replace(part, out / f"checkpoint-{step:08d}")
    except OSError as problem:
        shutil.rmtree(part, ignore_errors=True)
        before = latest(out)
        kept = f"goes on from the last good one, {before}" if before else "starts anew"
        raise OSError(
            f"the checkpoint of step {step} could not be written ({problem})."
            f" Free some space and start the same command again: it {kept}."
        ) from problem
    for old in sorted(out.glob("checkpoint-????????"))[:-1]:
        shutil.rmtree(old)


def restore(out: Path, objective: Objective, optimizer: Optimizer, pictures: dict[str, Any]) -> int:
    """Load the latest checkpoint in place and return its step; 0 without one.

    Raises:
        ValueError: its files are damaged, or it learned from other pictures than these.
    """
    found = latest(out)
    if found is None:
        return 0
    try:
        state = json.loads((found / "state.json").read_text())
        weights = load_file(found / "weights.safetensors")
        saved = load_file(found / "optimizer.safetensors")
    except (OSError, ValueError, SafetensorError) as problem:
        raise ValueError(
            f"{found} cannot be read ({problem}); delete that folder, and the run begins anew"
        ) from problem
    before = state.get("pictures", pictures)  # runs of before they were written go on
    if before != pictures:
        raise ValueError(
            f"{out} learned from other pictures: {before['count']:,} there, {pictures['count']:,}"
            f" now, names {before['names']} and {pictures['names']}; give the same --data to go on,"
            " or choose another folder with -o"
        )
    for name, module in _named(objective).items():
        own = {k.removeprefix(f"{name}."): v for k, v in weights.items() if _in(k, name)}
        dcp.set_model_state_dict(module, {**own}, options=FULL)
    for key, tensor in objective.state.items():
        tensor.copy_(weights[f"state.{key}"])
    moments = _moments(objective, optimizer, FULL)  # what else it holds, each step sets anew
    for key, tensor in saved.items():
        weight, _, kind = key.rpartition(".")
        moments["state"][weight][kind] = tensor
    dcp.set_optimizer_state_dict(objective.trained, optimizer, moments, options=FULL)
    return state["step"]


def latest(out: Path) -> Path | None:
    """The newest whole checkpoint of a run."""
    return max(out.glob("checkpoint-????????"), default=None)


def _named(objective: Objective) -> dict[str, nn.Module]:
    found = {"trained": objective.trained}
    return found | ({} if objective.averaged is None else {"averaged": objective.averaged})


def _in(key: str, name: str) -> bool:
    return key.startswith(f"{name}.")


def _moments(objective: Objective, optimizer: Optimizer, options: dcp.StateDictOptions) -> Any:
    """The optimizer's state by names of weights."""
    return dcp.get_optimizer_state_dict(objective.trained, optimizer, options=options)


def _modules(objective: Objective) -> dict[str, Tensor]:
    found = {f"state.{key}": tensor.cpu() for key, tensor in objective.state.items()}
    for name, module in _named(objective).items():
        state: dict[str, Any] = dcp.get_model_state_dict(module, options=SAVED)
        found |= {f"{name}.{key}": value.contiguous() for key, value in state.items()}
    return found
