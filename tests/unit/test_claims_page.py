"""The page of verdicts in a real browser; skipped where there is none."""

import pytest

from unit.claim_evidence import like, observed
from unlazy.report.claims.judge import judge
from unlazy.report.claims.page import write_claims
from unlazy.report.energy import Energy

pytestmark = pytest.mark.browser
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
def test_the_page_stands_alone_and_fits(visit_alone, width, scheme):
    page = visit_alone(width, scheme)
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
