"""The Python of the docs is executed, page by page, with the tiny random network and small pictures."""

from __future__ import annotations

import contextlib
import re
import shlex
from pathlib import Path

import pytest
from conftest import random_image
from cyclopts import CycloptsError, MissingArgumentError

import impasto
from impasto import Painter
from impasto.cli.commands import app
from impasto.cli.options import join_lists
from impasto.cli.pipes import as_paths
from impasto.images.writing import write_image

DOCS = Path(__file__).parent.parent / "docs"
ELSEWHERE = ("training",)  # runs a network that was trained and exported, which tests/test_export.py has
PAGES = [
    page
    for page in sorted(DOCS.rglob("*.md"))
    if "```python" in page.read_text(encoding="utf-8") and page.stem not in ELSEWHERE
]


def blocks(page: Path) -> str:
    """All of a page's Python in order, in smaller sizes: what is shown first is there later."""
    code = "\n".join(re.findall(r"^```python\n(.*?)^```", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE))
    code = re.sub(r"size=\d+", "size=48", code).replace('quality="instant"', 'quality="draft"')  # which needs a decoder
    return re.sub(r'("photo.jpg", "nocturne")(?![^)]*size)', r"\1, size=48", code)


def commands(page: Path) -> list[str]:
    """The command lines of a page: in blocks, and in code within sentences."""
    text = page.read_text(encoding="utf-8")
    lines = re.findall(r"^(?: {4,}|\$ )?impasto (.+)$", text, re.MULTILINE) + re.findall(r"`impasto ([^`\n]+)`", text)
    return [re.split(r"\s+(?:#|\||>>?)\s+", line.strip())[0] for line in lines]


@pytest.mark.parametrize("page", sorted([*DOCS.rglob("*.md"), DOCS.parent / "README.md"]), ids=lambda page: page.stem)
def test_the_commands_of_a_page_are_understood(page: Path):
    """Words, options and values, as far as the grammar goes; no file is looked at."""
    for command in commands(page):
        words = [word for word in shlex.split(command) if word not in ("--help-all", "--debug")]
        if "..." in command or not words or words[0] not in app.resolved_commands():
            continue
        if len(words) == 1 or not any(word.startswith("-") for word in words):
            continue  # in a sentence that names a command
        with contextlib.suppress(MissingArgumentError):  # in a sentence about an option
            app.parse_args(as_paths(join_lists(words)), exit_on_error=False, print_error=False)


def test_there_are_commands_in_the_tutorials():
    for name, least in (("portraits", 4), ("prints", 4), ("films", 5), ("many", 1)):
        assert len(commands(DOCS / "how-to" / f"{name}.md")) >= least


def test_a_wrong_option_in_the_docs_is_found(tmp_path: Path):
    page = tmp_path / "page.md"
    page.write_text("    impasto paint a.jpg wave --strenght 3\n")
    with pytest.raises(CycloptsError):
        test_the_commands_of_a_page_are_understood(page)


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
    for name in ("photo.jpg", "1.jpg", "2.jpg", "wave.jpg", "photos/a.jpg", "mine.png", "theirs.png"):
        write_image(name, random_image(36, 48, seed=len(name)))
    if "paint_many(" in blocks(page):  # with Ray, which takes many seconds: tests/test_many.py has it
        monkeypatch.setattr("impasto.runs.cluster.paint_many", lambda pairs, settings: iter(()))
    exec(compile(blocks(page), str(page), "exec"), {"frames": frames})


@pytest.fixture
def frames() -> list[object]:
    """Of a film."""
    return [random_image(36, 48, seed=n) for n in range(2)]
