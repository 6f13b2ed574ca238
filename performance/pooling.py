"""LazyStrike at ViT-B/16 against a literal transcription, and what it adds to a model.

The transcription is the public code's: a complex FFT of the channels, shifted, times a Gaussian,
and back, then a sorted top-k over the patches. Both must choose the same patches. On a GPU, where
there is one, the heads are measured as well.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from unittest import mock

import torch
import torch.nn.functional as F
from torch import Tensor

from performance.figures import Figure, interleaved, ratios
from unlazy import pooling
from unlazy.backbones import vit
from unlazy.backbones.vit import ViT, ViTConfig

BASE = ViTConfig(224, 16, 768, 12, 12, num_classes=1000)
SMALL = dataclasses.replace(BASE, embed_dim=384, num_heads=6)
TINY = ViTConfig()
BATCH, HALF = 8, 98
LEAST_FILTER, LEAST_HEAD = 2.0, {1: 2.0, HALF: 1.5}
MOST_SHARE = {1: 0.01, HALF: 0.03}
MOST_STEP, MOST_STEP_REGISTERS = 1.03, 1.05
LEAST_SAME = 0.999  # in single precision rounding may swap two patches of almost equal score


def figures(quick: bool) -> list[Figure]:
    """Filter and head against the transcription, head against backbone, training steps."""
    found = []
    for device in ("cpu", "cuda") if torch.cuda.is_available() else ("cpu",):
        found += _heads(torch.device(device), 3 if quick else 40)
    found += _shares(1 if quick else 5)
    for name, config, batch, rounds in (("tiny", TINY, 64, 15), ("ViT-S/16", SMALL, 4, 9)):
        found += _steps(name, config, batch, 1 if quick else rounds)
    return found + _attention(1 if quick else 5)


def literal_low_pass(x: Tensor) -> Tensor:
    """The filter as the public code has it."""
    dim = x.shape[-1]
    places = torch.arange(-dim // 2 + 1, dim // 2 + 1, dtype=x.dtype, device=x.device)
    gaussian = torch.exp(-0.5 * (places / dim**0.5) ** 2)
    spectrum = torch.fft.fftshift(torch.fft.fft(x, dim=-1), dim=-1)
    kept = spectrum * (gaussian / gaussian.max())
    return torch.fft.ifft(torch.fft.ifftshift(kept, dim=-1), dim=-1).real


def literal_head(x: Tensor, keep: int) -> tuple[Tensor, Tensor]:
    """Pooled vector and chosen indices (B, keep, D) as the public code has them."""
    scores = x / (literal_low_pass(x) - x).abs()
    chosen = scores.topk(keep, dim=1).indices
    return x.gather(1, chosen).mean(dim=1), chosen


@torch.inference_mode()
def _heads(device: torch.device, rounds: int) -> list[Figure]:
    torch.manual_seed(0)
    offset = torch.randn(BASE.embed_dim)  # which all patches share, as in a trained model
    x = F.layer_norm(torch.randn(BATCH, BASE.side**2, BASE.embed_dim) + offset, (BASE.embed_dim,))
    x = x.to(device)
    tasks: dict[str, Callable[[], object]] = {
        "literal filter": lambda: literal_low_pass(x),
        "filter": lambda: pooling.low_pass(x),
    }
    for keep in LEAST_HEAD:
        tasks[f"literal {keep}"] = lambda keep=keep: literal_head(x, keep)
        tasks[f"head {keep}"] = lambda keep=keep: pooling.lazy_strike(x, keep=keep)
    seconds = _timed(tasks, rounds, device)
    filters = ratios(seconds["literal filter"], seconds["filter"])
    found = [Figure(f"filter, literal / ours, {device}", "x", filters, at_least=LEAST_FILTER)]
    for keep, least in LEAST_HEAD.items():
        ours = seconds[f"head {keep}"]
        faster, same = ratios(seconds[f"literal {keep}"], ours), _same(x, keep)
        found += [
            Figure(f"head, M = {keep}, literal / ours, {device}", "x", faster, at_least=least),
            Figure(f"  head, M = {keep}, {device}", "s", ours),
            Figure(f"  same choice, M = {keep}, {device}", "share", (same,), at_least=LEAST_SAME),
        ]
    return found


def _same(x: Tensor, keep: int) -> float:
    """Share of the channels in which both choose the same patches."""
    theirs = torch.zeros_like(x, dtype=torch.bool)
    theirs.scatter_(1, literal_head(x, keep)[1], True)
    with torch.inference_mode(False), torch.enable_grad():
        tokens = x.clone().requires_grad_()
        pooling.lazy_strike(tokens, keep=keep).sum().backward()
        assert tokens.grad is not None
        ours = tokens.grad != 0
    return (theirs == ours).all(dim=1).double().mean().item()


@torch.inference_mode()
def _shares(rounds: int) -> list[Figure]:
    """The head's part of the forward pass of ViT-B/16, in the same rounds."""
    torch.manual_seed(0)
    model, images = ViT(BASE).eval(), torch.randn(BATCH, 3, 224, 224)
    tokens = model.forward_features(images)[:, 1:]
    tasks: dict[str, Callable[[], object]] = {"forward": lambda: model.forward_features(images)}
    for keep in MOST_SHARE:
        tasks[f"head {keep}"] = lambda keep=keep: pooling.lazy_strike(tokens, keep=keep)
    seconds = _timed(tasks, rounds, torch.device("cpu"))
    found = [Figure(f"ViT-B/16 forward, batch {BATCH}", "s", seconds["forward"])]
    for keep, most in MOST_SHARE.items():
        share = ratios(seconds[f"head {keep}"], seconds["forward"])
        found.append(Figure(f"head / forward, M = {keep}", "share", share, most))
    return found


