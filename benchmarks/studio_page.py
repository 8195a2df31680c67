"""Photograph the studio's page for docs/studio.md: paint in it, in Chromium, as a visitor would.

python benchmarks/studio_page.py --only studio

Needs the extras `web`, `samples` and `people` with the network that finds the subject (docs/controls.md), playwright,
and Chromium ($CHROMIUM, or `chromium`). The page has the system's own letters; here Inter's where it is installed.
"""

from __future__ import annotations

import argparse
import io
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.sync_api import expect, sync_playwright

FOLDER = Path(__file__).parent.parent / "docs" / "images"
DESK = {"viewport": {"width": 1280, "height": 900}}
PHONE = {"viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True, "color_scheme": "dark"}
WIDTH = {"studio": 1152, "studio-texture": 800, "studio-phone": 390}  # px, of the pictures
PATIENCE = 1200  # seconds, for one painting
LETTERS = "body { font-family: Inter, ui-sans-serif, system-ui, sans-serif }"


def two_paintings(page: Any) -> None:
    """One on the subject and one on the rest, and the photograph beside it."""
    page.click("[data-id=astronaut]")
    page.click("[data-style=mosaic] .pick")
    page.click("[data-style=nocturne] .pick", modifiers=["Control"])
    page.select_option(".where select", "subject")
    paint(page, "#paint")
    page.click("button[data-mode=slide]")
    page.locator(".divider").fill("32")


def texture(page: Any) -> None:
    page.click("[data-style=wave] .pick")
    paint(page, "#texture")
    page.click("button[data-mode=repeated]")


def cat(page: Any) -> None:
    page.click("[data-id=chelsea]")
    page.click("[data-style=nocturne] .pick")
    page.select_option("#input-size", "256")
    paint(page, "#paint")


PAGES: dict[str, tuple[dict[str, Any], Callable[[Any], None]]] = {
    "studio": (DESK, two_paintings),
    "studio-texture": (DESK, texture),
    "studio-phone": (PHONE, cat),
}


def paint(page: Any, button: str) -> None:
    page.click(button)
    expect(page.locator(".words")).to_have_text(re.compile("^Done in"), timeout=PATIENCE * 1000)


@contextmanager
def served() -> Iterator[str]:
    """The studio's address, while the block runs."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "impasto", "web", "--no-open", "--port", str(port)]
    with subprocess.Popen(command) as server:
        try:
            url = f"http://127.0.0.1:{port}"
            for _ in range(120):
                try:
                    urllib.request.urlopen(url).close()
                    break
                except OSError:
                    time.sleep(1)
            yield url
        finally:
            server.terminate()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", choices=PAGES, action="append", help="one of them; may be repeated")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where they are written")
    arguments = parser.parse_args()
    chromium = os.environ.get("CHROMIUM") or shutil.which("chromium")
    with served() as url, sync_playwright() as play:
        browser = play.chromium.launch(executable_path=chromium, args=["--headless", "--no-sandbox", "--disable-gpu"])
        for name in arguments.only or PAGES:
            kind, act = PAGES[name]
            page = browser.new_context(**kind, device_scale_factor=2, bypass_csp=True).new_page()
            page.goto(url)
            page.wait_for_selector("body[data-ready]")
            page.add_style_tag(content=LETTERS)
            act(page)
            page.mouse.move(640, 500)
            page.evaluate("scrollTo(0, 0)")
            page.wait_for_timeout(1000)  # until what moves has come to rest
            picture = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
            height = round(WIDTH[name] * picture.height / picture.width)
            picture = picture.resize((WIDTH[name], height), Image.Resampling.LANCZOS)
            path = arguments.folder / f"{name}.jpg"
            picture.save(path, quality=82, optimize=True, progressive=True)
            print(f"{path}: {picture.width} × {picture.height}, {path.stat().st_size / 1000:.0f} kB", flush=True)
            page.context.close()
        browser.close()


if __name__ == "__main__":
    main()
