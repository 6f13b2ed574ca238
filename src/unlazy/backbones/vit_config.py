"""The settings of the ViT that is trained here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, get_args

from unlazy.catalog import suggest
from unlazy.pooling import Kernel, PoolName, Reading, kept

AT_LEAST = {
    **dict.fromkeys(("img_size", "patch_size", "embed_dim", "depth", "num_heads", "window"), 1),
    **dict.fromkeys(("num_classes", "registers"), 0),
}
NUMBERS = ("keep", "drop_path", "layer_scale", "shuffle")
OPTIONAL = ("layer_scale", "shuffle")
CHOICES = {"pool": PoolName, "reading": Reading, "kernel": Kernel}


@dataclass(frozen=True)
class ViTConfig:
    """Everything that fixes the architecture; a field of a wrong type or value is a ValueError.

    Attributes:
        img_size: side of the square training images, pixels; other sizes resize the positions.
        num_classes: outputs of the head; 0 leaves it out.
        class_token: False leaves patches alone (with a pool other than ``cls``): with windows in
            all blocks, nothing then passes from one window to another.
        registers: extra learned tokens without position.
        pool: what becomes the image vector, after the last norm.
        keep: of LazyStrike: an int is a count of patches, a float a share of all.
        reading, kernel: of LazyStrike, see ``unlazy.pooling``.
        shuffle: of LazyStrike, a control: seed of a permutation of the channels, another one in
            each pass in training; or None.
        windows: blocks (from 0) whose patches attend to their own window, and to CLS and
            registers, alone; CLS and registers attend to everything, so through them
            information leaks between windows.
        window: side of a window in patches; windows at the border may be smaller.
        drop_path: probability of dropping the last block's branches, rising linearly from 0.
        layer_scale: initial scale of each branch, or None for no layer scale.
    """

    img_size: int = 64
    patch_size: int = 8
    embed_dim: int = 128
    depth: int = 6
    num_heads: int = 4
    num_classes: int = 200
    class_token: bool = True
    registers: int = 0
    pool: PoolName = "cls"
    keep: float | int = 0.5
    reading: Reading = "released"
    kernel: Kernel = "released"
    shuffle: int | None = None
    windows: tuple[int, ...] = ()
    window: int = 4
    drop_path: float = 0.0
    layer_scale: float | None = None

    def __post_init__(self) -> None:
        _check(vars(self))
        if self.img_size % self.patch_size:
            raise ValueError(
                f"img_size {self.img_size} is no multiple of patch_size {self.patch_size}"
            )
        if self.embed_dim % self.num_heads:
            raise ValueError(
                f"embed_dim {self.embed_dim} does not split into {self.num_heads} heads"
            )
        if self.pool == "cls" and not self.class_token:
            raise ValueError(
                "pool cls needs the class token; set class_token or choose another pool"
            )
        outside = [layer for layer in self.windows if not 0 <= layer < self.depth]
        if outside:
            raise ValueError(f"windows name blocks {outside}; there are 0 to {self.depth - 1}")
        if not 0 <= self.drop_path < 1:
            raise ValueError(f"drop_path is a probability in [0, 1), not {self.drop_path}")
        if self.pool == "lazy_strike":
            kept(self.keep, self.side**2)

    @property
    def side(self) -> int:
        """Patches along one side of a training image."""
        return self.img_size // self.patch_size

    @classmethod
    def from_fields(cls, given: Mapping[str, Any]) -> ViTConfig:
        """The configuration that a file holds; absent fields have their defaults.

        Raises:
            ValueError: unknown fields (near ones are named), or a value that does not fit.
        """
        known = [each.name for each in fields(cls)]
        unknown = [key for key in given if key not in known]
        if unknown:
            hints = "; ".join(f"{key!r}: {suggest(key, known)}" for key in unknown)
            raise ValueError(f"the ViT has no such fields: {hints}")
        _check(given)
        return cls(**{**given, "windows": tuple(given.get("windows", ()))})


def _check(given: Mapping[str, Any]) -> None:
    """Types and choices of the fields that are given; files hold anything."""
    for name, value in given.items():
        least = AT_LEAST.get(name)
        if least is not None and (type(value) is not int or value < least):
            raise ValueError(f"{name} is a whole number of at least {least}, not {value!r}")
        if name in CHOICES and value not in get_args(CHOICES[name]):
            known = ", ".join(get_args(CHOICES[name]))
            raise ValueError(f"no {name} {value!r}; there are {known}")
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if name in NUMBERS and not number and not (name in OPTIONAL and value is None):
            raise ValueError(f"{name} is a number, not {value!r}")
        if name == "class_token" and not isinstance(value, bool):
            raise ValueError(f"class_token is true or false, not {value!r}")
        listed = isinstance(value, list | tuple) and all(type(layer) is int for layer in value)
        if name == "windows" and not listed:
            raise ValueError(f"windows is a list of blocks, not {value!r}")
