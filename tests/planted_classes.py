"""Pictures of two classes in ImageNet's layout, to learn from and to evaluate on."""

from pathlib import Path

from unlazy.data.synthetic import Scenes

TRAINING, EVALUATED = 16, 9  # of ten to evaluate on one cannot be read


def save_classes(root: Path) -> Path:
    """Drawn scenes in folders of two classes, those to evaluate on with boxes; one broken."""
    for split, seed, count in (("train", 1, TRAINING), ("val", 2, EVALUATED + 1)):
        scenes = Scenes(count=count, size=(32, 32), seed=seed)
        (root / "boxes" / split).mkdir(parents=True)
        for index in range(count):
            sample = scenes[index]
            folder = root / split / f"n0000000{index % 2}"
            folder.mkdir(parents=True, exist_ok=True)
            sample.image.save(folder / f"{split}{index}.png")
            left, top, right, bottom = sample.boxes[0].astype(int).tolist()
            corners = (
                f"<xmin>{left}</xmin><ymin>{top}</ymin><xmax>{right}</xmax><ymax>{bottom}</ymax>"
            )
            box = f"<annotation><object><name>n00000000</name><bndbox>{corners}</bndbox></object>"
            (root / "boxes" / split / f"{split}{index}.xml").write_text(f"{box}</annotation>")
    (root / "val" / "n00000001" / "val3.png").write_bytes(b"no picture")
    return root
