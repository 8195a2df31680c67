"""Defects that were confirmed in other style transfer programs: each is a test here."""

from __future__ import annotations

import importlib
import pkgutil
import re
import socket
import ssl
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pytest
import torch
from conftest import Main, random_image
from PIL import Image, ImageCms

import impasto
from impasto.images.gallery import find_style, style_names
from impasto.images.reading import read_image, write_image
from impasto.methods.schedule import weights_for
from impasto.network.vgg import VGG19
from impasto.network.weights import find_weights
from impasto.objective.moments import moments
from impasto.objective.objective import Objective, style_moments
from impasto.painting import Painter, Progress
from impasto.settings import Settings, layer_weights

PAINT = ["paint", "photo.png", "wave.png", "-o", "out.png", "--size", "64", "--quality", "draft"]
PHOTO, WAVE = random_image(40, 64, seed=1), random_image(48, 32, seed=2)


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path.parent / "cache"))
    write_image("photo.png", PHOTO)
    write_image("wave.png", WAVE)
    return tmp_path


def test_what_is_called_normalised_is_normalised(tiny_network: VGG19) -> None:
    """ "Normalised" gradients were only multiplied by the weight: here each term is relative to its target."""
    weights = replace(weights_for(Settings(), 1.0, fine=False), style_layers={"relu3_1": 1.0})
    content, style, image = PHOTO.double(), WAVE.double(), random_image(40, 64, seed=3).double()
    terms = []
    for factor in (1.0, 5.0):
        network = scaled(tiny_network, factor)
        objective = Objective(network, content, style_moments(network, style, weights.layers), weights)
        terms.append(objective(image).terms["style"])
    torch.testing.assert_close(*terms)


def scaled(network: VGG19, factor: float) -> Any:
    """The same features, so many times as large."""

    class Scaled:
        def __getattr__(self, name: str) -> Any:
            return getattr(network, name)

        def __call__(self, *arguments: Any, **named: Any) -> Any:
            return {name: f * factor for name, f in network(*arguments, **named).items()}

    return Scaled()


def test_style_does_not_depend_on_the_size_of_the_picture() -> None:
    """A Gram matrix was divided by the largest dimension, whichever that was."""
    features = torch.rand(1, 5, 6, 7, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    one, four = moments(features), moments(features.repeat(1, 1, 2, 2))
    torch.testing.assert_close(one.gram, four.gram)


def test_the_first_command_works_without_a_graphics_card(main: Main, monkeypatch: pytest.MonkeyPatch) -> None:
    """The README's command failed, and the processor could not be chosen: `.cuda()` was called all the same."""

    def absent(*_: object, **__: object) -> NoReturn:
        raise AssertionError("Torch not compiled with CUDA enabled")

    for name in ("synchronize", "init", "current_device", "set_device", "_lazy_init"):
        monkeypatch.setattr(torch.cuda, name, absent)
    monkeypatch.setattr(torch.Tensor, "cuda", absent)
    assert main([*PAINT, "--device", "cpu"]) == 0
    assert Path("out.png").exists()


def test_no_name_that_numpy_has_dropped() -> None:
    """The default run failed with `module 'numpy' has no attribute 'float'`."""
    for path in Path(impasto.__file__).parent.rglob("*.py"):
        assert not re.search(
            r"\bnp\.(float|int|bool|object|str|complex|float_|product|cumproduct)\b", path.read_text()
        ), path


class Watched:
    """A painter whose every step is looked at."""

    def __init__(self, painter: Painter, look: Callable[[Progress], object]) -> None:
        self.painter, self.look = painter, look

    def steps(self, *arguments: Any, **named: Any) -> Iterator[Progress]:
        for now in self.painter.steps(*arguments, **named):
            self.look(now)
            yield now


def test_a_walk_that_ends_early_is_written_and_the_last_is_kept(tiny_painter: Painter) -> None:
    """The picture was written at evaluation 999 only, whether or not it was ever reached or the last."""
    seen: list[torch.Tensor] = []
    main = Main(Watched(tiny_painter, lambda now: seen.append(now.image)))
    assert main([*PAINT[:-1], "good", "--bits", "16"]) == 0  # ends by its tolerance
    assert len(seen) < 80
    torch.testing.assert_close(read_image("out.png").image, seen[-1], atol=1 / 65535, rtol=0)


def test_palettes_grey_with_alpha_and_sixteen_bits() -> None:
    """Palette indices were taken for brightness, LA had two channels, 16 bits were taken for 8."""
    color = Image.new("RGB", (40, 30), (200, 100, 50))
    color.quantize(4).save("palette.png")
    color.convert("LA").save("la.png")
    Image.fromarray(np.full((30, 40), 128 * 257, np.uint16)).save("sixteen.png")
    expected = {"palette.png": (200, 100, 50), "la.png": (124, 124, 124), "sixteen.png": (128, 128, 128)}
    for name, values in expected.items():
        found = read_image(name).image
        assert found.shape == (1, 3, 30, 40)
        torch.testing.assert_close(found[0, :, 5, 5] * 255, torch.tensor(values).float(), atol=1.5, rtol=0)


def test_nothing_is_written_before_the_end(tiny_painter: Painter, here: Path) -> None:
    """A black picture was written to the output's path before the work, and stayed when it was interrupted."""
    before = sorted(path.name for path in here.iterdir())
    seen: list[list[str]] = []
    main = Main(Watched(tiny_painter, lambda now: seen.append(sorted(path.name for path in here.iterdir()))))
    assert main(PAINT) == 0
    assert seen == [before] * len(seen) != []
    assert sorted(path.name for path in here.iterdir()) == sorted([*before, "out.png"])  # and no trace.json beside


def test_orientation_and_a_ramp_of_sixteen_bits() -> None:
    """Photographs lay on their side; a ramp of 16 bits came back with three levels."""
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (40, 20)).save("side.jpg", exif=exif)
    assert read_image("side.jpg").image.shape == (1, 3, 40, 20)
    ramp = np.linspace(0, 65535, 20 * 40).astype(np.uint16).reshape(20, 40)
    Image.fromarray(ramp).save("ramp.png")
    assert len(read_image("ramp.png").image[0, 0].unique()) == 800


