"""The part of the GIMP plug-in that asks a studio, against `impasto web` itself; GIMP 3 is not to be had here."""

import ast
import io
import os
import queue
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from conftest import random_image
from PIL import Image

from impasto.images.writing import to_pil
from impasto.settings import COLOR_MODES, QUALITIES, Settings

FOLDER = Path(__file__).parent.parent / "integrations" / "gimp" / "impasto_paint"
sys.path.insert(0, str(FOLDER))
from client import Studio, StudioError  # noqa: E402

DEADLINE = 120.0  # seconds until a server that does not say its address has failed


def png(height: int, width: int, seed: int = 0) -> bytes:
    file = io.BytesIO()
    to_pil(random_image(height, width, seed)).save(file, "png")
    return file.getvalue()


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """Of `impasto web` with an account, on a free port."""
    if find_spec("uvicorn") is None:
        pytest.skip("the extra web is not installed")
    server = subprocess.Popen(
        [sys.executable, "-m", "impasto", "web", "--port", "0"],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "IMPASTO_AUTH": "anna:secret", "PYTHONUNBUFFERED": "1"},
    )
    lines: queue.Queue[str] = queue.Queue()
    assert server.stdout is not None
    threading.Thread(target=lambda: [lines.put(line) for line in server.stdout or []], daemon=True).start()
    try:
        found = re.search(r"http://\S+", lines.get(timeout=DEADLINE))
        assert found is not None
        yield found[0]
    finally:
        server.terminate()
        server.wait(DEADLINE)
        server.stdout.close()


@pytest.mark.slow
def test_a_picture_is_painted_by_the_studio(address: str):
    studio, seen = Studio(address, "anna:secret"), []
    assert "nocturne" in studio.styles()

    def go_on(share: float, words: str) -> bool:
        seen.append((share, words))
        return True

    photo = png(48, 64)
    white_left = Image.new("L", (64, 48))
    white_left.paste(255, (0, 0, 24, 48))
    mask = io.BytesIO()
    white_left.save(mask, "png")
    settings = {"size": 64, "quality": "draft", "strength": 80.0}
    picture = studio.paint(photo, ["nocturne", png(40, 50, 1)], settings, go_on, mask.getvalue())
    assert picture is not None
    with Image.open(io.BytesIO(picture)) as painted, Image.open(io.BytesIO(photo)) as photograph:
        assert painted.format == "PNG"
        assert painted.size == (64, 48)
        box = (0, 0, 16, 48)
        difference = [
            abs(a - b) for a, b in zip(painted.crop(box).tobytes(), photograph.crop(box).tobytes(), strict=True)
        ]
        assert max(difference) <= 2  # what is protected stays
        assert painted.tobytes() != photograph.tobytes()
    assert all(0 <= share <= 1 for share, _ in seen)


@pytest.mark.slow
def test_what_is_given_up_leaves_nothing_behind(address: str):
    asked: list[str] = []

    class Noting(Studio):
        def _ask(self, method: str, path: str, *others: Any) -> bytes:
            asked.append(path)
            return super()._ask(method, path, *others)

    studio = Noting(address, "anna:secret")
    assert studio.paint(png(48, 64), ["nocturne"], {"size": 512, "quality": "best"}, lambda *_: False) is None
    job = asked[1]
    assert re.fullmatch(r"/jobs/\S+", job)
    with pytest.raises(StudioError):
        studio._ask("GET", job)


@pytest.mark.slow
def test_the_studios_own_sentence_reaches_the_user(address: str):
    studio = Studio(address, "anna:secret")
    with pytest.raises(StudioError, match=r"strength.*400"):
        studio.paint(png(48, 64), ["nocturne"], {"strength": 400}, lambda *_: True)
    with pytest.raises(StudioError, match="nocturn"):
        studio.paint(png(48, 64), ["nocturn"], {}, lambda *_: True)
    with pytest.raises(StudioError, match="user:password"):
        Studio(address).styles()


@pytest.mark.parametrize("address", ["http://127.0.0.1:1", "nonsense"])
def test_where_no_studio_is_the_user_is_told_how_to_start_one(address: str):
    with pytest.raises(StudioError, match="start it with: impasto web"):
        Studio(address).styles()


def test_the_dialog_offers_what_impasto_knows():
    """Read from the source: GIMP's own modules are not here."""
    tree = ast.parse((FOLDER / "impasto_paint.py").read_text())
    told = {
        node.targets[0].id: ast.literal_eval(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and isinstance(node.value, ast.Tuple)
    }
    assert told["COLORS"] == tuple(COLOR_MODES)
    assert set(told["QUALITIES"]) < set(QUALITIES)
    numbers = {
        call.args[0].value: [argument.value for argument in call.args[3:6]]
        for call in ast.walk(tree)
        if isinstance(call, ast.Call) and getattr(call.func, "attr", "") == "add_double_argument"
    }
    for name, (low, high, default) in numbers.items():
        option = Settings.__dataclass_fields__[name.replace("-", "_")]
        assert (low, high, default) == (option.metadata["minimum"], option.metadata["maximum"], option.default)


def test_the_plugin_lies_as_gimp_wants_it():
    """In a folder of its own name, and as a program."""
    assert FOLDER.name == (FOLDER / "impasto_paint.py").stem
    assert (FOLDER / "impasto_paint.py").read_text().startswith("#!/usr/bin/env python3")
    if sys.platform != "win32":
        assert os.access(FOLDER / "impasto_paint.py", os.X_OK)
