"""Refusing what a model returned where it is no number, by the name of the picture."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from unlazy.ledger import Batch
from unlazy.tokens import Trace, block, norm_of


def check_finite(
    values: Float[Tensor, "B *rest"], names: Sequence[str], what: str, *, where: str = ""
) -> None:
    """Refuse NaN and infinity.

    Args:
        values: a row a picture.
        names: of the pictures.
        what: the values are, in the plural.
        where: they were read; "" says nothing of it.

    Raises:
        ValueError: a value is not finite; the message names the first picture with one.
    """
    sound = torch.isfinite(values).flatten(1).all(dim=1).tolist()
    if not all(sound):
        raise ValueError(
            f"{what} of {names[sound.index(False)]} are not finite (NaN or infinite)"
            f"{where and f' {where}'}; are the weights sound, and is the dtype wide enough?"
        )


def patch_norms(trace: Trace, batch: Batch) -> Float[Tensor, "B N"]:
    """Norms of the patches before the last normalisation, float32.

    Raises:
        ValueError: one is not finite.
    """
    norms = trace[norm_of(block(-1))].patches[..., 0].to(torch.float32)
    check_finite(norms, batch.names, "patches", where="after the last block")
    return norms