def _steps(name: str, config: ViTConfig, batch: int, rounds: int) -> list[Figure]:
    """A training step with LazyStrike, and with registers, over one with CLS."""
    lazy = dataclasses.replace(config, pool="lazy_strike")
    half = config.side**2 // 2
    kinds = {
        "CLS": (config, None),
        "M = 1": (dataclasses.replace(lazy, keep=1), MOST_STEP),
        f"M = {half}": (dataclasses.replace(lazy, keep=half), MOST_STEP),
        "4 registers": (dataclasses.replace(config, registers=4), _most_registers(config)),
    }
    tasks = {kind: _step(each, batch) for kind, (each, _) in kinds.items()}
    seconds = _timed(tasks, rounds, torch.device("cpu"))
    found = [Figure(f"training step, {name}, CLS, batch {batch}", "s", seconds["CLS"])]
    for kind, (_, most) in kinds.items():
        if kind != "CLS":
            ratio = ratios(seconds[kind], seconds["CLS"])
            found.append(Figure(f"training step, {name}, {kind} / CLS", "x", ratio, most))
    return found


def _most_registers(config: ViTConfig) -> float | None:
    """The bar, where four more tokens are not by themselves as much work as it allows."""
    added = 4 / (1 + config.side**2)
    return MOST_STEP_REGISTERS if 1 + added < MOST_STEP_REGISTERS else None


def _attention(rounds: int) -> list[Figure]:
    """A step in bfloat16 with PyTorch's fused attention, over one with ours."""
    ours = _step(TINY, 64, low=True)

    def fused() -> None:
        with mock.patch.object(vit, "attend", F.scaled_dot_product_attention):
            ours()

    seconds = _timed({"fused": fused, "ours": ours}, rounds, torch.device("cpu"))
    name = "training step, tiny, bfloat16, fused attention / ours"
    return [Figure(name, "x", ratios(seconds["fused"], seconds["ours"]))]


def _step(config: ViTConfig, batch: int, *, low: bool = False) -> Callable[[], None]:
    """Forward, backward and AdamW on one random batch; ``low``: in bfloat16."""
    torch.manual_seed(0)
    model = ViT(config).train()
    images = torch.randn(batch, 3, config.img_size, config.img_size)
    labels = torch.randint(config.num_classes, (batch,))
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, fused=True)

    def step() -> None:
        optimizer.zero_grad()
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=low):
            loss = F.cross_entropy(model(images), labels)
        loss.backward()
        optimizer.step()

    return step


def _timed(
    tasks: Mapping[str, Callable[[], object]], rounds: int, device: torch.device
) -> dict[str, tuple[float, ...]]:
    """Seconds of each task, warmed up and finished on its device."""

    def finished(task: Callable[[], object]) -> Callable[[], None]:
        def run() -> None:
            task()
            if device.type == "cuda":
                torch.cuda.synchronize(device)

        return run

    ready = {name: finished(task) for name, task in tasks.items()}
    for task in ready.values():
        task()
    return interleaved(ready, rounds=rounds)
