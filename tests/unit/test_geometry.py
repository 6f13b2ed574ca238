import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw
from torchvision.transforms.v2 import functional as F

from unlazy.geometry import View, box_to_grid, mask_to_grid

VIEWS = {
    "crop": View((64, 64)),
    "imagenet": View((56, 56), resize=64),
    "wide crop": View((48, 96)),
    "squash": View((64, 96), "squash"),
    "native": View((64, 64), "native", multiple=(14, 14)),
    "native, capped": View((64, 64), "native", multiple=(16, 16), longest=64),
    "pad": View((64, 64), "pad", multiple=(14, 14)),
    "pad, scaled": View((64, 64), "pad", multiple=(16, 16), resize=120, longest=200),
}


def drawn(width, height, box):
    """A white rectangle on black with its box (1, 4) and mask."""
    image = Image.new("RGB", (width, height))
    ImageDraw.Draw(image).rectangle((box[0], box[1], box[2] - 1, box[3] - 1), fill="white")
    mask = (np.asarray(image)[..., 0] > 0).astype(np.uint8)
    return image, np.array([box], dtype=np.float32), mask


def tight(shown):
    """Half-open box of the nonzero pixels."""
    rows, columns = torch.where(shown)
    edges = columns.min(), rows.min(), columns.max() + 1, rows.max() + 1
    return torch.stack(edges).float()


@pytest.mark.parametrize("name", VIEWS)
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_the_box_encloses_what_was_drawn_in_it(name, data):
    width, height = data.draw(st.tuples(st.integers(80, 300), st.integers(80, 300)))
    left, top = data.draw(st.integers(0, width - 24)), data.draw(st.integers(0, height - 24))
    right, bottom = (
        data.draw(st.integers(left + 24, width)),
        data.draw(st.integers(top + 24, height)),
    )
    image, boxes, mask = drawn(width, height, (left, top, right, bottom))
    viewed = VIEWS[name](image, boxes, mask)
    box = viewed.boxes[0]
    assert bool(viewed.kept[0]) == bool((box[2:] > box[:2]).all())
    if not viewed.kept[0] or (box[2:] - box[:2]).min() < 2:
        return
    assert (tight(viewed.pixels[0] > 127) - box).abs().max() <= 1
    assert (tight(viewed.mask) - box).abs().max() <= 1
    assert (viewed.mask.bool() != (viewed.pixels[0] > 127)).float().mean() < 0.05
    assert viewed.pixels.shape[1:] == viewed.mask.shape
    assert box.min() >= 0
    assert box[2] <= viewed.pixels.shape[2]
    assert box[3] <= viewed.pixels.shape[1]


@settings(max_examples=50, deadline=None)
@given(st.integers(20, 500), st.integers(20, 500), st.sampled_from(sorted(VIEWS)))
def test_boxes_come_back_through_the_window(width, height, name):
    view = VIEWS[name]
    window = view.window((height, width))
    left, top, right, bottom = window.region
    assert left >= 0
    assert top >= 0
    assert right <= width + 1e-6
    assert bottom <= height + 1e-6
    x, y = (right - left) / window.size[1], (bottom - top) / window.size[0]
    inside = np.array([[left + x, top + y, right - 2 * x, bottom - 3 * y]])
    moved = view(Image.new("RGB", (width, height)), inside).boxes[0].double()
    back = moved * torch.tensor([x, y, x, y]) + torch.tensor([left, top, left, top])
    torch.testing.assert_close(back, torch.from_numpy(inside[0]), atol=1e-3, rtol=0)


