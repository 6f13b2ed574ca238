"""Fix: turns a Backbone into a Backbone that shares its weights; the original stays as it is."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from typing import ClassVar, Protocol

from jaxtyping import Float
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from unlazy.backbones.base import Backbone, Call
from unlazy.backbones.plain import PlainViT, Projections
from unlazy.ledger import Measure, Seen
from unlazy.tokens import Site, Tokens

Look = Callable[[Sequence[Measure]], Mapping[str, Seen]]
"""One pass of measures over the calibration images: measure name -> what it observed."""

Install = Callable[[PlainViT, tuple[int, int]], Iterator[RemovableHandle]]
"""Puts hooks on the modules of a backbone, for images of one patch grid (H, W)."""


class NothingToFix(ValueError):
    """The calibration images show nothing that the fix could act on."""


class Fix(Protocol):
    """A frozen dataclass: its settings, and what calibration found."""

    name: ClassVar[str]

    def calibrate(self, backbone: Backbone, look: Look) -> Fix:
        """The same fix with all that it needs to know of this model.

        Raises:
            NothingToFix: the images show no artifact of the kind that it removes.
            ValueError: the model is of a kind that it cannot change.
        """
        ...

    def summary(self) -> tuple[str, ...]:
        """What calibration found, in sentences."""
        ...

    def apply(self, backbone: Backbone) -> Backbone:
        """A backbone with shared weights whose passes run under the fix.

        Raises:
            ValueError: the fix is not calibrated, or cannot change this kind of model.
        """
        ...


def fixed_name(model: str, fix: Fix) -> str:
    """How a model is called that runs under a fix."""
    return f"{model} + {fix.name}"


class Fixed(PlainViT):
    """A plain ViT whose passes run under the hooks of a fix; the model itself is not changed.

    Attributes:
        fix: the name of the fix.
        original: reads the model's calls, with the tokens that the fix added counted as registers.
        install: puts the hooks of the fix on the model.
    """

    def __init__(self, backbone: PlainViT, fix: Fix, install: Install, *, added: int = 0) -> None:
        facts = dataclasses.replace(
            backbone.facts,
            name=fixed_name(backbone.facts.name, fix),
            num_registers=backbone.facts.num_registers + added,
        )
        super().__init__(backbone.model, facts)
        self.fix, self.fix_settings = fix.name, fix
        self.texts, self.label_names = backbone.texts, backbone.label_names
        self.original = copy.copy(backbone)  # shares every module
        self.original.facts = facts
        self.install = install

    def encode(self, images: Float[Tensor, "B 3 height width"]) -> Float[Tensor, "B E"]:
        """The model's own forward pass under the hooks of the fix."""
        grid = self.grid((images.shape[-2], images.shape[-1]))
        with ExitStack() as hooks:
            for handle in self.install(self.original, grid):
                hooks.callback(handle.remove)
            return self.original.encode(images)

    def classifier(self) -> Callable[[Tensor], Tensor] | None:
        """As the original."""
        return self.original.classifier()

    def locate(self, site: Site) -> nn.Module:
        """As the original."""
        return self.original.locate(site)

    def read(self, site: Site, call: Call) -> Tokens:
        """As the original; added tokens are registers."""
        return self.original.read(site, call)

    def projections(self, call: Call) -> Projections:
        """As the original."""
        return self.original.projections(call)

    def attention_module(self, layer: int) -> nn.Module:
        """As the original."""
        return self.original.attention_module(layer)

    def rebuild(self, layer: int, call: Call) -> Tensor:
        """As the original."""
        return self.original.rebuild(layer, call)

    def fingerprint(self) -> str:
        """The hash of the original's weights, which are shared."""
        return self.original.fingerprint()


def plain(backbone: Backbone, fix: str) -> PlainViT:
    """The same backbone, if a fix can change it.

    Raises:
        ValueError: it is no plain ViT, or is fixed already.
    """
    if isinstance(backbone, Fixed):
        raise ValueError(
            f"{backbone.facts.name} is fixed already; give the model without {backbone.fix}"
        )
    if not isinstance(backbone, PlainViT):
        raise ValueError(
            f"{fix} changes plain ViTs, which keep one sequence of tokens;"
            f" {backbone.facts.name} is a {backbone.facts.family}"
        )
    return backbone
