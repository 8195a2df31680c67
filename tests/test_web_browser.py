"""The studio in a real browser, as its visitors meet it. Needs Chromium: `pytest -m browser` (CONTRIBUTING.md)."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from PIL import Image
from web_engine import DEADLINE, Engine, Served

import impasto.web.work
from impasto.images.gallery import sample_path
from impasto.images.reading import read_image, read_settings
from impasto.settings import Settings
from impasto.web.workshop import Limits, Workshop

playwright = pytest.importorskip("playwright.sync_api", reason="the extra test is not installed")
pytest.importorskip("gradio", reason="the extra web is not installed")

# Gradio's own warnings, about pandas, are not ours
pytestmark = [pytest.mark.browser, pytest.mark.filterwarnings("default")]

CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome") or ""
QUIET = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"]
QUIET += ["--disable-background-networking", "--disable-component-update"]
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
PHONE = {"viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True, "device_scale_factor": 2}


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with playwright.sync_playwright() as p:
        browser = p.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield browser
        browser.close()


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Engine:
    fake = Engine(steps=12, delay=0.05)
    monkeypatch.setattr(impasto.web.work, "paint_steps", fake)
    return fake


@dataclass
class Studio:
    workshop: Workshop
    url: str


@pytest.fixture
def studio(engine: Engine) -> Iterator[Studio]:
    workshop = Workshop(Limits(grace=1.0))
    with Served(workshop) as url:
        yield Studio(workshop, url)
        if engine.gate is not None:
            engine.let(10_000)
    assert not workshop.folder.exists()


class Visit:
    """One person's browser: everything that it asks for, and everything that goes wrong in it."""

    def __init__(self, chromium: Any, url: str, **looks: Any) -> None:
        self.url = url
        self.context = chromium.new_context(accept_downloads=True, **looks)
        self.context.grant_permissions(["clipboard-read", "clipboard-write"])
        self.context.set_default_timeout(DEADLINE * 1000)
        self.asked: list[str] = []
        self.wrong: list[str] = []
        self.page = self.context.new_page()
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.on("console", lambda m: self.wrong.append(m.text) if m.type in ("error", "warning") else None)
        self.page.on("pageerror", lambda error: self.wrong.append(str(error)))
        self.open()

    def open(self) -> None:
        self.page.goto(self.url)
        self.page.wait_for_function("document.querySelectorAll('[data-ready]').length === 5")

    def choose(self, photo: str = "coffee", style: str = "nocturne") -> None:
        self.page.click(f"[data-id={photo}]")
        self.page.check(f"input[value={style}]")

    def paint(self) -> None:
        self.page.click("#paint")

    def words(self, start: str) -> str:
        """What the page says about the picture, once it begins so."""
        self.page.wait_for_function("s => document.querySelector('.words').textContent.startsWith(s)", arg=start)
        return str(self.page.inner_text(".words"))

    def close(self) -> None:
        self.context.close()


@pytest.fixture
def visit(chromium: Any, studio: Studio) -> Iterator[Callable[..., Visit]]:
    visits: list[Visit] = []

    def begin(**looks: Any) -> Visit:
        visits.append(Visit(chromium, studio.url, **looks))
        return visits[-1]

    yield begin
    for one in visits:
        one.close()
        elsewhere = {
            u for u in one.asked if urlsplit(u).scheme not in ("data", "blob") and not u.startswith(studio.url)
        }
        assert elsewhere == set()  # no request leaves the machine
        assert [text for text in one.wrong if "404" not in text and "400" not in text] == []


