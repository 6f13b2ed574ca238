"""What a hub repository or local directory of transformers says of its model.

transformers is optional (``pip install unlazy[text]``) and slow to import, so every function here
imports it when called.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from unlazy.backbones.base import extra
from unlazy.backbones.hub import hub_or_cache
from unlazy.backbones.transformers_layouts import LAYOUTS, NESTED, Colour

BESIDE = (  # parts of a checkpoint that are beside the vision tower; all else must be used
    "classifier.",
    "pooler.",
    "vit.pooler.",
    "decoder.",
    "text_model.",
    "text_projection.",
    "logit_scale",
    "logit_bias",
)
RESAMPLING = {0: "nearest", 1: "lanczos", 2: "bilinear", 3: "bicubic", 4: "box", 5: "hamming"}
"""PIL's numbers, which preprocessor_config.json holds."""


@dataclass(frozen=True)
class Origin:
    """What the files around the weights say: preprocessing and kind of supervision."""

    mean: Colour
    std: Colour
    interpolation: str
    supervision: str


def library() -> ModuleType:
    """The transformers package, or an ImportError that says how to install it."""
    return extra("transformers", "Hugging Face")


@contextmanager
def quiet() -> Iterator[None]:
    """Without the library's progress bars and loading report; the caller checks the report."""
    logging = library().utils.logging
    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()


def pair(size: int | Iterable[int]) -> tuple[int, int]:
    """(height, width) of a size that may be one number.

    >>> pair(224), pair([224, 160])
    ((224, 224), (224, 160))
    """
    height, width = (size, size) if isinstance(size, int) else tuple(size)
    return height, width


def source(name: str) -> AbstractContextManager[None]:
    """Where files of a name are read from: its directory, else the hub or its cache."""
    return nullcontext() if Path(name).is_dir() else hub_or_cache()


def absent(name: str, what: str, error: OSError) -> str:
    """What to do when a file can neither be found nor fetched."""
    if Path(name).is_dir():
        return f"no {what} in {name}"
    why = str(error) if isinstance(error, ConnectionError) else "not local, cached or on the hub"
    return f"no {what} ({why}); try `hf download {name} --local-dir DIR`, then hf:DIR"


def read_config(name: str) -> Any:
    """The configuration of the vision tower, in float32.

    Raises:
        FileNotFoundError: there is no such folder, or no config.json.
        ValueError: a model type that is not read.
    """
    transformers = library()
    _check_folder(name)
    try:
        with source(name):
            config = transformers.AutoConfig.from_pretrained(name)
    except OSError as error:
        raise FileNotFoundError(f"{name}: {absent(name, 'config.json', error)}") from error
    if config.model_type in NESTED:
        written = config.architectures
        config = config.vision_config
        config.architectures = config.architectures or written
    if config.model_type not in LAYOUTS:
        readable = ", ".join([*LAYOUTS, *NESTED])
        raise ValueError(f"{name} is a {config.model_type!r} model; these are read: {readable}")
    config.dtype = "float32"
    return config


def _check_folder(name: str) -> None:
    """Refuse the path of a missing folder, which the hub would be asked for."""
    is_path = name.startswith((".", "/", "~")) or name.count("/") > 1
    if is_path and not Path(name).is_dir():
        raise FileNotFoundError(f"there is no folder {name} (a hub's model is hf:ORG/NAME)")


def model_class(config: Any) -> Any:
    """The class of transformers to build: CLIP without its projection if saved without it."""
    bare = "CLIPVisionModel" in (config.architectures or ())
    return getattr(library(), "CLIPVisionModel" if bare else LAYOUTS[config.model_type].model)


def read_origin(name: str, config: Any, *, random: bool) -> Origin:
    """Preprocessing from the image processor's file, else the model type's usual one, warned of."""
    layout = LAYOUTS[config.model_type]
    found = _processor(name)
    if not found and not random:
        warnings.warn(
            f"{name} has no preprocessor_config.json; normalising as is usual for"
            f" {config.model_type} models, with mean {layout.mean} and std {layout.std}",
            stacklevel=3,
        )
    return Origin(
        mean=_colour(found.get("image_mean") or layout.mean),
        std=_colour(found.get("image_std") or layout.std),
        interpolation=RESAMPLING[int(found.get("resample", 3))],
        supervision=_supervision(name, config),
    )


def complaint_about(report: Mapping[str, Any]) -> str:
    """What is wrong with a loading report of ``from_pretrained``; empty if nothing is.

    >>> complaint_about({"missing_keys": ["norm.weight"], "unexpected_keys": ["pooler.bias"]})
    'missing norm.weight'
    """
    left = [key for key in report.get("unexpected_keys", ()) if not key.startswith(BESIDE)]
    problems = {
        "missing": report.get("missing_keys", ()),
        "unexpected": left,
        "of another shape": [str(key) for key in report.get("mismatched_keys", ())],
    }
    named = [f"{what} {_shorten(sorted(keys))}" for what, keys in problems.items() if keys]
    return "; ".join([*named, *map(str, report.get("error_msgs") or ())])


def _colour(values: Iterable[Any]) -> Colour:
    red, green, blue = (float(value) for value in values)
    return red, green, blue


def _shorten(keys: list[str], most: int = 8) -> str:
    more = f" and {len(keys) - most} more" if len(keys) > most else ""
    return ", ".join(keys[:most]) + more


def _processor(name: str) -> dict[str, Any]:
    """The image processor's settings; empty if there are none."""
    cached_file = library().utils.cached_file
    for file in ("preprocessor_config.json", "processor_config.json"):
        try:
            with source(name):
                settings = json.loads(Path(cached_file(name, file)).read_text())
        except OSError:
            continue
        return settings.get("image_processor", settings)
    return {}


def _supervision(name: str, config: Any) -> str:
    """The model type's, or for a plain ViT what its head and its name tell."""
    usual = LAYOUTS[config.model_type].supervision
    if usual != "unknown":
        return usual
    if any("ImageClassification" in kind for kind in config.architectures or ()):
        return "label"
    return "self" if any(word in name.lower() for word in ("dino", "mae", "msn")) else "unknown"
