"""The log in other formats: TensorBoard and W&B, where they are installed and asked for."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Literal

Tracker = Literal["tensorboard", "wandb"]
Write = Callable[[int, dict[str, float]], None]


def writers(trackers: Iterable[Tracker], out: Path, name: str) -> list[Write]:
    """One function a tracker; each takes a step and its numbers.

    Raises:
        ImportError: a tracker is not installed; the message says how to install it.
        ConnectionError: W&B has no key or no network.
    """
    made = {"tensorboard": _tensorboard, "wandb": _wandb}
    return [made[tracker](out, name) for tracker in dict.fromkeys(trackers)]


def numbers(row: dict[str, Any]) -> dict[str, float]:
    """The numbers of a row of the log under flat names.

    >>> numbers({"step": 5, "steps": 9, "loss": 0.5, "evaluation": {"top1": 0.1}})
    {'train/loss': 0.5, 'evaluation/top1': 0.1}
    """
    found = {f"train/{key}": row[key] for key in ("loss", "images_per_second") if key in row}
    return found | {f"evaluation/{k}": v for k, v in row.get("evaluation", {}).items()}


def _tensorboard(out: Path, name: str) -> Write:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise ImportError("TensorBoard is an extra: run `pip install unlazy[train]`") from error
    writer = SummaryWriter(str(out / "tensorboard"))

    def write(step: int, found: dict[str, float]) -> None:
        for key, value in found.items():
            writer.add_scalar(key, value, step)
        writer.flush()

    return write


def _wandb(out: Path, name: str) -> Write:
    try:
        import wandb
        from wandb.errors import Error
    except ImportError as error:
        raise ImportError("W&B is an extra: run `pip install unlazy[wandb]`") from error
    try:
        run = wandb.init(
            project="unlazy",
            name=name,
            id=hashlib.sha256(str(out.resolve()).encode()).hexdigest()[:16],  # a folder, a run
            dir=str(out),
            resume="allow",
            reinit="finish_previous",
        )
    except Error as error:
        raise ConnectionError(
            f"W&B does not start ({error}); run `wandb login`, or set WANDB_MODE=offline"
        ) from error
    return lambda step, found: run.log(found, step=step)
