"""The split law: any split over batches and ranks gives the same conclusion."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from unlazy import distributed
from unlazy.benchmarks.coarse_segmentation import Overlap
from unlazy.benchmarks.discovery_methods import Methods
from unlazy.benchmarks.found_objects import FoundObjects
from unlazy.geometry import Viewed
from unlazy.ledger import Batch, Ledger, Seen
from unlazy.measures.attention import Attention
from unlazy.measures.blocks import BlockNorms
from unlazy.measures.neighbours import Neighbours
from unlazy.measures.norms import Norms, NormShape
from unlazy.measures.patch_score import PatchScore
from unlazy.measures.pca import PCA
from unlazy.measures.qkv import QKVNorms
from unlazy.measures.votes import Votes
from unlazy.probes.bank import Heads
from unlazy.probes.chosen import KINDS, Chosen
from unlazy.probes.norm_counts import NormCounts, Quantiles
from unlazy.probes.pixels import NormalEquations, Patches, PixelErrors, solved
from unlazy.probes.position import PositionErrors
from unlazy.probes.register_heads import Joined, VectorClass
from unlazy.probes.sweep import NormSet, RankSet, Sweep
from unlazy.probes.token_class import TokenClass
from unlazy.tokens import STREAMS, Site, Tokens, Trace, resolve

COUNT, DEPTH, GRID, DIM = 9, 3, (3, 4), 8
SHOWN = frozenset({1, 5})
HIGH_NORM = 3.4  # of normal vectors of 8 numbers: a tenth


def heads(inputs: int, dim: int, outputs: int) -> Heads:
    generator = torch.Generator().manual_seed(outputs)
    return Heads(
        torch.randn(inputs, 1, dim, outputs, generator=generator), torch.zeros(inputs, 1, outputs)
    )


PATCHES = Patches((10, 10), (0.5,) * 3, (0.25,) * 3)
POSITION = PositionErrors(heads(1, DIM, 12), HIGH_NORM, GRID)
SETS = (
    NormSet("top100", 0.0, float("inf"), 1.0),
    NormSet("high", HIGH_NORM, float("inf"), 0.1),
    RankSet("own", 0.8, 1.0, 0.2),
)
MEASURES = [
    POSITION,
    PixelErrors(heads(1, DIM, 300), HIGH_NORM, PATCHES, np.zeros(300, np.float32)),
    Sweep(POSITION, SETS),
    Chosen(HIGH_NORM, seeds=2),
    TokenClass(dict.fromkeys(KINDS, heads(2, DIM, 3)), HIGH_NORM, 2),
    VectorClass({"cls_mean": heads(1, 2 * DIM, 3)}, {"cls_mean": Joined("cls_mean")}),
    Norms(),
    NormShape(),
    Attention(),
    PatchScore(),
    Neighbours(),
    Neighbours("interior", name="interior"),
    QKVNorms(),
    BlockNorms(DEPTH, SHOWN),
    Votes(keep=2),
    PCA(SHOWN),
    FoundObjects(Methods()),
    Overlap("attention", "mass60"),
    Overlap("patch-score", "crate", name="crate"),
]


def everything() -> dict[Site, Tokens]:
    generator = torch.Generator().manual_seed(3)
    sites = [Site(stream, layer) for stream in STREAMS for layer in range(DEPTH)]
    found = {}
    for site in {resolve(site, DEPTH) for site in sites}:
        whole = torch.randn(COUNT, 13, DIM, generator=generator)
        if site.stream == "attention":
            whole = whole.softmax(1)
        tokens = Tokens.split(whole, GRID, num_prefix=1, has_cls=True)
        found[site] = tokens
        found[site._replace(norm=True)] = tokens.norms()
    return found


TOKENS = everything()
IMAGE = torch.randn(COUNT, DIM, generator=torch.Generator().manual_seed(4))
BOXES = torch.tensor([[0.0, 0, 20, 20], [20, 10, 40, 30], [5, 5, 11, 25]])


def view(index: int) -> Viewed:
    pixels = torch.zeros(3, 30, 40, dtype=torch.uint8)
    if index % 3 == 2:
        return Viewed(pixels)
    left, top, right, bottom = BOXES[index % 3].int().tolist()
    mask = torch.zeros(30, 40, dtype=torch.uint8)
    mask[top:bottom, left:right] = 1 + index
    shown = (30 - index, 40)  # the rest is padding; from 21 rows on no patch is
    return Viewed(pixels, BOXES[[index % 3]], torch.tensor([True]), mask, shown=shown)


def part(indices: list[int]) -> tuple[Trace, Batch]:
    tokens = {
        site: Tokens(all_.patches[indices], all_.grid, all_.cls[indices], all_.registers[indices])
        for site, all_ in TOKENS.items()
    }
    views = tuple(view(index) for index in indices)
    batch = Batch(
        indices=tuple(indices),
        pixels=torch.stack([each.pixels for each in views]),
        names=tuple(map(str, indices)),
        labels=tuple(index % 3 for index in indices),
        views=views,
    )
    return Trace(IMAGE[indices], tokens, DEPTH), batch


def conclude(ranks: list[list[list[int]]], monkeypatch) -> dict[str, dict[str, float]]:
    seen = observed(ranks, MEASURES, monkeypatch)
    return {each.name: each.conclude(seen[each.name]) for each in MEASURES}


def observed(ranks: list[list[list[int]]], measures: list, monkeypatch) -> dict[str, Seen]:
    ledgers = []
    for batches in ranks:
        ledger = Ledger()
        for indices in batches:
            trace, batch = part(indices)
            for measure in measures:
                ledger.add(measure.name, measure.observe(trace, batch), indices)
            ledger.indices.extend(indices)
        ledgers.append(ledger)
    states = [(each.kept, each.sums, each.indices) for each in ledgers]
    monkeypatch.setattr(distributed, "gather", lambda mine: states)
    return ledgers[0].gather(measures)


@st.composite
def splits(draw):
    """Every index once, over 1 to 3 ranks, in batches of any size and order."""
    order = draw(st.permutations(range(COUNT)))
    ranks = [[] for _ in range(draw(st.integers(1, 3)))]
    for index in order:
        ranks[draw(st.integers(0, len(ranks) - 1))].append(index)
    return [
        [indices[at : at + size] for at in range(0, len(indices), size)]
        for indices in ranks
        for size in [draw(st.integers(1, 4))]
    ]


@given(ranks=splits())
def test_any_split_concludes_the_same(ranks):
    with pytest.MonkeyPatch.context() as patch:
        whole = conclude([[list(range(COUNT))]], patch)
        parts = conclude(ranks, patch)
    for name, numbers in whole.items():
        assert numbers, f"{name} concludes nothing"
        assert parts[name].keys() == numbers.keys()
        for key, number in numbers.items():
            np.testing.assert_allclose(parts[name][key], number, rtol=1e-5, err_msg=f"{name} {key}")


@given(ranks=splits())
def test_any_split_solves_the_same(ranks):
    measures = [NormCounts(), NormalEquations(PATCHES)]
    with pytest.MonkeyPatch.context() as patch:
        whole = observed([[list(range(COUNT))]], measures, patch)
        parts = observed(ranks, measures, patch)
    assert Quantiles.of(parts["norm_counts"]).above(0.9) == Quantiles.of(
        whole["norm_counts"]
    ).above(0.9)
    one, other = (solved(each["normal_equations"]).weight for each in (whole, parts))
    torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-9)
