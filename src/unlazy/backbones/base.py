"""Backbone: any model, read at any site, by hooks that live only inside ``trace``."""

from __future__ import annotations

import hashlib
import importlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from unlazy.tokens import FINAL, Facts, Site, Tokens, Trace, norm_of, resolve


def trained_head(model: nn.Module, supervision: str) -> nn.Module | None:
    """The classifier of a model of timm or torchvision; None if it has none, or a projection."""
    named: Any = model
    head = named.get_classifier() if hasattr(model, "get_classifier") else named.fc
    usable = supervision == "label" and isinstance(head, nn.Module)
    return head if usable and not isinstance(head, nn.Identity) else None


@dataclass
class Call:
    """One call of a hooked module.

    Attributes:
        module: the hooked module.
        args, kwargs, output: what went in and came out.
        size: (height, width) of the images of this pass, in pixels.
        memo: a place to keep what several sites need from the same call.
    """

    module: nn.Module
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    output: Any
    size: tuple[int, int]
    memo: dict[str, Any] = field(default_factory=dict)


def patch_tokens(flat: Float[Tensor, "B N D"], grid: tuple[int, int]) -> Tokens:
    """Tokens where there are patches only."""
    return Tokens(flat, grid, None, flat[:, :0])


def extra(module: str, whose: str) -> ModuleType:
    """A library that is optional and slow to import, when a model of it is asked for.

    Raises:
        ImportError: it is not installed; the message says how to.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ImportError(f"{whose} models need an extra: pip install unlazy[text]") from error


class Backbone(nn.Module, ABC):
    """A wrapped, unchanged model and what is known of it.

    A family writes ``locate``, ``read`` and ``encode``; everything else is here.
    """

    facts: Facts
    fix: str | None = None  # the name of the fix under which it runs
    fix_settings: Any = None  # that fix itself, with what its calibration found
    precision: torch.dtype | None = None  # of autocast while traced; None: that of the weights
    label_names: Sequence[str] | None = None  # WordNet ids or names, in the classifier's order
    texts: Any = None  # the text tower beside it, see open_clip_text; None where there is none

    def __init__(self, model: nn.Module, facts: Facts) -> None:
        super().__init__()
        self.model = model.eval()
        self.facts = facts

    @abstractmethod
    def locate(self, site: Site) -> nn.Module:
        """The module whose call holds what ``site`` asks for; the layer counts from 0."""

    @abstractmethod
    def read(self, site: Site, call: Call) -> Tokens:
        """Split the located module's call into tokens."""

    @abstractmethod
    def encode(self, images: Float[Tensor, "B 3 height width"]) -> Float[Tensor, "B E"]:
        """The model's own forward pass, up to the vector that supervision sees."""

    def classifier(self) -> Callable[[Tensor], Tensor] | None:
        """What turns image vectors (B, E) into scores of the training data's classes, if any."""
        return None

    def classify(self, image: Float[Tensor, "B E"]) -> Float[Tensor, "B C"]:
        """Scores of the classes that the model was trained on, from image vectors.

        Raises:
            ValueError: it was trained without classes.
        """
        scores = self.classifier()
        if scores is None:
            raise ValueError(
                f"{self.facts.name} has no classifier: its supervision had no classes, or its head"
                " was left out"
            )
        return scores(image)

    def final_norm(self) -> nn.Module:
        """The module that normalises the last block's tokens."""
        return self.locate(FINAL)

    @property
    def pool_positions(self) -> nn.Parameter | None:
        """What an attention pool adds to the patches before it pools them; usually nothing."""
        return None

    def rebuild(self, layer: int, call: Call) -> Tensor:
        """The output of an attention module, recomputed from the q, k, v that are read there.

        ``doctor`` and the contract tests compare it with ``call.output``.
        """
        raise ValueError(f"{self.facts.family} has no attention to rebuild")

    def attention_module(self, layer: int) -> nn.Module:
        """The whole attention module of a block."""
        raise ValueError(f"{self.facts.family} has no attention")

    def forward(self, images: Float[Tensor, "B 3 height width"]) -> Float[Tensor, "B E"]:
        """Same as ``encode``."""
        return self.encode(images)

    def normalise(
        self, pixels: UInt8[Tensor, "B 3 height width"]
    ) -> Float[Tensor, "B 3 height width"]:
        """From uint8 RGB to this model's input, on its device and in its dtype."""
        reference = next(self.parameters())
        scaled = pixels.to(reference.device).float().div_(255)
        mean = scaled.new_tensor(self.facts.mean)[:, None, None]
        std = scaled.new_tensor(self.facts.std)[:, None, None]
        return scaled.sub_(mean).div_(std).to(reference.dtype)

    def trace(self, images: Float[Tensor, "B 3 height width"], sites: Iterable[Site] = ()) -> Trace:
        """One forward pass that keeps the tokens at ``sites``.

        The output is bit-equal to the untraced model's (under autocast to ``precision``, where one
        is set), and no hook survives the call.

        Raises:
            ValueError: a site that this model has not, or a size that it cannot take.
        """
        size = self.check_size(images.shape[-2], images.shape[-1])
        found: dict[Site, Tokens] = {}
        handles = []
        try:
            for module, wanted in self._by_module(sites):
                hook = self._hook(wanted, size, found)
                handles.append(module.register_forward_hook(hook, with_kwargs=True))
            with self._computing(images.device.type):
                image = self.encode(images)
        finally:
            for handle in handles:
                handle.remove()
        missed = [str(site) for site in self._resolved(sites) if site not in found]
        if missed:
            raise RuntimeError(f"{self.facts.name} never passed through {', '.join(missed)}")
        return Trace(image, found, self.facts.depth)

    def _computing(self, device: str) -> AbstractContextManager[Any]:
        """Autocast to ``precision``; without one, whatever the caller has."""
        lower = self.precision
        return nullcontext() if lower is None else torch.autocast(device, dtype=lower)

    def check_size(self, height: int, width: int) -> tuple[int, int]:
        """The same size, if this model can take it.

        Raises:
            ValueError: the size is not a multiple of the patch, or the model has one fixed size.
        """
        rows, columns = self.facts.multiple
        if height % rows or width % columns or not height or not width:
            raise ValueError(
                f"{self.facts.name} takes sides that are multiples of {rows}x{columns} px,"
                f" got {height}x{width}; nearest is"
                f" {max(1, round(height / rows)) * rows}x{max(1, round(width / columns)) * columns}"
            )
        if not self.facts.any_size and (height, width) != self.facts.size:
            native = "x".join(map(str, self.facts.size))
            raise ValueError(f"{self.facts.name} takes {native} px only, got {height}x{width}")
        return height, width

    def fingerprint(self) -> str:
        """SHA-256 over the names, shapes and bytes of all weights, first 16 hex digits."""
        digest = hashlib.sha256()
        for name, tensor in sorted(self.model.state_dict().items()):
            digest.update(f"{name}{tuple(tensor.shape)}{tensor.dtype}".encode())
            flat = tensor.detach().cpu().contiguous().reshape(-1)
            digest.update(flat.view(torch.uint8).numpy().tobytes())
        return digest.hexdigest()[:16]

    def _resolved(self, sites: Iterable[Site]) -> set[Site]:
        resolved = {resolve(site, self.facts.depth) for site in sites}
        absent = sorted({site.stream for site in resolved} - self.facts.streams)
        if absent:
            raise ValueError(
                f"{self.facts.name} has no {', '.join(absent)};"
                f" it can be read at {', '.join(sorted(self.facts.streams))}"
            )
        return resolved

    def _by_module(self, sites: Iterable[Site]) -> list[tuple[nn.Module, list[Site]]]:
        grouped: dict[nn.Module, list[Site]] = {}
        for site in sorted(self._resolved(sites)):
            grouped.setdefault(self.locate(site._replace(norm=False)), []).append(site)
        return list(grouped.items())

    def _hook(self, wanted: list[Site], size: tuple[int, int], found: dict[Site, Tokens]):
        def hook(module: nn.Module, args: tuple, kwargs: dict, output: Any) -> None:
            call = Call(module, args, kwargs, output, size)
            for plain in dict.fromkeys(site._replace(norm=False) for site in wanted):
                tokens = self.read(plain, call)
                if plain in wanted:
                    found[plain] = tokens
                if norm_of(plain) in wanted:
                    found[norm_of(plain)] = tokens.norms()

        return hook
