"""Whether the published weights of a model are on this machine; the network is not tried."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

from unlazy.catalog import UnknownName, find

HUB_FILES = ("model.safetensors", "open_clip_model.safetensors")
HUB_FILES_OLD = ("pytorch_model.bin", "open_clip_pytorch_model.bin")


def is_cached(model: str) -> bool:
    """Whether MODEL loads without the network.

    True of schemes that never use it: bundled models, runs, fixed models and plug-ins, which say
    themselves what is missing.

    Raises:
        UnknownName: no such model or tag.
        ImportError: its library is not installed; the message says how it is.
    """
    if ".py:" in model:
        return True
    scheme, _, name = model.partition(":")
    find("backbones", scheme)
    look = {"torchvision": _torchvision, "timm": _timm, "open_clip": _open_clip, "hf": _hub_model}
    return look[scheme](name) if scheme in look else True


def _torchvision(name: str) -> bool:
    from torchvision.models import get_model_weights

    from unlazy.backbones.torchvision import PUBLISHED

    arch, _, tag = name.partition(".")
    try:
        known = {found.name: found for found in get_model_weights(arch)}
    except ValueError as error:
        raise UnknownName(f"torchvision has no model {arch!r}") from error
    if tag and tag not in known:
        raise UnknownName(f"torchvision has no weights {tag!r} of {arch}")
    published = known.get(tag or PUBLISHED) or next(iter(known.values()))
    return _downloaded(published.url)


def _timm(name: str) -> bool:
    import timm

    try:
        config = timm.get_pretrained_cfg(name)
    except RuntimeError as error:
        raise UnknownName(f"timm has no published weights {name!r}") from error
    if config is None:
        raise UnknownName(f"timm has no published weights {name!r}")
    repository = config.hf_hub_id
    files = (config.hf_hub_filename,) if config.hf_hub_filename else ()
    return bool(
        (repository and _in_hub_cache(repository, *files))
        or (isinstance(config.url, str) and _downloaded(config.url))
    )


def _open_clip(name: str) -> bool:
    from unlazy.backbones.open_clip_names import library

    arch, _, tag = name.partition("/")
    config = library().get_pretrained_cfg(arch, tag)
    if not config:
        raise UnknownName(f"open_clip has no weights {tag!r} of {arch}")
    repository, _, file = config.get("hf_hub", "").rpartition("/")
    files = (file,) if file else ()
    url = config.get("url", "")
    kept = Path("~/.cache/clip").expanduser() / Path(urlsplit(url).path).name
    return bool((repository and _in_hub_cache(repository, *files)) or (url and kept.is_file()))


def _hub_model(name: str) -> bool:
    return Path(name).is_dir() or _in_hub_cache(name)


def _in_hub_cache(repository: str, *files: str) -> bool:
    from huggingface_hub import try_to_load_from_cache

    names = files or (*HUB_FILES, *HUB_FILES_OLD)
    return any(isinstance(try_to_load_from_cache(repository, name), str) for name in names)


def _downloaded(url: str) -> bool:
    """In the folder of torch.hub, where torchvision and timm keep what has an address."""
    import torch

    return (Path(torch.hub.get_dir()) / "checkpoints" / Path(urlsplit(url).path).name).is_file()
