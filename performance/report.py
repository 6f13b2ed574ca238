"""A whole report against a bare forward pass over the same pictures."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from torch import Tensor

from performance.figures import Figure, interleaved, ratios
from performance.pictures import write_photos
from unlazy.backbones.base import Backbone
from unlazy.batches import CPU_PIXELS
from unlazy.catalog import load_backbone
from unlazy.data.folder import ImageFiles
from unlazy.geometry import View
from unlazy.inputs import workers_of
from unlazy.report.run import investigate, standard_measures

MODEL = "timm:vit_small_patch16_224"
SHORT_SIDE = 256  # pixels of the photographs' short side
MOST = 1.25
SHOWN_SHARE = 0.005  # of the report, above which a measure's part is listed
PHASES = ("forward and hooks", "observe", "rest of the pass", "conclusions")


@dataclass(frozen=True)
class _Setting:
    backbone: Backbone
    dataset: ImageFiles
    view: View

    def tensors(self) -> list[Tensor]:
        """Model input, decoded and normalised, in the batches that ``measure`` would make."""
        pixels = [self.view(self.dataset[index].image).pixels for index in range(len(self.dataset))]
        height, width = self.view.size
        batches = torch.stack(pixels).split(CPU_PIXELS // (height * width))
        return [self.backbone.normalise(batch) for batch in batches]

    def report(self) -> Any:
        """Everything but the page."""
        return investigate(
            self.backbone,
            self.dataset,
            source="performance",
            view=self.view,
            workers=workers_of(None),
        )


def figures(quick: bool) -> list[Figure]:
    """Ratio of the report to the bare forward, and where a report's time goes."""
    count, rounds = (16, 2) if quick else (200, 5)
    torch.manual_seed(0)
    backbone = load_backbone(MODEL, weights="random")
    with tempfile.TemporaryDirectory() as folder:
        write_photos(Path(folder), count, short_side=SHORT_SIDE)
        view = View(size=backbone.facts.size, interpolation=backbone.facts.interpolation)
        setting = _Setting(backbone, ImageFiles(folder), view)
        return _compare(setting, rounds)


def _compare(setting: _Setting, rounds: int) -> list[Figure]:
    batches, parts = setting.tensors(), []

    @torch.inference_mode()
    def bare() -> None:
        for batch in batches:
            setting.backbone.encode(batch)

    def report() -> None:
        parts.append(_parts(setting))

    bare()
    report()  # imports what conclusions need; not counted
    parts.clear()
    seconds = interleaved({"bare": bare, "report": report}, rounds=rounds)
    found = [
        Figure("report / bare forward", "x", ratios(seconds["report"], seconds["bare"]), MOST),
        Figure("bare forward", "s", seconds["bare"]),
        Figure("report without the page", "s", seconds["report"]),
    ]
    total = [sum(part[name] for name in PHASES) for part in parts]
    for name in PHASES:
        samples = tuple(part[name] / whole for part, whole in zip(parts, total, strict=True))
        found.append(Figure(f"  of it: {name}", "share", samples))
    slow = [Figure(f"  {name}", "s", tuple(part[name] for part in parts)) for name in parts[0]]
    least = SHOWN_SHARE * statistics.median(total)
    return found + [each for each in slow if each.quantity[2:] not in PHASES and each.value > least]


def _parts(setting: _Setting) -> dict[str, float]:
    """Seconds of one report: by phase, and of each measure's two halves."""
    spent: defaultdict[str, float] = defaultdict(float)
    before = time.perf_counter()
    with _clocked(setting.backbone, spent):
        measured = setting.report().measured
    total = time.perf_counter() - before
    observe = sum(seconds for name, seconds in spent.items() if name.startswith("observe"))
    phases = (
        measured.forward_seconds,
        observe,
        measured.seconds - measured.forward_seconds - observe,
        total - measured.seconds,
    )
    return dict(zip(PHASES, phases, strict=True)) | spent


@contextmanager
def _clocked(backbone: Backbone, spent: dict[str, float]) -> Iterator[None]:
    """Clocks ``observe`` and ``conclude`` of all measures of a report."""
    with ExitStack() as stack:
        for each in standard_measures(backbone.facts, frozenset()):
            for method in ("observe", "conclude"):
                spent[f"{method} of {each.name}"] = 0.0
                timed = _timed(getattr(type(each), method), f"{method} of {each.name}", spent)
                stack.enter_context(mock.patch.object(type(each), method, timed))
        yield


def _timed(method: Callable, name: str, spent: dict[str, float]) -> Callable:
    def timed(*args: Any) -> Any:
        before = time.perf_counter()
        try:
            return method(*args)
        finally:
            spent[name] += time.perf_counter() - before

    return timed
