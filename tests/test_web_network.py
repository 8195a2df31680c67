"""The example for web pages: onnxruntime-web in Chromium, from local files, against PyTorch.

Needs Chromium, and onnxruntime-web as `.ci/run` installs it:
`npm install --prefix build/onnxruntime-web onnxruntime-web@1.30.0`.
"""

from __future__ import annotations

import base64
import contextlib
import functools
import io
import re
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import random_image
from PIL import Image
from test_transform import lively
from test_web_browser import CHROMIUM, QUIET
from web_engine import DEADLINE

from impasto.images.reading import to_image, to_pil
from impasto.network.onnx_graph import onnx_model
from impasto.network.streamed import transform
from impasto.network.transform import Shape, shares_of

ROOT = Path(__file__).parents[1]
EXAMPLE = ROOT / "examples" / "web-network"
RUNTIME = ROOT / "build" / "onnxruntime-web" / "node_modules"

NEEDED = ("ort.wasm.min.mjs", "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm")  # as the README says

playwright = pytest.importorskip("playwright.sync_api", reason="the extra test is not installed")
pytest.importorskip("onnx", reason="the extra export is not installed")


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *words: object) -> None:
        pass


@contextlib.contextmanager
def served(folder: Path) -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=folder)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


def test_the_script_is_as_long_as_it_says_and_asks_nobody_else():
    script = (EXAMPLE / "paint.js").read_text(encoding="utf-8")
    assert len([line for line in script.splitlines() if line and not line.startswith("/**")]) <= 12
    for path in (EXAMPLE / "paint.js", EXAMPLE / "page.js", EXAMPLE / "index.html"):
        assert "http" not in path.read_text(encoding="utf-8").replace("http-equiv", "")


def test_one_version_is_named():
    named = [(EXAMPLE / "README.md"), ROOT / ".ci" / "run", Path(__file__)]
    found = [re.findall(r"onnxruntime-web@([\d.]+\d)", path.read_text(encoding="utf-8")) for path in named]
    assert all(found)
    assert len({version for versions in found for version in versions}) == 1


@pytest.mark.browser
@pytest.mark.skipif(not RUNTIME.is_dir(), reason="onnxruntime-web is not installed by npm")
def test_the_page_paints_as_pytorch_does(tmp_path: Path):
    for path in EXAMPLE.iterdir():
        (tmp_path / path.name).symlink_to(path)
    dist = tmp_path / "node_modules" / "onnxruntime-web" / "dist"
    dist.mkdir(parents=True)
    for name in NEEDED:
        (dist / name).symlink_to(RUNTIME / "onnxruntime-web" / "dist" / name)
    network, shares = lively(Shape(1, width=8, blocks=1)), shares_of([1])
    (tmp_path / "style.onnx").write_bytes(onnx_model(network, shares))
    photograph = tmp_path / "photo.png"
    to_pil(random_image(50, 77)).save(photograph)
    wrong: list[str] = []
    with served(tmp_path) as url, playwright.sync_playwright() as p:
        browser = p.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        page = browser.new_page()
        page.set_default_timeout(DEADLINE * 1000)
        page.on("console", lambda m: wrong.append(m.text) if m.type in ("error", "warning") else None)
        page.on("request", lambda r: None if r.url.startswith((url, "data:", "blob:")) else wrong.append(r.url))
        page.goto(url)
        page.set_input_files("input", photograph)
        status = page.locator("[role=status]")
        playwright.expect(status).to_have_text(re.compile("^Painted in"), timeout=DEADLINE * 1000)
        painted = shown(page)
        page.set_input_files("input", EXAMPLE / "README.md")
        playwright.expect(status).to_have_text(re.compile("^That could not be painted"), timeout=DEADLINE * 1000)
        browser.close()
    assert [text for text in wrong if "favicon" not in text and "404" not in text] == []
    expected = transform(network, to_image(photograph).image, shares)
    torch.testing.assert_close(to_image(painted).image, expected, atol=1.1 / 255, rtol=0)


def shown(page: Any) -> Image.Image:
    """What the page's canvas shows."""
    data = page.evaluate("document.querySelector('canvas').toDataURL('image/png')")
    return Image.open(io.BytesIO(base64.b64decode(data.partition(",")[2]))).convert("RGB")
