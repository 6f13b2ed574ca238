"""Is this model read correctly, on this machine? Checks that a user can run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from unlazy.backbones.base import Backbone, Call
from unlazy.tokens import EMBED, FINAL, SHARED, Site, attention, block, key, query, value

TOLERANCE = 1e-4  # relative to the largest entry, float32


@dataclass(frozen=True)
class Check:
    """One thing that was checked: what, whether it held, and the evidence."""

    what: str
    passed: bool
    evidence: str


@torch.inference_mode()
def examine(backbone: Backbone, *, seed: int = 0) -> list[Check]:
    """Trace two random images and compare what is read with what the model computes."""
    facts = backbone.facts
    images = _images(backbone, seed)
    sites = _sites(backbone)
    plain = backbone.encode(images)
    trace = backbone.trace(images, sites)
    checks = [
        Check(
            "tracing leaves the output bit-equal",
            torch.equal(plain, trace.image),
            f"image vector {tuple(plain.shape)} from images {tuple(images.shape)}",
        ),
        Check("no hook survives", _hooks(backbone) == 0, f"{_hooks(backbone)} hooks left"),
        Check(
            "outputs are finite",
            bool(torch.isfinite(plain).all()),
            f"largest absolute value {plain.abs().max().item():.4g}",
        ),
    ]
    last = trace[block(-1)]
    expected = tuple(
        side // patch for side, patch in zip(images.shape[2:], facts.patch, strict=True)
    )
    prefix = int(last.cls is not None) + last.registers.shape[1]
    checks.append(
        Check(
            "grid and prefix tokens",
            last.grid == expected and prefix == facts.has_cls + facts.num_registers,
            f"grid {last.grid[0]}x{last.grid[1]}, CLS {'yes' if facts.has_cls else 'no'},"
            f" {facts.num_registers} registers or further prefix tokens",
        )
    )
    if "attention" in facts.streams:
        checks += _attention_checks(backbone, images, trace)
    if "shared" in facts.streams:
        checks.append(_shared_check(backbone, images, trace))
    return checks


def summary(backbone: Backbone) -> dict[str, str]:
    """What was used to read the model: sizes, normalisation, activation, position embeddings."""
    facts = backbone.facts
    return {
        "family": facts.family,
        "weights": facts.weights,
        "weights hash": backbone.fingerprint(),
        "supervision": facts.supervision,
        "blocks, width, heads": f"{facts.depth}, {facts.dim}, {facts.heads}",
        "patch": f"{facts.patch[0]}x{facts.patch[1]} px",
        "native size": f"{facts.size[0]}x{facts.size[1]} px"
        + ("; others too" if facts.any_size else " only"),
        "mean": ", ".join(f"{number:g}" for number in facts.mean),
        "std": ", ".join(f"{number:g}" for number in facts.std),
        "photographs resized by": facts.interpolation,
        "own evaluation shows": f"the middle {facts.crop_pct:.1%} of the short side"
        + (", squashed" if facts.squashed else ""),
        "activation": facts.activation,
        "position embedding": facts.position,
        "can be read at": ", ".join(sorted(facts.streams)),
    }


def _images(backbone: Backbone, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    reference = next(backbone.parameters())
    images = torch.randn(2, 3, *backbone.facts.size, generator=generator)
    return images.to(reference.device, reference.dtype)


def _sites(backbone: Backbone) -> list[Site]:
    wanted = [EMBED, block(0), block(-1), FINAL, SHARED]
    for layer in (0, -1):
        wanted += [attention(layer), query(layer), key(layer), value(layer)]
    return [site for site in wanted if site.stream in backbone.facts.streams]


def _hooks(backbone: Backbone) -> int:
    return sum(
        len(module._forward_hooks) + len(module._forward_pre_hooks)
        for module in backbone.model.modules()
    )


def _attention_checks(backbone: Backbone, images: torch.Tensor, trace: Any) -> list[Check]:
    checks = []
    for layer in dict.fromkeys((0, backbone.facts.depth - 1)):
        error, scale = rebuild_error(backbone, images, layer)
        checks.append(
            Check(
                f"q, k, v of block {layer} rebuild the attention's own output",
                error <= TOLERANCE * max(scale, 1e-6),
                f"largest difference {error:.2g} at magnitude {scale:.3g}",
            )
        )
    total = trace[attention(-1)].sequence().sum(1)
    off = (total - 1).abs().max().item()
    checks.append(Check("attention sums to 1 in each head", off < 1e-4, f"off by {off:.2g}"))
    return checks


def rebuild_error(backbone: Backbone, images: torch.Tensor, layer: int) -> tuple[float, float]:
    """Largest difference of a rebuilt attention output, and the output's largest magnitude."""
    found: list[tuple[float, float]] = []

    def compare(module: Any, args: tuple, kwargs: dict, output: Any) -> None:
        own = output[0] if isinstance(output, tuple) else output
        call = Call(module, args, kwargs, output, (images.shape[-2], images.shape[-1]))
        rebuilt = backbone.rebuild(layer, call)
        found.append(((rebuilt - own).abs().max().item(), own.abs().max().item()))

    module = backbone.attention_module(layer)
    handle = module.register_forward_hook(compare, with_kwargs=True)
    try:
        backbone.encode(images)
    finally:
        handle.remove()
    return found[0]


def _shared_check(backbone: Backbone, images: torch.Tensor, trace: Any) -> Check:
    """SHARED maps a token to what supervision would see if all tokens were that one.

    This holds whatever the pool: CLS, a mean or an attention pool all give back the one token that
    there is. So the model is run with its last patch in the place of every token, prefix included,
    and without the positions that its pool may add.
    """

    def spread(module: Any, args: tuple, output: Any) -> Any:
        held = output[0] if isinstance(output, tuple) else output
        if not backbone.facts.heads:  # a feature map, (B, D, H, W)
            alike = held[..., -1:, -1:].expand_as(held)
        else:  # (B, T, D), or (B, H, W, D)
            alike = held.flatten(1, -2)[:, -1].reshape(len(held), *[1] * (held.ndim - 2), -1)
            alike = alike.expand_as(held)
        return (alike, *output[1:]) if isinstance(output, tuple) else alike

    positions = backbone.pool_positions
    kept = None if positions is None else positions.clone()
    handle = backbone.locate(SHARED).register_forward_hook(spread)
    try:
        if positions is not None:
            positions.zero_()
        one = backbone.trace(images, [SHARED])
    finally:
        handle.remove()
        if positions is not None and kept is not None:
            positions.copy_(kept)
    token, image = one[SHARED].patches[:, -1], one.image
    what = "SHARED maps a token to the image vector's space"
    if token.shape != image.shape:
        return Check(what, False, f"{tuple(token.shape)} against {tuple(image.shape)}")
    error, scale = (token - image).abs().max().item(), image.abs().max().item()
    return Check(
        what,
        error <= TOLERANCE * max(scale, 1e-6),
        f"with one token everywhere, the two differ by {error:.2g} at magnitude {scale:.3g};"
        f" {_pool(trace)}",
    )


def _pool(trace: Any) -> str:
    """What the image vector is of the tokens, as far as that shows in one trace."""
    shared, image = trace[SHARED], trace.image
    found = {"the mean of the patches": shared.patches.mean(1)}
    if shared.cls is not None:
        found |= {"the CLS token": shared.cls}
    near = [
        name
        for name, vector in found.items()
        if (vector - image).abs().max() <= TOLERANCE * image.abs().max()
    ]
    return f"the image vector is {near[0]}" if near else "how tokens are pooled is not checked"
