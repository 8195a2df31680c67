"""What a command line probably means: siblings of the photograph, pictures that are there, sizes on paper."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from conftest import Main, random_image

from impasto import Painter, SettingsError
from impasto.cli.intent import siblings
from impasto.images.printing import longer_side, on_paper, paper
from impasto.images.reading import dimensions, read_image, write_image

QUICK = ("--size", "32", "--quality", "draft")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with a holiday's photographs, and two paintings."""
    monkeypatch.chdir(tmp_path)
    for number, name in enumerate(("IMG_01.jpg", "IMG_02.jpg", "IMG_03.jpg", "beach.jpg", "hill.jpg", "art.png")):
        write_image(name, random_image(24, 32, seed=number))
    return tmp_path


@pytest.mark.parametrize(
    ("content", "style", "found"),
    [
        ("IMG_01.jpg", ["IMG_02.jpg", "IMG_03.jpg", "nocturne"], ["IMG_02.jpg", "IMG_03.jpg"]),
        ("IMG_01.jpg", ["IMG_02.jpg", "art.png"], ["IMG_02.jpg"]),
        ("IMG_01.jpg", ["IMG_02.jpg", "beach.jpg", "hill.jpg", "nocturne"], ["IMG_02.jpg"]),
        ("beach.jpg", ["hill.jpg", "IMG_01.jpg", "nocturne"], ["hill.jpg", "IMG_01.jpg"]),
        ("IMG_01.jpg", ["IMG_02.jpg"], []),  # somebody's painting, photographed
        ("beach.jpg", ["hill.jpg", "nocturne"], []),
        ("beach.jpg", ["hill.jpg", "IMG_01.jpg"], []),
        ("beach.jpg", ["nocturne", "meadow"], []),
        ("beach.jpg", ["art.png", "nocturne"], []),
        ("beach.jpg", ["gone.jpg", "lost.jpg", "nocturne"], []),
    ],
)
def test_siblings_of_a_photograph(content: str, style: list[str], found: list[str]):
    assert siblings(Path(content), style) == found


def test_siblings_are_refused_with_the_command_that_was_meant(main: Main, capsys: pytest.CaptureFixture[str]):
    assert main(["paint", "IMG_01.jpg", "IMG_02.jpg", "IMG_03.jpg", "art.png", *QUICK]) == 2
    said = capsys.readouterr().err
    assert "IMG_02.jpg, IMG_03.jpg look like photographs beside IMG_01.jpg" in said
    assert "impasto batch IMG_01.jpg IMG_02.jpg IMG_03.jpg --style art.png -o painted" in said
    assert not list(Path().glob("*art*.png"))[1:]


@pytest.mark.parametrize("options", [("--yes",), ("--style-weight", "1", "2", "3")])
def test_who_means_it_gets_them_blended(main: Main, options: tuple[str, ...], capsys: pytest.CaptureFixture[str]):
    assert main(["paint", "IMG_01.jpg", "IMG_02.jpg", "IMG_03.jpg", "art.png", "-o", "out.png", *QUICK, *options]) == 0
    assert "IMG_01.jpg after IMG_02.jpg and IMG_03.jpg and art.png, into out.png" in capsys.readouterr().err


@pytest.mark.parametrize(("answer", "status"), [("y\n", 0), ("\n", 2), ("no\n", 2), ("", 2)])
def test_at_a_terminal_it_is_a_question(
    main: Main, monkeypatch: pytest.MonkeyPatch, answer: str, status: int, capsys: pytest.CaptureFixture[str]
):
    class Terminal:
        def isatty(self) -> bool:
            return True

        def readline(self) -> str:
            return answer

    monkeypatch.setattr("sys.stdin", Terminal())
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    assert main(["paint", "IMG_01.jpg", "IMG_02.jpg", "art.png", "-o", "out.png", *QUICK, "-q"]) == status
    assert "Blend them? [y/N]" in capsys.readouterr().err
    assert Path("out.png").exists() == (status == 0)


def test_a_picture_that_is_there_is_kept_or_its_end_is_said(main: Main, capsys: pytest.CaptureFixture[str]):
    Path("out.png").write_bytes(b"mine")
    assert main(["paint", "beach.jpg", "art.png", "-o", "out.png", *QUICK, "--no-clobber"]) == 2
    assert "--output out.png is there already, and --no-clobber keeps it" in capsys.readouterr().err
    assert Path("out.png").read_bytes() == b"mine"
    assert main(["paint", "beach.jpg", "art.png", "-o", "out.png", *QUICK]) == 0
    assert "out.png is there, and will be replaced" in capsys.readouterr().err
    assert main(["paint", "beach.jpg", "art.png", *QUICK, "--no-clobber"]) == 0
    assert main(["paint", "beach.jpg", "art.png", *QUICK, "--no-clobber"]) == 0  # names of its own are free
    assert Path("beach-art-2.png").exists()


def test_a_texture_that_is_there_is_kept_or_its_end_is_said(main: Main, capsys: pytest.CaptureFixture[str]):
    Path("out.png").write_bytes(b"mine")
    command = ["texture", "art.png", "-o", "out.png", *QUICK]
    assert main([*command, "--no-clobber"]) == 2
    assert Path("out.png").read_bytes() == b"mine"
    assert main(command) == 0
    assert "out.png is there, and will be replaced" in capsys.readouterr().err


