"""Ranks: the only module that knows there may be more than one process.

Start several with ``torchrun --nproc_per_node=N -m unlazy ...``; alone, rank 0 of 1.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from functools import cache
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from torch import Tensor
    from torch.distributed import TCPStore  # pyright: ignore[reportPrivateImportUsage]

T = TypeVar("T")

FAIL_SECONDS = 30  # how long ranks may be apart in meeting the same problem
_asking = threading.Lock()
STORE_SECONDS = 5  # how long a rank with a problem waits to learn whether another has told it


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
    """What every rank holds, on every rank, in rank order.

    Raises:
        ConnectionError: another rank ended before it came here.
    """
    import torch.distributed as dist

    if world() == 1:
        return [mine]
    everyone: list[T] = [mine] * world()
    try:
        dist.all_gather_object(everyone, mine)
    except RuntimeError as error:  # gloo's and NCCL's way to say that a peer is gone
        raise ConnectionError(f"another rank ended early ({str(error)[:160]})") from error
    return everyone


def add(mine: Sequence[Tensor]) -> None:
    """Sum tensors over ranks, in place; every rank gives tensors of the same shapes.

    Raises:
        ConnectionError: another rank ended before it came here.
    """
    import torch.distributed as dist

    if world() == 1:
        return
    try:
        for each in mine:
            dist.all_reduce(each)
    except RuntimeError as error:
        raise ConnectionError(f"another rank ended early ({str(error)[:160]})") from error


def all_failed(at: str) -> bool:
    """Whether every rank met a problem at one place, so that all can go on behind it; alone: yes.

    A rank that met none waits for the others in a ``gather`` that they never reach. So the ranks do
    not gather, they count in torchrun's store, for ``FAIL_SECONDS``; all must then leave.

    Args:
        at: names the place; each is asked about once.
    """
    if world() == 1:
        return True
    try:
        store = _torchruns_store()
        failed = store.add(_key(f"failed/{at}"), 1)
        end = time.monotonic() + FAIL_SECONDS
        while failed < world() and time.monotonic() < end:
            time.sleep(0.1)
            failed = store.add(_key(f"failed/{at}"), 0)
    except RuntimeError:  # nobody keeps a store
        return False
    return failed >= world()


def on_main() -> bool:
    """Whether this process prints and writes."""
    return rank() == 0


def first_to_speak() -> bool:
    """Whether no other rank of this run has asked before; alone, always. Asked again: the same.

    All ranks meet the same mistake, or one rank alone does: either way it is to be told once. The
    ranks ask torchrun's store, since it also answers before the process group is joined.
    """
    with _asking:  # a stop may be told by another thread than a mistake
        return _first_to_speak()


@cache
def _first_to_speak() -> bool:
    host, port = os.environ.get("MASTER_ADDR"), os.environ.get("MASTER_PORT")
    if int(os.environ.get("WORLD_SIZE", "1")) == 1 or not host or not port:
        return True
    try:
        return _torchruns_store().add(_key("spoken"), 1) == 1
    except RuntimeError:  # nobody keeps a store there: better told twice than never
        return True


def _key(name: str) -> str:
    """In torchrun's store, which outlives a restart of the ranks."""
    return f"unlazy/{os.environ.get('TORCHELASTIC_RESTART_COUNT', '0')}/{name}"


def _torchruns_store() -> TCPStore:
    """What all ranks of this run can count in.

    Raises:
        RuntimeError: nobody keeps one.
    """
    from torch.distributed import TCPStore  # pyright: ignore[reportPrivateImportUsage]

    host, port = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
    return TCPStore(host, port, is_master=False, timeout=timedelta(seconds=STORE_SECONDS))


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
    except BaseException:
        first_to_speak()  # before the others hear that this rank has left, and tell only that
        raise
    finally:
        dist.destroy_process_group()
