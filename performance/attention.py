"""The last block's attention: one row through ``trace`` against full maps through timm.

Each way's extra memory is its peak over that of a bare forward pass with fused attention. Peaks
are taken twice, in fresh processes: as resident memory, in which a row of some 100 kB drowns; and
as live tensor bytes by the profiler, which sees each allocation of a tensor, also those inside of
an operator.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import timm
import torch
from timm.layers.config import set_fused_attn
from timm.utils.attention_extract import AttentionExtract

from performance import fresh
from performance.figures import Figure, interleaved, ratios
from unlazy.backbones.timm_load import wrap
from unlazy.tokens import attention

MODEL = "vit_small_patch14_dinov2"
SIZE = 798  # pixels a side
LEAST_MEMORY, MOST_TIME = 20.0, 1.05

Way = Literal["bare", "row", "full"]
WAYS: tuple[Way, ...] = ("bare", "row", "full")


def figures(quick: bool) -> list[Figure]:
    """Extra memory of a row and of full maps, and their time over a bare pass."""
    size, runs, rounds = (224, 1, 2) if quick else (SIZE, 3, 5)
    resident = _peaks("performance.attention:resident_peak", size, runs)
    live = _peaks("performance.attention:live_peak", size, 1)
    with torch.inference_mode():
        tasks = {way: _task(way, size) for way in WAYS}
        for task in tasks.values():
            task()
        seconds = interleaved(tasks, rounds=rounds)
    return [
        *_memory(live, "live tensors", LEAST_MEMORY),
        *_memory(resident, "resident", None),
        Figure("time, row / bare", "x", ratios(seconds["row"], seconds["bare"]), MOST_TIME),
        Figure("time, full maps / bare", "x", ratios(seconds["full"], seconds["bare"])),
        Figure("time, bare", "s", seconds["bare"]),
    ]


def resident_peak(*, way: Way, size: int) -> int:
    """Peak resident bytes of a process that makes one pass."""
    with torch.inference_mode():
        kept = _task(way, size)()
    del kept
    return fresh.peak_bytes()


def live_peak(*, way: Way, size: int) -> int:
    """Most bytes that tensors held at once in one pass, over those before it."""
    profile = torch.profiler.profile(
        activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True
    )
    with torch.inference_mode():
        task = _task(way, size)
        with profile:
            kept = task()
    del kept
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "trace.json"
        profile.export_chrome_trace(str(path))
        events = json.loads(path.read_text())["traceEvents"]
    changes = [event for event in events if event.get("name") == "[memory]"]
    held = peak = 0
    for event in sorted(changes, key=lambda event: event["ts"]):
        held += event["args"]["Bytes"]
        peak = max(peak, held)
    return peak


def _task(way: Way, size: int) -> Callable[[], object]:
    """One pass over one random image, which returns what it keeps."""
    torch.manual_seed(0)
    images = torch.randn(1, 3, size, size)
    set_fused_attn(way != "full")  # read by timm when a model is built
    try:
        model: Any = timm.create_model(MODEL, dynamic_img_size=True, num_classes=0).eval()
    finally:
        set_fused_attn(True)
    if way == "full":
        last = f"blocks.{len(model.blocks) - 1}.attn.attn_drop"
        extract = AttentionExtract(model, names=[last], method="hook")
        return lambda: extract(images)
    backbone = wrap(model, name=MODEL, weights="random")
    if way == "bare":
        return lambda: backbone.encode(images)
    site = attention(-1)
    return lambda: backbone.trace(images, [site])


def _peaks(target: str, size: int, runs: int) -> dict[Way, list[int]]:
    peaks: dict[Way, list[int]] = {way: [] for way in WAYS}
    for _ in range(runs):
        for way in WAYS:
            peaks[way].append(fresh.call(target, way=way, size=size))
    return peaks


def _memory(peaks: dict[Way, list[int]], kind: str, least: float | None) -> list[Figure]:
    """Extra bytes of both ways, and their ratio where the row's can be told from zero."""
    extra = {
        way: tuple(each - bare for each, bare in zip(peaks[way], peaks["bare"], strict=True))
        for way in ("row", "full")
    }
    found = [
        Figure(f"extra for the row, {kind}", "kB", tuple(b / 1e3 for b in extra["row"])),
        Figure(f"extra for full maps, {kind}", "kB", tuple(b / 1e3 for b in extra["full"])),
    ]
    if min(extra["row"]) > 0:
        ratio = ratios(extra["full"], extra["row"])
        found.append(Figure(f"full maps / row, {kind}", "x", ratio, at_least=least))
    return found
