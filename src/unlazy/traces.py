"""Traces in files: a batch that the same model saw before is read again instead of run.

A file holds the tokens of one batch at the sites that were asked for, in safetensors, and in its
metadata a hash of each, so that a damaged file is told and its batch run anew.
"""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from unlazy.backbones.base import Backbone
from unlazy.identity import Unidentified, model_identity
from unlazy.ledger import Batch
from unlazy.tokens import Site, Tokens, Trace, resolve
from unlazy.whole_files import write_whole

FORMAT = 1
IMAGE = "image"


@dataclass(frozen=True)
class Kept:
    """The tokens of a site, as they are stored.

    Attributes:
        sequence: (B, T, D) all tokens: CLS, registers, patches.
        grid: (H, W) of the patches.
        num_prefix: tokens before the patches.
        has_cls: whether the first of them is CLS.
    """

    sequence: Tensor
    grid: tuple[int, int]
    num_prefix: int
    has_cls: bool

    @classmethod
    def of(cls, tokens: Tokens) -> Kept:
        """What is to be stored of tokens."""
        has_cls = tokens.cls is not None
        num_prefix = int(has_cls) + tokens.registers.shape[1]
        return cls(tokens.sequence(), tokens.grid, num_prefix, has_cls)

    def tokens(self) -> Tokens:
        """The tokens again."""
        return Tokens.split(
            self.sequence, self.grid, num_prefix=self.num_prefix, has_cls=self.has_cls
        )


class TraceFiles:
    """The traces of one model in a folder, a file a batch.

    What a trace depends on is in its place: weights, fix, device, dtype and versions in the
    folder's name, and the pixels that the model was shown, with their padding, in the file's. The
    same pictures in batches of other sizes are other batches: what is read is bit for bit what the
    model would return.

    Attributes:
        folder: of this model alone.
        found, run: batches that were read and that were not there.

    Raises:
        ValueError: the model depends on something that has no value to recognise it by.
    """

    def __init__(self, folder: Path, backbone: Backbone) -> None:
        try:
            name = model_identity(backbone, about=FORMAT)
        except Unidentified as problem:
            raise ValueError(
                f"traces of {backbone.facts.name} cannot be kept: it depends on {problem}"
            ) from problem
        self.folder = folder / name[:32]
        self.found = self.run = 0
        self._reference = next(backbone.parameters())
        self._depth = backbone.facts.depth
        self._writes = True

    def read(self, batch: Batch, sites: Iterable[Site]) -> Trace | None:
        """The trace of a batch, if all its sites are there and sound."""
        wanted = {str(site): site for site in self._resolved(sites)}
        found = self._load(self._path(batch), [IMAGE, *wanted])
        if found is None:
            self.run += 1
            return None
        self.found += 1
        tokens = {site: found[name].tokens() for name, site in wanted.items()}
        return Trace(found[IMAGE].sequence[:, 0], tokens, self._depth)

    def write(self, batch: Batch, trace: Trace) -> None:
        """Keep the trace of a batch, beside what is kept of the same batch at other sites.

        No room is told once; then nothing more is kept.
        """
        if not self._writes:
            return
        path = self._path(batch)
        kept = self._load(path, None) or {}
        kept[IMAGE] = Kept(trace.image[:, None], (1, 1), 0, has_cls=False)
        kept |= {str(site): Kept.of(tokens) for site, tokens in trace.items()}
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(path, _packed(kept))
        except OSError as problem:
            self._writes = False
            warnings.warn(
                f"{self.folder} takes no more traces ({problem.strerror or problem}); the run goes"
                " on without keeping them",
                stacklevel=2,
            )

    def _resolved(self, sites: Iterable[Site]) -> list[Site]:
        return [resolve(site, self._depth) for site in sites]

    def _path(self, batch: Batch) -> Path:
        """Of a batch: by all that the model sees."""
        shown = [viewed.shown for viewed in batch.views]
        name = hashlib.sha256(json.dumps([list(batch.pixels.shape), shown]).encode())
        name.update(batch.pixels.contiguous().numpy().data)
        digest = name.hexdigest()[:32]
        return self.folder / digest[:2] / f"{digest}.safetensors"

    def _load(self, path: Path, names: list[str] | None) -> dict[str, Kept] | None:
        """Entries of a file, all of them without ``names``; None where one lacks or is damaged."""
        if not path.is_file():
            return None
        try:
            with safe_open(path, "pt") as file:
                about: dict[str, Any] = json.loads(file.metadata()["entries"])
                if names is not None and not about.keys() >= set(names):
                    return None
                return {name: self._entry(file, name, about[name]) for name in names or about}
        except (SafetensorError, ValueError, KeyError, TypeError, OSError) as problem:
            warnings.warn(
                f"{path} is damaged and not used ({problem}); its batch is run again", stacklevel=2
            )
            path.unlink(missing_ok=True)
            return None

    def _entry(self, file: Any, name: str, about: dict[str, Any]) -> Kept:
        sequence = file.get_tensor(name)
        if _hash(sequence) != about["sha256"]:
            raise ValueError(f"{name} is not what was written")
        rows, columns = about["grid"]
        there = sequence.to(self._reference.device)
        return Kept(there, (rows, columns), about["num_prefix"], about["has_cls"])


def _packed(kept: dict[str, Kept]) -> bytes:
    """The bytes of a file."""
    tensors = {name: each.sequence.cpu().contiguous() for name, each in kept.items()}
    about = {
        name: {
            "grid": each.grid,
            "num_prefix": each.num_prefix,
            "has_cls": each.has_cls,
            "sha256": _hash(tensors[name]),
        }
        for name, each in kept.items()
    }
    return save(tensors, metadata={"entries": json.dumps(about)})


def _hash(sequence: Tensor) -> str:
    return hashlib.sha256(sequence.view(-1).view(torch.uint8).numpy().data).hexdigest()
