"""A bank of linear heads that learn at once, each by itself: rates and seeds side by side.

Shape legend: G inputs (1, or one a kind of token), S seeds, R learning rates, n examples, D width,
O outputs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from unlazy import distributed
from unlazy.probes.task import Plan

MOST_SCORES = 2**23
"""Scores held at once: more examples pass in turns."""
OPTIMIZERS: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
    "sgd": lambda groups: torch.optim.SGD(groups, momentum=0.9),
}
INITIAL = 0.01  # standard deviation of the first weights
PerExample = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Heads:
    """What was learned: for each input and seed, the head of the best rate and epoch.

    Attributes:
        weight: (G, S, D, O).
        bias: (G, S, O).
        rates, epochs, merits: of each head, in the order (G, S); epochs count from 1.
        examples: how many were learned from in an epoch, and how many were held out.
    """

    weight: Float[Tensor, "G S D O"]
    bias: Float[Tensor, "G S O"]
    rates: tuple[float, ...] = ()
    epochs: tuple[int, ...] = ()
    merits: tuple[float, ...] = ()
    examples: tuple[int, int] = (0, 0)

    def __call__(self, features: Float[Tensor, "G n D"]) -> Float[Tensor, "G S n O"]:
        """Scores."""
        weight, bias = self.weight.to(features.device), self.bias.to(features.device)
        scores = torch.einsum("gnd,gsdo->gsno", features.to(weight.dtype), weight)
        return scores + bias[:, :, None]


class Bank:
    """Heads while they learn; all numbers of a step are sums over ranks.

    Attributes:
        plan: how they learn.
        done: whether no head can become better any more.
    """

    def __init__(
        self, plan: Plan, *, inputs: int, dim: int, outputs: int, device: torch.device
    ) -> None:
        self.plan, self.device = plan, device
        self.shape = (inputs, plan.seeds, len(plan.rates))
        first = [_first(seed, dim, outputs) for seed in range(inputs * plan.seeds)]
        begun = torch.stack(first).unflatten(0, self.shape[:2])[:, :, None]
        whole = begun.expand(*self.shape, dim, outputs).to(device)
        self._rates = torch.tensor(plan.rates).expand(self.shape).flatten().tolist()
        self.weights = [each.clone().requires_grad_() for each in whole.flatten(0, 2)]
        self.biases = [each.new_zeros(outputs).requires_grad_() for each in self.weights]
        groups = [{"params": list(pair)} for pair in zip(self.weights, self.biases, strict=True)]
        self.optimizer = OPTIMIZERS[plan.optimizer](groups)
        self.best = [whole.clone(), whole.new_zeros(*self.shape, outputs)]
        self.merit = torch.full(self.shape, -math.inf, dtype=torch.float64)
        self.epoch, self.chosen = 0, torch.zeros(self.shape, dtype=torch.long)
        self._failed = torch.zeros(self.shape, dtype=torch.long, device=device)
        self._learned, self._seen = 0, torch.zeros(self.shape, dtype=torch.float64, device=device)
        self._count, self._taken, self.examples = 0, 0, (0, 0)

    @property
    def done(self) -> bool:
        """Whether no head can become better any more."""
        return self.epoch >= self.plan.epochs or not bool(self._active().any())

    @torch.enable_grad()
    def learn(self, features: Float[Tensor, "G n D"], target: Tensor, loss: PerExample) -> None:
        """Add examples to the step that ``step`` takes."""
        self._learned += features.shape[1]
        for part, wanted in self._turns(features, target):
            loss(self._scores(part), wanted).sum().backward()

    def step(self, share: float) -> None:
        """A step down the mean over all examples of all ranks since the last one.

        Args:
            share: how much of all steps is behind, in [0, 1).
        """
        gradients = []
        for each in (*self.weights, *self.biases):
            each.grad = torch.zeros_like(each) if each.grad is None else each.grad
            gradients.append(each.grad)
        count = torch.tensor([self._learned], device=self.device)
        distributed.add([count, *gradients])
        if int(count):
            for each in gradients:
                each /= float(count)
            fall = 0.5 * (1 + math.cos(math.pi * share))
            for rate, group in zip(self._rates, self.optimizer.param_groups, strict=True):
                group["lr"] = rate * fall
            self.optimizer.step()
        self.optimizer.zero_grad()
        self._learned, self._taken = 0, self._taken + int(count)

    @torch.no_grad()
    def examine(self, features: Float[Tensor, "G n D"], target: Tensor, merit: PerExample) -> None:
        """Add held-out examples to what ``close`` decides on."""
        self._count += features.shape[1]
        for part, wanted in self._turns(features, target):
            scores = self._scores(part)
            # argmax of NaN is a place like any other: merits may be finite where scores are not
            self._failed += (~torch.isfinite(scores)).flatten(3).any(-1)
            self._seen += merit(scores, wanted).double().sum(-1)

    @torch.no_grad()
    def close(self) -> None:
        """End an epoch: keep the heads that are better than before.

        A head whose scores were not finite is never kept any more; what it was before may stand.

        Raises:
            ValueError: no held-out example was seen.
        """
        count = torch.tensor([self._count], device=self.device)
        distributed.add([count, self._seen, self._failed])
        self._failed.clamp_(max=1)
        failed = self._failed.bool().cpu()
        if not int(count):
            raise ValueError("no training picture that was held out could be used; give more")
        active, found = self._active(), (self._seen / int(count)).cpu()
        self.epoch += 1
        better = active & ~failed & (found > self.merit)  # never where it is not a number
        self.merit = torch.where(better, found, self.merit)
        self.chosen = torch.where(better, self.epoch, self.chosen)
        for best, now in zip(self.best, (self.weights, self.biases), strict=True):
            flat = best.flatten(0, 2)
            for place in better.flatten().nonzero().flatten().tolist():
                flat[place] = now[place]
        self._seen.zero_()
        self.examples = self._taken, int(count)
        self._count = self._taken = 0

    def heads(self, name: str) -> Heads:
        """Of each input and seed the best, on the device where they learned.

        Args:
            name: what to call them.

        Raises:
            ValueError: a head's scores or merits were finite with no rate.
        """
        highest, which = self.merit.max(dim=2)  # (G, S)
        if lost := int((~torch.isfinite(highest)).sum()):
            rates = ", ".join(f"{rate:g}" for rate in self.plan.rates)
            raise ValueError(
                f"{name}: {lost} of {highest.numel()} heads learned nothing, with none of the rates"
                f" {rates} was what they say of held-out pictures finite; give lower rates"
            )
        first, second = torch.meshgrid(*map(torch.arange, which.shape), indexing="ij")
        weight, bias = (each[first, second, which] for each in self.best)
        return Heads(
            weight,
            bias,
            rates=tuple(self.plan.rates[place] for place in which.flatten().tolist()),
            epochs=tuple(self.chosen[first, second, which].flatten().tolist()),
            merits=tuple(self.merit[first, second, which].flatten().tolist()),
            examples=self.examples,
        )

    def state(self) -> dict[str, Any]:
        """All that the next epoch depends on."""
        return {
            "weights": [each.detach() for each in self.weights],
            "biases": [each.detach() for each in self.biases],
            "optimizer": self.optimizer.state_dict(),
            "best": self.best,
            "merit": self.merit,
            "chosen": self.chosen,
            "failed": self._failed,
            "epoch": self.epoch,
            "examples": self.examples,
        }

    @torch.no_grad()
    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a state."""
        for now, kept in ((self.weights, "weights"), (self.biases, "biases")):
            for each, value in zip(now, state[kept], strict=True):
                each.copy_(value)
        self.optimizer.load_state_dict(state["optimizer"])
        for each, value in zip(self.best, state["best"], strict=True):
            each.copy_(value)
        self.merit, self.chosen, self.epoch = state["merit"], state["chosen"], state["epoch"]
        self._failed.copy_(state["failed"])
        self.examples = state["examples"]

    def _active(self) -> Tensor:
        recent = self.epoch - self.chosen < self.plan.patience
        return recent & ~self._failed.bool().cpu()

    def _scores(self, features: Tensor) -> Tensor:
        """(G, n, D) -> (G, S, R, n, O)."""
        weight = torch.stack(self.weights).unflatten(0, self.shape)
        bias = torch.stack(self.biases).unflatten(0, self.shape)
        return torch.einsum("gnd,gsrdo->gsrno", features, weight) + bias[:, :, :, None]

    def _turns(self, features: Tensor, target: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        """Examples (G, n, D) in float32, with targets (n, ...), as many as fit into memory."""
        most = max(1, MOST_SCORES // (len(self.weights) * self.biases[0].numel()))
        for start in range(0, features.shape[1], most):
            part = slice(start, start + most)
            yield features[:, part].to(self.device, torch.float32), target[part].to(self.device)


def _first(seed: int, dim: int, outputs: int) -> Tensor:
    """Weights (D, O) to begin with, the same on every device."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(dim, outputs, generator=generator) * INITIAL
