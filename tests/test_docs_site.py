"""The documentation as a site: built without a warning, asking nobody, no link that leads nowhere."""

import re
import subprocess
import sys
from dataclasses import fields
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from impasto.cli.commands import app
from impasto.cli.manual import commands_of
from impasto.settings import Settings

ROOT = Path(__file__).parent.parent


class Page(HTMLParser):
    """What a page asks for by itself, where it leads, and which places it has."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.asked: list[str] = []
        self.links: list[str] = []
        self.places: set[str] = set()
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.places |= {given[name] for name in ("id", "name") if name in given}
        if tag in ("script", "img", "source", "iframe", "video"):
            self.asked += [given[name] for name in ("src", "srcset") if name in given]
        if tag == "link" and given.get("rel") not in ("canonical", "next", "prev"):
            self.asked.append(given["href"])
        if tag == "a" and "href" in given:
            self.links.append(given["href"])


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("mkdocs", reason="the extra docs is not installed")
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)]
    built = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert built.returncode == 0, built.stdout + built.stderr
    return folder


@pytest.mark.slow
def test_the_browser_asks_nobody_else(site: Path):
    pages = list(site.rglob("*.html"))
    assert len(pages) > 20
    for path in pages:
        for asked in Page(path).asked:
            assert not urlsplit(asked).netloc, f"{path.name} asks {asked}"
    for path in site.rglob("*.css"):
        assert not re.search(r"(url\(|@import)\s*[\"']?(https?:)?//", path.read_text(encoding="utf-8")), path


@pytest.mark.slow
def test_every_link_within_the_site_leads_somewhere(site: Path):
    pages = {path: Page(path) for path in site.rglob("*.html")}
    checked = 0
    for path, page in pages.items():
        if path.name == "404.html":  # its links are absolute
            continue
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                assert parts.scheme == "https", f"{path.name}: {link}"
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            target = target / "index.html" if target.is_dir() else target
            assert target.is_file(), f"{path.name}: {link}"
            if parts.fragment and target in pages:
                assert unquote(parts.fragment) in pages[target].places, f"{path.name}: {link}"
            checked += 1
    assert checked > 500


@pytest.mark.slow
def test_the_reference_holds_every_command_setting_and_address(site: Path):
    def text(name: str) -> str:
        return re.sub(r"<[^>]+>", "", (site / "reference" / f"{name}.html").read_text(encoding="utf-8"))

    commands, settings, http, python = map(text, ("commands", "settings", "http", "python"))
    for command in commands_of(app):
        assert f"impasto {command}" in commands
    for f in fields(Settings):
        assert f"--{f.name.replace('_', '-')}" in commands
        assert f.name in settings
        assert f.metadata["machine"] or f.name in http  # where to compute is the server's business
    for path in ("POST /api/jobs", "GET /api/jobs/{id}/picture", "DELETE /api/jobs/{id}", "GET /api/styles"):
        assert path in http
    for name in ("paint_steps", "Painter", "Progress", "ImpastoError"):
        assert name in python


def test_every_page_is_in_the_menu():
    menu = (ROOT / "mkdocs.yml").read_text()
    for path in (ROOT / "docs").rglob("*.md"):
        assert f" {path.relative_to(ROOT / 'docs').as_posix()}\n" in menu, path