def test_what_is_gone_on_with_may_replace_its_own_picture(main: Main, tiny_painter: Painter):
    """Ctrl-C writes the picture so far; the same command again, with --no-clobber, goes on to the end."""
    command = ["paint", "beach.jpg", "art.png", "-o", "out.png", *QUICK, "--no-clobber", "--checkpoint", "run"]

    class Stopped:
        models = tiny_painter.models

        def steps(self, *given: object, **options: object):
            for now in tiny_painter.steps(*given, **options):
                if now.step == 4:
                    raise MemoryError("full")
                yield now

    assert Main(Stopped())(command) == 1
    first = Path("out.png").read_bytes()
    assert main(command) == 0
    assert Path("out.png").read_bytes() != first
    assert main(command) == 2  # done: now it is there


@pytest.mark.parametrize(
    ("text", "millimetres"),
    [("30x40cm", (300, 400)), ("40 × 30 cm", (300, 400)), ("8x10in", (203.2, 254)), ("210x297mm", (210, 297))],
)
def test_sizes_on_paper(text: str, millimetres: tuple[float, float]):
    assert paper(text) == pytest.approx(millimetres)


@pytest.mark.parametrize("text", ["", "30x40", "30cm", "A9", "0x10cm", "-3x4cm", "1e9x2cm", "x" * 999, "nanxnancm"])
def test_what_is_no_size_of_a_print(text: str):
    with pytest.raises(SettingsError, match="is no size of a print: write for example 30x40cm, 8x10in or A3"):
        paper(text)


def test_a_print_is_as_large_as_fits():
    assert longer_side("A4", 300, 2000, 3000) == round(297 / 25.4 * 300)  # the long side decides
    assert longer_side("A4", 300, 3000, 3000) == round(210 / 25.4 * 300)  # a square has the short one
    assert longer_side("10x20cm", 254, 300, 400) == 1333  # 100 mm × 4 / 3, ten dots a millimetre
    assert on_paper(1000, 2000, 254) == "20.0 × 10.0 cm at 254 dpi"


def test_a_print_has_its_pixels_and_its_density(main: Main, capsys: pytest.CaptureFixture[str]):
    assert main(["paint", "beach.jpg", "art.png", "-o", "out.tif", "--quality", "draft", "--print", "9x12mm"]) == 0
    picture = read_image("out.tif")
    assert (picture.full_width, picture.full_height) == (142, 106)
    assert picture.density == pytest.approx(300, abs=0.1)
    assert "note: 142 × 106 pixels, printed 1.2 × 0.9 cm at 300 dpi" in capsys.readouterr().err
    assert main(["paint", "beach.jpg", "art.png", "-o", "out.jpg", *QUICK, "--dpi", "150"]) == 0
    assert read_image("out.jpg").density == pytest.approx(150)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--print", "A3", "--size", "512"), "--print and --size both say how large the picture is; leave one out"),
        (("--print", "huge"), "--print 'huge' is no size of a print"),
        (("--dpi", "0"), "--dpi"),
        (("--jpeg-quality", "0"), "--jpeg-quality"),
        (("--jpeg-quality", "101"), "--jpeg-quality"),
        (("--jpeg-quality", "7.5"), "--jpeg-quality"),
    ],
)
def test_wrong_sizes_and_qualities(
    main: Main, options: tuple[str, ...], words: str, capsys: pytest.CaptureFixture[str]
):
    assert main(["paint", "beach.jpg", "art.png", *options]) == 2
    assert words in capsys.readouterr().err


def test_a_defaults_file_does_not_stand_in_the_way_of_a_print(main: Main):
    Path("impasto.toml").write_text("size = 64\nquality = 'draft'\n")
    assert main(["paint", "beach.jpg", "art.png", "-o", "out.png", "--print", "3x4mm"]) == 0
    assert read_image("out.png").full_width == 47


def test_the_quality_of_a_jpeg(main: Main):
    for name, quality in (("fine.jpg", "98"), ("small.jpg", "30")):
        assert main(["paint", "beach.jpg", "art.png", "-o", name, *QUICK, "--jpeg-quality", quality]) == 0
    assert Path("small.jpg").stat().st_size < Path("fine.jpg").stat().st_size


def test_a_size_far_from_the_photographs_is_said(main: Main, capsys: pytest.CaptureFixture[str]):
    write_image("large.jpg", random_image(600, 2100))
    assert main(["paint", "beach.jpg", "art.png", "--size", "48", "--quality", "draft"]) == 0
    assert "48 px are more than the photograph's 32: enlarged, it gains no detail" in capsys.readouterr().err
    assert main(["paint", "large.jpg", "art.png", "--quality", "draft"]) == 0
    assert "512 px of the photograph's 2100; --size 2048 paints more, --size full all" in capsys.readouterr().err
    assert main(["paint", "large.jpg", "art.png", "--quality", "draft", "--size", "256"]) == 0  # as was asked for
    assert "--size full" not in capsys.readouterr().err


def test_dimensions_are_upright(tmp_path: Path):
    from PIL import Image

    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (40, 20)).save("turned.jpg", exif=exif)
    assert dimensions("turned.jpg") == (40, 20)
    assert dimensions("art.png") == (24, 32)


def test_info_says_how_a_picture_was_painted(main: Main, capsys: pytest.CaptureFixture[str]):
    assert main(["paint", "beach.jpg", "art.png", "-o", "out.jpg", *QUICK, "--strength", "70", "--dpi", "254"]) == 0
    capsys.readouterr()
    assert main(["info", "out.jpg"]) == 0
    said = capsys.readouterr().out
    assert "out.jpg: 32 × 24 pixels, 0.3 × 0.2 cm at 254 dpi" in said
    assert "--strength         70\n" in said
    assert "--keep-lines" not in said
    assert "impasto paint PHOTO PAINTING --like out.jpg" in said
    assert main(["info", "out.jpg", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["size"], found["dpi"], found["settings"]["strength"]) == ([32, 24], 254, 70)
    assert main(["info", "beach.jpg"]) == 2
    assert "beach.jpg does not say how it was painted" in capsys.readouterr().err
