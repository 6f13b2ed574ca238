"""Another pool in the place of CLS: how weights that were trained with one are read."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from unlazy.backbones.base import Backbone
from unlazy.backbones.plain import PlainViT
from unlazy.fixes.base import Fixed, Look, plain
from unlazy.ledger import Batch, Observation, Seen
from unlazy.pooling import Kernel, Reading, build_pool, kept
from unlazy.tokens import FINAL, SHARED, Site, Trace

NEAR = 1e-4
"""Relative difference up to which two vectors are the same, in float32."""


@dataclass(frozen=True)
class PoolLikeness:
    """Cosine of a model's CLS and the pooled patches, both after the last norm."""

    pool: nn.Module
    name: str = "pool_likeness"

    @property
    def reads(self) -> frozenset[Site]:
        """Tokens after the last norm."""
        return frozenset({FINAL})

    def observe(self, trace: Trace, batch: Batch) -> Observation:
        """Row ``cosine``."""
        tokens = trace[FINAL]
        assert tokens.cls is not None
        pooled = self.pool(tokens.patches)
        return {"cosine": F.cosine_similarity(pooled.float(), tokens.cls.float(), dim=1)}

    def conclude(self, seen: Seen) -> dict[str, float]:
        """Its mean."""
        return {"cosine": seen.mean("cosine")}


@dataclass(frozen=True)
class Likeness:
    """Mean cosine of CLS and the pooled vector on the calibration images."""

    cosine: float


@dataclass(frozen=True)
class Pooled:
    """The image vector is a pool of the patches instead of CLS; no weight is changed.

    For weights that were trained with the pool, such as the published LaSt-ViT ones, this is the
    model. For others it is a diagnostic, not a repair: head and patches never saw that vector.

    Source: *Vision Transformers Need More Than Registers*, section 5; the public code keeps one
    patch a channel.

    Attributes:
        pool: of those without weights.
        keep: of ``lazy_strike``: patches a channel, a count (1) or a share (0.5).
        reading, kernel: of ``lazy_strike``; see ``unlazy.pooling``.
        likeness: of calibration.
    """

    name: ClassVar[str] = "pooled"

    pool: Literal["lazy_strike", "max", "mean"] = "lazy_strike"
    keep: int | float = 1
    reading: Reading = "released"
    kernel: Kernel = "released"
    likeness: Likeness | None = None

    def calibrate(self, backbone: Backbone, look: Look) -> Pooled:
        """Nothing is fitted; how far the pooled vector is from CLS is measured.

        Raises:
            ValueError: not a plain ViT whose image vector comes from CLS, or ``keep`` is out of
                range.
        """
        self.apply(backbone)
        measure = PoolLikeness(self._module(backbone))
        found = measure.conclude(look([measure])[measure.name])
        return dataclasses.replace(self, likeness=Likeness(found["cosine"]))

    def summary(self) -> tuple[str, ...]:
        """What the pool means for a model that was not trained with it."""
        if self.likeness is None:
            return ()
        return (
            f"The pooled vector has a cosine of {self.likeness.cosine:.2f} to CLS. It is the"
            " model's own if the weights were trained with this pool; else this is a diagnostic.",
        )

    def apply(self, backbone: Backbone) -> Fixed:
        """The same model with the pooled vector in the place of CLS after the last norm.

        Raises:
            ValueError: not a plain ViT whose image vector comes from CLS, or ``keep`` is out of
                range.
        """
        original = plain(backbone, self.name)
        rows, columns = original.grid(original.facts.size)
        kept(self.keep, rows * columns)
        pool = self._module(original)
        norm = _last_norm(original)

        def install(model: PlainViT, grid: tuple[int, int]) -> Iterator[RemovableHandle]:
            def hook(module: Any, args: Any, output: Tensor) -> Tensor:
                if output.ndim != 3:  # one token alone, as a reader of sites may ask
                    return output
                first = 1 + model.facts.num_registers
                pooled = pool(output[:, first:]).to(output.dtype)
                return torch.cat([pooled[:, None], output[:, 1:]], dim=1)

            yield norm.register_forward_hook(hook, prepend=True)

        fixed = Fixed(original, self, install)
        _check(fixed)
        return fixed

    def _module(self, backbone: Backbone) -> nn.Module:
        facts = backbone.facts
        pool = build_pool(
            self.pool,
            dim=facts.dim,
            heads=facts.heads,
            keep=self.keep,
            reading=self.reading,
            kernel=self.kernel,
        )
        assert pool is not None
        return pool


def _noise(backbone: PlainViT) -> Tensor:
    reference = next(backbone.parameters())
    drawn = torch.randn(1, 3, *backbone.facts.size, generator=torch.Generator().manual_seed(0))
    return drawn.to(reference.device, reference.dtype)


@torch.inference_mode()
def _last_norm(backbone: PlainViT) -> nn.Module:
    """The module whose output are the tokens after the last norm.

    Raises:
        ValueError: there is none, or the model has no CLS.
    """
    found: list[tuple[nn.Module, Tensor]] = []

    def keep(module: nn.Module, args: Any, output: Any) -> None:
        if isinstance(output, Tensor) and output.ndim == 3:
            found.append((module, output))

    leaves = [each for each in backbone.model.modules() if not any(True for _ in each.children())]
    handles = [each.register_forward_hook(keep) for each in leaves]
    try:
        tokens = backbone.trace(_noise(backbone), [FINAL])[FINAL].sequence()
    finally:
        for handle in handles:
            handle.remove()
    if backbone.facts.has_cls:
        for module, output in reversed(found):
            if output.shape == tokens.shape and torch.equal(output, tokens):
                return module
    raise ValueError(
        f"{backbone.facts.name} has no CLS after a last norm that a pool could replace"
    )


@torch.inference_mode()
def _check(fixed: Fixed) -> None:
    """That the image vector is what the pooled vector becomes in its space.

    Raises:
        ValueError: it is made of something else.
    """
    trace = fixed.trace(_noise(fixed), [SHARED])
    expected = trace[SHARED].cls
    assert expected is not None
    if (trace.image - expected).norm() > NEAR * expected.norm():
        raise ValueError(
            f"the image vector of {fixed.original.facts.name} is not made from CLS after the last"
            " norm, so a pool cannot take its place"
        )
