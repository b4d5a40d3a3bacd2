"""The page in a browser: every tab is opened and used, and nothing is asked of other machines."""

from types import SimpleNamespace

import pytest

from promptgraft.serving.web import Desk, application
from serving.running import Running
from serving.web.conftest import prompt

FILM = "the film is great fun"
TAKEN = "document.title='taken'"
EVIL = (
    f'<script>{TAKEN}</script><img src=x onerror="{TAKEN}">\'"& ${{{TAKEN}}} {{{{{TAKEN}}}}} '
    f"`}} javascript:{TAKEN} [x](javascript:{TAKEN}) **bold** $\\frac{{a}}{{b}}$"
)
ODD = "\u202eright to left\u2066 \U0001f9d1\u200d\U0001f680 Z\u0351\u0343\u0352 \x0b"
HUGE = "x" * 300_000


@pytest.fixture
def visit(page):
    """Open a desk's page; at the end, see that it asked nobody else and that no script failed."""
    servers, asked, wrong = [], [], []
    page.on("request", lambda request: asked.append(request.url))
    page.on("pageerror", lambda error: wrong.append(str(error)))

    def start(desk):
        server = Running(SimpleNamespace(app=application(desk)))
        servers.append(server.__enter__())
        page.goto(server.url, wait_until="domcontentloaded")
        page.locator("button.link").first.wait_for()
        return page

    yield start
    elsewhere = [url for url in asked if not url.startswith((servers[0].url, "data:", "blob:"))]
    servers[0].__exit__()
    assert asked
    assert not elsewhere
    assert not wrong


def tab(page, name):
    page.get_by_role("tab", name=name).click()


def test_library(visit, desk):
    page = visit(desk)
    assert page.title() == "promptgraft"
    assert page.locator("button.link").count() == 5
    page.get_by_label("Filter").fill("metric.accuracy>80")
    page.get_by_label("Filter").press("Enter")
    page.get_by_text("1 prompt.").wait_for()
    page.locator("button.link", has_text="sst2@bert").click()
    page.locator(".box h2", has_text="sst2@bert").wait_for()
    page.locator(".box .link", has_text="sst2@bert:v2").first.click()  # made from it
    page.locator(".box h2", has_text="sst2@bert:v2").wait_for()
    assert page.locator(".box .tree li li").inner_text().startswith("sst2@bert")


def test_playground(visit, desk):
    page = visit(desk)
    tab(page, "Playground")
    page.get_by_label("Input", exact=True).fill(FILM)
    page.get_by_role("button", name="Ask", exact=True).click()
    page.locator(".answer").nth(1).wait_for()
    names = page.locator(".answer b").all_inner_texts()
    assert names == desk.prompts(desk.given[0])[:2]
    assert page.locator(".answer").first.locator("p").inner_text()


def test_similarity(visit, desk):
    page = visit(desk)
    tab(page, "Similarity")
    cell = page.get_by_role("button", name="sst2@bert and fill@bert")
    number = cell.inner_text()
    cell.click()
    shown = page.locator(".box dd").first
    shown.wait_for()
    assert f"{float(shown.inner_text()):.2f}" == number


@pytest.mark.parametrize("width", [1200, 700])
def test_a_wide_map_fits_or_scrolls(visit, desk, models, width):
    from promptgraft.models import FrozenModel

    bert = FrozenModel.load(models["bert"])
    for number in range(18):
        desk.library.add(prompt(bert, number, task="t"), f"task-{number}@bert")
    page = visit(desk)
    page.set_viewport_size({"width": width, "height": 900})
    tab(page, "Similarity")
    scroll = page.locator(".scroll:visible", has=page.locator(".heat"))
    scroll.locator(".heat").wait_for()
    wider = scroll.evaluate("map => map.scrollWidth - map.clientWidth")
    assert wider <= 0 if width == 1200 else wider > 0
    row = scroll.locator("tbody tr").first
    row.locator("button").last.click()
    assert row.locator("th").bounding_box()["x"] >= scroll.bounding_box()["x"]  # its name stays
    assert scroll.bounding_box()["x"] + scroll.bounding_box()["width"] <= width
    page.locator(".box:visible h2").first.wait_for()


