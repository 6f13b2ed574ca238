"""Parts of data sets."""

import numpy as np
import pytest

from unlazy.data.labelled import Labelled
from unlazy.data.spread import Chosen, Spread
from unlazy.data.synthetic import Scenes
from unlazy.training.sources import Drawn


@pytest.mark.parametrize("count", [8, 250, 300, 400, 499])
@pytest.mark.parametrize(
    "wrap",
    [
        lambda scenes: scenes,
        Drawn,
        Labelled,
        lambda scenes: Spread(scenes, 499),
        lambda scenes: Labelled(Spread(Labelled(scenes), 499)),
    ],
)
def test_a_part_of_drawn_scenes_has_every_class_equally_often(count, wrap):
    """Their labels repeat; every second scene has half of the classes."""
    part = Spread(wrap(Scenes(count=500, size=(16, 16))), count)
    numbers = [int(part.name_of(place).rpartition("-")[2]) for place in range(count)]
    assert len(set(numbers)) == count
    counts = np.bincount(np.array(numbers) % 8, minlength=8)
    assert counts.max() - counts.min() <= 1
    assert part[count - 1].label == numbers[-1] % 8


def test_chosen_pictures_have_labels_in_any_order():
    scenes = Scenes(count=500, size=(16, 16))
    part = Spread(Chosen(scenes, range(0, 400, 2)), 100)
    assert [part.name_of(place) for place in range(3)] == [scenes.name_of(i) for i in (0, 4, 8)]


def test_all_of_them_keep_their_order():
    part = Spread(Scenes(count=9, size=(16, 16)), 9)
    assert [part.name_of(place)[-1] for place in range(9)] == [*"012345678"]
