"""Fixes one by one: baselines by hand, cut-offs, the released value, models that are refused."""

import numpy as np
import pytest
import timm
import torch

from unlazy.backbones import timm_load
from unlazy.backbones.trained import TrainedViT
from unlazy.backbones.vit import ViT, ViTConfig
from unlazy.catalog import load_backbone
from unlazy.fixes.base import NothingToFix
from unlazy.fixes.baselines import (
    NeighbourMedian,
    NormClipping,
    PositionMean,
    clip_norms,
    neighbour_median,
)
from unlazy.fixes.outliers import jump, outliers
from unlazy.fixes.test_time_registers import Neuron, TestTimeRegisters
from unlazy.ledger import Seen
from unlazy.tokens import block, neurons


def seen_of(norms: np.ndarray) -> Seen:
    rows = {index: row.astype(np.float32) for index, row in enumerate(norms)}
    peaks = {index: np.array([1.0, 1.0, 9.0]) for index in rows}
    return Seen({"norm": rows, "peak": peaks}, {}, tuple(rows))


def test_the_cutoff_is_the_boundary_of_two_modes_else_the_98th_percentile():
    rng = np.random.default_rng(0)
    norms = rng.normal(10, 1, (20, 8, 8))
    norms[:12, 3, 3] = rng.normal(100, 5, 12)
    found = outliers(seen_of(norms))
    assert found.rule == "boundary"
    assert norms[:12, 3, 3].min() > found.cutoff > np.delete(norms.ravel(), np.s_[27::64]).max()
    assert (found.images, found.images_without, found.jump_at) == (12, 8, 2)
    tail = rng.lognormal(0, 0.8, (20, 8, 8)) + 5
    found = outliers(seen_of(tail))
    assert found.rule == "p98"
    assert found.cutoff == pytest.approx(np.quantile(tail, 0.98), rel=1e-5)
    assert "98th percentile" in found.sentence()


def test_one_mode_is_nothing_to_fix_unless_a_cutoff_is_given():
    norms = np.random.default_rng(0).normal(10, 1, (20, 8, 8))
    with pytest.raises(NothingToFix, match="no outlier patches"):
        outliers(seen_of(norms))
    assert outliers(seen_of(norms), given=12.0).rule == "given"
    with pytest.raises(NothingToFix, match=r"100 % of the patches .* no outliers"):
        outliers(seen_of(norms), given=1.0)
    with pytest.raises(NothingToFix, match=r"above 99: .*; give a cut-off below 13"):
        outliers(seen_of(norms), given=99.0)


def test_low_norms_in_the_minority_are_no_outliers():
    norms = np.random.default_rng(0).normal(100, 3, (20, 8, 8))
    norms[:, 0, 0] = np.random.default_rng(1).normal(10, 0.5, 20)
    with pytest.raises(NothingToFix):
        outliers(seen_of(norms))
    rng = np.random.default_rng(2)
    norms = 10 + rng.gamma(1, 2.5, (20, 8, 8))  # skewed to the right, within three medians
    norms[:, :1, :4] = rng.normal(5, 0.3, (20, 1, 4))
    with pytest.raises(NothingToFix, match=r"bimodal, the largest 2"):
        outliers(seen_of(norms))
    norms[:10, 5, 5] = 60
    assert outliers(seen_of(norms)).rule == "p98"


def test_the_jump_is_a_ratio_not_a_difference():
    assert jump(np.array([[1.0, 1.1, 4.0, 8.0], [1.0, 1.1, 4.0, 8.0]])) == 2
    assert jump(np.array([[3.0, 2.0, 1.0]])) == 0


def test_clipping_keeps_the_direction_and_leaves_the_rest_bit_equal():
    patches = torch.randn(2, 9, 5)
    patches[1, 4] *= 100
    clipped = clip_norms(patches, 10.0)
    assert clipped[1, 4].norm().item() == pytest.approx(10, rel=1e-5)
    assert torch.cosine_similarity(clipped[1, 4], patches[1, 4], dim=0) > 0.99999
    patches[1, 4] = clipped[1, 4]
    assert torch.equal(clipped, patches)


