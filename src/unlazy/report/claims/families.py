"""Which models are sizes of one family, and which are one model with and without registers."""

from __future__ import annotations

import re
from collections.abc import Sequence

from unlazy.report.claims.evidence import Evidence
from unlazy.tokens import Facts

SIZES = (
    *("nano", "atto", "femto", "pico", "tiny", "small", "wee", "little", "medium", "mediumd"),
    *("betwixt", "base", "large", "huge", "giant", "giantopt", "gopt", "bigg", "gigantic"),
    "enormous",
)
_SIZE = re.compile(
    rf"x*(?:{'|'.join(SIZES)}|[tsmblhge])\d*|plus|(?:so)?\d+[mb]\d?|(?:patch|window|crop)?\d+"
)
"""Size, patch, window and resolution, in the name of an architecture."""
_TRAINED = re.compile(r"s\d+[mb]|b\d+k|(?:patch)?\d{2,}")
"""Length of training and resolution. In the name of weights a letter or 400m is of their data."""
_GLUED = re.compile(r"^(vit|rn|resnet)(?:[tsmblhge]|\d+b)?(?:\d+(?:x\d+)?)?(?:plus)?$")
"""Size and patch behind a word, as in ``vit7b16`` and ``rn50x4``."""
_REGISTERS = re.compile(r"with[-_]registers?|reg(?:isters?)?[-_]?\d*(?![a-z0-9])")
_JOINTS = re.compile(r"[-_/.]+")


def family(name: str) -> str:
    """A model's name without what says its size, its patch and its resolution.

    The words are ours; a model whose name says nothing of sizes is a family of its own. Weights of
    other data are another family.

    >>> family("timm:vit_giant_patch14_dinov2"), family("timm:vit_small_patch14_dinov2")
    ('timm:vit-dinov2', 'timm:vit-dinov2')
    >>> family("open_clip:ViT-B-16/laion2b_s34b_b88k"), family("timm:pvt_v2_b2.in1k")
    ('open_clip:vit-laion2b', 'timm:pvt-v2-in1k')
    >>> family("hf:facebook/dinov3-vit7b16-pretrain-lvd1689m")
    'hf:facebook-dinov3-vit-pretrain-lvd1689m'
    """
    scheme, _, rest = name.lower().partition(":")
    model, _, weights = rest.partition("/" if scheme == "open_clip" else ".")
    words = [_GLUED.sub(r"\1", word) for word in _JOINTS.split(model)]
    kept = [word for word in words if not _SIZE.fullmatch(word)] + _JOINTS.split(weights)
    kept = [word for word in kept if word and not _TRAINED.fullmatch(word)]
    return f"{scheme}:{'-'.join(kept)}" if kept else name


def bare(name: str) -> str:
    """A model's name without what says that it has registers.

    >>> bare("timm:vit_small_patch14_reg4_dinov2.lvd142m")
    'timm:vit-small-patch14-dinov2-lvd142m'
    >>> bare("hf:facebook/dinov2-with-registers-base") == bare("hf:facebook/dinov2-base")
    True
    >>> bare("bundled:tiny-label-registers")
    'bundled:tiny-label'
    """
    scheme, _, rest = name.lower().partition(":")
    return f"{scheme}:{_JOINTS.sub('-', _REGISTERS.sub('', rest)).strip('-')}"


def relatives(one: Evidence, everyone: Sequence[Evidence]) -> list[Evidence]:
    """The sizes of a model's family, itself among them, smallest first.

    Random weights are a family apart, and so are models with registers.
    """
    facts = one.facts
    found = [
        each
        for each in everyone
        if family(each.facts.name) == family(facts.name)
        and each.control == one.control
        and bool(each.facts.num_registers) == bool(facts.num_registers)
    ]
    return sorted(found, key=lambda each: each.parameters)


def are_pair(one: Facts, other: Facts) -> bool:
    """Whether these are one model with and without registers, both trained or both random."""
    apart = bool(one.num_registers) != bool(other.num_registers)
    random = (one.weights == "random") == (other.weights == "random")
    return apart and random and bare(one.name) == bare(other.name)


def partner(one: Evidence, everyone: Sequence[Evidence]) -> Evidence | None:
    """The same model with registers for one without, or the other way round; None if not there."""
    return next((each for each in everyone if are_pair(one.facts, each.facts)), None)


def control_of(one: Evidence, everyone: Sequence[Evidence]) -> Evidence | None:
    """The model of the same name with random weights; None if not there, or if it is one."""
    if one.control:
        return None
    return next((e for e in everyone if e.control and e.facts.name == one.facts.name), None)
