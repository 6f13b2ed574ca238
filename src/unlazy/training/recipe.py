"""Recipe: a frozen, complete description of one training run, one class a supervision."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import ClassVar, Literal

from unlazy.backbones.vit import ViTConfig
from unlazy.data.synthetic import Scenes
from unlazy.pooling.lazystrike import kept
from unlazy.training.views import Colour

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
        precision: of autocast; weights, optimizer and losses stay float32.
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

    def __post_init__(self) -> None:
        for key in ("epochs", "batch", "accumulate", "log_every", "save_every", "evaluate_images"):
            _within(self, key, 1, math.inf)
        for key in ("weight_decay", "seed", "evaluate_every", "keep_every"):
            _within(self, key, 0, math.inf)
        for key in ("warmup", "final_rate"):
            _within(self, key, 0, 1)
        _above(self, "learning_rate", "eps")
        if self.clip_norm is not None:
            _above(self, "clip_norm")
        if not all(0 <= beta < 1 for beta in self.betas):
            raise ValueError(f"betas must lie in [0, 1), not {self.betas}")
        if self.workers is not None:
            _within(self, "workers", 0, math.inf)
        if self.hold and self.data not in HELD:
            raise ValueError(f"{self.data} does not fit into memory; use hold=false")
        if self.classes is not None and self.data in ("captions", "scenes"):
            raise ValueError(f"the pictures of {self.data} cannot be chosen by class")
        if (self.data == "scenes") != isinstance(self, SceneRecipe):
            raise ValueError("drawn scenes have recipes of their own, such as tiny_scenes")


def _within(recipe: Recipe, key: str, low: float, high: float) -> None:
    value = getattr(recipe, key)
    if not low <= value <= high:
        most = "" if high == math.inf else f" and at most {high}"
        raise ValueError(f"{key} must be at least {low}{most}, not {value}")


def _above(recipe: Recipe, *keys: str) -> None:
    for key in keys:
        if not getattr(recipe, key) > 0:
            raise ValueError(f"{key} must be above 0, not {getattr(recipe, key)}")


def _share(recipe: Recipe, key: str) -> None:
    low, high = getattr(recipe, key)
    if not 0 < low <= high <= 1:
        raise ValueError(f"{key} is the least and the greatest share of the area, not {low},{high}")


@dataclass(frozen=True)
class LabelRecipe(Recipe):
    """Class labels, in the manner of DeiT and AugReg.

    Attributes:
        crop: ``shift`` (reflected ``padding`` and a random crop of the same size) or ``resized``
            (a random region that covers a share of the area within ``crop_scale``).
        flip: probability of a horizontal flip.
        mixup, cutmix: parameter of the Beta distribution; 0 leaves it out, with both a coin
            decides at each step.
        rand_augment: timm's name of a policy, such as ``rand-m9-mstd0.5-inc1``; needs hold=false.
        erasing: probability of erasing a random rectangle; needs hold=false.
        ema: decay of the weights' moving average, which then is evaluated and kept; 0: none.
    """

    label_smoothing: float = 0.1
    crop: Literal["shift", "resized"] = "shift"
    padding: int = 6
    crop_scale: tuple[float, float] = (0.08, 1.0)
    flip: float = 0.5
    mixup: float = 0.0
    cutmix: float = 0.0
    rand_augment: str | None = None
    erasing: float = 0.0
    ema: float = 0.0
    supervision: str = field(default="label", init=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.data == "captions":
            raise ValueError("captions have no labels; they need a recipe of text or self kind")
        for key in ("label_smoothing", "flip", "erasing", "ema"):
            _within(self, key, 0, 1)
        for key in ("padding", "mixup", "cutmix"):
            _within(self, key, 0, math.inf)
        _share(self, "crop_scale")
        if self.hold and (self.rand_augment or self.erasing):
            raise ValueError("rand_augment and erasing run in reading workers; use hold=false")
        if not self.hold and self.crop == "shift":
            raise ValueError("pictures that are read anew differ in size; use crop=resized")


@dataclass(frozen=True)
class SceneRecipe(LabelRecipe):
    """Class labels of drawn scenes; a flip would turn one class of stripes into another.

    Attributes:
        scenes: what is drawn to train on; another seed draws ``validation`` more to evaluate on.
    """

    data: Data = "scenes"
    scenes: Scenes = field(default_factory=lambda: Scenes(count=4000, size=(64, 64), seed=1))
    validation: int = 500
    flip: float = 0.0


@dataclass(frozen=True)
class TextConfig:
    """The text tower: open_clip's transformer and tokenizer.

    Attributes:
        context: tokens of a caption, start and end included.
    """

    context: int = 16
    width: int = 128
    heads: int = 4
    layers: int = 3


@dataclass(frozen=True)
class TextRecipe(Recipe):
    """Captions, in the manner of CLIP; class names become captions through prompt templates.

    ``model.num_classes`` is the width of the shared space, into which the head projects; with 0
    the image vector itself is in it.

    Attributes:
        text: the text tower.
        crop, padding, crop_scale, flip: as in ``LabelRecipe``.
        temperature: at the start; learned, never below 0.01.
        ema: as in ``LabelRecipe``.
    """

    model: ViTConfig = field(default_factory=lambda: ViTConfig(num_classes=0))
    text: TextConfig = field(default_factory=TextConfig)
    crop: Literal["shift", "resized"] = "shift"
    padding: int = 6
    crop_scale: tuple[float, float] = (0.9, 1.0)
    flip: float = 0.5
    temperature: float = 0.07
    ema: float = 0.0
    supervision: str = field(default="text", init=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        for key in ("flip", "ema"):
            _within(self, key, 0, 1)
        _within(self, "padding", 0, math.inf)
        _share(self, "crop_scale")
        if self.accumulate != 1:
            raise ValueError("the contrastive loss needs the whole batch at once; use accumulate=1")
        if not self.hold and self.crop == "shift":
            raise ValueError("pictures that are read anew differ in size; use crop=resized")


@dataclass(frozen=True)
class DistillRecipe(Recipe):
    """Self-distillation without labels (DINO); the teacher is what is evaluated and kept.

    Attributes:
        global_size: side of the two global crops in pixels; None is ``model.img_size``.
        local_size, local_crops: side in pixels and number of the small crops.
        global_scale, local_scale: share of the picture's area that a crop covers.
        colour: how often a crop's colours change; ``solarise`` is of the second global crop alone.
        hidden, bottleneck, prototypes: widths of the head.
        student_temperature, teacher_temperature: the teacher's rises linearly from
            ``teacher_temperature_start`` over the first ``temperature_warmup`` of all steps.
        momentum: of the teacher at the start; a cosine to 1 follows.
        centre_momentum: of the centre of the teacher's outputs.
        final_weight_decay: the weight decay goes there by a cosine.
        frozen_epochs: epochs in which the head's last layer does not move.
    """

    model: ViTConfig = field(default_factory=lambda: ViTConfig(num_classes=0))
    global_size: int | None = None
    local_size: int = 32
    local_crops: int = 4
    global_scale: tuple[float, float] = (0.4, 1.0)
    local_scale: tuple[float, float] = (0.05, 0.4)
    colour: Colour = field(default_factory=lambda: Colour(solarise=0.2))
    hidden: int = 512
    bottleneck: int = 128
    prototypes: int = 4096
    student_temperature: float = 0.1
    teacher_temperature: float = 0.07
    teacher_temperature_start: float = 0.04
    temperature_warmup: float = 0.3
    momentum: float = 0.996
    centre_momentum: float = 0.9
    weight_decay: float = 0.04
    final_weight_decay: float = 0.4
    frozen_epochs: int = 1
    clip_norm: float | None = 3.0
    supervision: str = field(default="self", init=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        for key in ("momentum", "centre_momentum", "temperature_warmup"):
            _within(self, key, 0, 1)
        _above(self, "student_temperature", "teacher_temperature", "teacher_temperature_start")
        for key in ("global_scale", "local_scale"):
            _share(self, key)
        if self.model.num_classes:
            raise ValueError("self-distillation has no classes; use model.num_classes=0")
        for name, side in (("global_size", self.whole), ("local_size", self.local_size)):
            if side % self.model.patch_size:
                raise ValueError(
                    f"{name} {side} is no multiple of patch_size {self.model.patch_size}"
                )
        try:
            if self.model.pool == "lazy_strike":
                kept(self.model.keep, (self.local_size // self.model.patch_size) ** 2)
        except ValueError as problem:
            raise ValueError(f"of a local crop: {problem}; use a share, or keep=1") from problem

    @property
    def whole(self) -> int:
        """Side of the global crops, pixels."""
        return self.global_size or self.model.img_size
