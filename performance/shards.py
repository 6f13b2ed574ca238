"""Token shards: the speed of extracting against a bare forward pass, memory, and room."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import timm
import torch

from performance import fresh
from performance.figures import Figure, interleaved, ratios
from performance.pictures import Noise, write_photos
from unlazy.backbones.base import Backbone
from unlazy.backbones.timm_load import wrap
from unlazy.batches import CPU_PIXELS
from unlazy.benchmarks.probe_token_class import TokenClassProbe
from unlazy.catalog import load_backbone
from unlazy.data.folder import ImageFiles
from unlazy.data.sample import Sample
from unlazy.geometry import View
from unlazy.inputs import workers_of
from unlazy.measure import measure
from unlazy.probes.chosen import Chosen
from unlazy.probes.norm_counts import NormCounts, Quantiles
from unlazy.shards import Observer, Shards, TokensAt, extract
from unlazy.tokens import FINAL

MODEL = "timm:vit_small_patch16_224"
SMALL, DEPTH = "vit_tiny_patch16_224", 1  # what is held does not depend on it
SHORT_SIDE = 256  # pixels of the photographs' short side
LEAST_SPEED = 0.9
LEAST_ROOM = 50.0
MOST_GROWTH = 1.05
DTYPE = torch.float16
SEEDS = TokenClassProbe().seeds


def figures(quick: bool) -> list[Figure]:
    """Speed, peak memory for few and many pictures, and bytes on the disk."""
    return [*_speed(quick), *_memory(quick), *_room(quick)]


class Held:
    """Decoded pictures in memory, of which nothing but the model takes time."""

    def __init__(self, images: Sequence[Any]) -> None:
        self.images = images

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> Sample:
        return Sample(self.images[index], f"{index:06}")


def _speed(quick: bool) -> list[Figure]:
    """Images a second of extracting all final tokens, as a share of those of a bare forward."""
    count, rounds = (16, 2) if quick else (96, 3)
    torch.manual_seed(0)
    backbone = load_backbone(MODEL, weights="random")
    view = View(size=backbone.facts.size, interpolation=backbone.facts.interpolation)
    with tempfile.TemporaryDirectory() as folder:
        write_photos(Path(folder), count, short_side=SHORT_SIDE)
        files = ImageFiles(folder)
        decoded = [files[index].image for index in range(count)]
        tasks = {
            "bare": _bare(backbone, view, decoded),
            "extraction": _extraction(backbone, view, Held(decoded), 0),
            "from JPEG": _extraction(backbone, view, files, workers_of(None)),
        }
        for task in tasks.values():
            task()
        wall, busy = _timed(tasks, rounds)
    return [
        Figure(
            "images/s, extraction / bare forward",
            "x",
            ratios(wall["bare"], wall["extraction"]),
            at_least=LEAST_SPEED,
            note="all final tokens in float16, of pictures in memory",
        ),
        Figure(
            "  the same in processor time",
            "x",
            ratios(busy["bare"], busy["extraction"]),
            at_least=LEAST_SPEED,
            note="what else runs on the machine does not count",
        ),
        Figure("  the same from JPEG files", "x", ratios(wall["bare"], wall["from JPEG"])),
        Figure("bare forward", "s", wall["bare"]),
        Figure("extraction", "s", wall["extraction"]),
    ]


def _timed(
    tasks: Mapping[str, Callable[[], None]], rounds: int
) -> tuple[dict[str, tuple[float, ...]], dict[str, tuple[float, ...]]]:
    """Seconds by the wall clock, and of this process's processor time; every task once a round."""
    busy: dict[str, list[float]] = {name: [] for name in tasks}

    def counted(name: str) -> Callable[[], None]:
        def run() -> None:
            before = time.process_time()
            tasks[name]()
            busy[name].append(time.process_time() - before)

        return run

    wall = interleaved({name: counted(name) for name in tasks}, rounds=rounds)
    return wall, {name: tuple(row) for name, row in busy.items()}


