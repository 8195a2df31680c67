"""The command line: options are the settings, wrong uses say what is right, files and statuses are as promised."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import Field, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import Main
from PIL import Image
from rich.console import Console

from impasto.cli import commands
from impasto.cli.options import option_name
from impasto.cli.terminal import Terminal, duration
from impasto.errors import WeightsError
from impasto.images.catalogue import Catalogue
from impasto.images.gallery import sample_names
from impasto.images.metadata import xmp_packet
from impasto.images.reading import read_image, write_image
from impasto.network import download, weights
from impasto.painting import Progress
from impasto.runs.reporter import Next
from impasto.settings import Settings, preset

HEIGHT, WIDTH = 20, 32  # of the photograph


@dataclass
class Engine:
    """Stands for the real one: two scales of two evaluations each; remembers what it was asked for."""

    calls: list[tuple[Any, Any, Settings]] = field(default_factory=list)
    at_step: dict[int, Any] = field(default_factory=dict)  # what happens instead of, or just before, a step
    notes: tuple[str, ...] = ("a note",)

    def steps(
        self, content: Any, style: Any, settings: Settings, *, resume: object = None, **guides: Any
    ) -> Iterator[Progress]:
        self.calls.append((content, style, settings))
        self.guides = guides
        height, width = content.image.shape[-2:]
        for step in (1, 2, 3, 4):
            self.at_step.get(step, lambda: None)()
            scale = 1 + (step > 2)
            image = torch.full((1, 3, height * scale // 2, width * scale // 2), step / 5)
            losses = {"content": 1.0, "style": 2.5, "total": 3.5}
            yield Progress(scale, 2, step, 4, losses, image, float(4 - step), self.notes)

    @property
    def settings(self) -> Settings:
        return self.calls[-1][2]


@pytest.fixture(autouse=True)
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Engine:
    """A working directory with photo.png and wave.png, an engine that is quick, and two paintings that ship."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("IMPASTO_WEIGHTS", raising=False)
    monkeypatch.setenv("COLUMNS", "100")
    Image.new("RGB", (WIDTH, HEIGHT), "orange").save("photo.png")
    Image.new("RGB", (24, 40), "navy").save("wave.png")
    fake = Engine()
    names = {"night": tmp_path / "wave.png", "storm": tmp_path / "wave.png"}
    monkeypatch.setattr("impasto.images.gallery._catalogue", lambda: names)
    monkeypatch.setattr("impasto.images.gallery._networks", dict)
    monkeypatch.setattr("impasto.images.gallery.style_path", names.get)
    monkeypatch.setattr("impasto.cli.commands.contact_sheet", lambda: Image.new("RGB", (30, 10), "white"))
    return fake


@pytest.fixture
def main(engine: Engine) -> Main:
    return Main(engine)


# Options are the settings


def as_text(value: object) -> str:
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)


def another(f: Field[Any]) -> Any:
    """An allowed value that is not the default."""
    kind, limits = type(f.default), f.metadata
    if kind is bool:
        return not f.default
    if kind in (int, float):
        if limits["minimum"] not in (None, f.default) and not limits["several"]:
            return kind(limits["minimum"])
        return kind(f.default + 1)
    if f.name == "device":
        return "cpu"  # which every machine has
    if f.name == "strokes":
        return ("coarse", "fine")
    texts = {"memory": "3GB", "cluster": "local", "content_layers": "relu2_2", "style_layers": "relu1_1=0.5"}
    return next((c for c in limits["choices"] if c != f.default), texts.get(f.name, "noise"))


def given(f: Field[Any], value: Any) -> list[str]:
    if isinstance(value, bool):
        return [option_name(f.name) if value else option_name(f.name).replace("--", "--no-", 1)]
    return [option_name(f.name), as_text(value)]


@pytest.mark.parametrize("f", [f for f in fields(Settings) if f.default != "auto"], ids=lambda f: f.name)
def test_every_default_as_text_is_the_default(main: Main, engine: Engine, f: Field[Any]) -> None:
    if f.default is None or f.default == "":
        pytest.skip("there is no text for 'nothing'")
    assert main(["paint", "photo.png", "wave.png", *given(f, f.default)]) == 0
    assert engine.settings == Settings()


