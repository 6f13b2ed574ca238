"""What a table of a paper consists of."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Pretrained:
    """Published weights that a library downloads by name."""

    model: str


@dataclass(frozen=True)
class Local:
    """Published weights that are fetched by hand.

    Attributes:
        model: MODEL that reads them, as ``MODEL=FILE``.
        file: its name.
        where: it is had.
    """

    model: str
    file: str
    where: str


@dataclass(frozen=True)
class Trained:
    """A model that a recipe trains; no weights of it are read here.

    Attributes:
        recipe: in the catalog.
        words: KEY=VALUE of the recipe.
        data: what FOLDER of its command holds.
        public: where the paper's own weights lie, if they are.
        step: in words, which of the kept steps is meant; "" for the finished model.
    """

    recipe: str
    words: tuple[str, ...] = ()
    data: str = "ImageNet-1k"
    public: str = ""
    step: str = ""

    @property
    def run(self) -> str:
        """Folder of the run.

        >>> Trained("dino_s16", ("model.pool=max",)).run
        'runs/dino_s16-pool-max'
        """
        words = (word.removeprefix("model.").replace("=", "-") for word in self.words)
        return "-".join([f"runs/{self.recipe}", *words])

    @property
    def command(self) -> str:
        """What trains it, on the GPUs of one machine."""
        words = " ".join([self.recipe, *self.words])
        return (
            f"torchrun --nproc_per_node=8 -m unlazy train {words} --data FOLDER --output {self.run}"
        )


@dataclass(frozen=True)
class NotHad:
    """No model of this program, and why."""

    reason: str


Origin = Pretrained | Local | Trained | NotHad


@dataclass(frozen=True)
class Size:
    """What a forward pass of a model takes, at the resolution of its row.

    Attributes:
        operations: billions of multiplications and additions, counted apart, for one picture.
        parameters: millions.
        tokens: of the last grid.
        dim: width of the last tokens.
        widest: tokens and width of the stage with the most numbers; None: the last is that.
    """

    operations: float
    parameters: float
    tokens: int
    dim: int
    widest: tuple[int, int] | None = None


@dataclass(frozen=True)
class Row:
    """One figure of a paper.

    Attributes:
        model: as the paper calls it; one model has one name throughout a table.
        column: of the table.
        paper: the figure, in the unit of the benchmark's headline; None where there is but a curve.
        benchmark: in the catalog, once it is built.
        data: as ``unlazy bench --on`` takes it.
        origin: of the model.
        key: number of the benchmark; "" for its headline.
        settings: KEY=VALUE of the benchmark.
        fix: what was done to the model in training, in words.
        notes: what to know before comparing.
        scale: factor from our number to the paper's unit; None: the headline's.
        file: that a setting names and that is fetched by hand; "" for none.
        where: it is had.
        pictures: that pass through the model, at most, for the estimate of hours; 0: none is given.
        size: of the model, for that estimate.
        side: of the pictures in pixels, where it is not the model's own; stand-ins keep theirs.
        kept: float32 numbers that stay in memory until all pictures have passed.
    """

    model: str
    column: str
    paper: float | None
    benchmark: str
    data: str
    origin: Origin
    key: str = ""
    settings: tuple[str, ...] = ()
    fix: str = ""
    notes: tuple[str, ...] = ()
    scale: float | None = None
    file: str = ""
    where: str = ""
    pictures: int = 0
    size: Size | None = None
    side: int | None = None
    kept: int = 0


@dataclass(frozen=True)
class Table:
    """A table or figure of a paper; ``notes`` are about all of it."""

    name: str
    title: str
    rows: tuple[Row, ...]
    notes: tuple[str, ...] = ()
