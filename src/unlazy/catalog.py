"""Names for things: lazy ``module:Object`` tables, near misses, entry points, ``file.py:Name``.

Strings become objects here and in the command line, nowhere else. The strings are the one
reference from a lower layer to a higher one: they are imported only when asked for.
"""

from __future__ import annotations

import dataclasses
import difflib
import importlib
import importlib.metadata
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from unlazy import own_file

SHOWN = 30  # names that a message lists
CHECKPOINT_SUFFIXES = (".safetensors", ".pth", ".pt", ".bin", ".ckpt")
BACKBONES = {
    "bundled": "unlazy.backbones.bundled:load",
    "timm": "unlazy.backbones.timm_load:load",
    "torchvision": "unlazy.backbones.torchvision:load",
    "open_clip": "unlazy.backbones.open_clip:load",
    "hf": "unlazy.backbones.transformers:load",
    "file": "unlazy.backbones.bundled:load_run",
    "fixed": "unlazy.fixes.files:load",
}
MODEL_NAMES = {
    "bundled": "unlazy.backbones.bundled:names",
    "timm": "unlazy.backbones.timm_load:names",
    "torchvision": "unlazy.backbones.torchvision:names",
    "open_clip": "unlazy.backbones.open_clip:names",
    "hf": "unlazy.backbones.transformers:names",
}
DATA = {
    "tiny-imagenet": "unlazy.data.tiny_imagenet:TinyImageNet",
    "imagenet": "unlazy.data.imagenet:ImageNet",
    "voc07": "unlazy.data.voc:voc07",
    "voc12": "unlazy.data.voc:voc12",
    "coco": "unlazy.data.coco:COCO",
    "coco20k": "unlazy.data.coco:COCO20k",
    "coco128": "unlazy.data.coco128:COCO128",
    "class-folders": "unlazy.data.class_folders:ClassFolders",
    "box-folder": "unlazy.data.box_folder:BoxFolder",
    "hf": "unlazy.data.hugging_face:HuggingFace",
    "images": "unlazy.data.folder:ImageFiles",
    "photos": "unlazy.data.photos:Photos",
    "scenes": "unlazy.data.synthetic:Scenes",
}
MEASURES = {
    "norms": "unlazy.measures.norms:Norms",
    "attention": "unlazy.measures.attention:Attention",
    "patch-score": "unlazy.measures.patch_score:PatchScore",
    "neighbours": "unlazy.measures.neighbours:Neighbours",
    "qkv": "unlazy.measures.qkv:QKVNorms",
    "blocks": "unlazy.measures.blocks:BlockNorms",
    "votes": "unlazy.measures.votes:Votes",
    "pca": "unlazy.measures.pca:PCA",
}
FIXES = {
    "test-time-registers": "unlazy.fixes.test_time_registers:TestTimeRegisters",
    "norm-clipping": "unlazy.fixes.baselines:NormClipping",
    "neighbour-median": "unlazy.fixes.baselines:NeighbourMedian",
    "position-mean": "unlazy.fixes.baselines:PositionMean",
    "pooled": "unlazy.fixes.pooled:Pooled",
}
BENCHMARKS = {
    "point-in-box": "unlazy.benchmarks.point_in_box:PointInBox",
    "discovery": "unlazy.benchmarks.discovery:Discovery",
    "coarse-segmentation": "unlazy.benchmarks.coarse_segmentation:CoarseSegmentation",
    "knn": "unlazy.benchmarks.classification:KNN",
    "classification": "unlazy.benchmarks.classification:Classification",
    "zero-shot-classification": "unlazy.benchmarks.zero_shot:ZeroShot",
    "linear": "unlazy.benchmarks.linear:LinearProbe",
    "masked-classification": "unlazy.benchmarks.masked_classification:MaskedClassification",
}
PROBES = {
    "position": "unlazy.benchmarks.probe_position:PositionProbe",
    "pixels": "unlazy.benchmarks.probe_pixels:PixelProbe",
    "token-class": "unlazy.benchmarks.probe_token_class:TokenClassProbe",
    "register-heads": "unlazy.benchmarks.probe_registers:RegisterHeads",
    "dino-linear": "unlazy.benchmarks.probe_linear:DINOLinear",
    "dinov2-linear": "unlazy.benchmarks.probe_linear:DINOv2Linear",
    "threshold-sweep": "unlazy.benchmarks.probe_sweep:ThresholdSweep",
    "redundancy": "unlazy.benchmarks.probe_redundancy:Redundancy",
}
TINY = (
    *("tiny_scenes", "tiny_scene"),
    *("tiny_label", "tiny_label_lazystrike", "tiny_label_registers"),
    *("tiny_finetune_lazystrike", "tiny_finetune_cls"),
    *("tiny_dino", "tiny_dino_lazystrike", "tiny_clip", "tiny_clip_lazystrike"),
)
PAPER = (
    *("imagenet_b16_last", "imagenet_b32_last", "imagenet_s16_last"),
    *("imagenet_b16_deit", "imagenet_s16_deit"),
    *("clip_b16", "dino_s16", "windows_s16", "patch28_b"),
)
STUDIES = (
    *("scenes_pools", "scenes_readings", "scenes_difficulty", "scenes_length", "scenes_tokens"),
    *("scenes_scale", "tiny_pools"),
)
RECIPES = {
    name: f"unlazy.training.{module}:{name}"
    for module, names in (("recipes", TINY), ("paper", PAPER), ("studies", STUDIES))
    for name in names
}

