import re

import numpy as np
import pytest

from unit.bench_outcomes import Boxed, Drawn, Plain, outcome
from unit.page_findings import HOSTILE
from unlazy.report.bench_page import render, write_bench_page
from unlazy.report.meanings import meaning
from unlazy.report.sheets import painted


def groups():
    found = outcome()
    return found, {group.title: group for group in found.sheet.groups}


def test_the_sheet_shows_misses_and_hits_spread_over_the_data():
    found, by_title = groups()
    hits = found.measured.seen["point_in_box"].kept["hit"]
    index_of = {name: index for index, name in found.measured.names.items()}
    for title, hit in (("Misses", 0), ("Hits", 1)):
        shown = [index_of[panel.name] for panel in by_title[title].panels]
        members = [i for i in sorted(hits) if hits[i] == hit and i % 3]
        assert len(shown) == min(12, len(members))
        assert shown == sorted(set(shown))
        assert set(shown) <= set(members)
        assert shown[0] == members[0]
        assert shown[-1] in members[-1 - len(members) // len(shown) :]


def test_the_marked_patch_is_the_highest_and_touches_the_box_where_it_is_a_hit():
    _, by_title = groups()
    for title, touches in (("Misses", False), ("Hits", True)):
        for panel in by_title[title].panels:
            row, column = panel.best
            assert panel.map[row, column] == panel.map.max()
            (box,) = panel.boxes
            left, top, right, bottom = box.corners
            cell = (column * 16, row * 16, column * 16 + 16, row * 16 + 16)
            apart = cell[0] >= right or cell[2] <= left or cell[1] >= bottom or cell[3] <= top
            assert apart != touches


def test_what_is_drawn_lies_where_it_is_in_viewed_pixels():
    _, by_title = groups()
    card = painted(outcome().sheet).groups[0][2][0]
    panel = by_title["Misses"].panels[0]
    left, top, right, bottom = panel.boxes[0].corners
    (drawn,) = card.boxes
    assert (drawn.x, drawn.y) == (left, top)
    assert (drawn.x + drawn.width, drawn.y + drawn.height) == (right, bottom)
    assert (card.mark.x, card.mark.y) == (panel.best[1] * 16, panel.best[0] * 16)
    assert [frame.sharp for frame in card.frames] == [True, True]
    assert "row" in card.frames[1].alt
    assert panel.name in card.frames[0].alt


def test_a_large_picture_is_not_enlarged_pixel_by_pixel_and_boxes_have_a_colour_a_kind():
    found = painted(outcome(Drawn).sheet)
    (card,) = found.groups[0][2]
    assert [frame.sharp for frame in card.frames] == [False]
    assert found.kinds == ("object", "LOST", "TokenCut")
    assert [box.colour for box in card.boxes] == [0, 1, 2]


def test_the_page_has_the_headline_baselines_published_figures_and_what_went_wrong():
    found = outcome()
    text = render([found])
    (ours, _), (chance, _), *_ = [
        (f"{each.value:.1f}&nbsp;%", name) for name, each in found.compared()
    ]
    rows = re.findall(
        r'<tr class="(\w+)"><th scope="row">(.*?)</th><td class="number">(.*?)<', text
    )
    assert rows[0] == ("ours", "timm:tiny", ours)
    assert rows[1] == ("baseline", "a random patch", chance)
    assert ("published", "ResNet-50, label", "68.4&nbsp;%") in rows
    assert "Pictures that were not used: 1" in text
    assert "the file is &lt;b&gt;empty&lt;/b&gt;" in text
    assert "Problems in the annotations: 1" in text
    assert "no area&lt;/b&gt;" in text
    assert HOSTILE not in text
    assert "random weights" in text
    assert not re.findall(r'(?:src|href)="(?!data:|#)', text)


def sections(text):
    return re.findall(r'<section class="benchmark" id="([^"]+)".*?</section>', text, re.DOTALL)


def test_a_later_run_of_other_benchmarks_keeps_what_the_page_showed(tmp_path):
    first, second = outcome(), outcome(Drawn)
    first.record.write(tmp_path / "point-in-box.json")
    write_bench_page([first], tmp_path)
    second.record.write(tmp_path / "drawn.json")
    text = write_bench_page([second], tmp_path).read_text()
    assert sections(text) == ["point-in-box", "drawn"]
    assert text.count("<image ") == render([first, second]).count("<image ")
    assert "On boxes &lt;b&gt;." in text
    again = write_bench_page([second], tmp_path).read_text()
    assert again.split() == text.split()
    (tmp_path / "point-in-box.json").write_text("{}")  # another Record has its name now
    assert sections(write_bench_page([second], tmp_path).read_text()) == ["drawn"]


def test_a_page_of_another_kind_is_replaced(tmp_path):
    (tmp_path / "index.html").write_bytes(b"\xff<section>")
    assert sections(write_bench_page([outcome()], tmp_path).read_text()) == ["point-in-box"]


@pytest.mark.parametrize("kind", [Drawn, Plain])
def test_other_benchmarks_draw_their_own_or_nothing(kind):
    text = render([outcome(), outcome(kind)])
    assert text.count('<section class="benchmark"') == 2
    assert ('aria-label="Masked;' in text) == (kind is Drawn)
    assert "Model &lt;b&gt;" in text


def test_every_number_is_explained():
    for measure, values in outcome().record.values.items():
        assert all(meaning(measure, key) for key in values)


def test_no_picture_with_one_box_is_told(tmp_path, monkeypatch):
    from unit.page_findings import model
    from unlazy.benchmarks.point_in_box import PointInBox
    from unlazy.report.bench import run_benchmark

    monkeypatch.setattr(Boxed, "__len__", lambda self: 1)
    found = run_benchmark(PointInBox(), model("timm:tiny", 0), Boxed(), source="one")
    text = write_bench_page([found], tmp_path).read_text()
    assert "no picture allowed it" in text
    assert np.isfinite(found.record.values["point_in_box"]["all/hit"].value)