def test_a_palette_with_a_colour_profile() -> None:
    """It crashed: such a profile fits the palette's colours, not its indices."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    Image.new("RGB", (40, 30), (200, 100, 50)).quantize(4).save("palette.png", icc_profile=profile)
    found = read_image("palette.png").image[0, :, 5, 5]
    torch.testing.assert_close(found * 255, torch.tensor([200.0, 100.0, 50.0]), atol=1.5, rtol=0)


def test_red_stays_red_grey_and_alpha_are_read_and_weights_are_no_whole_numbers() -> None:
    """Red and blue were swapped, grey and RGBA failed, weights were parsed as whole numbers."""
    for mode, color in (("RGB", (250, 0, 0)), ("RGBA", (250, 0, 0, 255))):
        Image.new(mode, (40, 30), color).save("red.png")
        red, green, blue = impasto.paint("red.png", "wave.png", strength=0).split()[:3]
        assert (np.asarray(red) == 250).all()
        assert not np.asarray(green).any()
        assert not np.asarray(blue).any()
    Image.new("L", (40, 30), 99).save("grey.png")
    assert read_image("grey.png").image.shape == (1, 3, 30, 40)
    assert layer_weights("relu1_1=0.25") == {"relu1_1": 0.25}


def every_module() -> list[str]:
    """Of impasto, but those whose extra is not installed."""
    names = [m.name for m in pkgutil.walk_packages(impasto.__path__, "impasto.") if not m.name.endswith("__main__")]
    loaded = []
    for name in names:
        try:
            importlib.import_module(name)
        except ImportError:
            continue
        loaded.append(name)
    return loaded


def test_certificates_are_checked_after_every_import() -> None:
    """Importing a module switched the checking of certificates off for the whole process."""
    assert "impasto.network.download" in every_module()
    assert ssl._create_default_https_context is ssl.create_default_context
    assert ssl.create_default_context().verify_mode == ssl.CERT_REQUIRED


def test_no_torchvision_and_no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Imports hung on a private table of torchvision, demo pictures and weights on a server."""

    def offline(*_: object, **__: object) -> NoReturn:
        raise AssertionError("the network is used")

    monkeypatch.setattr(socket, "getaddrinfo", offline)
    monkeypatch.setattr(socket.socket, "connect", offline)
    before = set(sys.modules)  # other tests may have imported what they like
    assert every_module()
    assert "torchvision" not in set(sys.modules) - before
    assert find_weights().verified
    assert all(find_style(name).exists() for name in style_names())