def test_a_newcomer_s_whole_visit(visit: Callable[..., Visit], engine: Engine, tmp_path: Path) -> None:
    visitor = visit()
    page = visitor.page
    assert "Your painting appears here" in page.inner_text(".canvas")
    visitor.choose("coffee", "nocturne")
    engine.hold()
    visitor.paint()
    visitor.words("An instant preview")
    page.wait_for_selector(".after img[src*=preview]")
    engine.let(8)
    assert "left" in visitor.words("Painting at 512")
    page.wait_for_selector(".plot .curve[d^=M]")
    assert "evaluations" in page.get_attribute(".plot", "aria-label")
    engine.let(100)
    assert "512 × 341" in visitor.words("Done in")

    page.click("button[data-mode=slide]")
    divider = page.locator(".divider")
    divider.focus()
    page.keyboard.press("ArrowRight")
    assert divider.input_value() == "51"
    assert page.get_attribute(".canvas", "style").count("--cut: 0.51")

    with page.expect_download() as download:
        page.click("[data-do=png]")
    download.value.save_as(tmp_path / "out.png")
    assert download.value.suggested_filename == "coffee-nocturne.png"
    assert Settings.from_json(read_settings(tmp_path / "out.png") or "") == Settings()
    with Image.open(tmp_path / "out.png") as image:
        assert image.size == (512, 341)

    page.click(".recipe summary")
    assert page.inner_text(".command") == "impasto demo nocturne --photo coffee"
    page.click("[data-copy=python]")
    assert "impasto.paint(sample_path('coffee'), 'nocturne')" in page.evaluate("navigator.clipboard.readText()")

    page.fill("#setting-strength input[type=number]", "80")
    page.keyboard.press("Tab")
    page.uncheck("input[value=nocturne]")
    page.check("input[value=ink]")
    visitor.paint()
    page.wait_for_selector(".cards li >> nth=1")
    page.wait_for_selector(".cards li.shown:first-child")  # until then the words are about the picture before
    visitor.words("Done in")
    assert engine.painted[-1] == Settings(strength=80)
    assert "strength 80" in page.inner_text(".cards li >> nth=0")

    options = page.locator(".other option").all_inner_texts()
    assert options == ["the photograph", "coffee after nocturne"]
    page.select_option(".other", index=1)
    page.click("button[data-mode=beside]")
    page.wait_for_function("[...document.querySelectorAll('.stage figure img')].every(i => i.naturalWidth > 0)")

    page.click(".cards li >> nth=1 >> .again")
    page.wait_for_function("document.querySelector('input[value=nocturne]').checked")
    page.wait_for_function("document.querySelector('#setting-strength input[type=number]').value == 50")
    assert not page.is_checked("input[value=ink]")
    page.click(".cards li >> nth=1 >> .delete")
    page.wait_for_function("document.querySelectorAll('.cards li').length === 1")


def test_a_reload_finds_the_visit_as_it_was(visit: Callable[..., Visit]) -> None:
    visitor = visit()
    visitor.choose()
    visitor.paint()
    visitor.words("Done in")
    visitor.open()
    visitor.words("Done in")
    visitor.page.wait_for_selector(".cards li")


def test_stop_keeps_the_picture_and_continue_goes_on(visit: Callable[..., Visit], engine: Engine) -> None:
    visitor = visit()
    visitor.choose()
    engine.hold()
    visitor.paint()
    visitor.words("An instant preview")
    engine.let(5)
    visitor.words("Painting at")
    visitor.page.wait_for_function("document.querySelector('.plot').getAttribute('aria-label').includes('after 5')")
    visitor.page.click("[data-do=stop]")
    engine.let(1)
    assert "after 6 of 12" in visitor.words("Stopped")
    visitor.page.wait_for_selector("[data-do=png]:visible")
    engine.let(100)
    visitor.page.click("[data-do=continue]")
    visitor.words("Done in")
    assert len(engine.painted) == 1


def test_wrong_uploads_are_answered_beside_the_place(visit: Callable[..., Visit], tmp_path: Path) -> None:
    visitor = visit()
    page = visitor.page
    visitor.paint()
    page.wait_for_selector("#message [role=alert]")
    assert page.inner_text("#message") == "Choose a photograph first."
    (tmp_path / "notes.jpg").write_text("no picture")
    page.set_input_files("#photo-file", tmp_path / "notes.jpg")
    page.wait_for_selector("#photo .facts.wrong")
    assert page.inner_text("#photo .facts").startswith("Notes.jpg is a text, not a picture")
    Image.new("RGB", (90, 60), "teal").save(tmp_path / "own.tiff")
    page.set_input_files("#photo-file", tmp_path / "own.tiff")
    page.wait_for_function("document.querySelector('#photo .facts').textContent === 'own.tiff, 90 × 60'")
    page.wait_for_function(
        "document.querySelector('.chosen').naturalWidth === 90"
    )  # shown, though no browser reads TIFF
    visitor.paint()
    page.wait_for_function("document.querySelector('#message').innerText === 'Choose a painting first.'")
    Image.new("RGB", (70, 60), "red").save(tmp_path / "red.png")
    page.set_input_files("#styles-file", tmp_path / "red.png")
    page.wait_for_selector(".tile:has(:checked)")
    visitor.paint()
    visitor.words("Done in")
    assert "own after red" in page.inner_text(".cards li")


