"""Pictures of classification for its page: which class was told, and which it is."""

from __future__ import annotations

from typing import Any

from unlazy.benchmarks.sheet import SHOWN, Group, Panel, Sheet
from unlazy.data.spread import Spread
from unlazy.geometry import View
from unlazy.ledger import Seen


def answers_sheet(data: Any, seen: Seen, view: View) -> Sheet:
    """Misses and hits, evenly spread over the data; they are read again, but pass no model.

    Args:
        data: the evaluated pictures.
        seen: what ``Accuracy`` observed.
        view: under which it did.
    """
    correct, groups = seen.kept["correct"], []
    for title, hit in (("Misses", 0), ("Hits", 1)):
        members = [index for index in seen.order if correct[index] == hit]
        part = Spread(members, SHOWN)
        panels = tuple(_panel(data, part[place], seen, view) for place in range(len(part)))
        meaning = f"{len(part)} of {len(members)}, evenly spread over the data; predicted / true."
        groups.append(Group(title, meaning, panels))
    return Sheet(tuple(groups))


def _panel(data: Any, index: int, seen: Seen, view: View) -> Panel:
    sample, classes = data[index], getattr(data, "classes", None) or ()
    told, true = (int(seen.kept[key][index]) for key in ("told", "label"))
    said = (str(classes[each]) if each < len(classes) else f"class {each}" for each in (told, true))
    return Panel(sample.name, view(sample.image).pixels, " / ".join(said))
