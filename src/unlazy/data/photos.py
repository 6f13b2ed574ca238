"""Photos: a few real photographs that installed packages ship, for demos and tests."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from unlazy.data.folder import read_image
from unlazy.data.from_files import FromFiles, sizes_of
from unlazy.data.sample import Sample

FILES = {
    "china": ("sklearn", "datasets/images/china.jpg"),
    "flower": ("sklearn", "datasets/images/flower.jpg"),
    "astronaut": ("skimage", "data/astronaut.png"),
    "chelsea": ("skimage", "data/chelsea.png"),
    "coffee": ("skimage", "data/coffee.png"),
    "rocket": ("skimage", "data/rocket.jpg"),
}
"""Package and file of each photograph."""

CREDITS = {
    "china": "danielbuechele, flickr.com/photos/danielbuechele/6061409035, CC BY 2.0; "
    "shipped with scikit-learn",
    "flower": "vultilion, flickr.com/photos/vultilion/6056698931, CC BY 2.0; "
    "shipped with scikit-learn, whose README links this page but names danielbuechele",
    "astronaut": "NASA (Eileen Collins), public domain; shipped with scikit-image",
    "chelsea": "Stefan van der Walt, CC0; shipped with scikit-image",
    "coffee": "Rachel Michetti, courtesy of Pikolo Espresso Bar, CC0; shipped with scikit-image",
    "rocket": "SpaceX, flickr.com/photos/spacexphotos/16511594820, public domain; "
    "shipped with scikit-image",
}
"""Photographer, origin and licence; show them wherever a photograph is shown."""


class Photos(FromFiles):
    """The photographs of ``FILES`` whose package is installed: two, or six with the extra ``demo``.

    Attributes:
        names: in order; also the names of the samples.
    """

    def __init__(self) -> None:
        folders = {package: _folder(package) for package, _ in FILES.values()}
        self._paths = {
            name: folder / file
            for name, (package, file) in FILES.items()
            if (folder := folders[package]) is not None
        }
        self.names = tuple(self._paths)

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> Sample:
        name = self.names[index]
        return Sample(image=read_image(self._paths[name]), name=name)

    def _told_by(self) -> Iterator[bytes]:
        yield sizes_of(self._paths.values())


def _folder(package: str) -> Path | None:
    """Where a package lies, without the seconds that importing it takes."""
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        return None
    return Path(spec.submodule_search_locations[0])