def test_two_visitors_wait_for_each_other_and_see_only_their_own(visit: Callable[..., Visit], engine: Engine) -> None:
    anna, ben = visit(), visit()
    engine.hold()
    for visitor, photo in ((anna, "coffee"), (ben, "rocket")):
        visitor.choose(photo)
    anna.paint()
    anna.words("An instant preview")
    ben.paint()
    assert "one picture is before yours" in ben.words("Waiting")
    engine.let(12)
    anna.words("Done in")
    engine.let(12)
    ben.words("Done in")
    assert [visitor.page.locator(".cards li").count() for visitor in (anna, ben)] == [1, 1]
    assert "rocket" in ben.page.inner_text(".cards")
    assert "rocket" not in anna.page.inner_text(".cards")


def test_who_closes_the_page_gives_the_others_their_turn(
    visit: Callable[..., Visit], studio: Studio, engine: Engine
) -> None:
    engine.hold()
    anna, ben = visit(), visit()
    anna.choose()
    anna.paint()
    anna.words("An instant preview")
    ben.choose("rocket")
    ben.paint()
    ben.words("Waiting")
    anna.page.close()
    engine.delay = 1.0  # the rest of the picture would take longer than the studio takes to notice
    engine.let(10_000)
    ben.words("Done in")
    states = {job.work.photograph.id: job.state for job in studio.workshop.jobs.all()}
    assert states == {"coffee": "stopped", "rocket": "done"}


def test_the_brush_protects_areas_and_pairs_regions(visit: Callable[..., Visit], engine: Engine) -> None:
    visitor = visit()
    page = visitor.page
    visitor.choose("astronaut", "nocturne")
    page.check("input[value=mosaic]")
    page.click(".brush-open")
    page.wait_for_function("document.querySelector('.brush img').naturalWidth > 0")
    box = page.locator(".brush canvas").bounding_box()

    def stroke(ink: str, row: float) -> None:
        page.check(f"dialog [value={ink}]")
        page.mouse.move(box["x"] + box["width"] * 0.2, box["y"] + box["height"] * row)
        page.mouse.down()
        page.mouse.move(box["x"] + box["width"] * 0.8, box["y"] + box["height"] * row, steps=5)
        page.mouse.up()

    stroke("protect", 0.2)
    stroke("red", 0.7)
    page.click(".brush .done")
    page.wait_for_function("document.querySelector('#photo .facts').textContent.includes('regions are drawn')")
    page.select_option("[aria-label='Where nocturne is painted']", "red")
    page.locator("[aria-label='Share of mosaic']").focus()
    page.keyboard.press("Home")
    visitor.paint()
    visitor.words("Done in")
    guides = engine.guides[-1]
    assert guides["style_mask"] == ["red", "all"]
    assert engine.painted[-1].style_weight == (1.0, 0.02)
    for name, row, color in (("protect", 0.2, (255, 255, 255)), ("mask", 0.7, (255, 0, 0))):
        with Image.open(guides[name]) as mask:
            assert mask.size == (512, 512)
            assert mask.convert("RGB").getpixel((256, int(512 * row))) == color
            assert mask.convert("RGB").getpixel((256, int(512 * (0.9 - row)))) == (0, 0, 0)


def test_the_brush_is_led_by_the_keyboard(visit: Callable[..., Visit], engine: Engine) -> None:
    visitor = visit()
    page = visitor.page
    visitor.choose("astronaut", "nocturne")
    page.focus(".brush-open")
    page.keyboard.press("Enter")
    page.wait_for_function("document.querySelector('.brush img').naturalWidth > 0")
    page.focus(".brush canvas")
    page.wait_for_selector(".brush .ring:visible")

    def drawn() -> list[int]:
        """How opaque the middle is, and a place to its right."""
        script = "x => document.querySelector('.brush canvas').getContext('2d').getImageData(x, 256, 1, 1).data[3]"
        return [page.evaluate(script, x) for x in (256, 348)]

    page.keyboard.press("ArrowRight")  # with the brush up
    page.keyboard.press("ArrowLeft")
    assert drawn() == [0, 0]
    page.keyboard.press("Space")
    assert page.inner_text(".brush [role=status]") == "Brush down"
    assert drawn() == [255, 0]
    page.keyboard.press("Shift+ArrowRight")
    page.keyboard.press("Space")
    assert page.inner_text(".brush [role=status]") == "Brush up"
    assert drawn() == [255, 255]
    page.keyboard.press("Control+z")
    assert drawn() == [0, 0]
    page.click(".brush .cancel")
    assert page.locator("dialog").count() == 0


