"""Ranks: the only module that knows there may be more than one process.

Start several with ``torchrun --nproc_per_node=N -m unlazy ...``; alone, rank 0 of 1.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar

T = TypeVar("T")


def rank() -> int:
    """This process's number."""
    import torch.distributed as dist

    return dist.get_rank() if dist.is_initialized() else 0


def world() -> int:
    """How many processes take part."""
    import torch.distributed as dist

    return dist.get_world_size() if dist.is_initialized() else 1


def shard(count: int) -> range:
    """This rank's indices of ``count`` items: ``rank, rank + world, ...``; never padded.

    >>> list(shard(3))
    [0, 1, 2]
    """
    return range(rank(), count, world())


def gather(mine: T) -> list[T]:
    """What every rank holds, on every rank, in rank order."""
    import torch.distributed as dist

    if world() == 1:
        return [mine]
    everyone: list[T] = [mine] * world()
    dist.all_gather_object(everyone, mine)
    return everyone


def on_main() -> bool:
    """Whether this process prints and writes."""
    return rank() == 0


@contextmanager
def started() -> Iterator[None]:
    """Join the process group that torchrun set up (NCCL with GPUs, else gloo); leave it at the end.

    Without torchrun this does nothing.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield
        return
    import torch
    import torch.distributed as dist

    on_gpu = torch.cuda.is_available()
    if on_gpu:
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    dist.init_process_group("nccl" if on_gpu else "gloo")
    try:
        yield
    finally:
        dist.destroy_process_group()
