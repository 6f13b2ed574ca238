"""What every fix promises: a batch is its images, the original stays, sites are read as before."""

import dataclasses
import functools

import numpy as np
import pytest
import timm
import torch

from planted import LAYER, NEURON, Pictures, photos, plant
from unlazy.backbones import timm_load
from unlazy.backbones.doctor import examine
from unlazy.backbones.trained import TrainedViT
from unlazy.backbones.vit import ViT, ViTConfig
from unlazy.fixes.base import NothingToFix
from unlazy.fixes.baselines import NeighbourMedian, NormClipping, PositionMean
from unlazy.fixes.test_time_registers import Neuron, NeuronScores, TestTimeRegisters
from unlazy.geometry import View
from unlazy.measure import measure
from unlazy.report.calibration import calibrate
from unlazy.tokens import EMBED, FINAL, SHARED, attention, block, neurons, norm_of

SIDE = 64
FAMILIES = ["timm", "timm registers", "timm mean", "trained", "trained lazy_strike", "open_clip"]
FIXES = [TestTimeRegisters(neurons=1), NormClipping(), NeighbourMedian(), PositionMean()]
IDS = [fix.name for fix in FIXES]


def bare(family: str):
    torch.manual_seed(0)
    if family.startswith("timm"):
        more = {"reg_tokens": 2, "no_embed_class": True} if "registers" in family else {}
        more |= {"global_pool": "avg"} if "mean" in family else {}
        model = timm.create_model(
            "vit_tiny_patch16_224",
            img_size=SIDE,
            patch_size=8,
            depth=3,
            embed_dim=48,
            num_heads=3,
            num_classes=5,
            dynamic_img_size=True,
            **more,
        )
        return timm_load.wrap(model, name=family, weights="random")
    if family.startswith("trained"):
        pool = family.partition(" ")[2] or "cls"
        config = ViTConfig(img_size=SIDE, embed_dim=48, depth=3, num_heads=3, pool=pool)
        return TrainedViT(ViT(config).eval(), name=family, weights="random")
    pytest.importorskip("open_clip")
    from unlazy.backbones import open_clip

    entry = open_clip.find("ViT-B-16", own_weights=True)
    vision = {"image_size": SIDE, "patch_size": 8, "layers": 3, "width": 48, "head_width": 16}
    config = {**entry.config, "embed_dim": 24, "vision_cfg": vision}
    clip = open_clip.library().CLIP(24, vision, open_clip.NO_TEXT)
    torch.nn.init.normal_(clip.visual.ln_pre.bias, std=0.1)
    entry = entry._replace(config=config) if hasattr(entry, "_replace") else entry
    return open_clip.OpenClipViT(clip.visual.eval(), entry, weights="random")


@functools.cache
def model(family: str):
    backbone = bare(family)
    return plant(backbone, backbone.normalise(PHOTOS))


PHOTOS = photos(12, SIDE)


def view(backbone):
    return View((SIDE, SIDE), interpolation=backbone.facts.interpolation)


@functools.cache
def fixed(family: str, name: str):
    backbone = model(family)
    fix = FIXES[IDS.index(name)]
    made, record = calibrate(
        fix, backbone, Pictures(PHOTOS), source="planted", view=view(backbone), batch_size=5
    )
    assert record.fix == name
    return made, made.apply(backbone)


@pytest.fixture(params=FAMILIES)
def family(request):
    return request.param


@pytest.fixture(params=IDS)
def name(request):
    return request.param


@torch.no_grad()
def test_a_batch_is_its_images(family, name):
    _, backbone = fixed(family, name)
    images = backbone.normalise(PHOTOS[:5])
    whole = backbone.encode(images)
    for index in range(5):
        alone = backbone.encode(images[index : index + 1])
        torch.testing.assert_close(whole[index : index + 1], alone, rtol=1e-5, atol=1e-5)


@torch.no_grad()
def test_the_original_is_untouched(family, name):
    original = model(family)
    images = original.normalise(PHOTOS[:3])
    hashed, before = original.fingerprint(), original.trace(images, [block(-1), SHARED])
    _, backbone = fixed(family, name)
    facts = original.facts
    backbone.trace(images, [block(-1)])
    after = original.trace(images, [block(-1), SHARED])
    assert torch.equal(before.image, after.image)
    assert torch.equal(before[SHARED].sequence(), after[SHARED].sequence())
    assert original.fingerprint() == hashed == backbone.fingerprint()
    assert original.facts is facts
    theirs = {id(each) for each in original.parameters()}
    assert {id(each) for each in backbone.parameters()} == theirs  # shared, none added


