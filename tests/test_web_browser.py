"""The studio in a real browser, as its visitors meet it. Needs Chromium: `pytest -m browser` (CONTRIBUTING.md)."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from web_engine import DEADLINE, Engine, Served

from impasto.images.reading import read_settings
from impasto.settings import Settings
from impasto.web.studio import Limits, Studio

playwright = pytest.importorskip("playwright.sync_api", reason="the extra test is not installed")
pytest.importorskip("fastapi", reason="the extra web is not installed")

pytestmark = pytest.mark.browser

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
def page(chromium: Any, engine: Engine) -> Iterator[Any]:
    """A visitor's page at 1280 x 900; what goes wrong in it, and what it asks of others, fails the test."""
    with Served(Studio(Limits(grace=1.0), painter=engine)) as url:
        context = chromium.new_context(viewport={"width": 1280, "height": 900})
        context.set_default_timeout(DEADLINE * 1000)
        page = context.new_page()
        wrong: list[str] = []
        page.on("console", lambda m: wrong.append(m.text) if m.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("request", lambda r: None if r.url.startswith((url, "data:", "blob:")) else wrong.append(r.url))
        page.goto(url)
        page.wait_for_selector("body[data-ready]")
        yield page
        context.close()
        assert [text for text in wrong if "404" not in text and "400" not in text] == []


def paint(page: Any, photo: str = "coffee", style: str = "nocturne") -> None:
    page.click(f"[data-id={photo}]")
    page.click(f"[data-style={style}] .pick")
    page.click("#paint")
    page.wait_for_selector(".words:text('Done in')")


def test_paint_is_disabled_with_its_reason_and_all_is_on_one_screen(page: Any) -> None:
    assert page.is_disabled("#paint")
    assert page.inner_text("#message") == "Choose a photograph first."
    page.click("[data-id=coffee]")
    assert page.inner_text("#message") == "Choose a painting first."
    page.click("[data-style=nocturne] .pick")
    assert page.is_enabled("#paint")
    assert page.inner_text("#message") == ""
    assert page.evaluate("document.documentElement.scrollHeight") == 900
    for part in ("[data-style=nocturne]", "#setting-strength", "#paint", ".canvas"):
        box = page.locator(part).bounding_box()
        assert box["y"] + box["height"] <= 900, part


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


def test_a_phone_needs_no_scrolling_sideways(page: Any) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    paint(page)
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    page.click(".brush-open")
    assert page.locator("dialog").bounding_box()["width"] <= 390


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing(page: Any, scheme: str) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    page.emulate_media(color_scheme=scheme)
    paint(page)
    result = axe.run(page, options={"runOnly": RULES})
    found = [f"{v['id']}: {n['html'][:160]}" for v in result.response["violations"] for n in v["nodes"]]
    assert found == []
