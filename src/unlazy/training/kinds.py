"""Recipes by supervision: labels, drawn scenes, captions, self-distillation."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import ClassVar, Literal

from unlazy.backbones.text_tower import TextConfig
from unlazy.backbones.vit import ViTConfig
from unlazy.data.synthetic import Scenes
from unlazy.pooling.lazystrike import kept
from unlazy.training.recipe import Data, Recipe, above, share, within
from unlazy.training.views import Colour


@dataclass(frozen=True)
class CroppedRecipe(Recipe):
    """One random crop of a picture at a time.

    Attributes:
        crop: ``shift`` (reflected ``padding`` and a random crop of the same size) or ``resized``
            (a random region that covers a share of the area within ``crop_scale``).
        flip: probability of a horizontal flip.
        ema: decay of the weights' moving average, which then is evaluated and kept; 0: none.
    """

    crop: Literal["shift", "resized"] = "shift"
    padding: int = 6
    crop_scale: tuple[float, float] = (0.08, 1.0)
    flip: float = 0.5
    ema: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        for key in ("flip", "ema"):
            within(self, key, 0, 1)
        share(self, "crop_scale")
        most = self.model.img_size - 1 if self.crop == "shift" else math.inf  # reflects within it
        if not 0 <= self.padding <= most:
            raise ValueError(f"padding lies in 0..{most} for {self.model.img_size} px pictures")
        if not self.hold and self.crop == "shift":
            raise ValueError("pictures that are read anew differ in size; use crop=resized")


@dataclass(frozen=True)
class LabelRecipe(CroppedRecipe):
    """Class labels, in the manner of DeiT and AugReg.

    Attributes:
        mixup, cutmix: parameter of the Beta distribution; 0 leaves it out, with both a coin
            decides at each step.
        rand_augment: timm's name of a policy, such as ``rand-m9-mstd0.5-inc1``; needs hold=false.
        erasing: probability of erasing a random rectangle; needs hold=false.
    """

    label_smoothing: float = 0.1
    mixup: float = 0.0
    cutmix: float = 0.0
    rand_augment: str | None = None
    erasing: float = 0.0
    supervision: str = field(default="label", init=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.data == "captions":
            raise ValueError("captions have no labels; they need a recipe of text or self kind")
        if self.classes not in (None, self.model.num_classes):
            raise ValueError(
                f"classes={self.classes} needs a head of as many, not {self.model.num_classes};"
                f" use model.num_classes={self.classes}"
            )
        for key in ("label_smoothing", "erasing"):
            within(self, key, 0, 1)
        for key in ("mixup", "cutmix"):
            within(self, key, 0, math.inf)
        if (self.mixup or self.cutmix) and self.batch // self.accumulate % 2:
            raise ValueError(
                f"mixup and cutmix pair pictures: batch {self.batch} in {self.accumulate} parts"
                " is odd"
            )
        if self.hold and (self.rand_augment or self.erasing):
            raise ValueError("rand_augment and erasing run in reading workers; use hold=false")


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
    drawn: ClassVar[bool] = True


@dataclass(frozen=True)
class TextRecipe(CroppedRecipe):
    """Captions, in the manner of CLIP; class names become captions through prompt templates.

    ``model.num_classes`` is the width of the shared space, into which the head projects; with 0
    the image vector itself is in it.

    Attributes:
        text: the text tower.
        temperature: at the start; learned, never below 0.01.
    """

    model: ViTConfig = field(default_factory=lambda: ViTConfig(num_classes=0))
    text: TextConfig = field(default_factory=TextConfig)
    crop_scale: tuple[float, float] = (0.9, 1.0)
    temperature: float = 0.07
    supervision: str = field(default="text", init=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        above(self, "temperature")
        if self.accumulate != 1:
            raise ValueError("the contrastive loss needs the whole batch at once; use accumulate=1")


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
            within(self, key, 0, 1)
        above(self, "student_temperature", "teacher_temperature", "teacher_temperature_start")
        for key in ("global_scale", "local_scale"):
            share(self, key)
        if self.model.num_classes:
            raise ValueError("self-distillation has no classes; use model.num_classes=0")
        for key in ("hidden", "bottleneck", "prototypes"):
            within(self, key, 1, math.inf)
        for key in ("local_crops", "frozen_epochs", "final_weight_decay"):
            within(self, key, 0, math.inf)
        for name, side in (("global_size", self.whole), ("local_size", self.local_size)):
            if side < 1 or side % self.model.patch_size:
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
