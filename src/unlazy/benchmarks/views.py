"""What benchmarks show of a picture."""

from __future__ import annotations

import math
from typing import Any

from unlazy.geometry import View
from unlazy.tokens import CROP, SMALL, Facts


def usual_view(facts: Facts) -> View:
    """The middle of the picture, its short side 256 pixels for 224; small ones are shown whole."""
    side = min(facts.size)
    resize = round(side / CROP) if side >= SMALL else None
    filter_of: Any = facts.interpolation  # of View's two
    return View(facts.size, resize=resize, interpolation=filter_of)


def own_view(facts: Facts) -> View:
    """As the model's own evaluation shows pictures, from which its published accuracy is."""
    filter_of: Any = facts.interpolation  # of View's two
    resize = math.floor(min(facts.size) / facts.crop_pct + 1e-6)  # timm rounds down
    return View(facts.size, "squash" if facts.squashed else "crop", filter_of, resize=resize)
