"""Tables 1 to 5 of *Do All Vision Transformers Need Registers?*, paper B: probes on ImageNet."""

from __future__ import annotations

from unlazy.benchmarks.paper_b import TABLE_1, TABLE_2, TABLE_3, TABLE_4, TABLE_5
from unlazy.report.tables.row import Origin, Row, Table
from unlazy.report.tables.second_models import (
    EPOCHS,
    IMAGENET,
    MODELS,
    NOTES,
    PAPER_B,
    SAMPLED,
    SIZES,
    SIZES_224,
    TRAINING,
    VALIDATION,
    WITH_REGISTERS,
)

DRAWN = 1 + 5 + 5  # tokens of a training picture that token-class keeps: CLS, normal, outliers
ALL_DATA = (
    "As in the paper all training pictures are learned from, for up to 30 epochs; hours are for 30."
    " `unlazy probe MODEL NAME --data ROOT` learns from 2,000 of them, in minutes."
)
LABEL = (
    "Outliers are the 2 % of the tokens with the highest norms, which every model has; whether"
    " there is a group of them is what `unlazy claims` asks."
)
FIXED = "100 % is no surprise where outliers keep to one place: see `majority_outlier`."
HELD_OUT = "Rate and epoch are chosen on held-out training pictures, not on those reported."
HEADS = (
    "The official page of DINOv2 has 81.1 / 80.9 (S without / with registers), 84.5 / 84.6 (B),"
    " 86.3 / 86.7 (L) and 86.5 / 87.1 (g): the paper's gain of S is not there."
)
RESOLUTION = (
    "The resolution of the evaluation is not said; 224 px are taken, at which DINOv2's page has"
    " its figures; the models' own size is 518 px (leave out `--size`). timm resizes positions with"
    " antialiasing, DINOv2's own code does so only for models with registers."
)


def _rows(
    model: str,
    benchmark: str,
    figures: tuple[tuple[str, str, float, float], ...],
    *notes: str,
    settings: tuple[str, ...],
    pictures: int,
    kept: int = 0,
) -> list[Row]:
    """Rows of one run: (column, key, scale, the paper's figure); ``kept`` tokens in memory."""
    return [
        Row(
            *(model, column, paper, benchmark, IMAGENET, MODELS[model]),
            key=key,
            settings=settings,
            notes=(*NOTES.get(model, ()), *notes),
            scale=scale,
            pictures=pictures,
            size=SIZES[model],
            kept=kept * SIZES[model].dim,
        )
        for column, key, scale, paper in figures
    ]


def table1() -> Table:
    """Position of a patch from its token."""
    columns = (
        ("top-1, normal (%)", "top1_normal", 100.0),
        ("top-1, outlier (%)", "top1_outlier", 100.0),
        ("distance, normal", "distance_normal", 1.0),
        ("distance, outlier", "distance_outlier", 1.0),
        ("distance, always the centre", "distance_centre", 1.0),
    )
    rows = [
        row
        for model, values in TABLE_1.items()
        for row in _rows(
            model,
            "position",
            tuple((*column, value) for column, value in zip(columns, values, strict=True)),
            *((FIXED,) if model == "PVT-b2" else ()),
            settings=("pictures=none",),
            pictures=EPOCHS * TRAINING + 2 * VALIDATION,
        )
    ]
    title = f"{PAPER_B}, Table 1: position of a token (%, and distance in patches)"
    return Table("b-table1", title, tuple(rows), (LABEL, ALL_DATA, HELD_OUT))