@torch.no_grad()
def test_it_is_no_no_op(family, name):
    _, backbone = fixed(family, name)
    images = backbone.normalise(PHOTOS[:5])
    for site in (block(-1), FINAL, SHARED):
        before = model(family).trace(images, [site])[site].patches
        after = backbone.trace(images, [site])[site].patches
        apart = (before - after).abs().max() / before.abs().max()
        if name == "norm-clipping" and site != block(-1):
            assert apart < 1e-3  # layer norm does not see the scale of a token
        else:
            assert apart > 1e-3


@torch.no_grad()
def test_norms_of_patches_fall(family, name):
    if name == "position-mean":
        pytest.skip("it does not act on norms")
    _, backbone = fixed(family, name)
    images = backbone.normalise(PHOTOS)
    site = norm_of(block(-1))
    before, after = model(family).trace(images, [site])[site], backbone.trace(images, [site])[site]
    assert before.patches.max() > 10 * before.patches.median()
    assert after.patches.max() < 0.6 * before.patches.max()
    if name == "test-time-registers":
        assert after.patches.max() < 3 * after.patches.median()
        added = after.registers[:, -1]
        high = (before.patches.amax(1) > 10 * before.patches.median())[:, 0]
        assert high.sum() > 3
        assert (added[high] > 10 * after.patches.median()).all()


@torch.no_grad()
def test_sites_are_read_as_before(family, name):
    made, backbone = fixed(family, name)
    original = model(family)
    added = made.registers if isinstance(made, TestTimeRegisters) else 0
    assert backbone.facts.num_registers == original.facts.num_registers + added
    sites = [EMBED, block(0), block(-1), FINAL, SHARED, attention(-1), neurons(LAYER)]
    images = backbone.normalise(PHOTOS[:2])
    trace, plain = backbone.trace(images, sites), original.trace(images, sites)
    assert torch.equal(trace[EMBED].patches, plain[EMBED].patches)
    for site in sites[1:]:
        assert trace[site].grid == plain[site].grid == (8, 8)
        assert trace[site].patches.shape == plain[site].patches.shape
        assert trace[site].registers.shape[1] == backbone.facts.num_registers
    assert trace.image.shape == plain.image.shape


def test_doctor_passes(family, name):
    found = examine(fixed(family, name)[1])
    assert [check.what for check in found if not check.passed] == []


@torch.no_grad()
def test_no_hook_survives_an_exception(family, name, monkeypatch):
    _, backbone = fixed(family, name)
    modules = list(backbone.modules())
    layer = backbone.locate(block(2))

    def fail(*args, **kwargs):
        raise RuntimeError("stop")

    monkeypatch.setattr(layer, "forward", fail)
    with pytest.raises(RuntimeError, match="stop"):
        backbone.encode(backbone.normalise(PHOTOS[:1]))
    assert not any(each._forward_hooks or each._forward_pre_hooks for each in modules)


@torch.no_grad()
def test_other_sizes_are_read_too():
    _, backbone = fixed("timm", "test-time-registers")
    trace = backbone.trace(torch.randn(2, 3, 40, 80), [block(-1)])
    assert trace[block(-1)].grid == (5, 10)


@torch.no_grad()
def test_no_neurons_and_no_token_is_the_baseline(family):
    original = model(family)
    images = original.normalise(PHOTOS[:3])
    same = TestTimeRegisters(registers=0).apply(original)
    assert torch.equal(same.encode(images), original.encode(images))


@torch.no_grad()
def test_a_zero_token_alone_changes_the_output(family):
    original = model(family)
    images = original.normalise(PHOTOS[:3])
    changed = TestTimeRegisters(registers=1).apply(original)
    apart = (changed.encode(images) - original.encode(images)).abs().max()
    assert 1e-6 < apart < 10


@torch.no_grad()
def test_two_tokens_get_the_same_activation():
    original = model("timm")
    chosen = fixed("timm", "test-time-registers")[0].chosen
    backbone = TestTimeRegisters(registers=2, chosen=chosen).apply(original)
    images = backbone.normalise(PHOTOS[:2])
    tokens = backbone.trace(images, [block(-1)])[block(-1)]
    assert tokens.registers.shape[1] == 2
    torch.testing.assert_close(tokens.registers[:, 0], tokens.registers[:, 1])


