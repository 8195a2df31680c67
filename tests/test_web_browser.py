"""The studio in a real browser, as its visitors meet it. Needs Chromium: `pytest -m browser` (CONTRIBUTING.md)."""

from __future__ import annotations

import itertools
import os
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from web_engine import DEADLINE, Engine, Served, clip, until

from impasto.images.gallery import network_facts, network_names, network_path, sample_path
from impasto.images.reading import read_image, read_settings
from impasto.settings import Settings
from impasto.web.form import areas
from impasto.web.pace import COMMON, KEPT
from impasto.web.studio import Limits, Studio
from impasto.web.work import LOOK_SIZE

playwright = pytest.importorskip("playwright.sync_api", reason="the extra test is not installed")
pytest.importorskip("fastapi", reason="the extra web is not installed")

pytestmark = pytest.mark.browser
playwright.expect.set_options(
    timeout=DEADLINE * 1000
)  # as everything here waits: five seconds would be a bound on time

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
def engine() -> Engine:
    return Engine(evaluations=12, delay=0.05)


@pytest.fixture
def studio(engine: Engine) -> Studio:
    return Studio(Limits(grace=1.0), painter=engine)


@pytest.fixture
def visit(chromium: Any, studio: Studio, engine: Engine) -> Iterator[Callable[[], Any]]:
    """Pages at 1280 x 900, each of a visitor of its own.

    What goes wrong in one, and what it asks of others than the studio, fails the test.
    """
    wrong: list[str] = []
    contexts: list[Any] = []

    with Served(studio) as url:

        def begin() -> Any:
            contexts.append(chromium.new_context(viewport={"width": 1280, "height": 900}))
            contexts[-1].set_default_timeout(DEADLINE * 1000)
            page = contexts[-1].new_page()
            page.on("console", lambda m: wrong.append(m.text) if m.type in ("error", "warning") else None)
            page.on("pageerror", lambda error: wrong.append(str(error)))
            page.on("request", lambda r: None if r.url.startswith((url, "data:", "blob:")) else wrong.append(r.url))
            page.goto(url)
            page.wait_for_selector("body[data-ready]")
            return page

        yield begin
        for context in contexts:
            context.close()
        if engine.gate is not None:
            engine.let(10_000)
    assert [text for text in wrong if "404" not in text and "400" not in text] == []


@pytest.fixture
def page(visit: Callable[[], Any]) -> Any:
    return visit()


def choose(page: Any, photo: str = "coffee", style: str = "nocturne") -> None:
    page.click(f"[data-id={photo}]")
    page.click(f"[data-style={style}] .pick")


def words(page: Any, start: str, seconds: float = DEADLINE) -> str:
    """What the page says about the picture, once it begins so."""
    playwright.expect(page.locator(".words")).to_have_text(re.compile(f"^{start}"), timeout=seconds * 1000)
    return str(page.inner_text(".words"))


def paint(page: Any, photo: str = "coffee", style: str = "nocturne") -> None:
    choose(page, photo, style)
    page.click("#paint")
    words(page, "Done in")


def top(page: Any, part: str) -> float:
    return float(page.locator(part).bounding_box()["y"])


def open_brush(page: Any) -> None:
    until(lambda: page.evaluate("document.querySelector('.brush img').naturalWidth > 0"))
    until(lambda: page.evaluate("document.querySelector('.brush canvas').width > 300"))


def stroke(page: Any, ink: str, row: float) -> None:
    """A line across the brush's canvas with the mouse."""
    box = page.locator(".brush canvas").bounding_box()
    page.check(f"dialog [value={ink}]")
    page.mouse.move(box["x"] + box["width"] * 0.1, box["y"] + box["height"] * row)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.9, box["y"] + box["height"] * row, steps=5)
    page.mouse.up()


def test_a_network_paints_at_once_and_what_it_has_learnt_is_not_asked(page: Any, engine: Engine) -> None:
    name = network_names()[0]
    page.click("#setting-quality label:has([value=best])")
    choose(page, style=name)
    assert page.inner_text(f"[data-style={name}] .badge") == "at once"
    for disabled in ("#setting-quality [value=best]", "#input-keep_lines", "#input-style_scale"):
        assert page.is_disabled(disabled)
    assert page.inner_text("#help-keep_lines") == "The network has learnt this"
    assert page.evaluate("[...document.querySelectorAll('#input-color option:disabled')].map(one => one.value)") == [
        "match",
        "histogram",
    ]
    assert f"Up to {network_facts(name).strength:g}, " in page.inner_text("#help-strength")
    assert page.is_hidden("#texture")
    assert page.locator("[data-style=wave] .blend").is_hidden()
    page.click("#paint")
    words(page, "Done in")
    calls = [(style, settings) for _, style, settings in engine.calls if settings.size != LOOK_SIZE]
    assert calls == [([network_path(name)], Settings())]
    page.click("[data-style=wave] .pick")
    assert page.is_enabled("#input-keep_lines")
    assert page.inner_text("#help-keep_lines") == "How firmly faces and houses stay"
    assert page.is_checked("#setting-quality [value=best]")
    page.set_input_files("#styles-file", network_path(name))
    own = page.locator("[data-style].chosen", has=page.locator(".badge"))
    playwright.expect(own.locator(".pick .hidden")).to_have_text(f"{name}.safetensors")
    assert page.is_disabled("#input-keep_lines")


