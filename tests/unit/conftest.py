"""A real browser for the tests of pages; they are skipped where there is none."""

from pathlib import Path

import pytest

CHROMIUM = Path("/usr/bin/chromium")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="session")
def browser():
    if not CHROMIUM.exists():
        pytest.skip(f"there is no {CHROMIUM}")
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with playwright.sync_playwright() as running:
        opened = running.chromium.launch(executable_path=str(CHROMIUM), args=FLAGS)
        yield opened
        opened.close()


@pytest.fixture
def visit(browser, address):
    """Opens the page at ``address`` and notes requests and errors."""
    contexts = []

    def go(width, scheme):
        context = browser.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme)
        contexts.append(context)
        page, requests, errors = context.new_page(), [], []
        page.on("request", lambda request: requests.append(request.url))
        page.on("console", lambda message: errors.append(message.text))
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("dialog", lambda dialog: (errors.append("dialog"), dialog.dismiss()))
        page.goto(address)
        return page, requests, errors

    yield go
    for context in contexts:
        context.close()


@pytest.fixture
def visit_alone(visit, address):
    """Opens the page, unfolds all of it, and checks that it fits and needs nothing from outside."""

    def go(width, scheme):
        page, requests, errors = visit(width, scheme)
        for summary in page.locator("summary").all():
            summary.click()
        wide, inner = page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
        assert wide <= inner
        assert errors == []
        assert [url for url in requests if not url.startswith("data:")] == [address]
        return page

    return go
