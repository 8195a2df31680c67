"""The front door: one painter for many pictures, settings refused at birth, imports that run downward."""

from __future__ import annotations

import ast
import inspect
import json
import pydoc
import re
from dataclasses import fields
from graphlib import TopologicalSorter
from pathlib import Path
from typing import get_args, get_type_hints

import pytest
from conftest import random_image, tiny_weights

import impasto
from impasto import Painter, Settings, SettingsError
from impasto.cli import many
from impasto.images.formats import FORMATS
from impasto.methods.qualities import METHODS
from impasto.network import models
from impasto.settings import QUALITIES, Changes, parse

ROOT = Path(impasto.__file__).parent
FLOORS = [
    "cli",
    "web",
    "runs",
    "painting",
    "score",
    "score_pixels",
    "methods",
    "images",
    "objective",
    "settings",
    "network",
    "errors",
]
"""Packages and modules from the top down."""


def imports(path: Path) -> list[tuple[str, str]]:
    """What a file imports of impasto, wherever in it: (module, name)."""
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found += [(alias.name, "") for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            found += [(node.module or "", alias.name) for alias in node.names]
    return [(module, name) for module, name in found if module.split(".")[0] == "impasto"]


def modules() -> dict[str, Path]:
    return {
        ".".join(("impasto", *path.relative_to(ROOT).with_suffix("").parts)).removesuffix(".__init__"): path
        for path in ROOT.rglob("*.py")
    }


def test_imports_run_downward():
    """No arrow up, and nothing private of another package."""
    for here, path in modules().items():
        for module, name in imports(path):
            ours, theirs = here.split(".")[1:2], (module if "." in module else f"{module}.{name}").split(".")[1:2]
            if ours and ours[0] in FLOORS and theirs[0] in FLOORS and ours != theirs:
                assert FLOORS.index(ours[0]) < FLOORS.index(theirs[0]) or _is_ground(module), (here, module)
                assert not any(part.startswith("_") for part in [*module.split("."), name]), (here, module, name)


def test_no_module_imports_itself_by_a_detour():
    """Types alone may: they are not there when the program runs."""
    known = modules()
    graph = {
        here: {
            one
            for module, name in imports(path)
            for one in (f"{module}.{name}", module)
            if one in known and one != here
        }
        for here, path in known.items()
    }
    TopologicalSorter(graph).prepare()  # raises an error that names the circle


def test_runs_know_no_command_line():
    """Whoever wants to see a run brings a reporter."""
    for path in (ROOT / "runs").glob("*.py"):
        nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
        names = {
            node.module if isinstance(node, ast.ImportFrom) else alias.name
            for node in nodes
            if isinstance(node, ast.Import | ast.ImportFrom)
            for alias in node.names
        }
        assert not {str(name).split(".")[0] for name in names} & {"rich", "cyclopts"}, path.name
        assert "print" not in {node.id for node in nodes if isinstance(node, ast.Name)}, path.name


def _is_ground(module: str) -> bool:
    """The names of layers need nothing else, and settings are checked by them."""
    return module == "impasto.network.layers"


def test_the_house_has_few_names_at_the_top():
    names = {path.name for path in ROOT.iterdir() if not path.name.startswith("__") and path.suffix != ".typed"}
    assert len(names) <= 12, sorted(names)


def test_every_quality_has_a_method():
    assert set(METHODS) == set(QUALITIES)


def test_every_format_is_offered_wherever_pictures_are_written():
    """A new one is a line of `FORMATS`, a word of `impasto batch --format` and one of the page's menu."""
    words = {form.extensions[0].removeprefix(".") for form in FORMATS.values()}
    annotation = inspect.signature(many.batch, eval_str=True).parameters["form"].annotation
    assert set(get_args(get_args(annotation)[0])) == words
    page = (ROOT / "web" / "static" / "stage.js").read_text(encoding="utf-8")
    menu = re.search(r"^const FORMATS = (\[.*\]);$", page, re.MULTILINE)
    assert menu is not None
    assert {value.split("&")[0] for _, value in json.loads(menu[1])} == words


def test_a_painter_reads_its_networks_once():
    class Counted(models.Models):
        read = 0

        @property
        def weights(self):
            Counted.read += 1
            return tiny_weights()

    painter = Painter()
    painter.models = Counted()
    for _ in range(3):
        painter.paint(random_image(32, 40), random_image(40, 32), size=40, quality="draft")
    assert Counted.read == 1


def test_two_paddings_share_their_filters():
    networks = models.Models(tiny_weights())
    one, other = networks.vgg(padding="zero"), networks.vgg(padding="reflect")
    assert (one.padding, other.padding) == ("zero", "reflect")
    assert one.convolutions is other.convolutions


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"style_layers": "banana"}, "style_layers='banana': VGG-19 has no layer 'banana'"),
        ({"content_layers": "relu1_1=0"}, "content_layers='relu1_1=0': .* gives every layer the weight 0"),
        ({"memory": "lots"}, "memory='lots' is not an amount of memory"),
        ({"memory": "9" * 400 + "GB"}, "is not an amount of memory"),
        ({"cluster": "somewhere"}, "cluster='somewhere' is no cluster"),
        ({"cluster": "host:99999"}, "is no cluster"),
    ],
)
def test_wrong_settings_are_refused_at_birth(changes: dict[str, str], words: str):
    with pytest.raises(SettingsError, match=words):
        Settings(**changes)