def test_paint_is_disabled_with_its_reason_and_all_is_on_one_screen(page: Any) -> None:
    assert page.is_disabled("#paint")
    assert page.inner_text("#message") == "Choose a photograph first."
    page.click("[data-id=coffee]")
    assert page.inner_text("#message") == "Choose a painting first."
    page.click("[data-style=nocturne] .pick")
    assert page.is_enabled("#paint")
    assert page.inner_text("#message") == ""
    assert page.evaluate("document.documentElement.scrollHeight") == 900
    for part in ("[data-style=nocturne]", "#setting-strength", "#setting-quality", "#paint", ".canvas"):
        box = page.locator(part).bounding_box()
        assert box["y"] + box["height"] <= (900 if part in ("#paint", ".canvas") else top(page, ".go")), part


def test_the_keyboard_meets_the_settings_from_top_to_bottom(page: Any) -> None:
    choose(page)
    page.focus("[data-preset=print]")
    places = []
    for _ in range(9):
        page.keyboard.press("Tab")
        places.append(
            page.evaluate("""() => {
                const box = document.activeElement.getBoundingClientRect();
                return [Math.round(box.y + box.height / 2 + document.querySelector(".scroll").scrollTop), box.x];
            }""")
        )
    ends = page.evaluate("document.activeElement.name")
    assert ends == "quality"
    for (y, x), (next_y, next_x) in itertools.pairwise(places):
        assert next_y > y + 5 or (abs(next_y - y) <= 5 and next_x > x), places


def test_of_several_photographs_dropped_at_once_it_is_said_which_was_taken(page: Any) -> None:
    script = """async () => {
        const data = new DataTransfer(), canvas = document.createElement("canvas");
        [canvas.width, canvas.height] = [60, 40];
        const blob = await new Promise(resolve => canvas.toBlob(resolve, "image/png"));
        for (const name of ["one.png", "two.png"]) data.items.add(new File([blob], name, { type: "image/png" }));
        const options = { dataTransfer: data, bubbles: true, cancelable: true };
        for (const type of ["dragenter", "drop"])
            document.querySelector(".canvas").dispatchEvent(new DragEvent(type, options));
    }"""
    page.evaluate(script)
    playwright.expect(page.locator("#photo .facts")).to_have_text("One at a time: one.png, of 2")
    page.click("[data-id=coffee]")
    playwright.expect(page.locator("#photo .facts")).to_have_text("coffee")


def test_a_reload_finds_photograph_painting_settings_and_pictures(page: Any, engine: Engine) -> None:
    page.fill("[aria-label='Strength, as a number']", "80")
    page.keyboard.press("Tab")
    paint(page)
    assert engine.painted[-1] == Settings(strength=80)
    page.reload()
    page.wait_for_selector(".cards li")
    assert page.get_attribute("[data-id=coffee]", "aria-pressed") == "true"
    assert page.get_attribute("[data-style=nocturne] .pick", "aria-pressed") == "true"
    assert page.input_value("#input-strength") == "80"


def test_delete_can_be_undone(page: Any) -> None:
    paint(page)
    page.click(".cards .delete")
    page.wait_for_selector(".cards li", state="detached")
    page.click("#undo button")
    page.wait_for_selector(".cards li")


def test_the_picture_is_compared_zoomed_and_taken_along(page: Any, tmp_path: Path) -> None:
    paint(page)
    page.click("button[data-mode=slide]")
    assert (page.inner_text(".tag.left"), page.inner_text(".tag.right")) == ("Photograph", "Painting")
    page.click("[data-view=in]")
    assert page.get_attribute(".canvas", "data-zoom") == "1.50"
    with page.expect_download() as download:
        page.click("[data-do=download]")
    download.value.save_as(tmp_path / "out.png")
    assert Settings.from_json(read_settings(tmp_path / "out.png") or "") == Settings()


def test_stop_keeps_the_picture_and_continue_goes_on(page: Any, engine: Engine) -> None:
    choose(page)
    engine.hold()
    page.click("#paint")
    words(page, "An instant preview")
    engine.let(5)
    words(page, "Painting at")
    until(lambda: page.evaluate("document.querySelector('.plot').getAttribute('aria-label').includes('after 5')"))
    page.click("[data-do=stop]")
    engine.let(1)
    assert "after 6 of 12" in words(page, "Stopped")
    page.wait_for_selector("[data-do=download]:visible")
    engine.let(100)
    page.click("[data-do=continue]")
    words(page, "Done in")
    calls = [settings for _, _, settings in engine.calls if settings.size != LOOK_SIZE]
    assert len(calls) == 3  # the preview, and the picture in two parts


def test_a_stopped_picture_is_still_there_when_the_server_was_ended(
    chromium: Any, engine: Engine, tmp_path: Path
) -> None:
    context = chromium.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    page.set_default_timeout(DEADLINE * 1000)
    with Served(Studio(painter=engine, paused=tmp_path)) as url:
        page.goto(url)
        page.wait_for_selector("body[data-ready]")
        choose(page)
        engine.hold()
        page.click("#paint")
        engine.let(5)
        words(page, "Painting at")
        page.click("[data-do=stop]")
        engine.let(1)
        words(page, "Stopped")
    engine.let(100)
    with Served(Studio(painter=engine, paused=tmp_path), port=int(url.rpartition(":")[2])):
        page.reload()
        page.wait_for_selector("body[data-ready]")
        assert "of 12 evaluations" in words(page, "Stopped")
        assert page.get_attribute("[data-id=coffee]", "aria-pressed") == "true"
        page.click("[data-do=continue]")
        words(page, "Done in")
        assert len(engine.painted) == 2
        context.close()