@torch.no_grad()
def test_activations_move_from_patches_to_the_token_and_cls_keeps_its_own(family):
    _, backbone = fixed(family, "test-time-registers")
    site = neurons(LAYER)
    images = backbone.normalise(PHOTOS[:4])
    token_alone = TestTimeRegisters(registers=1).apply(model(family))
    before, after = token_alone.trace(images, [site])[site], backbone.trace(images, [site])[site]
    assert (after.patches[..., NEURON] == 0).all()
    at = before.patches[..., NEURON]
    expected = at.gather(1, at.abs().argmax(1, keepdim=True))[:, 0]
    assert torch.equal(after.registers[:, -1, NEURON], expected)
    if before.cls is not None:
        assert torch.equal(after.cls, before.cls)
    others = [index for index in range(before.patches.shape[-1]) if index != NEURON]
    assert torch.equal(after.patches[..., others], before.patches[..., others])


def test_the_planted_neuron_is_found(family):
    made, _ = fixed(family, "test-time-registers")
    assert [(each.layer, each.index) for each in made.chosen] == [(LAYER, NEURON)]
    assert made.chosen[0].score > 10 * made.chosen[0].elsewhere
    assert made.outliers.jump_at == LAYER
    # planted norms of the open_clip tower spread without a gap: a tail, no second mode
    assert made.outliers.rule == ("p98" if family == "open_clip" else "boundary")
    assert 0.01 < made.outliers.share < 0.06
    assert made.outliers.images + made.outliers.images_without == len(PHOTOS)


@pytest.mark.parametrize("batch", [1, 4, 12])
def test_any_split_chooses_the_same_neurons(batch):
    backbone = model("timm")
    expected, _ = fixed("timm", "test-time-registers")
    fix = TestTimeRegisters(neurons=20)
    whole, _ = calibrate(
        fix, backbone, Pictures(PHOTOS), source="", view=view(backbone), batch_size=5
    )
    made, _ = calibrate(
        fix, backbone, Pictures(PHOTOS), source="", view=view(backbone), batch_size=batch
    )
    places = [(each.layer, each.index) for each in made.chosen]
    assert places == [(each.layer, each.index) for each in whole.chosen]
    assert places[0] == (expected.chosen[0].layer, expected.chosen[0].index)
    np.testing.assert_allclose(
        [each.score for each in made.chosen], [each.score for each in whole.chosen], rtol=1e-5
    )


@torch.no_grad()
def test_scores_equal_a_loop_over_images():
    backbone = model("timm")
    scores = NeuronScores(2, fixed("timm", "test-time-registers")[0].cutoff)
    found = measure(backbone, Pictures(PHOTOS), [scores], view=view(backbone), batch_size=5)
    chosen = scores.top(found.seen[scores.name], 4)
    trace = backbone.trace(backbone.normalise(PHOTOS), [block(-1), neurons(0), neurons(1)])
    norms = trace[block(-1)].patches.norm(dim=-1)
    for neuron in chosen:
        inside, outside = [], []
        for index in range(len(PHOTOS)):
            high = norms[index] > scores.cutoff
            if not high.any():
                continue
            fired = trace[neurons(neuron.layer)].patches[index, :, neuron.index].abs()
            inside.append(fired[high].mean())
            outside.append(fired[~high].mean())
        assert neuron.score == pytest.approx(float(torch.stack(inside).mean()), rel=1e-4)
        assert neuron.elsewhere == pytest.approx(float(torch.stack(outside).mean()), rel=1e-4)


def test_more_neurons_than_there_are_are_refused_and_many_are_listed_in_part():
    backbone = model("timm")
    with pytest.raises(ValueError, match=rf"neurons=99999; .* 0 to {LAYER}, have \d+"):
        calibrate(
            TestTimeRegisters(neurons=99999),
            backbone,
            Pictures(PHOTOS),
            source="",
            view=view(backbone),
        )
    listed = [Neuron(0, index) for index in range(11)]
    found = fixed("timm", "test-time-registers")[0]
    *_, last = dataclasses.replace(found, chosen=tuple(listed)).summary()
    assert "0/9 (" in last
    assert "0/10 (" not in last
    assert last.endswith(", and 1 more.")


def test_a_model_without_outliers_is_refused_in_plain_words():
    backbone = bare("timm")
    for fix in (TestTimeRegisters(), NormClipping(), NeighbourMedian()):
        with pytest.raises(NothingToFix, match=r"no outlier patches to fix.*unimodal"):
            calibrate(fix, backbone, Pictures(PHOTOS), source="", view=view(backbone))
