"""Tables 9 and 10: pools and numbers of kept patches."""

from __future__ import annotations

from unlazy.benchmarks.paper_a import TABLE_9, TABLE_10
from unlazy.report.tables.models import CAPTION_DATA, IMAGENET, LAZY, PAPER, clip
from unlazy.report.tables.row import Row, Table, Trained

CLS_POOL = "The paper's attention-pool is the usual CLS token."
SAME_AS_MEAN = (
    "With all patches kept LazyStrike is the mean; where the paper has both, their distance (0.6"
    " top-1, 0.5 and 0.7 CorLoc) is a measure of its noise."
)
BY_NAMES = (
    "A run of clip_b16 keeps the vectors of its class names where its FOLDER has"
    " `val/<class>`: zero-shot is then `classification`."
)
UNDEFINED = (
    "Which COCO is not said: 18 is neither Table 4's COCO-Object (13.3) nor its COCO-Stuff (11.8)."
)
_STRIKE = "model.pool=lazy_strike"


def _text(model: str, words: tuple[str, ...], *notes: str) -> list[Row]:
    origin, fix = clip(*words), LAZY if _STRIKE in words else ""
    columns = (
        ("IN1K", "classification", IMAGENET, (BY_NAMES,)),
        ("VOC", "zero-shot-segmentation", "voc12:val", ()),
        ("COCO", "zero-shot-segmentation", "coco:val2017", (UNDEFINED,)),
    )
    return [
        Row(
            *(model, column, paper, benchmark, data, origin),
            fix=fix,
            notes=(*notes, *own),
        )
        for (column, benchmark, data, own), paper in zip(columns, TABLE_9[model], strict=True)
    ]


def table9() -> Table:
    """Pools under text supervision."""
    return Table(
        "table9",
        f"{PAPER}, Table 9: pools under text supervision; top-1 and mIoU (%)",
        (
            *_text("Attention-Pool", (), CLS_POOL),
            *_text("Max-Pool", ("model.pool=max",)),
            *_text("M = 1", (_STRIKE, "model.keep=1")),
            *_text("M = 49", (_STRIKE, "model.keep=49")),
            *_text("M = 98", (_STRIKE, "model.keep=98")),
            *_text("M = 196 (Full)", (_STRIKE, "model.keep=196"), SAME_AS_MEAN),
        ),
        (
            CAPTION_DATA,
            "The text says that half of the patches is best; on COCO 49 of 196 are.",
        ),
    )


def _label(model: str, words: tuple[str, ...], *notes: str) -> list[Row]:
    origin, papers = Trained("imagenet_b32_last", words), TABLE_10[model]
    fix = "" if "pool=" in "".join(words) else LAZY
    first = Row(
        model, "IN1K", papers.imagenet, "classification", IMAGENET, origin, fix=fix, notes=notes
    )
    found = [
        Row(
            *(model, column, paper, "discovery", data, origin),
            settings=("methods=patch-score",),
            fix=fix,
            notes=notes,
        )
        for (column, data), paper in zip(
            {"VOC07": "voc07:trainval", "VOC12": "voc12:trainval"}.items(), papers[1:], strict=True
        )
    ]
    return [first, *found]


PREPRINT = "M = 49 has 30.5 on VOC12 in the preprint, 30.3 in the later version."
LOST_LABEL = "The preprint's text has lost this row's name; it is the later version's Mean-Pool."


def table10() -> Table:
    """Pools under label supervision."""
    return Table(
        "table10",
        f"{PAPER}, Table 10: pools of ViT-B/32 under label supervision; top-1 and CorLoc (%)",
        (
            *_label("Attention-Pool", ("model.pool=cls",), CLS_POOL),
            *_label("Mean-Pool", ("model.pool=mean",), SAME_AS_MEAN, LOST_LABEL),
            *_label("M = 1", ("model.keep=1",)),
            *_label("M = 7", ()),
            *_label("M = 49 (Full)", ("model.keep=49",), SAME_AS_MEAN, PREPRINT),
        ),
        ("Which splits of VOC is not said; those of Table 7 are taken.",),
    )