@pytest.mark.parametrize("interpolation", ["bicubic", "bilinear"])
@pytest.mark.parametrize(("width", "height"), [(300, 200), (157, 333), (97, 101), (224, 224)])
@pytest.mark.parametrize(("size", "resize"), [(64, 64), (56, 64), (224, 256)])
def test_crop_equals_torchvision(width, height, size, resize, interpolation):
    noise = np.random.default_rng(0).integers(0, 256, (height // 4, width // 4, 3), np.uint8)
    image = Image.fromarray(noise).resize((width, height))
    scaled = F.resize(image, [resize], F.InterpolationMode(interpolation), antialias=True)
    expected = F.pil_to_tensor(F.center_crop(scaled, [size, size]))
    pixels = View((size, size), resize=resize, interpolation=interpolation)(image).pixels
    difference = (pixels.int() - expected.int()).abs().float()
    assert difference.mean() < 0.5  # Pillow rounds to 8 bits between rows and columns,
    assert difference.max() <= 4  # and takes either first, whichever is cheaper


def test_boxes_outside_of_the_crop_are_counted_not_dropped():
    image = Image.new("RGB", (300, 100))
    boxes = [[0, 0, 100, 100], [0, 0, 101, 100], [150, 0, 150, 100], [120, 20, 180, 80]]
    viewed = View((50, 50))(image, np.array(boxes))
    assert viewed.kept.tolist() == [False, True, False, True]
    assert viewed.boxes.dtype == torch.float32
    assert viewed.boxes[3].tolist() == [10, 10, 40, 40]
    assert viewed.boxes[1].tolist() == [0, 0, 0.5, 50]


@pytest.mark.parametrize("name", VIEWS)
def test_a_mask_keeps_its_values(name):
    _, _, mask = drawn(211, 173, (60, 50, 150, 120))
    viewed = VIEWS[name](Image.new("RGB", (211, 173)), mask=mask * np.uint8(200))
    assert viewed.mask.dtype == torch.uint8
    assert viewed.mask.unique().tolist() == [0, 200]


def test_no_box_and_no_mask():
    viewed = View((32, 32))(Image.new("RGB", (40, 50), "red"))
    assert (viewed.boxes, viewed.kept, viewed.mask) == (None, None, None)
    assert viewed.pixels.dtype == torch.uint8
    assert viewed.pixels[:, 5, 5].tolist() == [255, 0, 0]
    empty = View((32, 32))(Image.new("RGB", (40, 50)), np.zeros((0, 4), np.float32))
    assert empty.boxes.shape == (0, 4)
    assert empty.kept.shape == (0,)


@pytest.mark.parametrize(
    ("size", "multiple", "longest", "expected"),
    [
        ((100, 200), (14, 14), None, (98, 196)),
        ((3, 5), (14, 14), None, (14, 14)),
        ((1, 1), (1, 1), None, (1, 1)),
        ((7, 21), (14, 14), None, (14, 28)),
        ((500, 1000), (16, 16), 512, (256, 512)),
        ((500, 1000), (14, 14), 512, (252, 504)),
        ((10, 20000), (14, 14), 512, (14, 504)),
        ((32, 48), (16, 8), 512, (32, 48)),
    ],
)
def test_native_sizes(size, multiple, longest, expected):
    view = View((1, 1), "native", multiple=multiple, longest=longest)
    assert view.window(size).size == expected
    pixels = view(Image.new("RGB", (size[1], size[0]))).pixels
    assert pixels.shape == (3, *expected)


def test_native_leaves_fitting_pixels_alone():
    pixels = np.random.default_rng(0).integers(0, 256, (28, 42, 3), np.uint8)
    viewed = View((1, 1), "native", multiple=(14, 14))(Image.fromarray(pixels))
    assert (viewed.pixels.permute(1, 2, 0).numpy() == pixels).all()


WIDE = """
import time
from PIL import Image
from unlazy.geometry import View
image = Image.new("RGB", (20000, 10), "red")
View((224, 224))(image.resize((10, 10)))
peak = lambda: int(open("/proc/self/status").read().split("VmHWM:")[1].split()[0])
before, start = peak(), time.perf_counter()
for view in (View((224, 224)), View((224, 224), resize=256), View((224, 224), "squash")):
    assert view(image).pixels.shape == (3, 224, 224)
seconds = time.perf_counter() - start
print(peak() - before, seconds)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads peak memory from /proc")
def test_a_very_wide_picture_is_fast_and_small():
    run = subprocess.run([sys.executable, "-c", WIDE], capture_output=True, text=True, check=True)
    kilobytes, seconds = run.stdout.split()
    assert int(kilobytes) < 200_000
    assert float(seconds) < 1


def test_padding_leaves_pixels_and_boxes_as_they_are_and_adds_less_than_a_patch():
    rng = np.random.default_rng(0)
    pixels = rng.integers(1, 255, (45, 70, 3), dtype=np.uint8)
    box, mask = np.array([[5.0, 6, 70, 45]]), np.ones((45, 70), dtype=np.uint8)
    view = View((64, 64), "pad", multiple=(16, 14))
    viewed = view(Image.fromarray(pixels), box, mask, instances=mask[None], void=mask)
    assert viewed.pixels.shape == (3, 48, 70)
    assert np.array_equal(viewed.pixels[:, :45].permute(1, 2, 0), pixels)
    assert not viewed.pixels[:, 45:].any()
    assert viewed.boxes.tolist() == box.tolist()
    for each in (viewed.mask, viewed.instances[0], viewed.void):
        assert each.shape == (48, 70)
        assert each[:45].all()
        assert not each[45:].any()
    assert (viewed.shown, viewed.picture) == ((45, 70), (45, 70))
    smaller = View((64, 64), "pad", multiple=(16, 16), longest=35)(Image.fromarray(pixels), box)
    assert (smaller.shown, smaller.picture) == ((22, 35), (45, 70))
    assert smaller.pixels.shape == (3, 32, 48)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"size": (0, 4)}, "positive"),
        ({"size": (30, 28), "multiple": (14, 14)}, "no multiple"),
        ({"size": (32, 32), "resize": 16}, "at least 32"),
        ({"size": (32, 32), "fit": "squash", "resize": 16}, "resize is for crop"),
        ({"size": (32, 32), "longest": 64}, "longest is for native"),
        ({"size": (32, 32), "fit": "pad", "resize": 0}, "resize is for"),
        ({"size": (1, 1), "fit": "pad", "multiple": (14, 14), "longest": 13}, "at least 14"),
        ({"size": (1, 1), "fit": "native", "multiple": (14, 14), "longest": 13}, "at least 14"),
        ({"size": (32, 32), "fit": "stretch"}, "crop.*squash.*native.*pad"),
        ({"size": (32, 32), "interpolation": "nearest"}, "bicubic.*bilinear"),
    ],
)
def test_impossible_views_are_refused(arguments, message):
    with pytest.raises((ValueError, TypeError), match=message):  # types are checked if asked for
        View(**arguments)


@pytest.mark.parametrize("fit", ["crop", "squash", "native"])
def test_boxes_mask_instances_and_void_move_together(fit):
    boxes = np.array([[4, 2, 20, 14], [22, 6, 36, 20]], dtype=np.float32)
    pixels = np.zeros((2, 24, 40), dtype=bool)
    for place, (left, top, right, bottom) in enumerate(boxes.astype(int)):
        pixels[place, top:bottom, left:right] = True
    void = ~pixels.any(axis=0)
    view = View((12, 12), fit=fit, multiple=(4, 4))
    mask = pixels[0] + 2 * pixels[1]
    viewed = view(Image.new("RGB", (40, 24)), boxes, mask, instances=pixels, void=void)
    height, width = viewed.pixels.shape[1:]
    assert viewed.instances.shape == (2, height, width)
    assert (viewed.instances.dtype, viewed.void.dtype) == (torch.bool, torch.bool)
    for place in range(2):
        assert (viewed.instances[place] == (viewed.mask == place + 1)).all()
        rows, columns = torch.where(viewed.instances[place])
        tight = torch.stack([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1])
        assert (tight - viewed.boxes[place]).abs().max() <= 1
    assert (viewed.void == (viewed.mask == 0)).all()


def test_no_instance_is_a_stack_of_none():
    viewed = View((8, 8))(Image.new("RGB", (9, 8)), instances=np.zeros((0, 8, 9), bool))
    assert viewed.instances.shape == (0, 8, 8)
    assert viewed.void is None


def test_what_does_not_fit_the_picture_is_refused():
    image = Image.new("RGB", (20, 10))
    with pytest.raises(ValueError, match=r"mask \(20, 10\)"):
        View((8, 8))(image, mask=np.zeros((20, 10), np.uint8))
    with pytest.raises(ValueError, match=r"mask \(1, 20, 10\)"):
        View((8, 8))(image, instances=np.zeros((1, 20, 10), bool))
    with pytest.raises(ValueError, match=r"\(k, 4\)"):
        View((8, 8))(image, np.zeros(4, np.float32))
    with pytest.raises(ValueError, match="read_image"):
        View((8, 8))(image.convert("L"))


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(*[st.integers(-4, 52)] * 4), min_size=1, max_size=4))
def test_box_to_grid_agrees_with_a_slow_loop(corners):
    boxes = torch.tensor(corners, dtype=torch.float32)
    grid, size = (3, 6), (24, 48)
    for rule in ("overlap", "center", "released"):
        hits = box_to_grid(boxes, grid, size=size, rule=rule)
        for k, (left, top, right, bottom) in enumerate(boxes.tolist()):
            for row in range(grid[0]):
                for column in range(grid[1]):
                    x, y = column * 8, row * 8
                    if rule == "overlap":
                        wide = min(x + 8, right) - max(x, left)
                        high = min(y + 8, bottom) - max(y, top)
                        expected = wide > 0 and high > 0 and right > left and bottom > top
                    elif rule == "released":
                        across, down = (left // 8, right // 8), (top // 8, bottom // 8)
                        expected = across[0] <= column <= across[1] and down[0] <= row <= down[1]
                    else:
                        expected = left <= x + 4 < right and top <= y + 4 < bottom
                    assert hits[k, row, column] == expected


def test_box_to_grid_edges():
    boxes = torch.tensor([[16.0, 0.0, 32.0, 16.0], [5.0, 5.0, 5.0, 9.0]])
    overlap = box_to_grid(boxes, (2, 3), size=(32, 48), rule="overlap")
    assert overlap[0].tolist() == [[False, True, False], [False, False, False]]
    assert not overlap[1].any()
    assert box_to_grid(boxes[:0], (2, 3), size=(32, 48), rule="center").shape == (0, 2, 3)
    with pytest.raises((ValueError, TypeError), match=r"overlap.*center.*released"):
        box_to_grid(boxes, (2, 3), size=(32, 48), rule="touch")


def test_mask_to_grid_needs_more_than_the_share():
    mask = torch.zeros(4, 6, dtype=torch.uint8)
    mask[:2, 0], mask[:2, 2:4], mask[2, 4:], mask[3, 4] = 255, 7, 1, 1
    expected = [[False, True, False], [False, False, True]]
    assert mask_to_grid(mask, (2, 3)).tolist() == expected
    assert mask_to_grid(mask, (2, 3), share=0.49)[0, 0]
    with pytest.raises(ValueError, match="does not divide"):
        mask_to_grid(mask, (3, 3))
