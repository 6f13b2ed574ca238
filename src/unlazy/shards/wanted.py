"""What is extracted from what: batches, the rows that observers see in them, the size of shards."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from unlazy.backbones.base import Backbone
from unlazy.batches import CPU_PIXELS, GPU_PIXELS, Skipped, grouped_batches, none_usable
from unlazy.geometry import View
from unlazy.ledger import Batch
from unlazy.measure import trace_batch
from unlazy.shards.observers import Observer, Rows, num_bytes, rows_of

SHARD_BYTES = 32 * 2**20  # about as many are in a shard, and a few times as many in memory
MOST_PICTURES = 512  # in a shard: about as many, at most, does a killed rank pass again
FEWEST_SHARDS = 32  # so that every rank has its share


@dataclass(frozen=True)
class Wanted:
    """What to pass through what, and how."""

    backbone: Backbone
    dataset: Any
    observers: tuple[Observer, ...]
    view: View
    dtype: torch.dtype | None
    batch_size: int | None
    workers: int

    @property
    def pixels(self) -> int:
        """That pass through the model at once."""
        on_cpu = next(self.backbone.parameters()).device.type == "cpu"
        return CPU_PIXELS if on_cpu else GPU_PIXELS

    def batches(
        self, groups: Sequence[Sequence[int]], skip: Callable[[Skipped], None]
    ) -> Iterator[Iterator[Batch]]:
        """Of one group after the other."""
        return grouped_batches(
            self.dataset,
            self.view,
            groups,
            batch_size=self.batch_size,
            pixels=self.pixels,
            workers=self.workers,
            skip=skip,
        )

    def rows(self, batch: Batch) -> dict[str, Rows]:
        """What the observers see in a batch; the trace is gone on return."""
        sites = frozenset().union(*(each.reads for each in self.observers))
        trace = trace_batch(self.backbone, batch, sites)
        return rows_of(self.observers, trace, batch, self.dtype)

    def bytes_each(self) -> int:
        """Of the rows of the first picture that can be read.

        Raises:
            ValueError: there is none.
        """
        skipped: list[Skipped] = []
        everything = [range(len(self.dataset))]
        one = grouped_batches(
            self.dataset,
            self.view,
            everything,
            batch_size=1,
            pixels=1,
            workers=0,
            skip=skipped.append,
        )
        for batch in next(one):
            return num_bytes(self.rows(batch))
        raise none_usable(skipped)

    def pictures_per_shard(self, bytes_each: int) -> int:
        """A number of full batches, where the size of a batch is known."""
        height, width = self.view.size
        full = self.batch_size or max(1, self.pixels // (height * width))
        share = math.ceil(len(self.dataset) / FEWEST_SHARDS)
        fitting = min(MOST_PICTURES, share, SHARD_BYTES // max(1, bytes_each))
        return max(1, math.ceil(fitting / full)) * full
