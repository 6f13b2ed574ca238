"""Several ranks in training: wrapping modules, means, and gathering with gradients."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from unlazy import distributed
from unlazy.training.recipe import Recipe


def wrap(module: nn.Module, recipe: Recipe, device: torch.device) -> nn.Module:
    """The module as it runs on all ranks; one process runs it as it is.

    ``fully_shard`` splits each block, and then the rest, over the ranks, in place.
    """
    if recipe.compile:
        module.compile()
    if distributed.world() == 1:
        return module
    if recipe.sharding == "fully_shard":
        return shard(module)
    devices = [device] if device.type == "cuda" else None
    return DistributedDataParallel(module, device_ids=devices)


def shard(module: nn.Module) -> Any:
    """Split weights, gradients and so the optimizer's state over the ranks, in place."""
    from torch.distributed.fsdp import fully_shard

    for each in module.modules():
        if isinstance(each, nn.ModuleList):
            for block in each:
                fully_shard(block)
    # Also after a forward without a backward (the teacher's) each rank holds its shard alone.
    return fully_shard(module, reshard_after_forward=True)


def without_sync(module: nn.Module, *, last: bool) -> AbstractContextManager:
    """Gradients of all but the last part of a batch stay on their rank."""
    if hasattr(module, "set_requires_gradient_sync"):
        module.set_requires_gradient_sync(last)  # pyright: ignore[reportCallIssue]
    if isinstance(module, DistributedDataParallel) and not last:
        return module.no_sync()
    return nullcontext()


def mean(value: Tensor) -> Tensor:
    """The mean over ranks of a tensor without gradient; a new tensor."""
    value = value.detach().clone()
    if distributed.world() > 1:
        torch.distributed.all_reduce(value)
        value /= distributed.world()
    return value


def gather(rows: Tensor) -> Tensor:
    """The rows of all ranks, in rank order; gradients flow back to the rank they came from."""
    return rows if distributed.world() == 1 else _Gather.apply(rows)


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, rows: Tensor) -> Tensor:
        everyone = [torch.empty_like(rows) for _ in range(distributed.world())]
        torch.distributed.all_gather(everyone, rows.contiguous())
        return torch.cat(everyone)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        """The loss of every rank depends on the rows of this one."""
        total = grads[0].contiguous()
        torch.distributed.all_reduce(total)
        return total.chunk(distributed.world())[distributed.rank()]


def whole(module: nn.Module) -> dict[str, Tensor]:
    """All weights of a module, sharded or not, on every rank."""
    state: dict[str, Any] = module.state_dict()
    return {
        key: (value.full_tensor() if hasattr(value, "full_tensor") else value).detach()
        for key, value in state.items()
    }
