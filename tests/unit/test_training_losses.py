"""Losses against their formulas written out by loops; views against what they promise."""

import math

import pytest
import torch
import torch.nn.functional as F

from reference.training import clip_loss, dino_loss, shift_and_flip, smoothed_cross_entropy
from unlazy.training import views
from unlazy.training.distill import Distill, Head, distillation, teacher_temperature
from unlazy.training.label import Label
from unlazy.training.objective import Batch
from unlazy.training.recipes import DistillRecipe, LabelRecipe, ViTConfig
from unlazy.training.schedule import cosine
from unlazy.training.text import contrastive

MODEL = ViTConfig(img_size=16, patch_size=4, embed_dim=16, depth=1, num_heads=2, num_classes=3)
BARE = ViTConfig(img_size=16, patch_size=4, embed_dim=16, depth=1, num_heads=2, num_classes=0)


@pytest.fixture
def generator():
    return torch.Generator().manual_seed(0)


def test_the_contrastive_loss_is_in_single_precision_under_autocast(generator):
    image, text = F.normalize(torch.randn(2, 8, 16, generator=generator), dim=2)
    scale = torch.tensor([80.0])
    expected = contrastive(image, text, scale)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(contrastive(image, text, scale), expected)


def test_the_contrastive_loss_is_clips(generator):
    image, text = torch.randn(2, 5, 7, generator=generator)
    found = contrastive(
        F.normalize(image, dim=1), F.normalize(text, dim=1), torch.tensor([1 / 0.07])
    )
    assert float(found) == pytest.approx(clip_loss(image, text, 0.07), rel=1e-5)


def test_distillation_is_dinos(generator):
    student = torch.randn(4, 3, 6, generator=generator)
    teacher = torch.randn(2, 3, 6, generator=generator)
    centre = torch.randn(6, generator=generator)
    found = distillation(
        student, teacher, centre, student_temperature=0.1, teacher_temperature=0.04
    )
    assert float(found) == pytest.approx(dino_loss(student, teacher, centre, 0.1, 0.04), rel=1e-4)


def test_label_smoothing_is_as_its_formula(generator):
    images = torch.randn(4, 3, 16, 16, generator=generator)
    labels = torch.tensor([0, 2, 1, 1])
    objective = Label(LabelRecipe("label", model=MODEL, label_smoothing=0.2))
    batch = Batch([images], labels, torch.arange(4))
    found = objective.loss(objective.trained, batch, step=0, steps=1)
    with torch.no_grad():
        logits = objective.trained(images)
    assert found.item() == pytest.approx(smoothed_cross_entropy(logits, labels, 0.2), rel=1e-5)


def test_the_head_scores_cosines_with_its_prototypes(generator):
    recipe = DistillRecipe("self", model=BARE, hidden=8, bottleneck=4, prototypes=10)
    head = Head(16, recipe)
    vectors = torch.randn(5, 16, generator=generator)
    scores = head(vectors)
    expected = F.cosine_similarity(head.mlp(vectors)[:, None], head.last.weight[None], dim=-1)
    torch.testing.assert_close(scores, expected)


def test_centre_teacher_and_frozen_prototypes(generator):
    recipe = DistillRecipe(
        "self", model=BARE, local_size=8, hidden=8, bottleneck=4, prototypes=10, epochs=2
    )
    objective = Distill(recipe)
    shown = [torch.randn(3, 3, 16, 16, generator=generator) for _ in range(2)]
    shown += [torch.randn(3, 3, 8, 8, generator=generator) for _ in range(4)]
    batch = Batch(shown, torch.zeros(3), torch.arange(3))
    for step, frozen in ((0, True), (4, True), (5, False)):
        objective.trained.zero_grad()
        objective.loss(objective.trained, batch, step=step, steps=10).backward()
        assert all(weight.grad is None for weight in objective.averaged.parameters())
        objective.after_backward(step, 10)
        assert (objective.trained.head.last.weight.grad is None) is frozen
        before = objective.state["centre"].clone()
        objective.after_step(step, 10)
        with torch.no_grad():
            mean = objective.averaged(shown[:2]).flatten(0, 1).mean(0)
        torch.testing.assert_close(objective.state["centre"], 0.9 * before + 0.1 * mean)
    assert objective.momentum(0, 10) == pytest.approx(0.996)
    assert objective.momentum(10, 10) == 1.0


def test_the_teachers_temperature_rises_and_stays():
    recipe = DistillRecipe("self", model=BARE, temperature_warmup=0.5)
    found = [teacher_temperature(recipe, step, 100) for step in (0, 25, 50, 99)]
    assert found == pytest.approx([0.04, 0.055, 0.07, 0.07])
    assert cosine(0.04, 0.4, 0.5) == pytest.approx(0.22)