def table2() -> Table:
    """Pixels of a patch from its token."""
    rows = [
        row
        for model, (normal, outlier) in TABLE_2.items()
        for row in _rows(
            model,
            "pixels",
            (("normal", "error_normal", 1.0, normal), ("outlier", "error_outlier", 1.0, outlier)),
            settings=("pictures=none",),
            pictures=TRAINING + 2 * VALIDATION,
        )
    ]
    notes = (
        LABEL,
        "The unit is not said: 337.2 of DINOv2-G is the square of the 18.38 of Darcet et al., so it"
        " is the squared error of a whole patch, of normalised pixels. Larger patches have larger"
        " errors: `rgb_error_*` and `r2_*` of the same Records compare models.",
        "Solved in closed form, from one pass, where the paper learns for up to 30 epochs.",
    )
    return Table("b-table2", f"{PAPER_B}, Table 2: pixels of a patch", tuple(rows), notes)


def table3() -> Table:
    """Class of the picture from one token."""
    columns = (("CLS", "top1_cls"), ("normal", "top1_normal"), ("outlier", "top1_outlier"))
    rows = [
        row
        for model, values in TABLE_3.items()
        for row in _rows(
            model,
            "token-class",
            tuple((*column, 100.0, each) for column, each in zip(columns, values, strict=True)),
            settings=(f"pictures={SAMPLED}",),
            pictures=SAMPLED + 2 * VALIDATION,
            kept=SAMPLED * DRAWN,
        )
    ]
    notes = (
        LABEL,
        "A stand-in: the paper learns from 200,000 training pictures that have an outlier (3.3)."
        " Here 200,000 are drawn, evenly spread, and those of them that have one are learned from.",
        "The text has over 10 points for DeiT3-M; the table has 9.8.",
        HELD_OUT,
    )
    title = f"{PAPER_B}, Table 3: class of the picture (%) from one token"
    return Table("b-table3", title, tuple(rows), notes)


def table4() -> Table:
    """DINOv2's own heads, without and with registers."""
    rows = []
    for model, (without, having) in TABLE_4.items():
        for registers, paper in ((False, without), (True, having)):
            middle = "reg4_linear_head" if registers else "linear_head"
            name = f"dinov2_vit{model[-1].lower()}14_{middle}.pth"
            rows.append(
                _head(
                    *(model, "pretrained head", "top1_pretrained", paper),
                    registers=registers,
                    file=name,
                )
            )
    title = f"{PAPER_B}, Table 4: ImageNet top-1 (%) of DINOv2's own heads"
    notes = (HEADS, RESOLUTION, "The Record also has heads learned from 2,000 pictures.")
    return Table("b-table4", title, tuple(rows), notes)


def table5() -> Table:
    """What registers add to a classifier."""
    columns = (
        ("CLS+PM", "top1_cls_mean"),
        ("CLS+PM+REG", "top1_cls_mean_registers"),
        ("PM+REG", "top1_mean_registers"),
    )
    rows = [
        _head(model, *column, value, registers=True)
        for model, values in TABLE_5.items()
        for column, value in zip(columns, values, strict=True)
    ]
    notes = (
        "The row of pretrained heads is Table 4's. CLS+PM differs from it by the recipe alone, so"
        " that 0.6 points are within the noise of recipes.",
        "The paper's rate is not said; all training pictures, 20 epochs; hours are for 20.",
        RESOLUTION,
        HELD_OUT,
    )
    title = f"{PAPER_B}, Table 5: top-1 (%) of heads on DINOv2 with registers"
    return Table("b-table5", title, tuple(rows), notes)


def _head(
    model: str, column: str, key: str, paper: float, *, registers: bool, file: str = ""
) -> Row:
    origin: Origin = WITH_REGISTERS[model] if registers else MODELS[model]
    where = f"dl.fbaipublicfiles.com/dinov2/{file.split('_reg4')[0].split('_linear')[0]}/"
    learned = 2000 if file else TRAINING
    return Row(
        *(f"{model} with registers" if registers else model, column, paper),
        *("register-heads", IMAGENET, origin),
        key=key,
        scale=100.0,
        settings=(f"head={file}",) if file else ("pictures=none",),
        fix="registers in training" if registers else "",
        file=file,
        where=where if file else "",
        pictures=20 * learned + VALIDATION,
        size=SIZES_224[model],
        side=224,
    )
