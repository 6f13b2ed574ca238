"""Pictures of classification for its page: which class was told, and which it is."""

from __future__ import annotations

from typing import Any

from unlazy.benchmarks.sheet import Panel, Sheet, misses_and_hits
from unlazy.geometry import View
from unlazy.ledger import Seen


def answers_sheet(data: Any, seen: Seen, view: View) -> Sheet:
    """Misses and hits, evenly spread over the data; they are read again, but pass no model.

    Args:
        data: the evaluated pictures.
        seen: what ``Accuracy`` observed.
        view: under which it did.
    """
    groups = misses_and_hits(
        seen.kept["correct"],
        seen.order,
        lambda chosen: tuple(_panel(data, index, seen, view) for index in chosen),
        note="Under each: predicted / true.",
    )
    return Sheet(groups)


def spelled(data: Any, *numbers: int) -> str:
    """Names of classes, or their numbers where the data have no names, with slashes between."""
    classes = getattr(data, "classes", None) or ()
    return " / ".join(
        str(classes[each]) if each < len(classes) else f"class {each}" for each in numbers
    )


def _panel(data: Any, index: int, seen: Seen, view: View) -> Panel:
    sample = data[index]
    told, true = (int(seen.kept[key][index]) for key in ("told", "label"))
    return Panel(sample.name, view(sample.image).pixels, spelled(data, told, true))
