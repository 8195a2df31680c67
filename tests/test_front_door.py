"""The front door: one painter for many pictures, settings refused at birth, imports that run downward."""

from __future__ import annotations

import ast
import pydoc
from dataclasses import fields
from pathlib import Path
from typing import get_type_hints

import pytest
from conftest import random_image, tiny_weights

import impasto
from impasto import Painter, Settings, SettingsError
from impasto.methods.qualities import METHODS
from impasto.network import models
from impasto.settings import QUALITIES, Changes, parse

ROOT = Path(impasto.__file__).parent
FLOORS = ["cli", "web", "painting", "score", "methods", "images", "objective", "settings", "network"]
"""Packages and modules from the top down; what is not named (errors, the package itself) is the ground."""


def test_imports_run_downward():
    """No circle among packages, no arrow up, nothing private of another package."""
    for path in ROOT.rglob("*.py"):
        here = path.relative_to(ROOT).parts[0].removesuffix(".py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("impasto."):
                there = node.module.split(".")[1]
                if there == here or there not in FLOORS or here not in FLOORS:
                    continue
                names = [alias.name for alias in node.names if alias.name.startswith("_")]
                assert FLOORS.index(here) < FLOORS.index(there) or _is_ground(node.module), (path.name, node.module)
                assert not names, (path.name, names)


def _is_ground(module: str) -> bool:
    """The names of layers need nothing else, and settings are checked by them."""
    return module == "impasto.network.layers"


def test_the_house_has_few_names_at_the_top():
    names = {path.name for path in ROOT.iterdir() if not path.name.startswith("__") and path.suffix != ".typed"}
    assert len(names) <= 12, sorted(names)


def test_every_quality_has_a_method():
    assert list(METHODS) == list(QUALITIES)


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