def test_a_misspelt_setting_is_told_what_is_meant():
    with pytest.raises(SettingsError, match="there is no setting 'strenght'; did you mean strength"):
        Settings.known({"strenght": 3})


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("strength", "70", 70.0),
        ("size", "512", 512),
        ("size", "full", "full"),
        ("style_weight", "70, 30", (70.0, 30.0)),
    ],
)
def test_one_parser_reads_the_texts_of_settings(name: str, text: str, value: object):
    assert parse(name, text) == value


@pytest.mark.parametrize(("name", "text"), [("size", "1e3"), ("size", "7.0"), ("style_weight", "70,,30")])
def test_what_is_no_number_is_refused(name: str, text: str):
    with pytest.raises(SettingsError, match=name):
        Settings(**{name: parse(name, text)})


def test_the_types_of_changes_are_those_of_settings():
    ours, theirs = get_type_hints(Changes), get_type_hints(Settings)
    assert ours == {f.name: theirs[f.name] for f in fields(Settings)}


@pytest.mark.slow
def test_a_type_checker_finds_a_misspelt_setting(tmp_path: Path):
    mypy = pytest.importorskip("mypy.api", reason="the extra dev is not installed")
    program = tmp_path / "program.py"
    program.write_text(
        'import impasto\n\nimpasto.paint("a.jpg", "wave", strenght=3)\n'
        'reveal_type(impasto.paint("a.jpg", "wave", strength=3))\n'
    )
    root = Path(__file__).parent.parent
    settings = ["--config-file", str(root / "pyproject.toml"), "--cache-dir", str(root / ".mypy_cache")]
    told, _, status = mypy.run([*settings, str(program)])
    assert status == 1
    assert "program.py:3: error: " in told
    assert "program.py:4: error: " not in told
    assert 'program.py:4: note: Revealed type is "PIL.Image.Image"' in told


def test_help_shows_what_there_is():
    assert {"paint", "Painter", "Progress", "Settings"} <= set(dir(impasto))
    page = pydoc.render_doc(impasto, renderer=pydoc.plaintext)
    assert "paint(" in page
    assert "TYPE_CHECKING" not in page


def test_progress_shows_itself():
    painter = Painter(weights=tiny_weights())
    *_, last = painter.steps(random_image(32, 40), random_image(40, 32), size=40, quality="draft")
    assert repr(last).startswith(f"<Progress: step {last.step} of {last.steps}, 40 × 32 pixels, ")
    assert last.picture.size == (40, 32)
    assert last._repr_png_()[:4] == b"\x89PNG"
