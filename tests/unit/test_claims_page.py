"""The page of verdicts in a real browser; skipped where there is none."""

import pytest

from unit.claim_evidence import like, observed
from unit.test_page_browser import browser, pytestmark
from unlazy.report.claims.judge import judge
from unlazy.report.claims.page import write_claims
from unlazy.report.energy import Energy

__all__ = ["browser", "pytestmark"]
HOSTILE = "file:<b>net</b>" + "_with_a_very_long_name" * 4


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    high, none = observed(high=True), observed(high=False)
    several = [
        like(none, name="timm:vit_small_patch14_dinov2", parameters=22_000_000),
        like(high, name="timm:vit_giant_patch14_dinov2", parameters=1_136_000_000),
        like(high, name=HOSTILE),
        like(none, name=HOSTILE, random=True, label=f"{HOSTILE}, random weights"),
    ]
    return write_claims(judge(several), tmp_path_factory.mktemp("c"), Energy()).as_uri()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1200])
def test_the_page_stands_alone_and_fits(browser, address, width, scheme):
    context = browser.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme)
    page, requests, errors = context.new_page(), [], []
    page.on("request", lambda request: requests.append(request.url))
    page.on("console", lambda message: errors.append(message.text))
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(address)
    for summary in page.locator("summary").all():
        summary.click()
    wide, inner = page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
    assert wide <= inner
    assert errors == []
    assert [url for url in requests if not url.startswith("data:")] == [address]
    badges = page.locator(".verdicts .badge")
    assert badges.count() == 20
    words = {badge.inner_text().strip("*✓✗? \n") for badge in badges.all()}
    assert {"holds", "cannot tell"} <= words  # the size axis from S to G holds
    rights = page.eval_on_selector_all(
        ".answer td, .answer th[scope=row]",
        "all => all.map(one => one.getBoundingClientRect().right)",
    )
    assert max(rights) <= width
    assert page.locator("#claim2 .plot svg").count() == 2
    context.close()
