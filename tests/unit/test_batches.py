import os
import resource
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from unlazy.batches import CPU_PIXELS, PENDING_BATCHES, batches
from unlazy.data.sample import Sample
from unlazy.geometry import View
from unlazy.measure import measure
from unlazy.report.run import high_view, investigate

NATIVE = View((16, 16), fit="native", multiple=(16, 16))


class Pictures:
    """Pictures of the given sizes (H, W), which count how often they are asked for."""

    def __init__(self, sizes):
        self.sizes, self.asked = sizes, []

    def __len__(self):
        return len(self.sizes)

    def __getitem__(self, index):
        self.asked.append(index)
        height, width = self.sizes[index]
        return Sample(Image.new("RGB", (width, height), (index % 256,) * 3), name=str(index))


def backbone(**options):
    import timm

    from unlazy.backbones.timm import TimmViT

    torch.manual_seed(0)
    options = {"depth": 1, "embed_dim": 24, "num_heads": 2, "img_size": 32} | options
    model = timm.create_model("vit_tiny_patch16_224", **options)
    return TimmViT(model, name="tiny", weights="random")


def collect(pictures, *, pixels, batch_size=None, workers=0):
    found = batches(
        pictures, NATIVE, batch_size=batch_size, pixels=pixels, workers=workers, skip=pytest.fail
    )
    return list(found)


@pytest.mark.parametrize("batch_size", [None, 3])
def test_what_waits_is_bounded_however_many_sizes_there_are(batch_size):
    pixels = 1024
    sizes = [(16 * (1 + i % 9), 16 * (1 + i % 7)) for i in range(2000)]
    pictures, done, most = Pictures(sizes), [], 0
    for batch in batches(
        pictures, NATIVE, batch_size=batch_size, pixels=pixels, workers=0, skip=pytest.fail
    ):
        assert {tuple(view.pixels.shape) for view in batch.views} == {tuple(batch.pixels.shape[1:])}
        waited = sum(h * w for h, w in map(sizes.__getitem__, set(pictures.asked) - set(done)))
        most = max(most, waited)
        done += batch.indices
    assert sorted(done) == list(range(2000))
    largest = 144 * 112  # one more picture than the bound may be at hand
    allowed = PENDING_BATCHES * max(pixels, (batch_size or 0) * largest)
    assert most <= allowed + largest
    total = sum(height * width for height, width in sizes)
    assert allowed < total / 2, "the bound could not fail"


class Outlined(Pictures):
    """Pictures with thirty objects each."""

    def __getitem__(self, index):
        sample = super().__getitem__(index)
        masks = np.zeros((30, sample.image.height, sample.image.width), dtype=bool)
        return replace(sample, boxes=np.array([[0.0, 0, 9, 9]] * 30), instances=masks)


def test_masks_that_wait_count_towards_the_bound():
    sizes = [(16 * (1 + i % 9), 16 * (1 + i % 7)) for i in range(400)]
    pictures, done, most, pixels = Outlined(sizes), [], 0, 1024
    for batch in batches(
        pictures, NATIVE, batch_size=8, pixels=pixels, workers=0, skip=pytest.fail
    ):
        waited = sum(11 * h * w for h, w in map(sizes.__getitem__, set(pictures.asked) - set(done)))
        most, done = max(most, waited), [*done, *batch.indices]
    assert sorted(done) == list(range(400))
    largest = 144 * 112
    allowed = PENDING_BATCHES * 8 * largest
    assert most <= allowed + 11 * largest
    assert 11 * sum(height * width for height, width in sizes) > 2 * allowed, "it could not fail"


def test_a_batch_size_that_was_asked_for_is_kept():
    found = collect(Pictures([(32, 32)] * 100), pixels=1, batch_size=100)
    assert [len(batch.indices) for batch in found] == [100]


def test_pictures_that_wait_hold_no_files_open():
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (len(os.listdir("/dev/fd")) + 60, before[1]))
    try:
        found = collect(Pictures([(16, 16)] * 200), pixels=CPU_PIXELS, workers=1)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    assert [len(batch.indices) for batch in found] == [200]
    assert found[0].pixels[:, 0, 0, 0].tolist() == list(range(200))


def test_a_model_of_one_size_is_refused_native_sizes_before_any_picture_is_read():
    fixed, pictures = backbone(dynamic_img_size=False), Pictures([(32, 32)])
    with pytest.raises(ValueError, match=r"32x32 px only.*native.*use fit crop or squash"):
        measure(fixed, pictures, [], view=NATIVE)
    with pytest.raises(ValueError, match="use fit crop or squash"):
        investigate(fixed, pictures, source="any", view=NATIVE)
    with pytest.raises(ValueError, match="takes 32x32 px only, got 64x64"):
        investigate(fixed, pictures, source="any", view=View((64, 64)))
    assert pictures.asked == []


def test_native_pictures_are_looked_at_again_at_high_resolution():
    pictures = Pictures([(32, 48), (64, 32)])
    found = investigate(
        backbone(dynamic_img_size=True),
        pictures,
        source="any",
        view=NATIVE,
        high_resolution=True,
        workers=0,
    )
    maps = found.high.measured.seen["norms"].rows("before")
    assert [row.shape for row in maps] == [(50, 50), (50, 50)]
    assert [row.shape for row in found.measured.seen["norms"].rows("before")] == [(2, 3), (4, 2)]


def test_high_resolution_crops_the_same_part():
    facts = backbone(dynamic_img_size=True).facts
    high = high_view(View((224, 224), resize=256), facts)
    assert (high.size, high.resize) == ((800, 800), 914)