def test_neighbour_median_against_a_loop():
    torch.manual_seed(0)
    patches = torch.randn(3, 12, 4)
    for image, place in ((0, 0), (0, 1), (1, 7), (2, 11)):
        patches[image, place] += 50
    found = neighbour_median(patches, (3, 4), 20.0)
    for image in range(3):
        for place in range(12):
            row, column = divmod(place, 4)
            if patches[image, place].norm() <= 20:
                assert torch.equal(found[image, place], patches[image, place])
                continue
            around = [
                patches[image, i * 4 + j]
                for i in range(max(0, row - 1), min(3, row + 2))
                for j in range(max(0, column - 1), min(4, column + 2))
                if patches[image, i * 4 + j].norm() <= 20
            ]
            ordered = torch.stack(around).sort(0).values
            assert torch.equal(found[image, place], ordered[(len(around) - 1) // 2])


def test_neighbour_median_of_an_image_of_outliers():
    patches = torch.full((1, 4, 2), 30.0)
    assert torch.equal(neighbour_median(patches, (2, 2), 5.0), patches)
    far = torch.full((1, 16, 1), 30.0)
    far[0, 15] = 1.0
    assert (neighbour_median(far, (4, 4), 5.0) == 1.0).all()  # the image's own sound patches


@pytest.fixture
def tiny():
    torch.manual_seed(0)
    model = timm.create_model(
        "vit_tiny_patch16_224", img_size=32, depth=2, embed_dim=24, num_heads=2, num_classes=0
    )
    return timm_load.wrap(model, name="tiny", weights="random")


@torch.no_grad()
def test_position_mean_recovers_a_planted_pattern(tiny):
    images = torch.randn(64, 3, 32, 32)
    planted = torch.randn(2, 2, 24) * 5
    planted -= planted.mean((0, 1))

    def add(module, args, output):
        output = output.clone()
        output[:, 1:] += planted.flatten(0, 1)
        return output

    handle = tiny.locate(block(-1)).register_forward_hook(add)

    def look(measures):
        from unlazy.ledger import Batch, Ledger

        ledger = Ledger()
        for part in images.split(10):
            indices = tuple(range(len(ledger.indices), len(ledger.indices) + len(part)))
            batch = Batch(indices, part, ("",) * len(part), (None,) * len(part), ())
            trace = tiny.trace(part, measures[0].reads)
            ledger.add(measures[0].name, measures[0].observe(trace, batch), indices)
            ledger.indices.extend(indices)
        return ledger.gather(measures)

    fix = PositionMean().calibrate(tiny, look)
    handle.remove()
    assert (fix.pattern - planted).norm() < 0.1 * planted.norm()
    with pytest.raises(ValueError, match=r"calibrated on 2x2 patches.*4x4"):
        fix.apply(load_like(tiny)).encode(torch.randn(1, 3, 64, 64))


def load_like(backbone):
    model = timm.create_model(
        "vit_tiny_patch16_224",
        img_size=32,
        depth=2,
        embed_dim=24,
        num_heads=2,
        num_classes=0,
        dynamic_img_size=True,
    )
    return timm_load.wrap(model, name="tiny", weights="random")


@torch.no_grad()
def test_the_released_value_is_one_scalar_of_all_neurons_and_tokens(tiny):
    chosen = (Neuron(1, 3), Neuron(1, 8), Neuron(1, 40))
    images = torch.randn(3, 3, 32, 32)
    token_alone = TestTimeRegisters().apply(tiny).trace(images, [neurons(1)])[neurons(1)]
    fix = TestTimeRegisters(chosen=chosen, value="released")
    found = fix.apply(tiny).trace(images, [neurons(1)])[neurons(1)]
    index = [each.index for each in chosen]
    every = token_alone.sequence()[..., index].flatten(1)
    for image in range(3):
        largest, smallest = every[image].max(), every[image].min()
        scalar = largest if largest.abs() > smallest.abs() else smallest
        assert (found.registers[image, 0, index] == scalar).all()
    assert (found.patches[..., index] == 0).all()


def test_models_that_it_cannot_change_are_refused_by_name(tiny):
    fix = TestTimeRegisters(chosen=(Neuron(0, 1),))
    with pytest.raises(ValueError, match="fixed already"):
        fix.apply(fix.apply(tiny))
    with pytest.raises(ValueError, match=r"neuron 96 of block 0 .* have 96"):
        TestTimeRegisters(chosen=(Neuron(0, 96),)).apply(tiny)
    with pytest.raises(ValueError, match="no block 2"):
        TestTimeRegisters(chosen=(Neuron(2, 1),)).apply(tiny)
    resnet = timm_load.wrap(timm.create_model("test_resnet"), name="r", weights="random")
    for each in (fix, NormClipping(cutoff=1.0), NeighbourMedian(cutoff=1.0)):
        with pytest.raises(ValueError, match="plain ViTs"):
            each.apply(resnet)
    rotary = timm.create_model("eva02_tiny_patch14_224", depth=1, embed_dim=48, num_heads=3)
    with pytest.raises(ValueError, match="rotary positions"):
        fix.apply(timm_load.wrap(rotary, name="eva02", weights="random"))
    config = ViTConfig(img_size=32, embed_dim=24, depth=2, num_heads=2, windows=(0,))
    windowed = TrainedViT(ViT(config).eval(), name="windowed", weights="random")
    with pytest.raises(ValueError, match="window attention"):
        fix.apply(windowed)
    assert NormClipping(cutoff=1.0).apply(windowed).encode(torch.randn(1, 3, 32, 32)).shape


def test_uncalibrated_fixes_say_so(tiny):
    for fix in (NormClipping(), NeighbourMedian(), PositionMean()):
        with pytest.raises(ValueError, match="calibrate"):
            fix.apply(tiny)


@torch.no_grad()
@pytest.mark.parametrize("name", ["torchvision:vit_b_32", "timm:vit_base_patch32_clip_224.openai"])
def test_other_plain_families_are_read_too(name):
    backbone = load_backbone(name, weights="random")
    fixed = TestTimeRegisters(chosen=(Neuron(3, 7),)).apply(backbone)
    trace = fixed.trace(torch.randn(1, 3, 224, 224), [block(-1), neurons(3)])
    assert trace[block(-1)].grid == (7, 7)
    assert trace[block(-1)].registers.shape[1] == 1
    assert (trace[neurons(3)].patches[..., 7] == 0).all()
    assert trace[neurons(3)].registers[..., 7].abs() > 0


def test_gradients_pass_through_a_fixed_model(tiny):
    fixed = TestTimeRegisters(chosen=(Neuron(0, 1), Neuron(1, 3))).apply(tiny)
    images = torch.randn(2, 3, 32, 32, requires_grad=True)
    fixed.encode(images).square().sum().backward()
    assert images.grad is not None
    assert images.grad.abs().sum() > 0
