"""Object discovery after the backbone, against literal transcriptions, one picture at a time.

Features have the size of ViT-S's last keys on a photograph of 480 x 360 pixels. They are drawn:
objects and a background of directions of their own, an offset that all patches share, and noise.
One thread and processor time, so that what else runs on the machine counts little.

Most of literal LOST is one product of the keys with themselves. Ours makes half of it, exactly and
in single precision, which bounds the ratio on one CPU thread.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import torch
from tests.reference import discovery as literal
from threadpoolctl import threadpool_limits
from torch import Tensor

from performance.figures import Figure, interleaved, ratios
from unlazy.batches import CPU_PIXELS
from unlazy.discovery import Objects, by_patch_score, lost, tokencut
from unlazy.scores import patch_score

GRIDS = {"S/16": (22, 30), "S/8": (45, 60)}
BATCH = CPU_PIXELS // (480 * 360)  # what `measure` would make
DIM, OBJECTS = 384, 3
LEAST_SCORE, LEAST_LOST, LEAST_CUT = 20.0, 5.0, 5.0


def figures(quick: bool) -> list[Figure]:
    """Patch score, LOST and TokenCut, each as ratio of seconds a picture."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with threadpool_limits(1), torch.inference_mode():
            return [
                figure
                for name, grid in GRIDS.items()
                if not quick or name == "S/16"
                for figure in _compare(name, drawn(BATCH, grid), 1 if quick else 5)
            ]
    finally:
        torch.set_num_threads(threads)


def drawn(count: int, grid: tuple[int, int]) -> Tensor:
    """Keys (count, H, W, D) with rectangles that resemble themselves."""
    generator = torch.Generator().manual_seed(0)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator)

    keys = normal(count, *grid, DIM) + 0.5 * normal(count, 1, 1, DIM)
    for picture in keys:
        for _ in range(OBJECTS):
            place = torch.rand(4, generator=generator) * torch.tensor([*grid, *grid]) / 2
            top, left, height, width = place.int().tolist()
            picture[top : top + height + 2, left : left + width + 2] += 0.8 * normal(DIM)
    return keys


def _compare(model: str, keys: Tensor, rounds: int) -> list[Figure]:
    count, (height, width) = len(keys), keys.shape[1:3]
    image = keys[:, 1, 1]  # any vector: the scores' values do not matter to their time
    one = keys[0].numpy()

    def score() -> Objects:
        scores = patch_score(keys.flatten(1, 2), image)
        return by_patch_score(scores.unflatten(1, (height, width)))

    tasks: dict[str, tuple[Callable[[], object], int]] = {  # and calls a round
        "literal LOST": (lambda: literal.lost(one), 10),
        "literal TokenCut": (lambda: literal.tokencut(one), 1),
        "patch score": (score, 50),
        "LOST": (lambda: lost(keys), 10),
        "TokenCut": (lambda: tokencut(keys), 3),
    }
    for task, _ in tasks.values():
        task()
    repeated = {name: _repeated(*task) for name, task in tasks.items()}
    spent = interleaved(repeated, rounds=rounds, clock=time.process_time)
    each = {
        name: tuple(second / tasks[name][1] / (1 if "literal" in name else count) for second in row)
        for name, row in spent.items()
    }
    bars = (
        ("literal LOST", "patch score", LEAST_SCORE),
        ("literal LOST", "LOST", LEAST_LOST),
        ("literal TokenCut", "TokenCut", LEAST_CUT),
    )
    label = f"{model}, {height * width} patches"
    same = {"LOST": _same(keys, lost, literal.lost)}
    same["TokenCut"] = _same(keys, tokencut, literal.tokencut)
    return [
        *[
            Figure(f"{above} / {below}, {label}", "x", ratios(each[above], each[below]), None, bar)
            for above, below, bar in bars
        ],
        *[Figure(f"  {task} a picture, {model}", "s", seconds) for task, seconds in each.items()],
        *[
            Figure(f"  same boxes, {task}, {model}", "share", (part,))
            for task, part in same.items()
        ],
    ]


def _repeated(task: Callable[[], object], times: int) -> Callable[[], None]:
    """Several calls in a row, as over a data set; the first pays for memory and caches."""

    def run() -> None:
        for _ in range(times):
            task()

    return run


def _same(keys: Tensor, ours: Callable, theirs: Callable) -> float:
    """Share of the pictures with the same box."""
    found = ours(keys).box.tolist()
    expected = [literal.tight_box(theirs(each.numpy())) for each in keys]
    return sum(a == b for a, b in zip(found, expected, strict=True)) / len(found)