def test_the_real_network_paints_what_the_page_asks_for(chromium: Any, tmp_path: Path) -> None:
    """Without a double: a region in one painting's style, the rest in another's, and a part as photographed."""
    workshop = Workshop(Limits())
    with Served(workshop) as url:
        visitor = Visit(chromium, url)
        page = visitor.page
        visitor.choose("astronaut", "nocturne")
        page.check("input[value=mosaic]")
        page.click(".brush-open")
        page.wait_for_function("document.querySelector('.brush img').naturalWidth > 0")
        page.locator(".brush input[type=range]").fill("30")
        for ink, row in (("protect", 0.15), ("red", 0.8)):
            page.check(f"dialog [value={ink}]")
            page.locator(".brush canvas").drag_to(
                page.locator(".brush canvas"),
                source_position=at(page, 0.1, row),
                target_position=at(page, 0.9, row),
            )
        page.click(".brush .done")
        page.select_option("[aria-label='Where nocturne is painted']", "red")
        page.click("#setting-quality input[value=draft]")
        page.fill("#setting-size input", "256")
        page.keyboard.press("Enter")
        visitor.paint()
        assert "256 × 256" in visitor.words("Done in")
        with page.expect_download() as download:
            page.click("[data-do=png]")
        download.value.save_as(tmp_path / "out.png")
        assert visitor.wrong == []
        visitor.close()
    painted = read_image(tmp_path / "out.png").image
    change = (painted - read_image(sample_path("astronaut"), 256).image).abs().mean((0, 1))
    assert change[20:50, 50:200].mean() < 0.01 < 0.05 < change[100:150].mean()


def at(page: Any, across: float, down: float) -> Any:
    """A place on the brush's canvas."""
    box = page.locator(".brush canvas").bounding_box()
    return {"x": box["width"] * across, "y": box["height"] * down}


def test_the_contact_sheet_chooses_a_painting(visit: Callable[..., Visit]) -> None:
    visitor = visit()
    page = visitor.page
    visitor.choose("chelsea", "ink")
    page.click("#try-all")
    visitor.words("Done in")
    page.click("[aria-label='Choose mosaic']")
    assert page.is_checked("input[value=mosaic]")
    assert not page.is_checked("input[value=ink]")
    visitor.paint()
    page.wait_for_selector(".cards li >> nth=1")
    page.wait_for_selector(".cards li.shown:first-child")  # until then the words are about the picture before
    visitor.words("Done in")


def test_a_phone_shows_everything_without_scrolling_sideways(visit: Callable[..., Visit]) -> None:
    visitor = visit(**PHONE)
    page = visitor.page
    visitor.choose()
    visitor.paint()
    visitor.words("Done in")
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    page.wait_for_function("document.querySelector('.canvas').getBoundingClientRect().top < innerHeight / 2")
    small = page.evaluate(
        """[...document.querySelectorAll('button, a.button, select')].filter(e => e.checkVisibility())
        .map(e => [e.textContent.trim() || e.ariaLabel || e.id, e.getBoundingClientRect()])
        .filter(([, box]) => box.height < 24 || box.width < 24).map(([name]) => name)"""
    )
    assert small == []  # WCAG 2.2, 2.5.8


def test_everything_can_be_done_with_the_keyboard(visit: Callable[..., Visit]) -> None:
    visitor = visit()
    page = visitor.page
    page.focus("[data-id=rocket]")
    page.keyboard.press("Enter")
    page.wait_for_selector("[data-id=rocket][aria-pressed=true]")
    page.focus("input[value=wave]")
    page.keyboard.press("Space")
    page.focus("#paint")
    page.keyboard.press("Enter")
    visitor.words("Done in")
    page.focus("button[data-mode=slide]")
    page.keyboard.press("Enter")
    page.wait_for_selector(".divider:visible")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing(visit: Callable[..., Visit], scheme: str) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    visitor = visit(color_scheme=scheme)
    page = visitor.page
    page.click("#rest button")

    def findings() -> list[str]:
        # the button that stays in view covers whatever is scrolled behind it
        page.evaluate("document.querySelector('#paint').style.position = 'static'")
        result = axe.run(page, options={"runOnly": RULES})
        return [
            f"{v['id']}: {v['help']}: {node['html'][:160]} | {node['failureSummary'][:300]}"
            for v in result.response["violations"]
            for node in v["nodes"]
        ]

    assert findings() == []
    visitor.choose()
    page.click(".brush-open")
    page.wait_for_function("document.querySelector('.brush img').naturalWidth > 0")
    assert findings() == []
    page.click(".brush .cancel")
    visitor.paint()
    visitor.words("Done in")
    for mode in ("single", "slide", "beside"):
        page.click(f"button[data-mode={mode}]")
        page.wait_for_timeout(400)  # for transitions of colours
        assert findings() == []
