"""Recipe: a frozen, complete description of one training run, one class a supervision."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import ClassVar, Literal

from unlazy.backbones.vit import ViTConfig

Data = Literal["tiny-imagenet", "imagenet", "captions", "scenes"]
HELD = ("tiny-imagenet", "scenes")
SIZES = {"tiny-imagenet": 100_000, "imagenet": 1_281_167}
"""Training images of the data sets whose size is known before they are read."""

OF_THE_MACHINE = frozenset(
    {"workers", "compile", "sharding", "log_every", "save_every", "evaluate_every"}
    | {"evaluate_images", "keep_every"}
)
"""Fields that a resumed run may change: they say how it runs, not what is trained."""


@dataclass(frozen=True)
class Recipe:
    """What all kinds of supervision share.

    Attributes:
        name: of the run's folder.
        model: the architecture.
        data: ``tiny-imagenet``, ``imagenet`` (a folder a class), ``captions`` (tar shards) or
            ``scenes`` (drawn, no folder needed).
        classes: train and evaluate on the first so many classes of the data alone; None: all.
        hold: keep all pixels in memory, on the GPU if there is one, and augment them there;
            otherwise worker processes read and augment each picture anew.
        init: start from these weights: ``file:RUN``, ``bundled:NAME``, ``timm:NAME`` or a file.
        epochs: passes over the training data.
        batch: images an optimizer step, over all ranks and accumulated parts.
        accumulate: parts into which each rank cuts its share of the batch.
        warmup: share of all steps in which the learning rate rises linearly from zero; a cosine
            to ``final_rate`` times ``learning_rate`` follows.
        clip_norm: largest norm of the gradient, or None.
        decay: which weights decay: those of more than one dimension (``matrices``, as DINO; as
            open_clip but for CLS), of these not positions and CLS (``deit``), or ``all``.
        precision: of autocast; weights and optimizer stay float32.
        sharding: ``ddp``, or ``fully_shard`` (weights, gradients and optimizer split over ranks).
        compile: use ``torch.compile``.
        workers: processes that read pictures; None: by processors.
        log_every, save_every, evaluate_every: steps. An evaluation also ends the run; 0 leaves
            all of them out.
        keep_every: steps after which the model is also kept in ``steps/STEP``, a folder that is a
            run of its own; 0: never.
        evaluate_images: pictures of the validation split that take part, evenly spread.
    """

    name: str
    model: ViTConfig = field(default_factory=ViTConfig)
    data: Data = "tiny-imagenet"
    classes: int | None = None
    hold: bool = True
    init: str | None = None
    epochs: int = 5
    batch: int = 128
    accumulate: int = 1
    learning_rate: float = 1e-3
    final_rate: float = 0.0
    weight_decay: float = 0.05
    decay: Literal["matrices", "deit", "all"] = "matrices"
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    warmup: float = 0.05
    clip_norm: float | None = 1.0
    seed: int = 0
    precision: Literal["float32", "bfloat16"] = "float32"
    sharding: Literal["ddp", "fully_shard"] = "ddp"
    compile: bool = False
    workers: int | None = None
    log_every: int = 50
    save_every: int = 250
    evaluate_every: int = 1000
    evaluate_images: int = 2000
    keep_every: int = 0
    supervision: str = field(default="none", init=False)
    of_the_machine: ClassVar[frozenset[str]] = OF_THE_MACHINE
    drawn: ClassVar[bool] = False  # whether its pictures are scenes

    def __post_init__(self) -> None:
        for key in ("epochs", "batch", "accumulate", "log_every", "save_every", "evaluate_images"):
            within(self, key, 1, math.inf)
        for key in ("weight_decay", "seed", "evaluate_every", "keep_every"):
            within(self, key, 0, math.inf)
        for key in ("warmup", "final_rate"):
            within(self, key, 0, 1)
        above(self, "learning_rate", "eps")
        if self.clip_norm is not None:
            above(self, "clip_norm")
        if not all(0 <= beta < 1 for beta in self.betas):
            raise ValueError(f"betas must lie in [0, 1), not {self.betas}")
        if self.workers is not None:
            within(self, "workers", 0, math.inf)
        if self.hold and self.data not in HELD:
            raise ValueError(f"{self.data} does not fit into memory; use hold=false")
        if self.classes is not None:
            within(self, "classes", 1, math.inf)
        if self.classes is not None and self.data in ("captions", "scenes"):
            raise ValueError(f"the pictures of {self.data} cannot be chosen by class")
        if (self.data == "scenes") != self.drawn:
            raise ValueError("drawn scenes have recipes of their own, such as tiny_scenes")


def within(recipe: Recipe, key: str, low: float, high: float) -> None:
    """Refuse a field outside of [low, high]."""
    value = getattr(recipe, key)
    if not low <= value <= high:
        most = "" if high == math.inf else f" and at most {high}"
        raise ValueError(f"{key} must be at least {low}{most}, not {value}")


def above(recipe: Recipe, *keys: str) -> None:
    """Refuse fields that are not above 0."""
    for key in keys:
        if not getattr(recipe, key) > 0:
            raise ValueError(f"{key} must be above 0, not {getattr(recipe, key)}")


def share(recipe: Recipe, key: str) -> None:
    """Refuse a range of shares that is none."""
    low, high = getattr(recipe, key)
    if not 0 < low <= high <= 1:
        raise ValueError(f"{key} is the least and the greatest share of the area, not {low},{high}")