PAPER_TABLES = {
    "table1": "unlazy.report.tables.point_in_box:table1",
    "table3": "unlazy.report.tables.point_in_box:table3",
    "table6": "unlazy.report.tables.dense:table6",
    "table7": "unlazy.report.tables.dense:table7",
    "table9": "unlazy.report.tables.ablations:table9",
    "table10": "unlazy.report.tables.ablations:table10",
    "figure2": "unlazy.report.tables.point_in_box:figure2",
    "figure3": "unlazy.report.tables.point_in_box:figure3",
    **{f"b-table{place}": f"unlazy.report.tables.second:table{place}" for place in range(1, 6)},
}

TABLES = {
    "backbones": BACKBONES,
    "models": MODEL_NAMES,
    "data": DATA,
    "measures": MEASURES,
    "fixes": FIXES,
    "benchmarks": BENCHMARKS,
    "probes": PROBES,
    "recipes": RECIPES,
    "tables": PAPER_TABLES,
}


class UnknownName(ValueError):
    """A name that no table has; the message lists near ones."""


def suggest(name: str, known: Iterable[str]) -> str:
    """A sentence of near names, or of all of them where they are few.

    >>> suggest("patch-scor", ["norms", "patch-score"])
    'did you mean patch-score?'
    """
    known = sorted(known)
    near = difflib.get_close_matches(name, known, n=4, cutoff=0.5)
    if near:
        return f"did you mean {' or '.join(near)}?"
    more = ", ..." if len(known) > SHOWN else ""
    return f"known: {', '.join(known[:SHOWN])}{more}" if known else "none is known"


def table(kind: str) -> dict[str, str]:
    """The names of one kind, those of installed plug-ins (entry points) included."""
    found = dict(TABLES[kind])
    for point in importlib.metadata.entry_points(group=f"unlazy.{kind}"):
        found.setdefault(point.name, point.value)
    return found


def find(kind: str, name: str) -> Any:
    """The object behind a name of ``kind``, or behind ``file.py:Name``.

    Raises:
        UnknownName: no such name; the message lists near ones.
    """
    if ".py:" in name:
        return _from_file(name)
    known = table(kind)
    if name not in known:
        if name.endswith(".py"):
            there = f"{name} is a file: write {name}:NAME, of what stands in it"
            raise UnknownName(there if Path(name).is_file() else f"there is no file {name}")
        raise UnknownName(f"none of the {kind} is called {name!r}; {suggest(name, known)}")
    module, _, attribute = known[name].partition(":")
    return getattr(importlib.import_module(module), attribute)


def summary(found: Any) -> str:
    r"""The first sentences of what is written about an object, up to an empty line.

    >>> summary(type("One", (), {"__doc__": "One ``a``\ntwo.\n\nThree."}))
    'One a two.'
    """
    return " ".join((found.__doc__ or "").split("\n\n")[0].split()).replace("``", "")


def make(kind: str, name: str) -> Any:
    """What the object behind a name of ``kind`` returns when it is called without arguments.

    Raises:
        UnknownName: no such name.
        OwnFile: it stands in a user's own file and fails.
    """
    return call(name, find(kind, name))


def call(name: str, found: Any, *args: Any, **given: Any) -> Any:
    """What the object behind a name returns for these arguments.

    Raises:
        OwnFile: it stands in a user's own file and fails.
    """
    if ".py:" not in name:
        return found(*args, **given)
    return own_file.called(_path(name), lambda: found(*args, **given))


def _path(name: str) -> Path:
    return Path(name.rpartition(":")[0])


def _from_file(name: str) -> Any:
    path, attribute = _path(name), name.rpartition(":")[2]
    if not path.is_file():
        raise UnknownName(f"there is no file {path}")
    module = own_file.load(path)
    if not hasattr(module, attribute):
        known = own_file.names(module)
        raise UnknownName(f"{path} has no {attribute!r}; {suggest(attribute, known)}")
    return getattr(module, attribute)


def load_backbone(model: str, *, weights: Any = "pretrained", size: int | None = None) -> Any:
    """A Backbone from ``scheme:name``, for example ``timm:vit_small_patch14_reg4_dinov2``.

    Args:
        model: ``bundled:NAME``, ``timm:NAME``, ``open_clip:ARCH/TAG``, ``torchvision:NAME``,
            ``hf:ORG/NAME``, or ``file.py:function``.
        weights: "pretrained", "random", or the Path of a local checkpoint.
        size: build for square images of this many pixels, where the model has one fixed size.

    Raises:
        UnknownName: no such scheme or model.
    """
    if ".py:" in model:
        made = make("backbones", model)
        if not hasattr(made, "facts"):
            raise own_file.OwnFile(f"{model} returns {made!r}; it must return a Backbone")
        return made
    scheme, colon, name = model.partition(":")
    if not colon:
        raise UnknownName(
            f"{model!r} does not say where the model is from{_guess(model)}"
            f" (schemes: {', '.join(table('backbones'))})"
        )
    backbone = find("backbones", scheme)(name, weights=weights, size=size)
    if scheme not in ("file", "fixed"):  # a run is named by its folder, a fixed model by both
        backbone.facts = dataclasses.replace(backbone.facts, name=model)
    return backbone


def _guess(model: str) -> str:
    path = Path(model)
    if path.is_dir():
        return f": write file:{model}"
    if path.is_file():
        own = path.suffix == ".py"
        return f": write {model}:FUNCTION" if own else f": write timm:NAME --checkpoint {model}"
    if path.suffix in (".py", *CHECKPOINT_SUFFIXES):
        return f", and there is no file {model}"
    if "/" in model:
        return f": write hf:{model} or open_clip:{model}"
    bundled = any(model in names for names in find("models", "bundled")().values())
    return f": write {'bundled' if bundled else 'timm'}:{model}"
