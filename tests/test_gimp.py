"""The GIMP plug-in: what asks a studio, against `impasto web` itself; the whole of it where GIMP 3 is installed."""

import ast
import io
import os
import queue
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from conftest import random_image
from PIL import Image

from impasto.images.gallery import style_facts, style_names
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
    job = next(path for path in asked if path.startswith("/jobs/"))
    assert re.fullmatch(r"/jobs/\S+", job)
    with pytest.raises(StudioError):
        studio._ask("GET", job)


KILLED = """
import sys
from client import Studio
photo = open(sys.argv[2], "rb").read()
tell = lambda share, words: print(words, flush=True) or True
Studio(sys.argv[1], "anna:secret").paint(photo, ["nocturne"], {"size": 1536, "quality": "best"}, tell)
"""


@pytest.mark.slow
def test_a_program_that_is_killed_ends_its_picture(address: str, tmp_path: Path):
    """GIMP kills a plug-in when its user presses Cancel."""
    (tmp_path / "photo.png").write_bytes(png(48, 64))
    program = subprocess.Popen(
        [sys.executable, "-c", KILLED, address, tmp_path / "photo.png"], cwd=FOLDER, stdout=subprocess.PIPE, text=True
    )
    assert program.stdout is not None
    with program.stdout as words:
        assert any("×" in line for line in words)  # it is being painted
        program.kill()
        program.wait(DEADLINE)
    # one picture is painted at a time: the next one's turn comes when the killed one, which takes an hour, has ended
    end = time.monotonic() + 3 * DEADLINE
    settings = {"size": 64, "quality": "instant"}
    assert Studio(address, "anna:secret").paint(png(48, 64), ["nocturne"], settings, lambda *_: time.monotonic() < end)


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


IN_GIMP = """
from gi.repository import Gimp, Gio
folder, studio, account = {arguments}
pdb = Gimp.get_pdb()
image = Gimp.Image.new(96, 64, Gimp.ImageBaseType.RGB)
photo = Gimp.file_load_layer(Gimp.RunMode.NONINTERACTIVE, image, Gio.File.new_for_path(folder + "/photo.png"))
image.insert_layer(photo, None, 0)
photo.set_offsets(16, 8)
image.select_rectangle(Gimp.ChannelOps.REPLACE, 16, 8, 32, 48)

def paint(studio):
    procedure = pdb.lookup_procedure("plug-in-impasto-paint")
    config = procedure.create_config()
    for name, value in {{"image": image, "studio": studio, "account": account, "quality": "draft"}}.items():
        config.set_property(name, value)
    config.set_core_object_array("drawables", [photo])
    return procedure.run(config).index(0), pdb.get_last_error()

status, words = paint("http://127.0.0.1:1")
print("said:", words)
assert status == Gimp.PDBStatusType.EXECUTION_ERROR and len(image.get_layers()) == 1
status, words = paint(studio)
assert status == Gimp.PDBStatusType.SUCCESS, words
painted = image.get_layers()[0]
assert (painted.get_name(), painted.get_width(), painted.get_height()) == ("Painted", 64, 48)
assert list(painted.get_offsets())[-2:] == [16, 8]
Gimp.Selection.none(image)
for name, layer in (("before", photo), ("after", painted)):
    alone = Gimp.Image.new(64, 48, Gimp.ImageBaseType.RGB)
    copy = Gimp.Layer.new_from_drawable(layer, alone)
    alone.insert_layer(copy, None, 0)
    copy.set_offsets(0, 0)
    Gimp.file_save(Gimp.RunMode.NONINTERACTIVE, alone, Gio.File.new_for_path(folder + "/" + name + ".png"), None)
print("in GIMP all is well")
"""


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("gimp-console-3.0") is None, reason="GIMP 3 is not installed")
def test_gimp_paints_what_is_selected_of_a_layer(address: str, tmp_path: Path):
    shutil.copytree(FOLDER, tmp_path / "profile" / "plug-ins" / FOLDER.name)
    (tmp_path / "photo.png").write_bytes(png(48, 64))
    (tmp_path / "batch.py").write_text(IN_GIMP.format(arguments=(str(tmp_path), address, "anna:secret")))
    batch = ["--batch-interpreter=python-fu-eval", "-b", f"exec(open({str(tmp_path / 'batch.py')!r}).read())"]
    done = subprocess.run(
        ["gimp-console-3.0", "--no-interface", "--no-data", "--no-fonts", "--quit", *batch],
        env={**os.environ, "GIMP3_DIRECTORY": str(tmp_path / "profile")},
        capture_output=True,
        text=True,
        timeout=3 * DEADLINE,
    )
    assert "in GIMP all is well" in done.stdout, done.stdout + done.stderr
    assert "said: no studio answers at http://127.0.0.1:1" in done.stdout
    with Image.open(tmp_path / "before.png") as before, Image.open(tmp_path / "after.png") as after:
        for box, greatest in (((0, 0, 24, 48), 100), ((40, 0, 64, 48), 2)):  # selected, protected
            pairs = zip(*(one.convert("RGB").crop(box).tobytes() for one in (before, after)), strict=True)
            assert (max(abs(a - b) for a, b in pairs) <= greatest) == (greatest == 2)


def test_the_dialog_offers_what_impasto_knows():
    """Read from the source: GIMP's own modules are not here."""
    tree = ast.parse((FOLDER / "impasto_paint.py").read_text())
    told = {
        node.targets[0].id: ast.literal_eval(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign)
        and isinstance(node.targets[0], ast.Name)
        and isinstance(node.value, ast.Tuple | ast.Dict)
    }
    assert told["STYLES"] == {name: style_facts(name).title for name in style_names()}
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