def test_shifting_equals_padding_and_cropping_picture_by_picture(generator):
    pixels = torch.randint(0, 256, (20, 3, 16, 16), dtype=torch.uint8, generator=generator)
    torch.manual_seed(5)
    expected = shift_and_flip(pixels, 3)
    view = views.Shift(3)
    draws = view.draw(20, torch.Generator().manual_seed(5))
    assert torch.equal(view.move(pixels, draws), expected)


def test_a_region_is_the_one_drawn(generator):
    ramp = torch.arange(32.0).expand(1, 3, 32, 32).to(torch.uint8)  # value = column
    draws = {"region": torch.tensor([[0.5, 0.5, 0.5, 0.5]]), "flip": torch.tensor([False])}
    cut = views.Resized(16, (0.1, 1)).cut(ramp, draws)
    torch.testing.assert_close(cut[0, 0, 0], torch.arange(8.0, 24.0))
    draws["flip"] = torch.tensor([True])
    torch.testing.assert_close(
        views.Resized(16, (0.1, 1)).cut(ramp, draws)[0, 0, 0].flip(0), cut[0, 0, 0]
    )


def test_regions_lie_inside_and_cover_the_area_asked_for(generator):
    draws = views.Resized(16, (0.3, 0.6)).draw(2000, generator)
    x, y, width, height = draws["region"].unbind(1)
    assert (x - width / 2).min() >= -1e-6
    assert (x + width / 2).max() <= 1 + 1e-6
    assert (y + height / 2).max() <= 1 + 1e-6
    area = width * height
    assert area.max() <= 0.6 + 1e-6
    assert abs(float(area.mean()) - 0.45) < 0.02
    assert float((width / height).log().mean()) == pytest.approx(0, abs=0.02)
    assert 0.4 < draws["flip"].float().mean() < 0.6


def test_colours_change_as_asked(generator):
    images = torch.rand(3, 3, 8, 8, generator=generator)
    still = {
        "factors": torch.zeros(3, 4),
        "grey": torch.zeros(3, dtype=torch.bool),
        "solarise": torch.zeros(3, dtype=torch.bool),
    }
    colour = views.Colour()
    torch.testing.assert_close(colour.paint(images, still), images, atol=1e-5, rtol=0)
    grey = colour.paint(images, still | {"grey": torch.tensor([True, False, False])})
    assert torch.equal(grey[0, 0], grey[0, 2])
    torch.testing.assert_close(grey[1], images[1], atol=1e-5, rtol=0)
    brighter = torch.zeros(3, 4)
    brighter[:, 0] = 0.3
    painted = colour.paint(images, still | {"factors": brighter})
    torch.testing.assert_close(painted, (1.3 * images).clamp(0, 1), atol=1e-5, rtol=0)
    turned = torch.zeros(3, 4)
    turned[:, 3] = 0.1
    painted = colour.paint(0.25 + images / 4, still | {"factors": turned})
    weights = torch.tensor([0.299, 0.587, 0.114])[:, None, None]
    luma = ((0.25 + images / 4) * weights).sum(1)
    torch.testing.assert_close((painted * weights).sum(1), luma, atol=2e-3, rtol=0)
    assert not torch.allclose(painted, 0.25 + images / 4, atol=1e-2)
    inverted = colour.paint(images, still | {"solarise": torch.ones(3, dtype=torch.bool)})
    assert float(inverted.max()) <= 0.5 + 1e-5


def test_multicrop_shows_two_whole_and_several_small_views(generator):
    pixels = torch.randint(0, 256, (4, 3, 16, 16), dtype=torch.uint8, generator=generator)
    whole, local = views.Resized(16, (0.4, 1)), views.Resized(8, (0.05, 0.4))
    crops = views.MultiCrop(whole, local, 3, views.Colour(solarise=0.2))
    shown = crops.apply(pixels, crops.draw(4, generator))
    assert [tuple(view.shape) for view in shown] == [(4, 3, 16, 16)] * 2 + [(4, 3, 8, 8)] * 3
    assert not torch.equal(shown[0], shown[1])
    assert all(torch.isfinite(view).all() for view in shown)


def test_one_over_the_temperature_stays_below_a_hundred(generator):
    from unlazy.training.recipes import TextRecipe
    from unlazy.training.text import Text

    objective = Text(TextRecipe("text", model=BARE), ("cat",))
    assert float(objective.trained.logit_scale.exp()) == pytest.approx(1 / 0.07, rel=1e-5)
    objective.trained.logit_scale.data.fill_(9.0)
    objective.after_step(0, 1)
    assert float(objective.trained.logit_scale.exp()) == pytest.approx(100, rel=1e-5)
    assert math.isclose(objective.recipe.temperature, 0.07)