def test_what_is_being_typed_stays_while_a_picture_is_painted(page: Any, engine: Engine) -> None:
    choose(page)
    engine.hold()
    page.click("#paint")
    words(page, "An instant preview")
    page.fill("[aria-label='Strength, as a number']", "80")
    engine.let(2)
    words(page, "Painting at")
    assert page.input_value("[aria-label='Strength, as a number']") == "80"
    page.keyboard.press("Tab")
    assert page.input_value("#input-strength") == "80"


def test_a_size_that_does_not_suit_the_photograph_is_said(page: Any, tmp_path: Path) -> None:
    Image.new("RGB", (1200, 300), "teal").save(tmp_path / "wide.png")
    page.set_input_files("#photo-file", tmp_path / "wide.png")
    playwright.expect(page.locator("#photo .facts")).to_have_text("wide.png, 1200 × 300")
    for size, words in (("1536", "More than the photograph has: 1200 px"), ("256", "The photograph has 1200 px")):
        page.select_option("#input-size", size)
        assert page.inner_text("#help-size") == words
    page.select_option("#input-size", "512")
    assert not page.locator("#help-size.matters").count()


def test_wrong_uploads_are_answered_beside_the_place(page: Any, tmp_path: Path) -> None:
    (tmp_path / "notes.jpg").write_text("no picture")
    page.set_input_files("#photo-file", tmp_path / "notes.jpg")
    page.wait_for_selector("#photo .facts.wrong")
    assert page.inner_text("#photo .facts").startswith("notes.jpg is a text, not a picture")
    Image.new("RGB", (90, 60), "teal").save(tmp_path / "own.tiff")
    page.set_input_files("#photo-file", tmp_path / "own.tiff")
    playwright.expect(page.locator("#photo .facts")).to_have_text("own.tiff, 90 × 60")
    # shown, though no browser reads TIFF
    until(lambda: page.evaluate("document.querySelector('.chosen').naturalWidth === 90"))
    Image.new("RGB", (70, 60), "red").save(tmp_path / "red.png")
    page.set_input_files("#styles-file", tmp_path / "red.png")
    page.wait_for_selector(".tile.chosen")
    page.click("#paint")
    words(page, "Done in")
    assert page.get_attribute(".cards .thumb", "title").startswith("own after red")


def test_two_visitors_wait_for_each_other_and_see_only_their_own(visit: Callable[[], Any], engine: Engine) -> None:
    anna, ben = visit(), visit()
    engine.hold()
    choose(anna, "coffee")
    choose(ben, "rocket")
    anna.click("#paint")
    words(anna, "An instant preview")
    ben.click("#paint")
    assert "one picture is before yours" in words(ben, "Waiting")
    engine.let(12)
    words(anna, "Done in")
    engine.let(12)
    words(ben, "Done in")
    titles = [page.eval_on_selector_all(".cards .thumb", "all => all.map(one => one.title)") for page in (anna, ben)]
    assert [len(one) for one in titles] == [1, 1]
    assert titles[0][0].startswith("coffee after nocturne")
    assert titles[1][0].startswith("rocket after nocturne")


def test_who_closes_the_page_gives_the_others_their_turn(
    visit: Callable[[], Any], studio: Studio, engine: Engine
) -> None:
    engine.hold()
    anna, ben = visit(), visit()
    choose(anna)
    anna.click("#paint")
    words(anna, "An instant preview")
    choose(ben, "rocket")
    ben.click("#paint")
    words(ben, "Waiting")
    anna.close()
    engine.delay = 1.0  # the rest of the picture would take longer than the studio takes to notice
    engine.let(10_000)
    words(ben, "Done in")
    states = {job.work.photograph.id: job.state for job in studio.jobs.all()}
    assert states == {"coffee": "stopped", "rocket": "done"}


def test_the_brush_protects_areas_and_pairs_regions(page: Any, engine: Engine) -> None:
    choose(page, "astronaut")
    page.click("[data-style=mosaic] .blend")
    page.click(".brush-open")
    open_brush(page)
    stroke(page, "protect", 0.2)
    stroke(page, "red", 0.7)
    page.click(".brush .done")
    until(lambda: page.evaluate("document.querySelector('#photo .facts').textContent.includes('regions are drawn')"))
    page.select_option("[aria-label='Where nocturne is painted']", "red")
    page.locator("[aria-label='Share of mosaic']").focus()
    page.keyboard.press("Home")
    page.click("#paint")
    words(page, "Done in")
    guides = engine.guides[-1]
    assert guides["style_mask"] == ["red", "all"]
    assert engine.painted[-1].style_weight == (1.0, 0.02)
    for name, row, color in (("protect", 0.2, (255, 255, 255)), ("mask", 0.7, (255, 0, 0))):
        with Image.open(guides[name]) as mask:
            assert mask.size == (512, 512)
            assert mask.convert("RGB").getpixel((256, int(512 * row))) == color
            assert mask.convert("RGB").getpixel((256, int(512 * (0.9 - row)))) == (0, 0, 0)


