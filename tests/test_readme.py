"""What the README and the docs say is executed, or compared with the code."""

import re
import shlex
import shutil
import tomllib
from dataclasses import fields
from pathlib import Path

import pytest
from conftest import Main, random_image
from packaging.version import Version

import impasto
from impasto import ImpastoError
from impasto.cli.options import Files
from impasto.images.writing import write_image
from impasto.settings import QUALITIES

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


def test_exactly_two_commands_set_everything_up():
    commands = [line for line in README.splitlines() if line.startswith("python3 -m venv")]
    assert [c.rsplit("/", 1)[-1] for c in commands] == ["impasto demo", "pytest"]
    assert all("-c constraints.txt" in c for c in commands)


def test_the_python_example_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    write_image("photo.jpg", random_image(48, 64))
    (code,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    quick = 'size=64, quality="draft"'
    exec(code.replace("size=512", quick).replace('"nocturne")', f'"nocturne", impasto.Settings({quick}))'), {})
    assert Path("out.png").exists()


def test_options_named_in_the_readme_exist():
    named = set(re.findall(r"`--([a-z-]+)", README))
    known = {f.name.replace("_", "-") for f in fields(impasto.Settings)}
    known |= {f.name.replace("_", "-") for f in fields(Files)}
    assert named <= known | {"sheet", "help", "help-all"}
    assert all(quality in README for quality in QUALITIES)


def test_pictures_and_pages_that_are_shown_exist():
    for page in (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")):
        for link in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
            assert link.startswith("http") or (page.parent / link).exists(), f"{page.name}: {link}"


def test_the_commands_of_the_controls_are_understood(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Each gets as far as the engine."""
    page = (ROOT / "docs" / "controls.md").read_text()
    commands = re.findall(r"^impasto (.*)$", page, re.MULTILINE)
    assert len(commands) >= 15
    monkeypatch.chdir(tmp_path)
    for name in ("tubingen.jpg", "lion.jpg", "the_scream.jpg", "starry_night_google.jpg"):
        write_image(name, random_image(48, 64))
    shutil.copy(ROOT / "docs/images/controls/tubingen-sky.png", "tubingen-sky.png")
    seen: list[object] = []

    class Notes:
        def steps(self, *given: object, **options: object) -> None:
            seen.append(given)
            raise ImpastoError("far enough")

        texture_steps = steps

    main = Main(Notes())
    for command in commands:
        assert main(shlex.split(command)) == 2
    assert len(seen) == len(commands)


def test_the_badges_say_what_is_declared():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    versions = [one.split(" :: ")[-1] for one in project["classifiers"] if "Python :: 3." in one]
    said = {"python": f"{versions[0]} to {versions[-1]}", "licence": project["license"]}
    for name, words in said.items():
        file = f"docs/images/badge-{name}.svg"
        assert file in README
        assert re.findall("<text[^>]*>(.*?)</text>", (ROOT / file).read_text()) == [name, words]


def test_the_changelog_knows_the_version():
    assert f"## {Version(impasto.__version__).base_version}" in (ROOT / "CHANGELOG.md").read_text()
