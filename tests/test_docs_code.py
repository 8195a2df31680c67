"""The Python of the docs is executed, page by page, with the tiny random network and small pictures."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from conftest import random_image

import impasto
from impasto import Painter
from impasto.images.writing import write_image

DOCS = Path(__file__).parent.parent / "docs"
PAGES = [page for page in sorted(DOCS.rglob("*.md")) if "```python" in page.read_text(encoding="utf-8")]


def blocks(page: Path) -> str:
    """All of a page's Python in order, in smaller sizes: what is shown first is there later."""
    code = "\n".join(re.findall(r"^```python\n(.*?)^```", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE))
    code = re.sub(r"size=\d+", "size=48", code).replace('quality="instant"', 'quality="draft"')  # which needs a decoder
    return re.sub(r'("photo.jpg", "nocturne")(?![^)]*size)', r"\1, size=48", code)


def test_there_are_pages_with_code():
    assert {"python.md", "resume.md", "scale.md"} <= {page.name for page in PAGES}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_code_of_a_page_runs(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tiny_painter: Painter, frames: list[object]
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("impasto.painting.painter", lambda weights=None: tiny_painter)
    monkeypatch.setattr(impasto, "Painter", lambda: tiny_painter, raising=False)
    Path("photos").mkdir()
    Path("painted").mkdir()
    for name in ("photo.jpg", "1.jpg", "2.jpg", "wave.jpg", "photos/a.jpg"):
        write_image(name, random_image(36, 48, seed=len(name)))
    if "paint_many(" in blocks(page):  # with Ray, which takes many seconds: tests/test_many.py has it
        monkeypatch.setattr("impasto.runs.cluster.paint_many", lambda pairs, settings: iter(()))
    exec(compile(blocks(page), str(page), "exec"), {"frames": frames})


@pytest.fixture
def frames() -> list[object]:
    """Of a film."""
    return [random_image(36, 48, seed=n) for n in range(2)]