@pytest.mark.parametrize("f", fields(Settings), ids=lambda f: f.name)
def test_every_option_sets_its_setting(main: Main, engine: Engine, f: Field[Any]) -> None:
    value = another(f)
    paintings = ["wave.png"] * (len(value) if isinstance(value, tuple) else 1)
    assert main(["paint", "photo.png", *paintings, *given(f, value)]) == 0
    assert getattr(engine.settings, f.name) == value
    assert engine.settings == Settings(**{f.name: value})


def test_size_takes_a_word_as_well(main: Main, engine: Engine) -> None:
    assert main(["paint", "photo.png", "wave.png", "--size", "full"]) == 0
    assert engine.settings.size == "full"
    assert engine.calls[-1][0].image.shape == (1, 3, HEIGHT, WIDTH)


@pytest.mark.parametrize(
    "arguments",
    [
        ("photo.png", "wave.png", "night", "--style-weight", "70", "30"),
        ("photo.png", "wave.png", "night", "--style-weight", "70,30"),
        ("--style-weight", "70", "30", "photo.png", "wave.png", "night"),
        ("photo.png", "--style-weight=70", "30", "wave.png", "night"),
    ],
    ids=" ".join,
)
def test_values_for_several_paintings_stand_together_or_apart(
    main: Main, engine: Engine, arguments: tuple[str, ...]
) -> None:
    assert main(["paint", *arguments]) == 0
    assert engine.settings.style_weight == (70, 30)


