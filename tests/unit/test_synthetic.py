import numpy as np
import pytest

from unlazy.data.synthetic import CLASSES, PAIRS, SHAPES, Scenes

SCENES = Scenes(count=48, seed=3)


def test_the_box_is_the_tight_box_of_the_mask():
    for scene in (SCENES[i] for i in range(len(SCENES))):
        left, top, right, bottom = scene.boxes[0].astype(int)
        assert scene.boxes.shape == (1, 4)
        assert scene.boxes.dtype == np.float32
        inside = scene.mask[top:bottom, left:right]
        assert inside.sum() == scene.mask.sum() > 0
        assert inside[0].any()
        assert inside[-1].any()
        assert inside[:, 0].any()
        assert inside[:, -1].any()


def test_the_object_changes_its_mask_and_nothing_else():
    for index in range(len(SCENES)):
        scene = SCENES[index]
        image, background = (
            np.asarray(picture, dtype=int) for picture in (scene.image, SCENES.background(index))
        )
        change = np.abs(image - background).max(axis=2)
        object_ = scene.mask.astype(bool)
        near = np.pad(object_, 1)
        near = near[:-2, 1:-1] | near[2:, 1:-1] | near[1:-1, :-2] | near[1:-1, 2:]
        assert (change[object_] > 8).mean() > 0.8
        assert change[~object_ & ~near].max() <= 255 // 2  # soft edges at tips only
        assert (change[~object_ & ~near] > 0).mean() < 0.01


def test_scenes_depend_on_seed_and_index_alone():
    again = Scenes(count=500, seed=3)
    assert SCENES[7].image.tobytes() == again[7].image.tobytes()
    assert (SCENES[7].mask == again[7].mask).all()
    assert SCENES[7].image.tobytes() != SCENES[15].image.tobytes()
    assert SCENES[7].image.tobytes() != Scenes(count=48, seed=4)[7].image.tobytes()
    assert SCENES[-1].name == SCENES[47].name


def test_classes_are_balanced_and_names_unique():
    scenes = [SCENES[i] for i in range(len(SCENES))]
    assert np.bincount([scene.label for scene in scenes]).tolist() == [6] * len(CLASSES)
    assert len({scene.name for scene in scenes}) == len(scenes)
    with pytest.raises(IndexError, match="scene 48 of 48"):
        SCENES[48]


def test_colour_and_size_tell_nothing_about_the_class():
    scenes = Scenes(count=400, clutter=0)
    colours, areas, labels = [], [], []
    for scene in (scenes[i] for i in range(len(scenes))):
        colours.append(np.asarray(scene.image)[scene.mask > 0].mean(axis=0))
        areas.append(scene.mask.mean())
        labels.append(scene.label)
    labels = np.array(labels)
    for cue in [*np.array(colours).T, np.array(areas)]:
        means = np.array([cue[labels == label].mean() for label in range(len(CLASSES))])
        assert means.std() < 2.5 * cue.std() / np.sqrt(50)  # 50 scenes per class


@pytest.mark.parametrize("label", range(len(CLASSES)))
def test_the_stripes_have_the_orientation_and_period_of_the_class(label):
    scenes = Scenes(count=8, size=(128, 128), object_size=(0.95, 0.95), clutter=0, seed=1)
    scene = scenes[label]
    grey = np.asarray(scene.image.convert("L"), dtype=float) * scene.mask
    grey[scene.mask > 0] -= grey[scene.mask > 0].mean()
    power = np.abs(np.fft.fft2(grey)) ** 2
    frequency = np.fft.fftfreq(128) * 128
    y, x = np.meshgrid(frequency, frequency, indexing="ij")
    power[np.hypot(x, y) < 5] = 0  # light and shade
    peak = np.unravel_index(power.argmax(), power.shape)
    assert np.hypot(x[peak], y[peak]) == pytest.approx([16, 8][label // 4], abs=1.5)
    angle = np.rad2deg(np.arctan2(y[peak], x[peak])) % 180
    wrong = abs(angle - 45 * (label % 4))
    assert min(wrong, 180 - wrong) < 12


@pytest.mark.parametrize("size", [(32, 32), (40, 96), (256, 128)])
def test_any_size(size):
    scene = Scenes(count=2, size=size)[1]
    assert scene.image.size == (size[1], size[0])
    assert scene.image.mode == "RGB"
    assert scene.mask.shape == size


def test_shapes_fit_into_the_unit_circle():
    y, x = np.mgrid[-1.5:1.5:301j, -1.5:1.5:301j]
    for shape in SHAPES:
        inside = shape(x, y) < 0
        assert inside[150, 150]
        assert np.hypot(x, y)[inside].max() <= 1.1
        assert inside.mean() > 0.1


def test_the_pair_of_its_halves_is_the_class():
    scenes = Scenes(count=120, cue="pair", clutter=0, object_size=(0.7, 0.9))
    samples = [scenes[index] for index in range(len(scenes))]
    assert np.bincount([sample.label for sample in samples]).tolist() == [20] * 6
    right = []
    for sample in samples:
        down, across = np.gradient(np.asarray(sample.image.convert("L"), float))
        strength = np.hypot(down, across) * (sample.mask > 0)
        turn = np.degrees(np.arctan2(down, across)) % 180
        nearest = np.round(turn / 45).astype(int) % 4
        found = np.bincount(nearest.ravel(), strength.ravel(), minlength=4)
        right.append(tuple(sorted(np.argsort(found)[-2:])) == PAIRS[sample.label])
    assert np.mean(right) > 0.95
