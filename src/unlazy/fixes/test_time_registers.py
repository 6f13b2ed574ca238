"""Test-time registers: the neurons that make outliers fire on added tokens instead of on patches.

Source: Jiang et al. 2025, *Vision Transformers Don't Need Trained Registers*, and its public code
(``nickjiang2378/test-time-registers``). Deliberate deviations: every image of a batch is changed
(the code changes the first); each neuron keeps its own value, the largest over the patches (the
code takes one scalar over all chosen neurons of a layer, CLS and the added token among them:
``value="released"``); the cut-off and the last layer come from the norms of the calibration
images instead of from a table of models.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from unlazy.backbones.base import Backbone
from unlazy.backbones.plain import PlainViT
from unlazy.fixes.base import Fixed, Look, plain
from unlazy.fixes.outliers import Outliers, PatchNorms, outliers
from unlazy.ledger import Batch, Observation, Seen, Sum
from unlazy.tokens import FINAL, Site, Trace, block, norm_of
from unlazy.tokens import neurons as hidden_of

LISTED = 10  # neurons that the summary names
PRE_NORMS = ("norm_pre", "ln_pre", "pre_layrnorm")  # before the first block: timm, open_clip, hub


@dataclass(frozen=True)
class Neuron:
    """A hidden unit of a block's MLP.

    Attributes:
        layer, index: which.
        score: mean absolute activation at outlier patches, mean over images that have any.
        elsewhere: the same at the other patches.
    """

    layer: int
    index: int
    score: float = 0.0
    elsewhere: float = 0.0


@dataclass(frozen=True)
class NeuronScores:
    """Absolute activation of every MLP neuron at outlier patches, and at the others.

    Sums over images that have outliers, so that memory does not grow with their number.

    Attributes:
        layers: how many blocks, from the first.
        cutoff: norm at the last block above which a patch is an outlier.
    """

    layers: int
    cutoff: float
    name: str = "neuron_scores"
    resamples: ClassVar[int] = 0

    @property
    def reads(self) -> frozenset[Site]:
        """Hidden activations of the first blocks, norms at the last."""
        return frozenset({norm_of(block(-1)), *(hidden_of(layer) for layer in range(self.layers))})

    def observe(self, trace: Trace, batch: Batch) -> Observation:
        """Sums (layers, neurons)."""
        high = trace[norm_of(block(-1))].patches[..., 0] > self.cutoff  # (B, N)
        some = high.any(1)
        high = high[some]
        image, place = high.nonzero(as_tuple=True)
        above = high.sum(1).double()[:, None]
        below = (~high).sum(1).double()[:, None].clamp(min=1)
        at, elsewhere = [], []
        for layer in range(self.layers):
            fired = trace[hidden_of(layer)].patches[some].abs()  # (b, N, neurons)
            total = fired.sum(1, dtype=torch.float64)
            inside = torch.zeros_like(total).index_add_(0, image, fired[image, place].double())
            at.append((inside / above).sum(0))
            elsewhere.append(((total - inside) / below).sum(0))
        return {
            "at_outliers": Sum(torch.stack(at)),
            "elsewhere": Sum(torch.stack(elsewhere)),
            "images": Sum(some.sum()),
        }

    def conclude(self, seen: Seen) -> dict[str, float]:
        """How many images took part."""
        return {"images_with_outliers": float(seen.sums["images"])}

    def top(self, seen: Seen, count: int) -> tuple[Neuron, ...]:
        """The neurons of highest score, highest first; ties by layer and index."""
        images = int(seen.sums["images"])
        score, elsewhere = seen.sums["at_outliers"] / images, seen.sums["elsewhere"] / images
        width = score.shape[1]
        order = np.argsort(-score.ravel(), kind="stable")[:count].tolist()
        return tuple(
            Neuron(layer, index, float(score[layer, index]), float(elsewhere[layer, index]))
            for layer, index in (divmod(place, width) for place in order)
        )


@dataclass(frozen=True)
class TestTimeRegisters:
    """Add zero-initialised tokens without position and let the register neurons fire there alone.

    The tokens come after the prefix, are read as registers, and are gone before the model pools.
    At each chosen neuron they get the activation of largest magnitude over the image's patches,
    the patches 0; CLS and the model's own registers keep theirs.

    Attributes:
        neurons: how many to choose (published: 10 for CLIP ViT-B/16, 50 for DINOv2 ViT-L/14).
        registers: tokens to add.
        value: ``neuron``, or ``released`` for the public code's scalar of each layer.
        cutoff: norm of an outlier at the last block; None chooses it from the calibration images.
        chosen: the register neurons; of calibration.
        outliers: what the choice rests on; of calibration.
    """

    __test__ = False  # not a test, whatever pytest thinks of its name
    name: ClassVar[str] = "test-time-registers"

    neurons: int = 10
    registers: int = 1
    value: Literal["neuron", "released"] = "neuron"
    cutoff: float | None = None
    chosen: tuple[Neuron, ...] = ()
    outliers: Outliers | None = None

    def __post_init__(self) -> None:
        if self.neurons < 1 or self.registers < 0:
            raise ValueError(
                f"neurons={self.neurons} must be at least 1, registers={self.registers} at least 0"
            )

    def calibrate(self, backbone: Backbone, look: Look) -> TestTimeRegisters:
        """Find the register neurons: one pass for the norms, one for the neurons.

        Raises:
            NothingToFix: the images have no outlier patches.
            ValueError: not a plain ViT, or one with rotary positions or windows.
        """
        self._readable(backbone)
        norms = PatchNorms(backbone.facts.depth)
        found = outliers(look([norms])[norms.name], given=self.cutoff)
        layers = found.jump_at + 1
        there = sum(self._width(self._readable(backbone), layer) for layer in range(layers))
        if self.neurons > there:
            raise ValueError(
                f"neurons={self.neurons}; the blocks up to the jump of the norms, 0 to"
                f" {found.jump_at}, have {there}"
            )
        scores = NeuronScores(layers, found.cutoff)
        chosen = scores.top(look([scores])[scores.name], self.neurons)
        return dataclasses.replace(self, cutoff=found.cutoff, chosen=chosen, outliers=found)

    def summary(self) -> tuple[str, ...]:
        """The outliers, and the neurons with their mean activations."""
        if self.outliers is None:
            return ()
        listed = ", ".join(
            f"{each.layer}/{each.index} ({each.score:.3g}, elsewhere {each.elsewhere:.3g})"
            for each in self.chosen[:LISTED]
        )
        if len(self.chosen) > LISTED:
            listed += f", and {len(self.chosen) - LISTED} more"
        return (
            self.outliers.sentence(),
            f"Norms jump at block {self.outliers.jump_at}; the {len(self.chosen)} neurons of blocks"
            f" 0 to {self.outliers.jump_at} that fire most at outliers, as block/neuron"
            f" (mean absolute activation): {listed}.",
        )

    def apply(self, backbone: Backbone) -> Fixed:
        """The fixed backbone; with no neurons and no registers, the same function as before.

        Raises:
            ValueError: not a plain ViT, or one with rotary positions or windows, or a neuron that
                the model has not.
        """
        original = self._readable(backbone)
        for neuron in self.chosen:
            width = self._width(original, neuron.layer)
            if not 0 <= neuron.index < width:
                raise ValueError(
                    f"neuron {neuron.index} of block {neuron.layer} asked of"
                    f" {backbone.facts.name}, whose blocks have {width}"
                )
        return Fixed(original, self, self._install, added=self.registers)

    def _readable(self, backbone: Backbone) -> PlainViT:
        original = plain(backbone, self.name)
        if not self.registers:
            return original
        windows = getattr(getattr(original.model, "config", None), "windows", ())
        if "rotary" in original.facts.position or windows:
            what = "window attention" if windows else "rotary positions"
            raise ValueError(
                f"{original.facts.name} has {what}, which leave no place for an added token;"
                " this version cannot give it test-time registers"
            )
        return original

    @staticmethod
    def _width(backbone: PlainViT, layer: int) -> int:
        if not 0 <= layer < backbone.facts.depth:
            raise ValueError(f"{backbone.facts.name} has no block {layer}")
        module: Any = backbone.locate(hidden_of(layer))
        return module.in_features

    def _install(self, backbone: PlainViT, grid: tuple[int, int]) -> Iterator[RemovableHandle]:
        first = backbone.facts.has_cls + backbone.facts.num_registers - self.registers
        if self.registers:
            yield _entry(backbone).register_forward_pre_hook(
                lambda module, args: (_insert(args[0], first, self.registers), *args[1:])
            )
        for layer in sorted({neuron.layer for neuron in self.chosen}):
            which = torch.tensor([each.index for each in self.chosen if each.layer == layer])
            move = _move(which, first, self.registers, self.value)
            yield backbone.locate(hidden_of(layer)).register_forward_pre_hook(move)
        if self.registers:

            def leave(module: nn.Module, args: Any, output: Any) -> Tensor:
                return _remove(output, first, self.registers)

            yield backbone.locate(FINAL).register_forward_hook(leave)


def _entry(backbone: PlainViT) -> nn.Module:
    """Where tokens come in: the norm before the blocks if there is one, else the first block."""
    for name, module in backbone.model.named_modules():
        if name.rpartition(".")[2] in PRE_NORMS:
            return module
    return backbone.locate(block(0))


def _insert(tokens: Tensor, first: int, count: int) -> Tensor:
    zeros = tokens.new_zeros(tokens.shape[0], count, tokens.shape[2])
    return torch.cat([tokens[:, :first], zeros, tokens[:, first:]], dim=1)


def _remove(tokens: Tensor, first: int, count: int) -> Tensor:
    return torch.cat([tokens[:, :first], tokens[:, first + count :]], dim=1)


def _move(which: Tensor, first: int, count: int, value: str) -> Any:
    """A hook on the second layer of an MLP that moves the neurons ``which`` to added tokens."""

    def hook(module: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...]:
        # (B, T, neurons); made for this layer alone, so a copy is only needed for gradients
        fired = args[0].clone() if args[0].requires_grad else args[0]
        index = which.to(fired.device)
        if count:
            seen = fired[:, :, index]  # (B, T, k)
            # released: one scalar for all these neurons, over all tokens
            seen = seen.flatten(1)[..., None] if value == "released" else seen[:, first + count :]
            largest = seen.gather(1, seen.abs().argmax(1, keepdim=True))  # (B, 1, k or 1)
            fired[:, first : first + count, index] = largest.expand(-1, count, len(index))
        fired[:, first + count :].index_fill_(2, index, 0)
        return (fired, *args[1:])

    return hook
