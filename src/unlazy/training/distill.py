"""Self supervision: DINO, a student that follows its own moving average over crops."""

from __future__ import annotations

import copy
from itertools import groupby

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from unlazy.backbones.vit import ViT
from unlazy.training import parallel
from unlazy.training.kinds import DistillRecipe
from unlazy.training.objective import Batch
from unlazy.training.schedule import cosine
from unlazy.training.views import MultiCrop, Resized, Views


class Head(nn.Module):
    """Three layers with GELU, a unit vector, and prototypes of unit length.

    The original normalises the weights of its last layer and fixes their length at 1; here the
    prototypes are divided by their length, which is the same function.
    """

    def __init__(self, dim: int, recipe: DistillRecipe) -> None:
        super().__init__()
        self.mlp = nn.Sequential(
            nn.Linear(dim, recipe.hidden),
            nn.GELU(),
            nn.Linear(recipe.hidden, recipe.hidden),
            nn.GELU(),
            nn.Linear(recipe.hidden, recipe.bottleneck),
        )
        for layer in self.mlp:
            if isinstance(layer, nn.Linear):
                nn.init.trunc_normal_(layer.weight, std=0.02)
                nn.init.zeros_(layer.bias)
        self.last = nn.Linear(recipe.bottleneck, recipe.prototypes, bias=False)

    def forward(self, vectors: Tensor) -> Tensor:
        """Image vectors (B, D) -> scores of the prototypes (B, K)."""
        units = F.normalize(self.mlp(vectors), dim=-1)
        return F.linear(units, F.normalize(self.last.weight, dim=1))


class Scorer(nn.Module):
    """The ViT, with whatever pool, and the head; the student and the teacher."""

    def __init__(self, recipe: DistillRecipe) -> None:
        super().__init__()
        self.backbone = ViT(recipe.model)
        self.head = Head(recipe.model.embed_dim, recipe)

    def forward(self, views: list[Tensor]) -> Tensor:
        """Views (B, 3, h, w) of any sizes -> scores (views, B, K); equal sizes run together."""
        groups = [list(each) for _, each in groupby(views, lambda view: view.shape[-2:])]
        vectors = torch.cat([self.backbone(torch.cat(each)) for each in groups])
        return self.head(vectors).unflatten(0, (len(views), -1))


def distillation(
    student: Tensor,
    teacher: Tensor,
    centre: Tensor,
    *,
    student_temperature: float,
    teacher_temperature: float,
) -> Tensor:
    """Mean cross-entropy of each student view with each teacher view of another crop.

    Args:
        student: scores (V, B, K); its first views are the teacher's.
        teacher: scores (2, B, K).
        centre: (K,), subtracted from the teacher's scores.
        student_temperature: what the student's scores are divided by.
        teacher_temperature: what the teacher's are; lower, so that they are sharper.

    Source: Caron et al., *Emerging Properties in Self-Supervised Vision Transformers*, Alg. 1.
    """
    aims = ((teacher.detach() - centre) / teacher_temperature).softmax(dim=-1)
    logs = (student / student_temperature).log_softmax(dim=-1)
    pairs = [
        -(aim * log).sum(dim=-1).mean()
        for place, aim in enumerate(aims)
        for other, log in enumerate(logs)
        if other != place
    ]
    return torch.stack(pairs).mean()


class Distill:
    """DINO's loss, centre and schedules.

    Attributes:
        trained, averaged: student and teacher.
        state: ``centre`` (K,), the moving mean of the teacher's scores.
    """

    def __init__(self, recipe: DistillRecipe) -> None:
        self.recipe = recipe
        student = Scorer(recipe)
        self.trained: nn.Module = student
        self.averaged: nn.Module | None = copy.deepcopy(student)
        self.state: dict[str, Tensor] = {"centre": torch.zeros(recipe.prototypes)}
        self._seen: list[Tensor] = []

    def views(self) -> Views:
        """How a held picture is shown."""
        recipe = self.recipe
        whole = Resized(recipe.whole, recipe.global_scale)
        local = Resized(recipe.local_size, recipe.local_scale)
        return MultiCrop(whole, local, recipe.local_crops, recipe.colour)

    def targets(self, labels: Tensor, generator: Generator) -> Tensor:
        """The labels, which the loss does not use."""
        return labels

    def loss(self, module: nn.Module, batch: Batch, *, step: int, steps: int) -> Tensor:
        """Student on all views against the teacher on the two global ones."""
        recipe = self.recipe
        assert self.averaged is not None
        with torch.no_grad():
            teacher = self.averaged(batch.views[:2]).float()
        self._seen.append(teacher.mean(dim=(0, 1)))
        return distillation(
            module(batch.views).float(),
            teacher,
            self.state["centre"],
            student_temperature=recipe.student_temperature,
            teacher_temperature=teacher_temperature(recipe, step, steps),
        )

    def after_backward(self, step: int, steps: int) -> None:
        """In the first epochs the prototypes do not move."""
        if step * self.recipe.epochs // steps < self.recipe.frozen_epochs:
            self._student.head.last.weight.grad = None

    def after_step(self, step: int, steps: int) -> None:
        """Move the centre towards the mean of the teacher's scores, over all ranks."""
        mean = parallel.mean(torch.stack(self._seen).mean(dim=0))
        self._seen.clear()
        self.state["centre"].lerp_(mean, 1 - self.recipe.centre_momentum)

    def momentum(self, step: int, steps: int) -> float:
        """Of the teacher: a cosine to 1."""
        return cosine(self.recipe.momentum, 1.0, step / steps)

    def vectors(self) -> dict[str, dict[str, Tensor]]:
        """None."""
        return {}

    def exports(self) -> dict[str, nn.Module]:
        """The teacher's ViT."""
        teacher: Scorer = self.averaged  # pyright: ignore[reportAssignmentType]
        return {"model": teacher.backbone}

    @property
    def _student(self) -> Scorer:
        return self.trained  # pyright: ignore[reportReturnType]


def teacher_temperature(recipe: DistillRecipe, step: int, steps: int) -> float:
    """Rises linearly, then stays."""
    share = min(1.0, step / max(1.0, recipe.temperature_warmup * steps))
    start = recipe.teacher_temperature_start
    return start + share * (recipe.teacher_temperature - start)
