"""Observers: what is taken from a trace to be stored; all tokens at some sites, for example."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from unlazy.finite import check_finite
from unlazy.ledger import Batch, Observation, Some, Sum
from unlazy.tokens import Facts, Site, Trace, resolve


class Observer(Protocol):
    """The half of a Measure that looks: every Measure without sums is one."""

    @property
    def reads(self) -> frozenset[Site]:
        """The sites that it needs."""
        ...

    def observe(self, trace: Trace, batch: Batch) -> Observation:
        """Rows (B, ...) a picture, or rows of some pictures."""
        ...


@dataclass(frozen=True)
class TokensAt:
    """All tokens at sites, and the image vector.

    A row of ``SITE.patches`` is (H, W, D): the grid of its picture is in its shape. Rows of
    ``SITE.cls`` are (D,), of ``SITE.registers`` (R, D), of ``image`` (E,); a model without CLS or
    registers has no such rows.

    Attributes:
        sites: as they are to be called.
        image: whether the vector that supervision sees is stored.
    """

    sites: tuple[Site, ...]
    image: bool = False

    @property
    def reads(self) -> frozenset[Site]:
        """The sites."""
        return frozenset(self.sites)

    def observe(self, trace: Trace, batch: Batch) -> dict[str, Tensor]:
        """Rows by key.

        Raises:
            ValueError: the model returned NaN or infinity; the message names the picture and key.
        """
        found = {"image": trace.image} if self.image else {}
        for site in self.sites:
            tokens = trace[site]
            found[f"{site}.patches"] = tokens.map()
            if tokens.cls is not None:
                found[f"{site}.cls"] = tokens.cls
            if tokens.registers.shape[1]:
                found[f"{site}.registers"] = tokens.registers
        for key, rows in found.items():
            check_finite(rows, batch.names, key)
        return found

    def check(self, facts: Facts) -> None:
        """Before any picture is decoded: does the model have these sites?

        Raises:
            ValueError: nothing is asked for, a site twice, or one that the model has not.
        """
        if not self.sites and not self.image:
            raise ValueError("no site is given; name one, for example final, block(-1) or image")
        known: dict[Site, Site] = {}
        for site in self.sites:
            place = resolve(site, facts.depth)
            if place in known:
                raise ValueError(f"{known[place]} and {site} are the same place; leave out one")
            known[place] = site
            if site.stream not in facts.streams:
                raise ValueError(
                    f"{facts.name} has no {site.stream}; it can be read at"
                    f" {', '.join(sorted(facts.streams))}"
                )


@dataclass(frozen=True)
class Rows:
    """Rows of one key, of pictures of one batch: ``values`` (k, ...) in memory, as stored."""

    indices: tuple[int, ...]
    values: Tensor


def rows_of(
    observers: Iterable[Observer], trace: Trace, batch: Batch, dtype: torch.dtype | None
) -> dict[str, Rows]:
    """What all observers see in a batch, by key, as it is stored.

    Raises:
        ValueError: an observer gives a sum, two give the same key, the number of rows does not
            fit, or a value is too large for ``dtype``.
    """
    found: dict[str, Rows] = {}
    for each in observers:
        for key, seen in each.observe(trace, batch).items():
            if isinstance(seen, Sum):
                raise ValueError(f"{key} is a sum; shards hold rows, one a picture")
            if key in found or "#" in key or key == "index":
                why = "observed twice" if key in found else "no name for a key of shards"
                raise ValueError(f"{key!r} is {why}; call it something else")
            owners = batch.indices
            if isinstance(seen, Some):
                which, rows = seen.which.tolist(), seen.rows
                owners = tuple(index for index, one in zip(owners, which, strict=True) if one)
            else:
                rows = seen
            if len(rows) != len(owners):
                raise ValueError(f"{key} has {len(rows)} rows for {len(owners)} pictures")
            names = dict(zip(batch.indices, batch.names, strict=True))
            said = [names[index] for index in owners]
            found[key] = Rows(owners, _stored(key, rows.detach(), said, dtype))
    return found


def _stored(key: str, rows: Tensor, names: Sequence[str], dtype: torch.dtype | None) -> Tensor:
    """A copy in memory; floating numbers as ``dtype``, which must be wide enough."""
    if dtype is None or not rows.is_floating_point():
        return rows.to("cpu", copy=True).contiguous()
    stored = rows.to(dtype)
    lost = torch.isinf(stored) & torch.isfinite(rows)
    if lost.any():
        bad = lost.flatten(1).any(1) if lost.ndim > 1 else lost
        name = names[int(bad.nonzero()[0])]
        largest = rows.abs().nan_to_num(posinf=0.0).max()
        kind = str(dtype).removeprefix("torch.")
        raise ValueError(
            f"{key} of {name} or its batch has values up to {largest:.4g}, beyond {kind}; store as"
            " bfloat16 or float32"
        )
    return stored.to("cpu", copy=stored.data_ptr() == rows.data_ptr()).contiguous()


def num_bytes(rows: Mapping[str, Rows]) -> int:
    """That the values take."""
    return sum(each.values.nbytes for each in rows.values())