@pytest.mark.parametrize("command", ["paint", "demo"])
def test_help_lists_every_setting_with_its_default(
    main: Main, command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([command, "--help-all"]) == 0
    shown = capsys.readouterr().out
    words = " ".join(shown.split())
    for f in fields(Settings):
        assert f"{option_name(f.name)} " in shown
        assert f.metadata["help"] in words
        for choice in f.metadata["choices"]:
            assert choice in words
    for default in ("[512]", "[good]", "[50]", "[content]"):
        assert default in words


def test_help_needs_no_torch() -> None:
    code = """
import sys
from impasto.cli.commands import main
for arguments in (["--help"], ["paint", "--help"], ["--version"], ["paint", "x"], ["styles", "--help"]):
    main(arguments)
print("\\n".join(name for name in ("torch", "numpy", "PIL", "pyvips", "skimage") if name in sys.modules) or "none")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.splitlines()[-1] == "none"
    assert "impasto 0." in done.stdout


# Wrong uses

PAINT = ("paint", "photo.png", "wave.png")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("paint",), "CONTENT is missing\nsee impasto paint --help"),
        (("paint", "photo.png"), "STYLE is missing\nsee impasto paint --help"),
        (("pant", "photo.png", "wave.png"), "Unknown command 'pant'. Did you mean 'paint'?"),
        ((*PAINT, "--sise", "3"), "Unknown option: --sise. Did you mean --size?"),
        ((*PAINT, "--size"), "--size needs a value"),
        ((*PAINT, "--size", "--seed", "3"), "--size needs a value"),
        ((*PAINT, "-o"), "-o needs a value"),
        ((*PAINT, "--size", "3"), "--size 3 is out of range: choose a whole number from 16 to 65536 or full"),
        ((*PAINT, "--size", "2.5"), "--size '2.5' is not allowed: choose a whole number from 16 to 65536 or full"),
        ((*PAINT, "--strength", "-1"), "--strength -1.0 is out of range: choose a number from 0 to 100"),
        ((*PAINT, "--strength", "nan"), "--strength nan is out of range: choose a number from 0 to 100"),
        ((*PAINT, "--strength", "much"), "--strength 'much' is not allowed: choose a number from 0 to 100"),
        (
            (*PAINT, "--quality", "god"),
            "--quality 'god' is not allowed: choose from: instant, draft, good, best, reference",
        ),
        ((*PAINT, "--seed", "1", "--seed", "2"), "--seed specified multiple times"),
        ((*PAINT, "--style-weight", "-1"), "--style-weight -1.0 is out of range: choose a number from 0 to 10000"),
        ((*PAINT, "--style-weight", "0", "0"), "--style-weight 0,0 leaves no painting; give one of them more"),
        ((*PAINT, "--style-weight", "1", "2"), "--style-weight 1,2 has 2 values for 1 painting; give one for each, or"),
        (
            (*PAINT, "wave.png", "wave.png", "--style-scale", "2,1"),
            "--style-scale 2,1 has 2 values for 3 paintings; give one",
        ),
        ((*PAINT, "--style-scale", "0"), "--style-scale 0.0 is out of range: choose a number from 0.05 to 20"),
        ((*PAINT, "--style-scale", "2,much"), "--style-scale 'much' is not allowed: choose a number from 0.05 to 20"),
        ((*PAINT, "empty"), "the folder empty holds no pictures; those in folders within it do not count"),
        ((*PAINT, "--bits", "12"), "Invalid value '12' for --bits. Choose from: 8, 16"),
        ((*PAINT, "--bits", "16", "-o", "out.jpg"), "out.jpg"),
        ((*PAINT, "--preview-every", "-2"), "Invalid value '-2' for --preview-every. Must be >= 0"),
        ((*PAINT, "--jpeg-quality", "0"), "Invalid value '0' for --jpeg-quality. Choose a number from 1 to 100"),
        ((*PAINT, "--dpi", "nan"), "Invalid value 'nan' for --dpi. Choose a number from 1 to 65535"),
        ((*PAINT, "-o", "out.xyz"), "cannot write out.xyz: the extension '.xyz' is unknown"),
        ((*PAINT, "-o", "none/out.png"), "cannot write none/out.png: the folder"),
        ((*PAINT, "-o", "photo.png"), "--output photo.png would overwrite a file that is read"),
        ((*PAINT, "-o", "../work/wave.png"), "would overwrite a file that is read"),
        (("paint", "none.png", "wave.png"), "none.png does not exist; "),
        (("paint", "photo.png", "nigth"), "'nigth' is neither a file nor a style that ships; did you mean night?"),
        (("paint", "text.png", "wave.png"), "text.png"),
        ((*PAINT, "--like", "photo.png"), "--like photo.png does not say how it was painted"),
        ((*PAINT, "--like", "none.png"), "none.png"),
        (("demo", "--photo", "moon"), "--photo moon is unknown; choose from: rocket, chelsea, astronaut, coffee"),
        (("styles", "--sheet", "sheet.xyz"), "cannot write sheet.xyz"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_a_wrong_use_says_what_is_right(
    main: Main,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    engine: Engine,
    arguments: tuple[str, ...],
    words: str,
) -> None:
    folder = tmp_path / "work"
    folder.mkdir()
    for name in ("photo.png", "wave.png"):
        (tmp_path / name).rename(folder / name)
    (folder / "text.png").write_text("not a picture")
    (folder / "empty").mkdir()
    monkeypatch.chdir(folder)
    before = sorted(folder.iterdir())
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    assert err.startswith("error: ")
    assert words in err
    assert len(err.splitlines()) <= 3
    assert out == ""
    assert engine.calls == []
    assert sorted(folder.iterdir()) == before


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without CUDA")
def test_an_absent_device_is_an_error(main: Main, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*PAINT, "--device", "cuda"]) == 2
    assert "--device 'cuda' is not present on this machine; choose from: auto, " in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ValueError("a fault\nof ours"), "error: ValueError: a fault\nrun with --debug"),
        (MemoryError(), "error: out of memory; give a smaller --memory or --size"),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"), "error: out of memory"),
        (torch.OutOfMemoryError("CUDA out of memory"), "error: out of memory"),
    ],
)
def test_what_the_user_cannot_mend_has_status_1(
    main: Main, engine: Engine, capsys: pytest.CaptureFixture[str], error: Exception, words: str
) -> None:
    def fail() -> None:
        raise error

    engine.at_step[2] = fail
    assert main(PAINT) == 1
    err = capsys.readouterr().err
    assert words in err
    assert "Traceback" not in err
    assert main([*PAINT, "--debug"]) == 1
    assert "Traceback" in capsys.readouterr().err


def test_a_reader_that_leaves_is_no_error() -> None:
    code = "from impasto.cli.commands import main; import sys; sys.exit(main(['paint', '--help']))"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.close()
        assert process.stderr is not None
        assert process.stderr.read() == b""
        assert process.wait(60) in (0, 1)


# The picture


def test_paint_writes_the_last_step_and_prints_its_path(
    main: Main, engine: Engine, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*PAINT, "--size", "32"]) == 0
    out, err = capsys.readouterr()
    assert out == "photo-wave.png\n"
    first = "photo.png after wave.png, into photo-wave.png"
    assert err == f"{first}\nnote: a note\nscale 1 of 2, 16×10\nscale 2 of 2, 32×20, about 1 s left\n"
    with Image.open("photo-wave.png") as picture:
        assert picture.size == (WIDTH, HEIGHT)
        assert picture.getpixel((5, 7)) == (204, 204, 204)  # 4/5 of 255
    content, style, _ = engine.calls[0]
    assert content.image.shape == (1, 3, HEIGHT, WIDTH)
    assert style == [Path("wave.png")]
    assert main.weights == [None]


def test_a_folder_is_one_painting(main: Main, engine: Engine) -> None:
    Path("turner").mkdir()
    for name in ("a.png", "b.png"):
        Image.new("RGB", (24, 40), "navy").save(f"turner/{name}")
    assert main(["paint", "photo.png", "turner", "wave.png", "--style-weight", "70", "30"]) == 0
    assert [path.name for path in engine.calls[-1][1]] == ["turner", "wave.png"]
    assert Path("photo-turner-wave.png").exists()
    assert main(["paint", "photo.png", "turner", "-o", "turner/a.png"]) == 2


def test_masks_are_passed_on(main: Main, engine: Engine) -> None:
    options = ["--mask", "m.png", "--style-mask", "white", "s.png", "--protect", "1%,2%,3%,4%"]
    assert main(["paint", "photo.png", "wave.png", "night", *options]) == 0
    guides = {"mask": "m.png", "style_mask": ["white", "s.png"], "protect": "1%,2%,3%,4%"}
    assert engine.guides == guides
    Image.new("RGB", (24, 40), "white").save("s.png")
    assert main(["paint", "photo.png", "wave.png", *options, "-o", "s.png"]) == 2


def test_a_name_is_numbered_unless_it_is_given(main: Main, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("photo-wave.png", "photo-wave-2.png", "photo-wave-3.png"):
        assert main(PAINT) == 0
        assert capsys.readouterr().out == f"{name}\n"
    Path("out.png").write_text("old")
    assert main([*PAINT, "-o", "out.png"]) == 0
    assert read_image("out.png").settings is not None


def test_the_name_has_every_style_and_goes_to_the_working_directory(
    main: Main, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], engine: Engine
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    Image.new("RGB", (20, 30)).save("scream.png")
    assert main(["paint", "../photo.png", "scream.png", "night"]) == 0
    assert capsys.readouterr().out == "photo-scream-wave.png\n"
    assert engine.calls[0][1] == [Path("scream.png"), tmp_path / "wave.png"]


def test_json_is_one_object(main: Main, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*PAINT, "--json", "--quiet", "--seed", "7", "--device", "cpu", "-o", "o.png", "--size", "32"]) == 0
    out, err = capsys.readouterr()
    report = json.loads(out)
    assert err == ""
    assert isinstance(report.pop("seconds"), float)
    assert Settings(**report.pop("settings")) == Settings(seed=7, device="cpu", size=32)
    assert report == {
        "output": "o.png",
        "size": [WIDTH, HEIGHT],
        "evaluations": [2, 2],
        "losses": {"content": 1.0, "style": 2.5, "total": 3.5},
        "device": "cpu",
        "seed": 7,
        "interrupted": False,
        "signal": None,
        "checkpoint": None,
    }


def test_a_preset_is_settings_that_options_change(
    main: Main, engine: Engine, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["paint", "photo.png", "wave.png", "--preset", "portrait", "--strength", "55"]) == 0
    assert engine.settings == replace(preset("portrait"), strength=55.0)
    assert main(["paint", "photo.png", "wave.png", "--preset", "portait"]) == 2
    assert "there is no preset 'portait'; choose from: portrait" in capsys.readouterr().err
    assert main(["presets"]) == 0
    out = capsys.readouterr().out
    assert "portrait" in out
    assert "--keep-lines 30" in out


def test_like_takes_the_settings_of_a_picture(main: Main, engine: Engine, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*PAINT, "--strength", "80", "--seed", "3", "-o", "first.png"]) == 0
    assert main([*PAINT, "--like", "first.png", "--seed", "4"]) == 0
    assert engine.settings == Settings(strength=80.0, seed=4)


def test_like_takes_the_areas_that_were_named(main: Main, engine: Engine, capsys: pytest.CaptureFixture[str]) -> None:
    named = ["--mask", "subject", "--style-mask", "white", "black", "--protect", "faces:80"]
    assert main(["paint", "photo.png", "wave.png", "night", *named, "-o", "first.png"]) == 0
    assert main(["paint", "photo.png", "wave.png", "night", "--like", "first.png", "-o", "second.png"]) == 0
    assert engine.guides == {"mask": "subject", "style_mask": ["white", "black"], "protect": "faces:80"}
    assert (
        main(["paint", "photo.png", "wave.png", "night", "--like", "second.png", "--protect", "none", "--mask", "none"])
        == 0
    )
    assert engine.guides == {"mask": None, "style_mask": None, "protect": None}
    capsys.readouterr()
    assert main(["paint", "photo.png", "wave.png", "--like", "second.png"]) == 0  # another number of paintings
    assert engine.guides == {"mask": None, "style_mask": None, "protect": "faces:80"}
    assert "ignored its mask, which is for 2 paintings" in capsys.readouterr().err
    assert main(["info", "first.png"]) == 0
    assert re.search(r"--protect +faces:80\n", capsys.readouterr().out)


def test_a_picture_names_no_file_as_an_area(main: Main, engine: Engine, capsys: pytest.CaptureFixture[str]) -> None:
    said = {"size": 64, "protect": "/etc/passwd", "mask": "subject", "style_mask": ["/etc/passwd"]}
    write_image(Path("old.png"), read_image("photo.png").image, settings=json.dumps(said))
    assert main([*PAINT, "--like", "old.png"]) == 0
    assert engine.guides == {"mask": None, "style_mask": None, "protect": None}
    assert "ignored its mask, style_mask, protect, which a picture may not decide" in capsys.readouterr().err


def test_like_refuses_settings_of_another_version(main: Main, capsys: pytest.CaptureFixture[str]) -> None:
    write_image("old.png", torch.rand(1, 3, 20, 30), settings='{"brush": 3}')
    assert main([*PAINT, "--like", "old.png"]) == 2
    assert "--like old.png holds settings that this version cannot use: there is no setting 'brush'" in (
        capsys.readouterr().err
    )


def test_alpha_and_bits_reach_the_file(main: Main) -> None:
    half = np.zeros((HEIGHT, WIDTH, 4), np.uint8)
    half[:, : WIDTH // 2] = 255
    Image.fromarray(half).save("cut.png")
    assert main(["paint", "cut.png", "wave.png", "--bits", "16", "-o", "out.png", "--size", "32"]) == 0
    picture = read_image("out.png")
    assert picture.alpha is not None
    torch.testing.assert_close(picture.alpha[0, 0, 3], torch.tensor([1.0] * 16 + [0.0] * 16))
    assert Path("out.png").read_bytes()[24] == 16  # bit depth in the PNG header


@pytest.mark.parametrize(
    ("options", "camera", "place"),
    [((), False, False), (("--keep-metadata",), True, False), (("--keep-location",), True, True)],
)
def test_metadata_is_kept_when_asked(main: Main, options: tuple[str, ...], camera: bool, place: bool) -> None:
    exif = Image.Exif()
    exif[0x010F] = "Leica"
    exif.get_ifd(0x8825)[1] = "N"
    keywords = xmp_packet(None, None, catalogue=Catalogue(keywords=("cat",), rating=4))
    assert keywords is not None
    Image.new("RGB", (WIDTH, HEIGHT), "red").save("exif.jpg", exif=exif, xmp=keywords)
    assert main(["paint", "exif.jpg", "wave.png", "-o", "out.jpg", *options]) == 0
    assert read_image("out.jpg").catalogue == (Catalogue(keywords=("cat",), rating=4) if camera else None)
    with Image.open("out.jpg") as picture:
        assert (0x010F in picture.getexif()) == camera
        assert bool(picture.getexif().get_ifd(0x8825)) == place


def test_previews_lie_beside_the_output_and_stay(main: Main, engine: Engine) -> None:
    seen: list[bytes | None] = []

    def look() -> None:
        path = Path("out.preview.png")
        seen.append(path.read_bytes()[16:24] if path.exists() else None)

    engine.at_step = dict.fromkeys((1, 2, 3, 4), look)
    assert main([*PAINT, "-o", "out.png", "--preview-every", "2", "--size", "32"]) == 0
    half = (WIDTH // 2).to_bytes(4) + (HEIGHT // 2).to_bytes(4)  # as the PNG header has them
    assert seen == [None, None, half, half]
    assert Path("out.preview.png").exists()


def test_weights_are_passed_on(main: Main, tmp_path: Path) -> None:
    (tmp_path / "w.pth").touch()
    assert main([*PAINT, "--weights", "w.pth"]) == 0
    assert main.weights == [Path("w.pth")]


@pytest.mark.slow
def test_the_real_network_paints(capsys: pytest.CaptureFixture[str]) -> None:
    assert commands.main([*PAINT, "--size", "96", "--quality", "draft", "--json", "-o", "out.png"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["size"] == [96, 60]
    assert report["losses"]["total"] == pytest.approx(sum(report["losses"].values()) / 2, rel=1e-4)
    painted, photograph = read_image("out.png").image, read_image("photo.png", 96).image
    # The painting is navy, the photograph orange: some of the navy must have come over.
    assert painted[:, 0].mean() < photograph[:, 0].mean() - 0.05


# Ctrl-C


def press() -> None:
    signal.raise_signal(signal.SIGINT)


def test_ctrl_c_keeps_the_picture_at_its_full_size(
    main: Main, engine: Engine, capsys: pytest.CaptureFixture[str]
) -> None:
    before = signal.getsignal(signal.SIGINT)
    engine.at_step[2] = press
    assert main([*PAINT, "--json", "--size", "32"]) == 130
    out, err = capsys.readouterr()
    assert json.loads(out)["interrupted"] is True
    assert "stopped at evaluation 2 of 4, about 2 s before its end; the picture so far is kept" in err
    with Image.open("photo-wave.png") as picture:
        assert picture.size == (WIDTH, HEIGHT)
        assert picture.getpixel((5, 7)) == (102, 102, 102)  # 2/5 of 255
    assert signal.getsignal(signal.SIGINT) is before


def test_a_third_ctrl_c_while_the_process_ends_is_not_heard(
    main: Main, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def press_twice() -> None:
        press()
        press()

    engine.at_step[2] = press_twice
    monkeypatch.setattr(sys, "argv", ["impasto", *PAINT])
    before = signal.getsignal(signal.SIGINT)
    try:
        assert commands.main(painter=main.painting) == 130
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


def test_a_second_ctrl_c_ends_at_once(main: Main, engine: Engine, capsys: pytest.CaptureFixture[str]) -> None:
    def press_twice() -> None:
        press()
        press()

    engine.at_step[2] = press_twice
    before = signal.getsignal(signal.SIGINT)
    assert main(PAINT) == 130
    assert capsys.readouterr().err.endswith("stopped; nothing was written\n")
    assert not Path("photo-wave.png").exists()
    assert signal.getsignal(signal.SIGINT) is before


def test_ctrl_c_before_the_first_step_ends_at_once(
    main: Main, engine: Engine, capsys: pytest.CaptureFixture[str]
) -> None:
    engine.at_step[1] = press
    assert main(PAINT) == 130
    assert capsys.readouterr() == ("", "stopped; nothing was written\n")


# The other commands


def test_demo_paints_a_sample_with_the_first_painting(
    main: Main, engine: Engine, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["demo", "--photo", "coffee", "--size", "48", "-q"]) == 0
    assert capsys.readouterr() == ("coffee-wave.png\n", "")
    content, style, settings = engine.calls[0]
    assert (max(content.image.shape), settings.size) == (48, 48)
    assert [path.name for path in style] == ["wave.png"]


def test_demo_without_scikit_image_has_one_photograph_and_says_what_brings_more(
    main: Main, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("impasto.images.gallery.find_spec", lambda name: None)
    assert main(["demo", "--size", "48", "-q"]) == 0
    assert capsys.readouterr().out == "rocket-wave.png\n"
    assert sample_names() == ["rocket"]
    assert main(["demo", "--photo", "chelsea"]) == 2
    assert "pip install 'impasto[samples]'" in capsys.readouterr().err


def test_styles_are_listed_and_drawn(
    main: Main, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("impasto.images.gallery._networks", lambda: {"storm-fast": None})
    assert main(["styles"]) == 0
    assert capsys.readouterr().out == "night\nstorm\nstorm-fast\n"
    assert main(["styles", "--sheet", "sheet.png"]) == 0
    assert capsys.readouterr().out == "sheet.png\n"
    with Image.open("sheet.png") as sheet:
        assert sheet.size == (30, 10)


def test_info_says_what_is_here(main: Main, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["torch"] == torch.__version__
    assert "cpu" in facts["devices"]
    assert facts["weights"]["verified"] is True
    assert main(["info"]) == 0
    shown = capsys.readouterr().out
    for words in ("hash as published", "CC BY 4.0", "auto takes", facts["cache"]):
        assert words in shown.replace("\n", " ")


def test_info_without_weights_is_still_an_answer(
    main: Main, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("IMPASTO_WEIGHTS", str(tmp_path / "none.pth"))
    assert main(["info", "--json"]) == 0
    assert "does not exist" in json.loads(capsys.readouterr().out)["weights"]["error"]


def test_info_downloads_only_what_is_missing(
    main: Main, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fetched: list[int] = []
    monkeypatch.setattr(download, "download", lambda report: fetched.append(1))
    assert main(["info", "--download"]) == 0
    assert fetched == []

    def nothing(*_: object) -> None:
        raise WeightsError("no weights")

    monkeypatch.setattr(weights, "find_weights", nothing)
    assert main(["info", "--download"]) == 0
    assert fetched == [1]


def test_a_picture_too_long_for_its_format_is_refused_before_the_work(
    main: Main, engine: Engine, capsys: pytest.CaptureFixture[str]
) -> None:
    Image.new("RGB", (16400, 16)).save("long.png")
    assert main(["paint", "long.png", "wave.png", "--size", "full", "-o", "out.webp"]) == 2
    assert "16383" in capsys.readouterr().err
    assert engine.calls == []


@pytest.mark.parametrize(("width", "total"), [(80, False), (120, True)])
def test_the_bar_of_a_terminal_fits_on_one_line(engine: Engine, width: int, total: bool) -> None:
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=width, color_system=None)
    photograph = read_image("photo.png", 1024)
    with Terminal(quiet=False, console=console) as terminal:
        for now in engine.steps(photograph, [], Settings()):
            assert terminal.step(now) is Next.STEP
    last = next(
        line for line in reversed(re.split(r"[\r\n]|\x1b\[[0-9;?]*[A-Za-z]", screen.getvalue())) if "100 %" in line
    )
    assert "1024×640 (2/2)" in last
    assert "content 1  style 2.5" in last
    assert ("total 3.5" in last) == total
    assert last.rstrip().endswith("0 s left")
    assert len(last) <= width


@pytest.mark.skipif(sys.platform == "win32", reason="has no pseudo-terminals")
def test_a_real_terminal_shows_the_bar(main: Main, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bar that catches what is written to standard error must not catch itself."""
    import pty

    master, slave = pty.openpty()
    parts: list[bytes] = []

    def look() -> None:
        with contextlib.suppress(OSError):  # how Linux says that the other end is closed
            while part := os.read(master, 4096):
                parts.append(part)

    looking = threading.Thread(target=look)
    looking.start()
    with open(slave, "w", encoding="utf-8") as stream:  # noqa: PTH123 of a descriptor
        monkeypatch.setattr(sys, "stderr", stream)
        assert main([*PAINT, "-o", "out.png"]) == 0
    looking.join()
    os.close(master)
    shown = b"".join(parts).decode()
    assert "note: a note" in shown
    assert "(2/2)" in shown
    assert Path("out.png").exists()


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.4, "0 s"), (59.4, "59 s"), (59.6, "1 min 0 s"), (200, "3 min 20 s"), (7500, "2 h 5 min")]
)
def test_durations_in_words(seconds: float, words: str) -> None:
    assert duration(seconds) == words
