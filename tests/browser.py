"""Headless Chromium for tests of pages; what it showed when a test failed is kept as a picture."""

import shutil

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")


@pytest.fixture
def page():
    """An empty page, 1200 by 900. Skips where Playwright or Chromium is missing."""
    playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright")
    if CHROMIUM is None:
        pytest.skip("needs Chromium: apt-get install chromium")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1200, "height": 900})
        page.set_default_timeout(60_000)  # a busy machine
        yield page
        browser.close()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    if report.when == "call" and report.failed and "page" in item.funcargs:
        picture = item.config.rootpath / "build" / "screenshots" / f"{item.name}.png"
        item.funcargs["page"].screenshot(path=picture, full_page=True)
        report.sections.append(("Screenshot", str(picture)))
    return report