def test_transfer(visit, desk):
    page = visit(desk)
    tab(page, "Transfer")
    page.wait_for_function("document.querySelector('input[aria-label=\"To the model\"]')?.value")
    page.get_by_label("Prompt", exact=True).fill("sst2@bert:v2")
    page.get_by_label("Prompt", exact=True).press("Enter")
    page.get_by_label("To the model").click()
    page.get_by_role("option", name="albert").click()
    page.get_by_role("button", name="Move").click()
    page.get_by_text("Matching loss", exact=True).wait_for()
    page.get_by_label("One input for both").fill(FILM)
    page.get_by_role("button", name="Ask both").click()
    page.locator(".answer:visible").nth(1).wait_for()
    assert len(desk.library) == 5
    page.get_by_label("Tag").fill("moved")
    page.get_by_role("button", name="Keep it").click()
    page.get_by_text("kept in").wait_for()
    assert "sst2@albert:moved" in desk.library


def test_train_and_stop(visit, desk, tmp_path):
    lines = [f"{('the film', 'a story')[n % 2]} number {n},{n % 2}" for n in range(60)]
    (tmp_path / "reviews.csv").write_text("review,stars\n" + "\n".join(lines))
    settings = ["data.text=review", "data.label=stars", "data.verbalizer={0: bad, 1: good}"]
    page = visit(desk)
    tab(page, "Train")
    page.get_by_label("Task").fill("reviews.csv")
    page.get_by_label("Task").press("Enter")
    page.get_by_label("More settings").fill("\n".join([*settings, "steps=20000"]))
    page.get_by_role("button", name="Tune").click()
    page.locator("figure svg").wait_for()
    page.get_by_role("button", name="Stop").click()
    page.get_by_text("nothing was kept").wait_for()
    assert desk.training.acquire(timeout=30)
    desk.training.release()
    assert "reviews@bert" not in desk.library
    page.get_by_label("More settings").fill("\n".join([*settings, "steps=10"]))
    page.get_by_role("button", name="Tune").click()
    page.get_by_text("Kept as").wait_for()
    assert "reviews@bert" in desk.library


def test_who_may_only_look_cannot_train(visit, desk):
    page = visit(Desk(desk.library, desk.given))
    assert page.get_by_role("tab").all_inner_texts() == [
        *("Library", "Playground", "Similarity", "Transfer")
    ]
    tab(page, "Transfer")
    page.get_by_role("button", name="Move").wait_for()
    assert not page.get_by_role("button", name="Keep it").is_visible()


def test_hostile_cards_are_text(visit, desk, models):
    from promptgraft.models import FrozenModel

    bert = FrozenModel.load(models["bert"])
    texts = EVIL + ODD + HUGE
    card = {
        **dict.fromkeys(("method", "notes", "licence", "task"), texts),
        "hyperparameters": {texts: [texts]},
        "metrics": {EVIL: 81.2},
    }
    template = "{prompt} {text} {mask} <b>"
    words = {"0": "bad", "1": "good"}
    evil = f"<img src=x onerror={TAKEN}>@bert"
    desk.library.add(prompt(bert, 7, template=template, verbalizer=words, **card), evil)
    page = visit(desk)
    page.locator("button.link", has_text=evil).click()
    page.locator(".box h2", has_text=evil).wait_for()
    seen = page.locator(".box").inner_text()
    assert EVIL.replace("\x0b", " ") in seen
    assert "more characters)" in seen
    tab(page, "Playground")
    page.get_by_label("Input", exact=True).fill(FILM + EVIL)
    page.get_by_role("button", name="Ask", exact=True).click()
    page.locator(".answer b", has_text=evil).wait_for()
    tab(page, "Similarity")
    page.get_by_role("button", name=f"{evil} and sst2@bert", exact=False).first.click()
    page.locator(".box:visible h2", has_text=evil).wait_for()
    tab(page, "Transfer")
    page.get_by_role("button", name="Move").wait_for()
    page.get_by_label("Prompt", exact=True).fill(EVIL)
    page.get_by_label("Prompt", exact=True).press("Enter")
    page.get_by_role("button", name="Move").click()
    page.locator(".problem", has_text="<script>").wait_for()
    assert page.title() == "promptgraft"
    assert page.locator(".pg script, .pg img").count() == 0
    wide = page.evaluate("document.documentElement.scrollWidth - innerWidth")
    assert wide <= 0