def test_areas_that_are_found_are_chosen_beside_the_brush(page: Any, engine: Engine) -> None:
    if any(area["missing"] for area in areas().values()):
        pytest.skip("needs the extra people, and the networks that find areas")
    choose(page, "astronaut")
    page.select_option(".keep select", "faces")
    playwright.expect(page.locator(".keep-help")).to_contain_text("50 % of the photograph")
    page.click("#paint")
    words(page, "Done in")
    assert engine.guides[-1]["protect"] == "faces"
    assert page.locator(".guides a").count() == 0  # it is no file
    page.click(".brush-open")  # regions beside it leave it
    open_brush(page)
    stroke(page, "red", 0.7)
    page.click(".brush .done")
    until(lambda: page.evaluate("document.querySelector('#photo .facts').textContent.includes('regions are drawn')"))
    assert page.input_value(".keep select") == "faces"
    page.reload()
    page.wait_for_selector("body[data-ready]")
    assert page.input_value(".keep select") == "faces"
    page.click(".brush-open")  # what is drawn replaces it
    open_brush(page)
    stroke(page, "protect", 0.2)
    page.click(".brush .done")
    until(lambda: page.input_value(".keep select") == "drawn")
    page.select_option(".keep select", "")
    assert page.locator(".keep option").all_inner_texts() == ["nothing", "faces", "the subject"]


@pytest.fixture
def subject_is_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """As far as the studio can tell: the engine of these tests looks for nothing."""
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnx")
    (tmp_path / "subject.onnx").touch()
    monkeypatch.setenv("IMPASTO_SUBJECT", str(tmp_path / "subject.onnx"))
    monkeypatch.setenv("IMPASTO_FACES", str(tmp_path / "nowhere.onnx"))


@pytest.mark.usefixtures("subject_is_found")
def test_of_two_paintings_one_is_for_the_subject_and_one_for_the_rest(page: Any, engine: Engine) -> None:
    choose(page, "astronaut")
    assert page.is_hidden(".where")
    page.click("[data-style=mosaic] .blend")
    assert page.locator(".where option:enabled").all_inner_texts() == [
        "everywhere, mixed",
        "one on the subject, one on the rest",
        "by regions that you draw…",
    ]
    page.locator("[aria-label='Share of mosaic']").fill("100")
    page.select_option(".where select", "subject")
    places = page.locator(".shares select")
    assert places.evaluate_all("all => all.map(one => one.selectedOptions[0].text)") == [
        "on the subject",
        "on the rest",
    ]
    assert page.locator(".shares input").count() == 0  # each has its place to itself
    page.focus("[aria-label='Where mosaic is painted']")
    page.select_option("[aria-label='Where mosaic is painted']", "white")  # the other one gives way
    assert page.evaluate("document.activeElement.getAttribute('aria-label')") == "Where mosaic is painted"
    page.click("#paint")
    words(page, "Done in")
    assert engine.guides[-1] == {"mask": "subject", "style_mask": ["black", "white"], "protect": None}
    assert engine.painted[-1] == Settings()
    page.click(".more summary")
    playwright.expect(page.locator(".command")).to_have_text(
        "impasto demo nocturne mosaic --photo astronaut --mask subject --style-mask black --style-mask white"
    )
    assert page.locator(".guides a").count() == 0  # it is no file

    page.select_option("[aria-label='Where mosaic is painted']", "black")
    page.select_option("[aria-label='Where nocturne is painted']", "black")
    assert page.locator(".shares select").evaluate_all("all => all.map(one => one.value)") == ["black", "white"]
    page.click("[data-style=wave] .blend")
    page.select_option("[aria-label='Where mosaic is painted']", "black")
    assert page.inner_text("#message") == "No painting is for the subject: choose one beside the paintings."
    assert page.is_disabled("#paint")
    page.select_option("[aria-label='Where wave is painted']", "all")
    assert page.is_enabled("#paint")
    page.click("[data-style=ink] .pick")  # a single one goes everywhere
    assert page.locator(".shares li").count() == 0
    page.click("#paint")
    until(lambda: page.evaluate("true") and len(engine.painted) == 2 and engine.guides[-1]["mask"] is None)


@pytest.mark.usefixtures("subject_is_found")
def test_what_is_named_holds_for_the_next_photograph_and_after_a_reload(page: Any, engine: Engine) -> None:
    choose(page, "astronaut")
    page.click("[data-style=mosaic] .blend")
    page.select_option(".where select", "subject")
    page.select_option(".keep select", "subject")
    page.click("[data-id=chelsea]")
    page.reload()
    page.wait_for_selector("body[data-ready]")
    assert [page.input_value(f"{place} select") for place in (".where", ".keep")] == ["subject", "subject"]
    page.click(".brush-open")  # what is drawn replaces what is named
    open_brush(page)
    stroke(page, "red", 0.7)
    page.click(".brush .done")
    until(lambda: page.input_value(".where select") == "drawn")
    assert page.input_value(".keep select") == "subject"
    page.select_option(".where select", "subject")
    page.select_option(".where select", "drawn")
    page.click(".brush .cancel")
    assert page.input_value(".where select") == "subject"
    page.select_option(".where select", "")
    page.click("#paint")
    words(page, "Done in")
    assert engine.guides[-1] == {"mask": None, "style_mask": None, "protect": "subject"}


