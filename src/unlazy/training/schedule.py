"""What changes from step to step: learning rate, weight decay, the teacher's momentum."""

from __future__ import annotations

import math

from unlazy.training.recipe import Recipe


def cosine(start: float, end: float, share: float) -> float:
    """Half a cosine from ``start`` to ``end`` while ``share`` goes from 0 to 1.

    >>> [round(cosine(1.0, 0.0, share), 3) for share in (0, 0.5, 1)]
    [1.0, 0.5, 0.0]
    """
    return end + (start - end) * 0.5 * (1 + math.cos(math.pi * share))


def learning_rate(recipe: Recipe, step: int, steps: int) -> float:
    """Linear warm-up from zero, where there is one; a cosine to ``final_rate`` of the highest.

    >>> recipe = Recipe("example", warmup=0.1, learning_rate=1.0)
    >>> [round(learning_rate(recipe, step, 100), 3) for step in (0, 5, 10, 55, 100)]
    [0.0, 0.5, 1.0, 0.5, 0.0]
    """
    warm = round(recipe.warmup * steps)
    if step < warm:
        return recipe.learning_rate * step / warm
    share = (step - warm) / (steps - warm)
    highest, rest = recipe.learning_rate * (1 - recipe.final_rate), recipe.final_rate
    return highest * 0.5 * (1 + math.cos(math.pi * share)) + recipe.learning_rate * rest
