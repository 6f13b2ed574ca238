"""Object discovery against literal transcriptions, and where the transcriptions end."""

import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from reference import discovery as literal
from unlazy.discovery import (
    boxes_in_pixels,
    by_patch_score,
    dino_seg,
    eigenvector,
    lost,
    masks_in_pixels,
    tokencut,
)
from unlazy.discovery.lost import degrees
from unlazy.discovery.objects import largest_component

METHODS = {
    "by_patch_score": lambda features, valid: by_patch_score(features[..., 0], valid=valid),
    "dino_seg": lambda features, valid: dino_seg(features.abs(), head=0, valid=valid),
    "lost": lambda features, valid: lost(features, valid=valid),
    "tokencut": lambda features, valid: tokencut(features, valid=valid),
}


def features(seed: int, count: int, grid: tuple[int, int], dim: int, shared: float = 0.0):
    """Keys of objects and backgrounds: smooth fields, some noise, and a common offset."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.randn(count, dim, 4, 5, generator=generator)
    smooth = torch.nn.functional.interpolate(coarse, grid, mode="bilinear").permute(0, 2, 3, 1)
    noise = torch.randn(count, *grid, dim, generator=generator)
    offset = torch.randn(count, 1, 1, dim, generator=generator)
    return (smooth + 0.7 * noise + shared * offset).double()


def blocks(dim: int = 8):
    """A block of one direction on a background of another; both noisy."""
    generator = torch.Generator().manual_seed(3)
    keys = 0.1 * torch.randn(2, 9, 11, dim, generator=generator, dtype=torch.float64)
    keys[..., 0] += 1
    keys[0, 2:5, 3:9] += torch.tensor([-2.0, 1.0] + [0.0] * (dim - 2))
    keys[1, 5:9, 0:4] += torch.tensor([-2.0, 0.0, 1.0] + [0.0] * (dim - 3))
    return keys, [[3, 2, 9, 5], [0, 5, 4, 9]]


def check(found, masks):
    """Equal masks and boxes, and a seed inside of each mask."""
    for index, mask in enumerate(masks):
        assert np.array_equal(found.mask[index].numpy(), mask), index
        assert found.box[index].tolist() == literal.tight_box(mask)
        assert found.mask[index].flatten()[found.seed[index]] or not mask.any()


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(("grid", "dim"), [((9, 13), 6), ((17, 8), 32), ((22, 30), 64)])
def test_lost_equals_its_transcription(seed, grid, dim):
    keys = features(seed, 5, grid, dim, shared=0.3 * (seed % 2))
    check(lost(keys), [literal.lost(each.numpy()) for each in keys])
    check(lost(keys, potentials=7), [literal.lost(each.numpy(), potentials=7) for each in keys])


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(("grid", "dim"), [((9, 13), 6), ((17, 8), 32), ((22, 30), 64)])
def test_tokencut_equals_its_transcription(seed, grid, dim):
    keys = features(seed, 4, grid, dim, shared=0.3 * (seed % 2))
    check(tokencut(keys), [literal.tokencut(each.numpy()) for each in keys])
    check(tokencut(keys, tau=0.0), [literal.tokencut(each.numpy(), tau=0.0) for each in keys])


def test_on_independent_random_keys_the_boxes_are_those_of_the_transcriptions():
    keys = torch.randn(6, 12, 14, 8, generator=torch.Generator().manual_seed(1)).double()
    check(lost(keys), [literal.lost(each.numpy()) for each in keys])
    check(tokencut(keys), [literal.tokencut(each.numpy()) for each in keys])


def test_a_double_eigenvalue_is_left_to_scipy(monkeypatch):
    """Pairs of like patches among unlike ones: every mix of the pairs cuts as well."""
    keys = torch.eye(24, dtype=torch.float64)
    keys[[5, 11, 23]] = keys[[4, 10, 22]]
    keys = keys.view(1, 4, 6, 24)
    solved = []
    dense = eigenvector.dense_second_eigenvector
    monkeypatch.setattr(
        eigenvector, "dense_second_eigenvector", lambda *given: (solved.append(1), dense(*given))[1]
    )
    check(tokencut(keys), [literal.tokencut(keys[0].numpy())])
    assert solved == [1]


def test_second_eigenvector_is_scipys_without_its_help(monkeypatch):
    monkeypatch.setattr(eigenvector, "dense_second_eigenvector", None)
    for seed in range(3):
        keys = features(seed, 3, (15, 17), 48, shared=0.4)
        unit = torch.nn.functional.normalize(keys.flatten(1, 2), dim=-1)
        joined = (unit @ unit.mT > 0.2).float()
        graph = eigenvector.Graph(joined, torch.ones(3, 255, dtype=torch.bool), 1e-5)
        for ours, one in zip(eigenvector.second_eigenvector(graph), keys, strict=True):
            theirs = torch.from_numpy(literal.tokencut_vector(one.numpy()))
            assert abs(torch.cosine_similarity(ours, theirs, dim=0)) > 1 - 1e-12
            assert (ours.abs() / ours.norm() - theirs.abs() / theirs.norm()).abs().max() < 1e-7


@pytest.mark.parametrize("seed", range(5))
def test_dino_seg_equals_its_transcription_and_the_released_one(seed):
    generator = torch.Generator().manual_seed(seed)
    attention = torch.randn(6, 7, 9, 3, generator=generator).mul(1 + seed).softmax(1)
    attention[0] = torch.eye(9)[:7, :, None] * 0.1  # one patch a part
    attention[1] = 0
    attention[1, 2:4, 3:6] = 0.1  # a single part
    each = attention[..., 2].numpy()
    found = dino_seg(attention, head=2)
    check(found, [literal.dino_seg(one) for one in each])
    released = dino_seg(attention, head=2, released=True)
    check(released, [literal.dino_seg_released(one) for one in each])
    assert torch.equal(released.mask[1], ~found.mask[1]), "the background of the only part"


@pytest.mark.parametrize("rule", ["argmax", "largest"])
@pytest.mark.parametrize(("k", "ddof"), [(1.0, 1), (0.5, 0)])
def test_by_patch_score_equals_its_transcription(rule, k, ddof):
    scores = features(2, 12, (14, 11), 1)[..., 0].float()
    found = by_patch_score(scores, k=k, ddof=ddof, component=rule)
    check(
        found, [literal.by_patch_score(each.numpy(), k=k, ddof=ddof, rule=rule) for each in scores]
    )


def test_ddof_decides_where_a_score_lies_between():
    scores = torch.tensor([[[0.0, 0.0, 1.0, 2.0]]])
    between = (2 - 0.75) / scores.double().std()  # in standard deviations, N - 1
    assert not by_patch_score(scores, k=between.item() * 1.01).mask.any()
    assert by_patch_score(scores, k=between.item() * 1.01, ddof=0).box.tolist() == [[3, 0, 4, 1]]


@pytest.mark.parametrize("method", [lost, tokencut])
def test_planted_blocks_are_found_exactly(method):
    keys, boxes = blocks()
    assert method(keys).box.tolist() == boxes
    assert method(keys.float()).box.tolist() == boxes


def test_planted_blocks_are_found_exactly_by_scores_and_attention():
    keys, boxes = blocks()
    scores = -keys[..., 0]
    assert by_patch_score(scores).box.tolist() == boxes
    assert by_patch_score(scores, component="largest").box.tolist() == boxes
    inside = scores > -0.5
    share = inside.flatten(1).double().mean(1)[:, None, None]
    attention = torch.where(inside, 0.62 / share, 0.38 / (1 - share)) / inside[0].numel()
    assert dino_seg(attention[..., None], head=0).box.tolist() == boxes


@pytest.mark.parametrize("method", METHODS)
def test_padding_changes_nothing(method):
    """A picture on a larger grid, with nonsense outside of it, has the same object."""
    small = features(4, 3, (9, 10), 16, shared=0.2)
    large = torch.full((3, 12, 14, 16), torch.nan, dtype=torch.float64)
    large[:, :9, :10] = small
    large[:2, 9:] = 50.0
    valid = torch.zeros(3, 12, 14, dtype=torch.bool)
    valid[:, :9, :10] = True
    alone, padded = METHODS[method](small, None), METHODS[method](large, valid)
    assert torch.equal(padded.box, alone.box)
    assert torch.equal(padded.mask[:, :9, :10], alone.mask)
    assert not (padded.mask & ~valid).any()
    assert torch.equal(padded.seed // 14 * 10 + padded.seed % 14, alone.seed)


@pytest.mark.parametrize("method", METHODS)
def test_a_batch_equals_its_pictures_one_by_one(method):
    given = features(5, 4, (8, 9), 12)
    together = METHODS[method](given, None)
    for index in range(4):
        alone = METHODS[method](given[index : index + 1], None)
        for field in dataclasses.fields(alone):
            assert torch.equal(
                getattr(alone, field.name)[0], getattr(together, field.name)[index]
            ), field.name


@pytest.mark.parametrize("method", METHODS)
@given(
    rows=st.integers(1, 4), columns=st.integers(1, 4), seed=st.integers(0, 99), value=st.booleans()
)
def test_small_and_constant_grids(method, rows, columns, seed, value):
    generator = torch.Generator().manual_seed(seed)
    given = torch.randn(2, rows, columns, 3, generator=generator)
    if value:
        given[:] = given[:, :1, :1].clone()  # all equal
    valid = torch.rand(2, rows, columns, generator=generator) < 0.5
    valid.flatten(1)[:, seed % (rows * columns)] = True
    found = METHODS[method](given, valid)
    assert not (found.mask & ~valid).any()
    assert valid.flatten(1).gather(1, found.seed[:, None]).all()
    for mask, box in zip(found.mask, found.box, strict=True):
        assert box.tolist() == literal.tight_box(mask.numpy())
        assert ndimage.label(mask.numpy())[1] <= 1, "one connected part"


def test_equal_scores_and_equal_keys():
    same = torch.full((1, 3, 4, 5), 0.3)
    assert not by_patch_score(same[..., 0]).mask.any()
    assert not tokencut(same).mask.any(), "no cut is better than another"
    assert not tokencut(torch.eye(12).view(1, 3, 4, 12)).mask.any()
    assert lost(same).mask.all()
    assert not lost(torch.zeros(1, 3, 4, 5)).mask.any()


def test_equal_degrees_go_by_reading_order():
    keys = torch.zeros(1, 2, 3, 3)
    keys[0, 0, 0, 0] = keys[0, 1, 2, 0] = keys[0, 0, 1, 1] = keys[0, 1, 0, 1] = 1
    keys[0, 0, 2, 2] = keys[0, 1, 1, 2] = 1  # three pairs, each degree is 1
    assert lost(keys).seed.tolist() == [0]
    assert degrees(keys.flatten(1, 2)).tolist() == [[1] * 6]


@given(st.integers(0, 400))
def test_degrees_are_counts_over_all_pairs(seed):
    generator = torch.Generator().manual_seed(seed)
    keys = torch.randn(2, 1 + seed, 4, generator=generator).double()
    above = (keys @ keys.mT) > 0
    above.diagonal(dim1=1, dim2=2).fill_(False)
    assert torch.equal(degrees(keys), above.sum(2))


def test_components_do_not_cross_from_picture_to_picture():
    maps = torch.tensor([[[1, 0, 1], [0, 0, 1]], [[1, 1, 1], [0, 0, 1]], [[0, 0, 0], [0, 0, 0]]])
    found = largest_component(maps.bool())
    assert found.box.tolist() == [[2, 0, 3, 2], [0, 0, 3, 2], [0, 0, 0, 0]]
    tie = torch.tensor([[[1, 0, 1]]]).bool()
    assert largest_component(tie).box.tolist() == [[0, 0, 1, 1]], "the first in reading order"
    corner = torch.tensor([[[1, 0], [0, 1]]]).bool()
    assert largest_component(corner).mask.sum() == 1, "not diagonally"


def test_boxes_and_masks_in_pixels_end_with_the_picture():
    box = torch.tensor([[0, 1, 3, 2], [0, 0, 0, 0]])
    sizes = torch.tensor([[25, 40], [25, 40]])
    found = boxes_in_pixels(box, (14, 16), sizes)
    assert found.tolist() == [[0, 14, 40, 25], [0, 0, 0, 0]]
    mask = torch.tensor([[True, False, True], [False, True, False]])
    pixels = masks_in_pixels(mask, (2, 3), (3, 8))
    assert pixels.int().tolist() == [[1] * 3 + [0] * 3 + [1] * 2] * 2 + [
        [0] * 3 + [1] * 3 + [0] * 2
    ]


@pytest.mark.parametrize("method", METHODS)
def test_what_cannot_be_read_is_refused(method):
    given = torch.rand(3, 2, 4, 5)
    given[1, 0, 2] = torch.nan
    with pytest.raises(ValueError, match=r"pictures \[1\] of the batch hold NaN"):
        METHODS[method](given, None)
    valid = torch.ones(3, 2, 4, dtype=torch.bool)
    valid[2] = False
    with pytest.raises(ValueError, match=r"no valid patch in pictures \[2\]"):
        METHODS[method](given, valid)
    with pytest.raises((ValueError, TypeError), match=r"valid"):
        METHODS[method](given, valid.mT)


def test_wrong_names_are_refused():
    with pytest.raises((ValueError, TypeError), match=r"argmax.*largest"):
        by_patch_score(torch.rand(1, 2, 2), component="first")
    with pytest.raises(ValueError, match="released code has only largest"):
        dino_seg(torch.rand(1, 2, 2, 6), component="argmax", released=True)
    with pytest.raises(ValueError, match=r"head=4 of attention with 3 heads; use 0\.\.2"):
        dino_seg(torch.rand(1, 2, 2, 3))
    with pytest.raises(ValueError, match="potentials=0"):
        lost(torch.rand(1, 2, 2, 3), potentials=0)
    with pytest.raises(ValueError, match="eps=0"):
        tokencut(torch.rand(1, 2, 2, 3), eps=0.0)


def real_keys(model: str, view, pictures, **given):
    from unlazy.catalog import load_backbone
    from unlazy.tokens import attention, key

    torch.manual_seed(0)
    backbone = load_backbone(model, **given)
    images = torch.stack([view(picture).pixels for picture in pictures])
    with torch.inference_mode():
        trace = backbone.trace(backbone.normalise(images), [key(-1), attention(-1)])
    return trace[key(-1)].map().clone(), trace[attention(-1)].map().clone()


def check_real(keys, attention, *, centred: bool):
    if centred:  # an offset that all patches share hides the graph of a small or random model
        keys = keys - keys.mean((1, 2), keepdim=True)
    check(lost(keys), [literal.lost(each.numpy()) for each in keys])
    check(tokencut(keys), [literal.tokencut(each.numpy()) for each in keys])
    for head in range(attention.shape[-1]):
        masks = [literal.dino_seg(each[..., head].numpy()) for each in attention]
        check(dino_seg(attention, head=head), masks)
    assert len(np.unique(tokencut(keys).box.numpy(), axis=0)) > 1, "not one box for all"


@pytest.mark.parametrize("centred", [False, True])
def test_boxes_on_photographs_equal_the_transcriptions(centred):
    from PIL import Image
    from sklearn.datasets import load_sample_images

    from unlazy.geometry import View

    pictures = [Image.fromarray(image) for image in load_sample_images().images]
    view = View((128, 192), multiple=(8, 8))
    check_real(*real_keys("bundled:tiny-label", view, pictures), centred=centred)


@pytest.mark.slow
def test_boxes_on_large_photographs_equal_the_transcriptions():
    from unlazy.data.photos import Photos
    from unlazy.geometry import View

    pictures = [Photos()[index].image for index in range(3)]
    view = View((352, 480), multiple=(16, 16))
    keys = real_keys("timm:vit_small_patch16_224", view, pictures, weights="random")
    check_real(*keys, centred=True)