def test_what_cannot_be_found_here_is_disabled_with_its_reason(
    visit: Callable[[], Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for variable in ("IMPASTO_FACES", "IMPASTO_SUBJECT"):
        monkeypatch.setenv(variable, str(tmp_path / "nowhere.onnx"))
    page = visit()
    choose(page, "astronaut")
    page.click("[data-style=mosaic] .blend")
    disabled = page.locator(".where option:disabled").all_inner_texts()
    assert disabled == ["one on faces, one on the rest", "one on the subject, one on the rest"]
    assert "Faces and the subject cannot be found here: what does it is not installed" in page.inner_text("#where-help")
    assert "pip install 'impasto[people]'" in page.get_attribute("#where-help", "title")
    assert page.locator(".keep option:disabled").all_inner_texts() == [
        "faces (not installed)",
        "the subject (not installed)",
    ]


def test_the_brush_is_led_by_the_keyboard(page: Any) -> None:
    choose(page, "astronaut")
    page.focus(".brush-open")
    page.keyboard.press("Enter")
    open_brush(page)
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


def test_everything_can_be_done_with_the_keyboard(page: Any) -> None:
    page.focus("[data-id=rocket]")
    page.keyboard.press("Enter")
    page.wait_for_selector("[data-id=rocket][aria-pressed=true]")
    page.focus("[data-style=wave] .pick")
    page.keyboard.press("Space")
    page.focus("[data-style=ink] .blend")
    page.keyboard.press("Enter")
    page.wait_for_selector("[data-style=ink] [aria-pressed=true]")
    page.focus("#paint")
    page.keyboard.press("Enter")
    words(page, "Done in")
    page.focus("button[data-mode=slide]")
    page.keyboard.press("Enter")
    page.wait_for_selector(".divider:visible")
    page.focus(".divider")
    page.keyboard.press("ArrowRight")
    assert page.input_value(".divider") == "51"


def test_the_sheet_chooses_a_painting(page: Any, engine: Engine) -> None:
    choose(page, "chelsea", "ink")
    page.click("#try-all")
    words(page, "Done in")
    page.click("[aria-label='Choose mosaic']")
    assert page.get_attribute("[data-style=mosaic] .pick", "aria-pressed") == "true"
    assert page.get_attribute("[data-style=ink] .pick", "aria-pressed") == "false"


def test_the_sheet_of_strengths_is_of_an_own_painting_and_grows_while_one_looks(
    page: Any, engine: Engine, tmp_path: Path
) -> None:
    Image.new("RGB", (70, 60), "red").save(tmp_path / "mine.png")
    page.click("[data-id=coffee]")
    page.set_input_files("#styles-file", tmp_path / "mine.png")
    page.wait_for_selector(".tile.chosen")
    engine.hold()
    page.click("#try-strengths")
    engine.let(2)
    words(page, "2 of 16 painted")
    page.wait_for_selector(".canvas[data-mode=sheet]")
    assert page.locator(".grid button").count() == 16
    engine.let(14)
    words(page, "Done in")
    sheet, canvas = page.locator(".after img").bounding_box(), page.locator(".canvas").bounding_box()
    assert sheet["width"] >= canvas["width"] - 30
    page.click("[aria-label='Choose strength 80, strokes 2']")
    assert (page.input_value("#input-strength"), page.input_value("#input-style_scale")) == ("80", "2")
    assert page.inner_text("#message") == "Chosen: strength 80, strokes 2. Paint it?"
    chosen = page.locator(".grid [aria-pressed=true]")
    assert [one.get_attribute("aria-label") for one in chosen.all()] == ["Choose strength 80, strokes 2"]
    assert engine.calls[-1][2] == Settings(quality="instant", size=256, strength=80, style_scale=2)
    assert engine.calls[-1][1].read_bytes() == (tmp_path / "mine.png").read_bytes()


def test_a_click_switches_and_plus_or_ctrl_blends_with_shares_in_numbers(page: Any, engine: Engine) -> None:
    choose(page, "coffee", "ink")
    page.click("[data-style=wave] .pick")
    assert page.get_attribute("[data-style=ink] .pick", "aria-pressed") == "false"
    page.click("[data-style=mosaic] .blend")
    page.click("[data-style=ink] .pick", modifiers=["Control"])
    assert page.locator(".shares li .name").all_inner_texts() == ["wave", "mosaic", "ink"]
    page.locator("[aria-label='Share of wave']").fill("100")
    assert page.locator(".shares output").all_inner_texts() == ["50 %", "25 %", "25 %"]
    page.click("[data-style=mosaic] .blend")
    page.click("#paint")
    words(page, "Done in")
    assert engine.painted[-1].style_weight == (2.0, 1.0)


def looked(engine: Engine) -> list[Settings]:
    return [settings for _, _, settings in engine.calls if settings.size == LOOK_SIZE]


def test_what_the_settings_do_is_seen_while_they_are_moved(page: Any, engine: Engine) -> None:
    choose(page)
    picture, tag = page.locator(".after img"), page.locator(".tag.left")
    playwright.expect(tag).to_have_text("A quick look: press Paint for the picture")
    playwright.expect(picture).to_have_attribute("src", re.compile("/api/jobs/.*/preview"))
    assert page.evaluate("getComputedStyle(document.querySelector('.after img')).opacity") == "1"
    assert page.is_hidden("#visit")  # it is no picture of the visit
    first = picture.get_attribute("src")
    page.locator("#input-strength").evaluate("""slider => {
        const moved = new Event("input", {bubbles: true});
        for (slider.value = 51; slider.value < 80; slider.value++) slider.dispatchEvent(moved);
    }""")
    until(lambda: picture.get_attribute("src") != first)
    assert [settings.strength for settings in looked(engine)] == [50, 79]  # of many values the last

    page.click("#paint")
    words(page, "Done in")
    painted, seen = re.compile(picture.get_attribute("src").partition("?")[0]), len(looked(engine))
    page.fill("[aria-label='Keep lines, as a number']", "70")
    page.keyboard.press("Tab")
    page.click("[data-style=wave] .pick")  # of the finished picture's settings only this one shows in a look
    playwright.expect(tag).to_have_text("A quick look: press Paint for the picture")
    assert len(looked(engine)) == seen + 1
    page.click(".cards .thumb")
    playwright.expect(picture).to_have_attribute("src", painted)
    page.click(".cards .again")
    page.wait_for_timeout(800)  # longer than a look waits
    assert len(looked(engine)) == seen + 1
    playwright.expect(picture).to_have_attribute("src", painted)


def test_a_look_that_is_done_before_it_is_answered_is_shown(page: Any, engine: Engine) -> None:
    """What the server tells and what it answers come on two connections, in any order."""
    page.evaluate("""() => new EventSource("/api/visit/events").addEventListener("job", event => {
        document.body.dataset.heard = JSON.parse(event.data).state;
    })""")
    held: list[tuple[Any, Any]] = []
    page.route("**/api/looks", lambda route: held.append((route, route.fetch())))
    choose(page)
    playwright.expect(page.locator("body")).to_have_attribute("data-heard", "done")
    until(lambda: page.evaluate("true") and held)
    ((route, answer),) = held
    early = {**answer.json(), "state": "waiting", "version": 0}  # as it stood when it was asked for
    route.fulfill(response=answer, json=early)
    playwright.expect(page.locator(".tag.left")).to_have_text("A quick look: press Paint for the picture")


def test_a_look_waits_for_nobody_while_a_picture_is_painted(page: Any, engine: Engine) -> None:
    choose(page)
    until(lambda: looked(engine))
    engine.hold()
    page.click("#paint")
    engine.let(3)
    words(page, "Painting at")
    seen = len(looked(engine))
    page.fill("[aria-label='Strength, as a number']", "80")
    page.keyboard.press("Tab")
    page.wait_for_timeout(800)
    engine.let(100)
    words(page, "Done in")
    assert len(looked(engine)) == seen
    assert page.get_attribute(".cards li", "class") == "shown"


def test_presets_are_cards_with_a_picture_and_qualities_say_how_long(page: Any, studio: Studio) -> None:
    cards = page.locator(".preset")
    assert cards.locator("strong").all_inner_texts() == ["portrait", "landscape", "sketch", "poster", "print"]
    until(lambda: all(cards.locator("img").evaluate_all("all => all.map(one => one.naturalWidth > 0)")))
    page.click("[data-preset=poster]")
    assert page.get_attribute("[data-preset=poster]", "aria-pressed") == "true"
    assert page.input_value("#input-style_scale") == "2"
    seconds = page.locator(".qualities small")
    assert seconds.all_inner_texts() == ["≈ 3 s", "≈ 8 s", "≈ 23 s", "≈ 1 min", "≈ 8 min"]
    page.select_option("#input-size", "1024")
    assert seconds.all_inner_texts()[2] == "≈ 1 min"
    for _ in range(KEPT):
        studio.pace.add("good", COMMON, 100.0)
    paint(page)  # one more tells the page to ask again
    until(lambda: seconds.all_inner_texts()[2] == "≈ 6 min")


def test_words_are_for_people(page: Any) -> None:
    help = page.locator("#settings .help").all_inner_texts()
    assert not [text for text in help if re.search(r"--|\bas \d|[a-z]_[a-z]", text)]
    assert "The photograph's colours, painted in lightness" in page.locator("#input-color option").all_inner_texts()
    page.hover("[data-style=pointillism]")
    assert page.inner_text(".caption").startswith("Harbour in dots")
    page.click("[data-id=coffee]")
    page.click(".brush-open")
    assert "is painted after the paintings that you give red or blue to" in page.inner_text(".brush .regions")


def test_the_start_is_an_example_and_then_the_photograph_dimmed(page: Any, engine: Engine) -> None:
    until(lambda: page.evaluate("document.querySelector('.after img').naturalWidth > 0"))
    assert page.inner_text(".tag.left").startswith("An example")
    engine.hold()
    page.click("[data-id=coffee]")
    playwright.expect(page.locator(".after img")).to_have_attribute("src", re.compile("/api/pictures/coffee$"))
    assert page.evaluate("getComputedStyle(document.querySelector('.after img')).opacity") == "0.45"
    page.click("[data-style=nocturne] .pick")
    page.click("#paint")
    engine.let(100)
    words(page, "Done in")
    strip, canvas = page.locator("#visit").bounding_box(), page.locator(".canvas").bounding_box()
    assert strip["x"] >= canvas["x"] + canvas["width"]
    assert page.evaluate("document.documentElement.scrollHeight") == 900


def test_the_canvas_zooms_by_wheel_and_keys_to_pixels_and_fills_the_screen(page: Any) -> None:
    paint(page)
    canvas = page.locator(".canvas")
    canvas.hover()
    page.mouse.wheel(0, -400)
    until(lambda: canvas.get_attribute("data-zoom") == "2.72")
    canvas.focus()
    page.keyboard.press("0")
    assert canvas.get_attribute("data-zoom") == "1.00"
    page.keyboard.press("+")
    assert canvas.get_attribute("data-zoom") == "1.50"
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("0")
    page.keyboard.press("f")
    until(lambda: page.evaluate("document.fullscreenElement?.className === 'canvas'"))
    page.keyboard.press("f")
    until(lambda: page.evaluate("document.fullscreenElement === null"))


def test_the_canvas_zooms_by_two_fingers(chromium: Any, studio: Studio) -> None:
    with Served(studio) as url:
        context = chromium.new_context(**PHONE)
        page = context.new_page()
        page.goto(url)
        page.wait_for_selector("body[data-ready]")
        page.tap("[data-id=coffee]")
        page.locator(".canvas").scroll_into_view_if_needed()
        fingers = context.new_cdp_session(page)
        for kind, apart in (("touchStart", 20), ("touchMove", 40), ("touchMove", 60), ("touchEnd", None)):
            points = (
                [] if apart is None else [{"x": 195 - apart, "y": 200, "id": 0}, {"x": 195 + apart, "y": 200, "id": 1}]
            )
            fingers.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
        until(lambda: float(page.get_attribute(".canvas", "data-zoom") or 1) > 1.5)
        context.close()


def test_the_loss_is_folded_away_and_breaks_between_scales(page: Any) -> None:
    paint(page)
    assert not page.is_visible(".plot")
    page.click(".more summary")
    assert page.is_visible(".plot")
    assert page.get_attribute(".curve", "d").count("M") == 2


def test_the_files_of_the_recipe_can_be_had(page: Any, tmp_path: Path) -> None:
    choose(page, "astronaut")
    page.click(".brush-open")
    open_brush(page)
    stroke(page, "protect", 0.5)
    page.click(".brush .done")
    until(lambda: page.evaluate("document.querySelector('#photo .facts').textContent.includes('an area is kept')"))
    page.click("#paint")
    words(page, "Done in")
    page.click(".more summary")
    named = page.inner_text(".command").split("--protect ")[1]
    with page.expect_download() as download:
        page.click(".guides a")
    assert download.value.suggested_filename == named
    download.value.save_as(tmp_path / named)
    with Image.open(tmp_path / named) as mask:
        assert mask.convert("L").getpixel((256, 256)) == 255


def test_what_is_used_again_is_shown(page: Any) -> None:
    paint(page, "coffee", "ink")
    page.fill("[aria-label='Strength, as a number']", "80")
    page.keyboard.press("Tab")
    page.click("[data-id=rocket]")  # the canvas shows what will be painted, or a look at it
    playwright.expect(page.locator(".after img")).to_have_attribute("alt", re.compile("rocket"))
    paint(page, "rocket", "wave")
    page.click(".cards li:last-child .again")
    assert page.get_attribute(".cards li:last-child", "class") == "shown"
    assert page.get_attribute("[data-id=coffee]", "aria-pressed") == "true"
    assert page.get_attribute("[data-style=ink] .pick", "aria-pressed") == "true"
    assert page.input_value("#input-strength") == "50"
    assert page.get_attribute(".after img", "alt").startswith("coffee.png painted in the style of ink")


def test_the_button_for_day_and_night_says_what_it_does(page: Any) -> None:
    page.emulate_media(color_scheme="light")
    assert page.inner_text("#light") == "Dark"
    page.click("#light")
    assert page.inner_text("#light") == "Light"
    assert page.get_attribute("html", "data-theme") == "dark"


def test_tiff_of_16_bits_is_one_of_the_downloads(page: Any, tmp_path: Path) -> None:
    paint(page)
    page.select_option(".format", "tif&bits=16")
    with page.expect_download() as download:
        page.click("[data-do=download]")
    download.value.save_as(tmp_path / "out.tif")
    with Image.open(tmp_path / "out.tif") as image:
        assert (image.format, image.tag_v2[258]) == ("TIFF", (16, 16, 16))


def test_a_texture_is_made_of_a_painting_and_looked_at_repeated(page: Any, engine: Engine) -> None:
    page.click("[data-style=wave] .pick")
    page.click("#texture")
    words(page, "Done in")
    assert engine.guides[-1] == {"seamless": True}
    page.click("button[data-mode=repeated]")
    page.wait_for_selector(".repeated:visible")
    assert "/preview?" in page.evaluate("document.querySelector('.repeated').style.backgroundImage")
    page.click(".more summary")
    assert page.inner_text(".command") == "impasto texture wave --seamless -o wave-texture.png"
    page.uncheck("#seamless")
    page.click("#texture")
    page.wait_for_selector(".cards li:nth-child(2)")
    words(page, "Done in")
    assert engine.guides[-1] == {"seamless": False}
    assert not page.is_visible(".modes")


def test_a_clip_is_dropped_and_its_painted_film_plays(page: Any, engine: Engine, tmp_path: Path) -> None:
    film = clip(tmp_path / "waves.mp4", frames=6).read_bytes()
    script = """bytes => {
        const data = new DataTransfer();
        data.items.add(new File([new Uint8Array(bytes)], "waves.mp4", { type: "video/mp4" }));
        const options = { dataTransfer: data, bubbles: true, cancelable: true };
        for (const type of ["dragenter", "drop"])
            document.querySelector(".canvas").dispatchEvent(new DragEvent(type, options));
    }"""
    page.evaluate(script, list(film))
    playwright.expect(page.locator("#photo .facts")).to_have_text("waves.mp4, 160 × 120, 0.8 s")
    page.click("[data-style=wave] .pick")
    assert page.inner_text("#paint") == "Paint the film"
    page.locator("#boil").fill("40")
    kept = None if areas()["faces"]["missing"] else "faces"
    if kept:
        page.select_option(".keep select", kept)
    engine.hold()
    page.click("#paint")
    words(page, "An instant preview; the film follows.")
    engine.let(100)
    words(page, "Done in")
    assert (engine.guides[-1]["boil"], engine.guides[-1]["protect"]) == (40, kept)
    until(lambda: page.evaluate("document.querySelector('video').duration > 0.5"))
    assert page.is_visible("video")
    with page.expect_download() as download:
        page.click("[data-do=download]")
    assert download.value.suggested_filename == "waves-wave.mp4"
    page.click("#setting-quality input[value=reference]", force=True)
    assert page.inner_text("#message") == "Films are painted by another quality: choose one."


def test_the_real_network_paints_what_the_page_asks_for(chromium: Any, tmp_path: Path) -> None:
    """Without a double: a region in one painting's style, the rest in another's, and a part as photographed."""
    with Served(Studio(Limits())) as url:
        page = chromium.new_page(viewport={"width": 1280, "height": 900})
        page.set_default_timeout(DEADLINE * 1000)
        page.goto(url)
        page.wait_for_selector("body[data-ready]")
        choose(page, "astronaut")
        page.click("[data-style=mosaic] .blend")
        page.click(".brush-open")
        open_brush(page)
        page.locator(".brush input[type=range]").fill("30")
        stroke(page, "protect", 0.15)
        stroke(page, "red", 0.8)
        page.click(".brush .done")
        page.select_option("[aria-label='Where nocturne is painted']", "red")
        page.check("#setting-quality input[value=draft]", force=True)
        page.select_option("#input-size", "256")
        page.click("#paint")
        assert "256 × 256" in words(page, "Done in", 5 * DEADLINE)  # a machine may be busy
        with page.expect_download() as download:
            page.click("[data-do=download]")
        download.value.save_as(tmp_path / "out.png")
        page.close()
    painted = read_image(tmp_path / "out.png").image
    change = (painted - read_image(sample_path("astronaut"), 256).image).abs().mean((0, 1))
    assert change[20:50, 50:200].mean() < 0.01 < 0.05 < change[100:150].mean()


def test_a_phone_needs_no_scrolling_sideways(page: Any) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    paint(page)
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    page.locator("#setting-strength").scroll_into_view_if_needed()
    bar = page.locator(".go")
    box = bar.bounding_box()
    at = [box["x"] + box["width"] - 20, box["y"] + 10]
    assert page.evaluate("at => document.elementFromPoint(...at).className", at) == "go"
    assert re.match("rgb[(]", bar.evaluate("bar => getComputedStyle(bar).backgroundColor"))  # nothing shows through
    page.locator(".brush-open").scroll_into_view_if_needed()
    page.click(".brush-open")
    assert page.locator("dialog").bounding_box()["width"] <= 390


@pytest.mark.parametrize(("scheme", "widths"), [("light", (390, 1280)), ("dark", (800, 1920))])
def test_axe_finds_nothing_at_any_width(page: Any, scheme: str, widths: tuple[int, ...]) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
    paint(page)
    page.click(".more summary")  # before a look at other choices takes the canvas
    page.click("#rest summary")
    page.click("[data-style=mosaic] .blend")
    found = []
    for width in (390, 800, 1280, 1920):
        page.set_viewport_size({"width": width, "height": 900})
        assert page.evaluate("document.documentElement.scrollWidth") == width
        if width not in widths:
            continue
        result = axe.run(page, options={"runOnly": RULES})
        found += [f"{width} {v['id']}: {n['html'][:160]}" for v in result.response["violations"] for n in v["nodes"]]
    page.click(f"[data-style={network_names()[0]}] .pick")  # with settings that are not asked for
    result = axe.run(page, options={"runOnly": RULES})
    found += [f"network {v['id']}: {n['html'][:160]}" for v in result.response["violations"] for n in v["nodes"]]
    page.click(".brush-open")
    open_brush(page)
    result = axe.run(page, options={"runOnly": RULES})
    found += [f"brush {v['id']}: {n['html'][:160]}" for v in result.response["violations"] for n in v["nodes"]]
    assert found == []
