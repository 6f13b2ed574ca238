"""The page in a real browser; skipped where there is none."""

import pytest

from unit.page_findings import findings, written

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module", params=["report", "comparison"])
def address(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param)
    several = [findings()]
    if request.param == "comparison":
        several.append(findings("timm:" + "a_very_long_model_name" * 5, 1))
    written(several, folder)
    return (folder / "index.html").as_uri()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1200])
def test_the_page_stands_alone_and_fits(visit_alone, width, scheme):
    page = visit_alone(width, scheme)
    assert page.locator("#verdict li").first.is_visible()
    sizes = page.eval_on_selector_all("img", "every => every.map(one => one.naturalWidth)")
    assert sizes
    assert all(size > 0 for size in sizes)


@pytest.mark.parametrize("width", [360, 800, 1200])
def test_the_numbers_of_every_model_can_be_read_without_scrolling(visit, width):
    page, _, _ = visit(width, "light")
    rows = page.eval_on_selector_all(
        "#numbers tbody tr",
        """rows => rows.map(row => [...row.querySelectorAll("td")].map(cell => {
             const words = document.createRange();
             words.selectNodeContents(cell);
             return [words.getBoundingClientRect().left, words.getBoundingClientRect().right];
           }))""",
    )
    assert rows
    assert all(left >= 0 and right <= width for row in rows for left, right in row)


def luminance(page):
    colour = page.evaluate("getComputedStyle(document.body).backgroundColor")
    return sum(int(part) for part in colour.strip("rgb()").split(","))


def test_the_page_follows_the_system_until_the_button_is_pressed(visit):
    light, _, _ = visit(800, "light")
    dark, _, _ = visit(800, "dark")
    assert luminance(dark) < 200 < 600 < luminance(light)
    for page, name in ((light, "Light page"), (dark, "Dark page")):
        before = luminance(page)
        page.get_by_role("button").focus()
        page.keyboard.press("Enter")
        assert (luminance(page) < 400) != (before < 400)
        assert page.get_by_role("button").inner_text() == name


def test_texts_of_plots_follow_the_theme(visit):
    fills = []
    for scheme in ("light", "dark"):
        page, _, _ = visit(800, scheme)
        fills.append(page.eval_on_selector(".plot text", "one => getComputedStyle(one).fill"))
    assert fills[0] != fills[1]
