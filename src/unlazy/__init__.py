"""unlazy: find, measure and remove the artifacts of vision transformers.

>>> import unlazy
>>> unlazy.block(-1)
Site(stream='block', layer=-1, norm=False)
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from unlazy.backbones.base import Backbone
    from unlazy.catalog import load_backbone
    from unlazy.data.folder import ImageFiles
    from unlazy.data.sample import Sample
    from unlazy.geometry import View
    from unlazy.ledger import Measure
    from unlazy.report.page import write_page
    from unlazy.report.record import Record
    from unlazy.report.run import investigate
    from unlazy.tokens import (
        EMBED,
        FINAL,
        SHARED,
        Site,
        Tokens,
        Trace,
        attention,
        block,
        key,
        neurons,
        norm_of,
        query,
        value,
    )

_HOME = {
    "Backbone": "unlazy.backbones.base",
    "load_backbone": "unlazy.catalog",
    "ImageFiles": "unlazy.data.folder",
    "Sample": "unlazy.data.sample",
    "View": "unlazy.geometry",
    "Measure": "unlazy.ledger",
    "write_page": "unlazy.report.page",
    "Record": "unlazy.report.record",
    "investigate": "unlazy.report.run",
    "EMBED": "unlazy.tokens",
    "FINAL": "unlazy.tokens",
    "SHARED": "unlazy.tokens",
    "Site": "unlazy.tokens",
    "Tokens": "unlazy.tokens",
    "Trace": "unlazy.tokens",
    "attention": "unlazy.tokens",
    "block": "unlazy.tokens",
    "query": "unlazy.tokens",
    "key": "unlazy.tokens",
    "value": "unlazy.tokens",
    "neurons": "unlazy.tokens",
    "norm_of": "unlazy.tokens",
}
__all__ = [  # noqa: RUF022
    "Backbone",
    "load_backbone",
    "ImageFiles",
    "Sample",
    "View",
    "Measure",
    "write_page",
    "Record",
    "investigate",
    "EMBED",
    "FINAL",
    "SHARED",
    "Site",
    "Tokens",
    "Trace",
    "attention",
    "block",
    "query",
    "key",
    "value",
    "neurons",
    "norm_of",
]


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used: importing ``unlazy`` imports nothing heavy."""
    if name not in _HOME:
        raise AttributeError(f"module 'unlazy' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME[name]), name)
