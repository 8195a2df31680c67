"""The page of the field's benchmark on which people vote, in Chromium."""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path

import pytest
from conftest import random_image

from impasto.images.writing import write_image

BENCHMARKS = str(Path(__file__).parent.parent / "benchmarks")
sys.path.insert(0, BENCHMARKS)
from field import Pair  # noqa: E402
from field_report import read_votes, write_blind_page  # noqa: E402

sys.path.remove(BENCHMARKS)

pytestmark = pytest.mark.browser


def test_votes_are_kept_and_counted(tmp_path: Path) -> None:
    from playwright.sync_api import expect, sync_playwright

    rows = []
    for number, (pair, tool) in enumerate((p, t) for p in ("p", "q") for t in ("ours", "theirs", "others")):
        write_image(tmp_path / f"{number}.png", random_image(48, 64, number))
        row = {"key": str(number), "pair": pair, "tool": tool, "value": None, "picture": f"{number}.png", "error": ""}
        rows.append(row | {"scores": {"content": 0.1}})
    pairs = [Pair(name, tmp_path / "0.png", tmp_path / "1.png") for name in "pq"]
    page_file = write_blind_page(rows, pairs, tmp_path)
    with sync_playwright() as playwright:
        program = os.environ.get("CHROMIUM") or shutil.which("chromium")
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        page = browser.new_page()
        errors: list[str] = []
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(page_file.as_uri())
        expect(page.locator("#count")).to_have_text("0 of 6 done.")
        page.locator("#left").click()
        page.keyboard.press("ArrowRight")
        page.reload()  # votes are kept
        expect(page.locator("#count")).to_have_text("2 of 6 done.")
        for _ in range(4):
            page.locator("#neither").click()
        expect(page.locator("#count")).to_have_text("6 of 6 done.")
        expect(page.locator("#two")).to_be_hidden()
        with page.expect_download() as download:
            page.locator("#save").click()
        (tmp_path / "votes").mkdir()
        download.value.save_as(tmp_path / "votes" / download.value.suggested_filename)
        browser.close()
    assert errors == []
    said = [vote["better"] for vote in json.loads(next((tmp_path / "votes").iterdir()).read_text())["votes"]]
    assert said == ["left", "right", *["neither"] * 4]
    votes = read_votes(tmp_path)
    assert sorted(vote.share for vote in votes) in ([0.0, 0.5, 0.5, 0.5, 0.5, 1.0],)
    assert {(vote.pair, *sorted((vote.first, vote.second))) for vote in votes} == {
        (pair, *two) for pair in "pq" for two in (("others", "ours"), ("ours", "theirs"), ("others", "theirs"))
    }
