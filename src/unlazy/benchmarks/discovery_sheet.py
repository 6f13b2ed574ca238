"""Pictures of object discovery for its page: true boxes and found ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from unlazy.benchmarks.discovery_methods import SPELLED, Method
from unlazy.benchmarks.sheet import Box, Panel, Sheet, misses_and_hits
from unlazy.benchmarks.whole_picture import shown_size
from unlazy.geometry import View
from unlazy.ledger import Seen


def contact_sheet(data: Any, seen: Seen, view: View, methods: Sequence[Method]) -> Sheet:
    """Misses and hits of the first method, evenly spread over the data, with the boxes of all.

    Args:
        data: the evaluated pictures.
        seen: what ``FoundObjects`` observed.
        view: under which it did.
        methods: those that were run.
    """
    first = methods[0]
    if f"corloc/{first}" not in seen:
        return Sheet()
    groups = misses_and_hits(
        seen.kept[f"corloc/{first}"],
        seen.order,
        lambda chosen: tuple(_panel(data, index, seen, view, methods) for index in chosen),
        by=SPELLED[first],
    )
    return Sheet(groups)


def _panel(data: Any, index: int, seen: Seen, view: View, methods: Sequence[Method]) -> Panel:
    sample = data[index]
    viewed = view(sample.image, sample.boxes)
    assert viewed.boxes is not None
    assert viewed.kept is not None
    height, width = shown_size(viewed)
    shrink = np.array([width / sample.image.width, height / sample.image.height] * 2)
    boxes = [Box("object", tuple(each)) for each in viewed.boxes[viewed.kept].tolist()]
    for method in methods:
        found = seen.kept[f"box/{method}"][index] * shrink
        if found[2] > found[0]:
            boxes.append(Box(f"found {SPELLED[method]}", tuple(found.tolist())))
    hits = [SPELLED[each] for each in methods if seen.kept[f"corloc/{each}"][index]]
    caption = f"hit {', '.join(hits)}" if hits else "missed by all"
    return Panel(sample.name, viewed.pixels[:, :height, :width], caption, tuple(boxes))
