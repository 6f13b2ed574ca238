"""The page of benchmarks in a real browser; skipped where there is none."""

import pytest

from unit.bench_outcomes import Drawn, outcome
from unlazy.report.bench_page import write_bench_page

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    return write_bench_page([outcome(), outcome(Drawn)], tmp_path_factory.mktemp("b")).as_uri()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1200])
def test_the_page_stands_alone_and_fits(visit_alone, width, scheme):
    page = visit_alone(width, scheme)
    frames = page.eval_on_selector_all(
        "svg.frame",
        """all => all.map(one => {
             const {width, height} = one.getBoundingClientRect();
             const [,, w, h] = one.getAttribute("viewBox").split(" ").map(Number);
             const image = getComputedStyle(one.querySelector("image")).imageRendering;
             return [width, width / height / (w / h), image, one.getAttribute("aria-label"),
                     one.classList.contains("sharp")];
           })""",
    )
    assert len(frames) > 10
    for shown, aspect, rendering, alt, sharp in frames:
        assert shown > 60
        assert aspect == pytest.approx(1, abs=0.02)
        assert (rendering == "pixelated") == sharp
        assert alt
    values = page.eval_on_selector_all(
        ".compared td.number, .compared th[scope=row]",
        "all => all.map(one => one.getBoundingClientRect().right)",
    )
    assert max(values) <= width
