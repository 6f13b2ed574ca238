"""What open_clip knows of its models: architectures, tags, activation, preprocessing.

open_clip is optional (``pip install unlazy[text]``) and slow to import, so every function here
imports it when called.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from unlazy.backbones.base import extra
from unlazy.backbones.hub import hub_or_cache
from unlazy.backbones.weights import PretrainedUnavailable
from unlazy.catalog import UnknownName, suggest
from unlazy.tokens import Facts

PLAIN_TRUNKS = ("vit_", "eva")  # timm models that are plain ViTs inside open_clip's TimmModel
OTHER_TRUNKS = ("vit_relpos",)  # begin like a plain ViT and are none
FAMILIES = ("SigLIP", "CLIPA", "EVA", "PE", "MobileCLIP", "coca", "nllb", "roberta", "mt5")


@dataclass(frozen=True)
class Entry:
    """One open_clip model: an architecture and, if given, a tag of its weights.

    Attributes:
        arch, tag: the two halves of ``ARCH/TAG``; the tag may be missing.
        config: open_clip's model configuration.
        mean, std, interpolation, resize_mode: preprocessing of the tag's weights.
    """

    arch: str
    tag: str | None
    config: dict[str, Any]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    interpolation: str
    resize_mode: str

    @property
    def name(self) -> str:
        """``ARCH`` or ``ARCH/TAG``."""
        return self.arch if self.tag is None else f"{self.arch}/{self.tag}"

    def describe(self, facts: dict[str, Any]) -> Facts:
        """Facts of a tower, completed with what the entry knows."""
        known = {"name": self.name, "mean": self.mean, "std": self.std, "supervision": "text"}
        own = {"interpolation": self.interpolation, "crop_pct": 1.0}
        own["squashed"] = self.resize_mode == "squash"
        return Facts(**{**facts, **known, **own})


def library() -> ModuleType:
    """The open_clip package, or an ImportError that says how to install it."""
    return extra("open_clip", "open_clip")


def find(name: str, *, own_weights: bool = False) -> Entry:
    """The entry of a name.

    Args:
        name: ``ARCH`` or ``ARCH/TAG``.
        own_weights: whether a local checkpoint will be loaded, whose preprocessing matters.

    Raises:
        UnknownName: no such architecture or tag.
        ValueError: neither a plain ViT nor CLIP's ResNet, a tag whose weights were trained with
            another activation than the architecture has, or tags that preprocess differently where
            one must be named.
    """
    open_clip = library()
    arch, _, given = name.partition("/")
    archs = open_clip.list_models()
    if arch not in archs:
        raise UnknownName(f"open_clip has no model {arch!r}; {suggest(arch, archs)}")
    config = open_clip.get_model_config(arch)
    if not _is_read(config):
        kind = config["vision_cfg"]["timm_model_name"]
        raise ValueError(
            f"{arch} of open_clip is neither a plain ViT nor CLIP's ResNet but {kind}, which is not"
            " read"
        )
    tags = open_clip.list_pretrained_tags_by_model(arch)
    tag = given.lower().replace("-", "_") or None
    if tag is not None and tag not in tags:
        raise UnknownName(f"open_clip has no weights {given!r} of {arch}; {suggest(tag, tags)}")
    if tag is not None:
        _check_activation(arch, tag, config)
    return Entry(arch, tag, config, *_preprocessing(arch, tag, tags, exact=own_weights))


def download(entry: Entry) -> Path:
    """The tag's checkpoint, from open_clip's cache or the network.

    Raises:
        ValueError: no tag is given.
        PretrainedUnavailable: neither cache nor network has its file.
    """
    open_clip = library()
    if entry.tag is None:
        tags = ", ".join(open_clip.list_pretrained_tags_by_model(entry.arch)) or "none"
        raise ValueError(
            f"{entry.arch} does not say which weights: write {entry.arch}/TAG (it has {tags}),"
            " give a local file with --checkpoint FILE, or build it untrained with --random"
        )
    config = open_clip.get_pretrained_cfg(entry.arch, entry.tag)
    try:
        with hub_or_cache():
            return Path(open_clip.download_pretrained(config))
    except OSError as error:
        raise PretrainedUnavailable(entry.name, error) from error


def families() -> dict[str, list[str]]:
    """Architectures that can be read, grouped by family."""
    open_clip = library()
    grouped: dict[str, list[str]] = {}
    for arch in open_clip.list_models():
        if _is_read(open_clip.get_model_config(arch)):
            family = next((word for word in FAMILIES if word in arch), "CLIP")
            grouped.setdefault(family, []).append(arch)
    return grouped


def _is_read(config: dict[str, Any]) -> bool:
    trunk = config["vision_cfg"].get("timm_model_name")
    return not trunk or (trunk.startswith(PLAIN_TRUNKS) and not trunk.startswith(OTHER_TRUNKS))


def _check_activation(arch: str, tag: str, config: dict[str, Any]) -> None:
    """Refuse weights trained with QuickGELU in a model with GELU, or the reverse.

    open_clip itself only warns, and the features come out subtly wrong. Some architectures state
    their activation alone (``roberta-ViT-B-32``); without a sibling to name, theirs is trusted.
    """
    open_clip = library()
    wanted = bool(open_clip.get_pretrained_cfg(arch, tag).get("quick_gelu", False))
    if wanted == bool(config.get("quick_gelu", False)) or "timm_model_name" in config["vision_cfg"]:
        return
    sibling = f"{arch}-quickgelu" if wanted else arch.removesuffix("-quickgelu")
    if sibling != arch and tag in open_clip.list_pretrained_tags_by_model(sibling):
        trained = "QuickGELU" if wanted else "GELU"
        raise ValueError(
            f"the weights {tag} were trained with {trained}, which {arch} has not;"
            f" use {sibling}/{tag}"
        )


def _preprocessing(
    arch: str, tag: str | None, tags: Sequence[str], *, exact: bool
) -> tuple[tuple, tuple, str, str]:
    """Mean, std, filter and resizing of a tag; without one, what the architecture's tags share."""
    open_clip = library()
    configs = [open_clip.get_pretrained_cfg(arch, each) for each in ([tag] if tag else tags)]
    found = [
        (tuple(each["mean"]), tuple(each["std"]), each["interpolation"], each["resize_mode"])
        for each in configs
    ]
    if exact and len(set(found)) > 1:
        raise ValueError(
            f"the weights of {arch} differ in preprocessing; name the tag whose the file's is,"
            f" as {arch}/TAG: {', '.join(tags)}"
        )
    if found:
        return found[0]
    return open_clip.OPENAI_DATASET_MEAN, open_clip.OPENAI_DATASET_STD, "bicubic", "shortest"