def _bare(backbone: Backbone, view: View, images: Sequence[Any]) -> Callable[[], None]:
    """The model's own forward on what is decoded, in the batches of an extraction."""
    height, width = view.size
    pixels = torch.stack([view(image).pixels for image in images])
    batches = [backbone.normalise(each) for each in pixels.split(CPU_PIXELS // (height * width))]

    @torch.inference_mode()
    def run() -> None:
        for batch in batches:
            backbone.encode(batch)

    return run


def _extraction(backbone: Backbone, view: View, dataset: Any, workers: int) -> Callable[[], None]:
    """Into a new folder, which goes again."""

    def run() -> None:
        with _extracted(backbone, view, dataset, TokensAt((FINAL,)), workers=workers):
            pass

    return run


@contextmanager
def _extracted(
    backbone: Backbone, view: View, dataset: Any, observer: Observer, *, workers: int = 0
) -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        extract(
            backbone, dataset, [observer], folder=folder, view=view, dtype=DTYPE, workers=workers
        )
        yield Path(folder)


def _memory(quick: bool) -> list[Figure]:
    """Peak memory of a process that extracts few pictures, and of one that extracts many."""
    few, many, rounds = (64, 128, 1) if quick else (500, 5000, 2)
    peaks: dict[int, list[float]] = {few: [], many: []}
    for _ in range(rounds):
        for count, row in peaks.items():
            row.append(fresh.call("performance.shards:run", count=count) / 1e6)
    return [
        *(Figure(f"peak memory, {count} images", "MB", tuple(row)) for count, row in peaks.items()),
        Figure(
            f"peak memory, {many} / {few} images",
            "x",
            ratios(peaks[many], peaks[few]),
            MOST_GROWTH,
        ),
    ]


def run(*, count: int) -> int:
    """Extract all final tokens of ``count`` pictures; meant for a process of its own."""
    backbone, view = _small()
    with _extracted(backbone, view, Noise(count, view.size), TokensAt((FINAL,))):
        return fresh.peak_bytes()


def _room(quick: bool) -> list[Figure]:
    """Bytes on the disk, manifest included, of all tokens and of those that ``token-class`` takes.

    These are CLS, and for each seed a normal and an outlier patch, of pictures that have both; the
    cut-off is the median of all norms, so that almost all pictures have.
    """
    backbone, view = _small()
    pictures = Noise(64 if quick else 500, view.size)
    counts = measure(backbone, pictures, [NormCounts()], view=view).seen[NormCounts().name]
    least, found = Quantiles.of(counts).above(0.5), {}
    observers: dict[str, Any] = {
        "all": TokensAt((FINAL,)),
        "one": Chosen(least),
        "several": Chosen(least, SEEDS),
    }
    for name, observer in observers.items():
        with _extracted(backbone, view, pictures, observer) as folder:
            rows = Shards(folder).manifest["keys"]["final.cls" if name == "all" else "cls"]["n"]
            found[name] = sum(path.stat().st_size for path in folder.iterdir()) / rows
    return [
        Figure("all tokens, an image", "B", (found["all"],), note="14 x 14 patches and CLS"),
        Figure("CLS, a normal and an outlier patch, an image", "B", (found["one"],)),
        Figure(
            "room, all / three tokens",
            "x",
            (found["all"] / found["one"],),
            at_least=LEAST_ROOM,
            note="token-class with one seed, as the paper",
        ),
        Figure(
            f"room, all / {1 + 2 * SEEDS} tokens",
            "x",
            (found["all"] / found["several"],),
            note=f"token-class with its {SEEDS} seeds: CLS, {SEEDS} normal and {SEEDS} outliers",
        ),
    ]


def _small() -> tuple[Backbone, View]:
    torch.manual_seed(0)
    model = timm.create_model(SMALL, depth=DEPTH, num_classes=0)
    backbone = wrap(model, name=SMALL, weights="random")
    return backbone, View(backbone.facts.size)
