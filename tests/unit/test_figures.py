import dataclasses
import io
import re

import numpy as np
import pytest
from PIL import Image

from unit.page_findings import findings, without
from unlazy.ledger import Seen
from unlazy.report import colours, figures, panels, plots
from unlazy.report.colours import Scale
from unlazy.report.kinds import ATTENTION, KINDS, NORM, QKV


def opened(content):
    return np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))


def test_each_patch_is_one_crisp_square():
    values = np.array([[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]])
    picture = opened(colours.paint(values, Scale(0, 5), width=30))
    assert picture.shape == (20, 30, 3)
    squares = picture.reshape(2, 10, 3, 10, 3)
    assert (squares == squares[:, :1, :, :1]).all()
    assert len(np.unique(picture.reshape(-1, 3), axis=0)) == 6


def test_colours_are_those_of_matplotlib_at_both_ends_and_beyond():
    from matplotlib import colormaps

    picture = opened(
        colours.paint(np.array([[-9.0, 0.0, 1.0, 9.0]]), Scale(0, 1, "magma"), width=4)
    )
    ends = np.round(255 * np.array(colormaps["magma"]([0.0, 1.0]))[:, :3])
    assert (picture[0] == ends[[0, 0, 1, 1]]).all()


def test_a_constant_map_is_painted():
    one = np.full((2, 2), 3.0)
    assert len(np.unique(opened(colours.paint(one, Scale.over([one], colours="magma"))))) <= 3


def test_a_scale_spans_all_maps_and_none_is_refused():
    scale = Scale.over([np.array([[1.0]]), np.array([[7.0]])], colours="viridis")
    assert (scale.low, scale.high) == (1.0, 7.0)
    assert Scale.over([np.array([[1.0]])], colours="viridis", zero=True).low == 0
    with pytest.raises(ValueError, match="at least one map"):
        Scale.over([], colours="viridis")


def test_photos_keep_their_aspect():
    picture = opened(colours.photo(np.zeros((3, 400, 1000), np.uint8)))
    assert picture.shape == (205, 512, 3)


@pytest.mark.parametrize("kind", [*KINDS, *QKV], ids=lambda kind: kind.key)
def test_every_kind_has_a_map_of_every_shown_picture(kind):
    found = figures.maps(findings(), kind)
    assert tuple(found) == findings().shown
    assert all(one.shape[:2] == (4, 4) for one in found.values())


def test_one_scale_across_models_in_multiples_of_the_median():
    first, second = findings(), findings("timm:other", 1)
    (layer,) = figures.layers([first, second], [NORM])
    every = np.concatenate([one.ravel() for theirs in layer.maps for one in theirs.values()])
    assert layer.scale is not None
    assert (layer.scale.low, layer.scale.high) == (every.min(), every.max())
    norms = first.measured.seen["norms"].flat("before")
    shown = first.shown[0]
    np.testing.assert_allclose(
        layer.maps[0][shown],
        first.measured.seen["norms"].kept["before"][shown] / np.median(norms),
        rtol=1e-6,
    )
    assert panels.legends([layer])[0].high.endswith(" x median")


def with_rows(measure: str, row: str, array: np.ndarray):
    """The same findings, a measure's row of the first shown picture replaced."""
    found = findings()
    rows = {**found.measured.seen[measure].kept[row], found.shown[0]: array}
    seen = found.measured.seen | {measure: Seen({row: rows}, {}, found.shown)}
    return dataclasses.replace(found, measured=dataclasses.replace(found.measured, seen=seen))


@pytest.mark.parametrize("measure", ["attention", "votes"])
def test_a_finer_grid_is_as_bright(measure):
    coarse = np.array([[4.0, 1.0], [1.0, 2.0]], np.float32)
    coarse /= coarse.sum() if measure == "attention" else 1
    fine = np.kron(coarse, np.ones((5, 5), np.float32)) / (25 if measure == "attention" else 1)
    kind = next(kind for kind in KINDS if kind.key == measure)
    several = [with_rows(measure, "map", one) for one in (coarse, fine)]
    shown = findings().shown[0]
    first, second = (figures.maps(each, kind, relative=True)[shown] for each in several)
    np.testing.assert_allclose(second, np.kron(first, np.ones((5, 5))), rtol=1e-5)
    np.testing.assert_allclose(first, [[2.0, 0.5], [0.5, 1.0]], rtol=1e-5)


def test_attention_to_other_tokens_is_not_counted_as_attention_to_patches():
    found = with_rows("attention", "map", np.full((2, 2), 0.125, np.float32))
    assert (figures.maps(found, ATTENTION)[found.shown[0]] == 0.5).all()


@pytest.mark.parametrize("seed", range(20))
def test_every_patch_of_a_comparison_falls_in_a_bin(monkeypatch, seed):
    norms = np.random.default_rng(seed).gamma(9, 3, (2, 4, 4)).astype(np.float32)
    several = [with_rows("norms", "before", one) for one in norms]
    limits = figures.common_axis(several, figures.relative_norms)
    drawn = []
    monkeypatch.setattr(
        plots, "norm_histogram", lambda norms, *_, limits, **__: drawn.append((norms, limits))
    )
    for each in several:
        figures.histogram(each, name="h", limits=limits)
    for found, (low, high) in drawn:
        assert found.dtype == np.float64
        assert ((found >= low) & (found <= high)).all()
    assert len(drawn) == 2


def test_block_maps_have_median_one():
    found = figures.block_maps(findings(), findings().shown[0])
    assert len(found) == findings().facts.depth
    assert [float(np.median(one)) for one in found] == pytest.approx([1.0, 1.0])


def test_what_is_missing_is_explained():
    bare = without(findings(), "attention", "qkv", "votes")
    assert figures.missing(findings(), "attention") == ""
    assert "no attention" in figures.missing(bare, "attention")
    assert "no queries" in figures.missing(bare, "qkv")
    assert "not measured" in figures.missing(bare, "votes")
    assert figures.maps(bare, ATTENTION) == {}
    assert figures.layers([bare], [ATTENTION]) == ()


def test_a_histogram_names_the_cutoffs_in_range_only():
    norms = np.concatenate([np.full(98, 10.0), [100.0, 120.0]])
    svg = plots.norm_histogram(norms, {"median": 10.0, "fixed": 150.0, "maximum": 120.0}, name="h")
    assert "median 10" in svg
    assert "maximum 120" in svg
    assert "fixed" not in svg


def test_plots_take_colours_from_the_page_and_keep_ids_apart():
    first, second = (plots.block_lines(np.ones((3, 5, 3)), name=name) for name in ("a", "b"))
    assert "var(--ink)" in first
    assert "#0102" not in first
    assert "<?xml" not in first
    assert "<text" in first
    assert "font-family" not in first
    ids = [set(re.findall(r'id="([^"]+)"', svg)) for svg in (first, second)]
    assert not ids[0] & ids[1]
    assert plots.block_lines(np.ones((3, 5, 3)), name="a") == first


def test_plots_leave_no_global_state():
    import matplotlib

    before = dict(matplotlib.rcParams)
    plots.similarity_densities(np.linspace(0, 1, 50), np.arange(50) > 48, name="s")
    assert dict(matplotlib.rcParams) == before


def test_constant_numbers_can_be_plotted():
    assert plots.norm_histogram(np.ones(9), {"median": 1.0}, name="one").startswith("<svg")
    none = np.zeros(9, dtype=bool)
    assert plots.similarity_densities(np.ones(9), none, name="empty").startswith("<svg")
