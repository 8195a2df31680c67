"""Pictures in and out: every format, mode and orientation, and every way a file can be wrong."""

from __future__ import annotations

import errno
import io
import json
import os
import struct
import sys
import types
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import pyvips
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms
from PIL.TiffImagePlugin import IFDRational

from impasto.errors import ImageError, SettingsError
from impasto.images.formats import EXTENSIONS, sniff
from impasto.images.reading import (
    MINIMUM_SIDE,
    Picture,
    check_writable,
    fit,
    read_image,
    read_settings,
    resize,
    to_image,
    to_pil,
    write_image,
)

HEIGHT, WIDTH = 20, 30
HALF_LEVEL = 0.5 / 255 + 1e-6
LOSSLESS = [".png", ".tif", ".tiff"]
SETTINGS = json.dumps({"style_scale": 1.5, "note": "<a & \"b\">\n'é'"})


def smooth(height: int = HEIGHT, width: int = WIDTH) -> torch.Tensor:
    """Red rises downwards, green to the right, blue is a constant: no two corners or axes look alike."""
    red = torch.linspace(0.1, 0.9, height)[:, None].expand(height, width)
    green = torch.linspace(0.0, 1.0, width)[None].expand(height, width)
    return torch.stack([red, green, torch.full((height, width), 0.3)])[None].contiguous()


def pixels(height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    return (smooth(height, width)[0].permute(1, 2, 0) * 255).round().to(torch.uint8).numpy()


def expected(samples: np.ndarray) -> torch.Tensor:
    """The slow, obvious way from (H, W, 3) samples to an image."""
    peak = np.iinfo(samples.dtype).max
    return torch.from_numpy(np.moveaxis(samples.astype(np.float64) / peak, 2, 0)[None].astype(np.float32))


def saved(path: Path, image: Image.Image, **options: object) -> Path:
    image.save(path, **options)
    return path


def names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


def close(a: torch.Tensor, b: torch.Tensor, tolerance: float) -> None:
    torch.testing.assert_close(a, b, rtol=0, atol=tolerance)


# Formats


@pytest.mark.parametrize("extension", EXTENSIONS)
def test_what_is_written_is_read(tmp_path: Path, extension: str) -> None:
    path = tmp_path / f"painted{extension}"
    write_image(path, smooth())
    picture = read_image(path)
    close(picture.image, smooth(), HALF_LEVEL if extension in LOSSLESS else 0.05)
    assert picture.image.dtype == torch.float32
    assert picture.image.is_contiguous()
    assert picture.alpha is None
    assert (picture.full_height, picture.full_width) == (HEIGHT, WIDTH)
    assert picture.settings is None
    assert names(tmp_path) == [path.name]


def test_the_extension_names_the_format(tmp_path: Path) -> None:
    found = {}
    for extension in EXTENSIONS:
        write_image(tmp_path / f"a{extension.upper()}", smooth())
        found[extension] = sniff((tmp_path / f"a{extension.upper()}").read_bytes()[:64])
    assert found == {extension: form.name for extension, form in EXTENSIONS.items()}


@pytest.mark.parametrize("extension", [".png", ".tif"])
def test_sixteen_bits_survive(tmp_path: Path, extension: str) -> None:
    path = tmp_path / f"deep{extension}"
    write_image(path, smooth(), bits=16)
    close(read_image(path).image, smooth(), 0.5 / 65535 + 1e-7)


@pytest.mark.parametrize("extension", [".jpg", ".webp", ".avif"])
def test_sixteen_bits_where_the_format_has_eight(tmp_path: Path, extension: str) -> None:
    with pytest.raises(ImageError, match=r"no 16 bits.*\.png, \.tif"):
        write_image(tmp_path / f"deep{extension}", smooth(), bits=16)


@pytest.mark.parametrize("extension", EXTENSIONS)
def test_written_files_say_that_they_are_srgb(tmp_path: Path, extension: str) -> None:
    path = tmp_path / f"a{extension}"
    write_image(path, smooth())
    with Image.open(path) as image:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(image.info["icc_profile"]))
    assert "srgb" in ImageCms.getProfileDescription(profile).lower()


def test_quality_is_heard(tmp_path: Path) -> None:
    noise = torch.rand(1, 3, 64, 96, generator=torch.Generator().manual_seed(0))
    for extension in (".jpg", ".webp", ".avif"):
        sizes = []
        for quality in (20, 95):
            write_image(tmp_path / f"a{extension}", noise, quality=quality)
            sizes.append((tmp_path / f"a{extension}").stat().st_size)
        assert sizes[0] < 0.7 * sizes[1], extension
    with pytest.raises(SettingsError, match="quality=101"):
        write_image(tmp_path / "a.jpg", noise, quality=101)


def test_values_are_rounded_not_truncated() -> None:
    image = torch.full((1, 3, HEIGHT, WIDTH), 0.9999 / 255)
    assert np.asarray(to_pil(image)).max() == 1
    assert np.asarray(to_pil(image * 0.49)).max() == 0
    assert np.asarray(to_pil(torch.full_like(image, 1.2))).min() == 255
    assert np.asarray(to_pil(torch.full_like(image, -0.2))).max() == 0


def test_to_pil_and_back() -> None:
    alpha = torch.linspace(0.2, 1, WIDTH).expand(1, 1, HEIGHT, WIDTH)
    assert to_pil(smooth()).size == (WIDTH, HEIGHT)
    picture = to_image(to_pil(smooth(), alpha))
    close(picture.image, smooth(), HALF_LEVEL)
    close(picture.alpha, alpha, HALF_LEVEL)


def test_more_rows_than_one_strip(tmp_path: Path) -> None:
    image = smooth(600, 40)
    write_image(tmp_path / "tall.png", image)
    close(read_image(tmp_path / "tall.png").image, image, HALF_LEVEL)


# Modes


def test_every_pillow_mode_from_file_and_memory_alike(tmp_path: Path) -> None:
    color = Image.fromarray(pixels())
    grey = color.convert("L")
    for mode, image, truth in [
        ("RGB", color, pixels()),
        ("L", grey, np.asarray(grey.convert("RGB"))),
        ("LA", grey.convert("LA"), np.asarray(grey.convert("RGB"))),
        ("RGBA", color.convert("RGBA"), pixels()),
        ("P", (palette := color.quantize(16)), np.asarray(palette.convert("RGB"))),
        ("1", (bits := color.convert("1")), np.asarray(bits.convert("RGB"))),
    ]:
        path = saved(tmp_path / f"{mode}.png", image)
        assert image.mode == mode
        for picture in (read_image(path), to_image(image)):
            assert picture.image.shape == (1, 3, HEIGHT, WIDTH), mode
            close(picture.image, expected(truth), 1e-6)
            assert picture.alpha is None, mode  # opaque everywhere


@pytest.mark.parametrize("mode", ["YCbCr", "HSV", "RGBX", "RGBa", "La", "PA"])
def test_modes_that_live_in_memory_only(mode: str) -> None:
    grey = mode in ("La", "PA")
    source = Image.fromarray(pixels()).convert("LA" if grey else "RGBA" if mode == "RGBa" else "RGB").convert(mode)
    truth = Image.fromarray(pixels()).convert("L" if grey else "RGB").convert("RGB")
    close(to_image(source).image, expected(np.asarray(truth)), 0.03)


def test_sixteen_bit_grey_is_not_clipped(tmp_path: Path) -> None:
    ramp = np.linspace(0, 65535, 20 * 400).astype(np.uint16).reshape(20, 400)
    path = saved(tmp_path / "a.png", Image.fromarray(ramp))
    for source in (path, Image.fromarray(ramp), Image.fromarray(ramp.astype(np.int32)), ramp):
        picture = to_image(source)
        close(picture.image, expected(np.repeat(ramp[..., None], 3, 2)), 1e-6)
        assert len(picture.image.unique()) > 7000


def test_sixteen_bit_colour_and_alpha_from_tiff(tmp_path: Path) -> None:
    samples = np.dstack([pixels(), np.full((HEIGHT, WIDTH), 100, np.uint8)]).astype(np.uint16, order="C") * 256 + 7
    image = pyvips.Image.new_from_memory(samples.data, WIDTH, HEIGHT, 4, "ushort").copy(interpretation="rgb16")
    image.tiffsave(tmp_path / "a.tif")
    picture = read_image(tmp_path / "a.tif")
    close(picture.image, expected(samples[..., :3]), 1e-6)
    close(picture.alpha, torch.full((1, 1, HEIGHT, WIDTH), (25600 + 7) / 65535), 1e-6)


def test_samples_that_are_not_whole_numbers(tmp_path: Path) -> None:
    image = pyvips.Image.new_from_array(pixels().astype(np.float32))
    image.copy(interpretation="scrgb").tiffsave(tmp_path / "a.tif")
    with pytest.raises(ImageError, match=r"a\.tif has samples of type float"):
        read_image(tmp_path / "a.tif")
    with pytest.raises(SettingsError, match="mode F"):
        to_image(Image.fromarray(np.zeros((HEIGHT, WIDTH), np.float32)))
    with pytest.raises(SettingsError, match="mode I"):
        to_image(Image.fromarray(np.full((HEIGHT, WIDTH), 70000, np.int32)))


def test_too_many_channels(tmp_path: Path) -> None:
    image = pyvips.Image.new_from_array(np.zeros((HEIGHT, WIDTH, 7), np.uint8))
    image.tiffsave(tmp_path / "a.tif")
    with pytest.raises(ImageError, match="7 channels"):
        read_image(tmp_path / "a.tif")


# Alpha


@pytest.mark.parametrize("extension", [".png", ".tif", ".webp", ".avif"])
def test_alpha_survives(tmp_path: Path, extension: str) -> None:
    alpha = torch.linspace(0.25, 1, WIDTH).expand(1, 1, HEIGHT, WIDTH)
    write_image(tmp_path / f"a{extension}", smooth(), alpha=alpha)
    picture = read_image(tmp_path / f"a{extension}")
    close(picture.image, smooth(), HALF_LEVEL if extension in LOSSLESS else 0.05)
    close(picture.alpha, alpha, HALF_LEVEL if extension in LOSSLESS else 0.02)


def test_jpeg_lays_the_picture_on_white(tmp_path: Path) -> None:
    write_image(tmp_path / "a.jpg", torch.zeros(1, 3, 40, 24), alpha=torch.full((1, 1, 40, 24), 0.25))
    close(read_image(tmp_path / "a.jpg").image, torch.full((1, 3, 40, 24), 0.75), 0.01)


def test_colours_do_not_darken_at_the_border_of_alpha(tmp_path: Path) -> None:
    """Premultiplied while resizing: the black that hides beside white must not leak into it."""
    samples = np.zeros((40, 60, 4), np.uint8)
    samples[:, :31] = 255
    path = saved(tmp_path / "a.png", Image.fromarray(samples))
    tensor = to_image(to_image(samples), 20)
    for picture in (read_image(path, 20), read_image(path, 90), to_image(Image.fromarray(samples), 20), tensor):
        assert picture.image.min() > 0.99
        assert picture.alpha[..., 0].min() > 0.99
        assert picture.alpha[..., -1].max() < 0.01


def test_a_resized_border_of_alpha_has_one_colour(tmp_path: Path) -> None:
    """Visible white, visible black, hidden: the hidden mean, a grey, must not leak into the black."""
    samples = np.zeros((48, 96, 4), np.uint8)
    samples[:, :64, 3] = 255
    samples[:, :32, :3] = 255
    path = saved(tmp_path / "a.png", Image.fromarray(samples))
    for picture in (read_image(path, 37), to_image(to_image(samples), 37)):
        visible = (picture.alpha > 0.1).expand_as(picture.image)[..., 18:]
        assert visible[..., -16:].any()
        assert picture.image[..., 18:][visible].max() < 0.02


def test_resizing_with_alpha_keeps_constants_exactly(tmp_path: Path) -> None:
    samples = np.tile(np.array([210, 33, 77, 253], np.uint8), (48, 64, 1))
    picture = read_image(saved(tmp_path / "a.png", Image.fromarray(samples)), 31)
    close(picture.image, expected(samples[:23, :31, :3]), 1e-6)
    close(picture.alpha, torch.full((1, 1, 23, 31), 253 / 255), 1e-6)


def test_hidden_pixels_take_the_mean_of_what_shows(tmp_path: Path) -> None:
    samples = np.zeros((HEIGHT, WIDTH, 4), np.uint8)
    samples[:, :10] = 100, 20, 50, 255
    samples[:, 10:20] = 50, 20, 50, 255
    picture = read_image(saved(tmp_path / "a.png", Image.fromarray(samples)))
    close(picture.image[0, :, 5, 25], torch.tensor([75, 20, 50]) / 255, 1e-5)
    close(picture.image[0, :, 5, 15], torch.tensor([50, 20, 50]) / 255, 1e-6)


# Orientation


@pytest.mark.parametrize("extension", [".jpg", ".png", ".webp", ".tif"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientations(tmp_path: Path, orientation: int, extension: str) -> None:
    upright = Image.fromarray(pixels(32, 48))
    inverse = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    stored = upright.transpose(inverse[orientation]) if orientation > 1 else upright
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"exif": exif, "quality": 100} | ({"subsampling": 0} if extension == ".jpg" else {})
    path = saved(tmp_path / f"a{extension}", stored, **options)
    with Image.open(path) as image:
        pictures = [read_image(path), to_image(image)]
    for picture in pictures:
        assert picture.image.shape == (1, 3, 32, 48)
        close(picture.image, smooth(32, 48), 0.05)
        assert (picture.full_height, picture.full_width) == (32, 48)
    small = read_image(path, 24)
    close(small.image, smooth(16, 24), 0.08)
    assert (small.full_height, small.full_width) == (32, 48)


def test_a_large_file_on_its_side_streams(tmp_path: Path) -> None:
    """libvips cannot turn what it reads in strips: seen as 'out of order read' from about 5000 rows."""
    exif = Image.Exif()
    exif[0x0112] = 6
    path = saved(tmp_path / "a.jpg", Image.new("RGB", (640, 6000), (200, 100, 50)), exif=exif)
    assert read_image(path).image.shape == (1, 3, 640, 6000)
    assert read_image(path, 600).image.shape == (1, 3, 64, 600)


# Colour profiles


def with_profile(samples: np.ndarray, interpretation: str, profile: bytes) -> pyvips.Image:
    image = pyvips.Image.new_from_array(samples).copy(interpretation=interpretation)
    image.set_type(pyvips.GValue.blob_type, "icc-profile-data", profile)
    return image


P3 = pyvips.Image.profile_load("p3")
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


@pytest.mark.parametrize("extension", [".png", ".jpg", ".tif", ".webp", ".avif"])
def test_a_wide_gamut_picture_is_converted(tmp_path: Path, extension: str) -> None:
    """By the matrices of both standards Display P3 (187, 87, 67) is sRGB (201.5, 79.1, 59.5): more vivid."""
    samples = np.tile(np.array([187, 87, 67], np.uint8), (32, 48, 1))
    image, path = with_profile(samples, "srgb", P3), str(tmp_path / f"a{extension}")
    image.write_to_file(path, **({} if extension in LOSSLESS else {"Q": 100}))
    with Image.open(path) as opened:
        pictures = [read_image(path), to_image(opened), read_image(path, 24)]
    for picture in pictures:
        close(picture.image.mean((2, 3)) * 255, torch.tensor([[201.5, 79.1, 59.5]]), 2)


def test_wide_gamut_in_sixteen_bits_with_alpha(tmp_path: Path) -> None:
    samples = np.tile(np.array([187, 87, 67, 128], np.uint16) * 257, (32, 48, 1))
    with_profile(samples, "rgb16", P3).pngsave(tmp_path / "a.png")
    picture = read_image(tmp_path / "a.png")
    close(picture.image.mean((2, 3)) * 255, torch.tensor([[201.5, 79.1, 59.5]]), 0.5)
    close(picture.alpha, torch.full((1, 1, 32, 48), 128 / 255), 1e-4)


def test_an_srgb_profile_changes_nothing(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.png", Image.fromarray(pixels()), icc_profile=SRGB)
    close(read_image(path).image, expected(pixels()), 1e-6)


def test_palette_with_a_profile(tmp_path: Path) -> None:
    palette = Image.fromarray(pixels()).quantize(16)
    path = saved(tmp_path / "a.png", palette, icc_profile=SRGB)
    close(read_image(path).image, expected(np.asarray(palette.convert("RGB"))), 1e-6)
    with Image.open(path) as opened:
        close(to_image(opened).image, expected(np.asarray(palette.convert("RGB"))), 1e-6)


@pytest.mark.parametrize("profile", [b"not a profile" * 20, P3, pyvips.Image.profile_load("cmyk")])
def test_a_profile_that_does_not_fit_is_no_reason_to_fail(profile: bytes) -> None:
    for mode in ("RGB", "L", "LA", "RGBA"):
        source = Image.fromarray(pixels()).convert(mode)
        source.info["icc_profile"] = profile
        assert to_image(source).image.shape == (1, 3, HEIGHT, WIDTH)


def test_cmyk(tmp_path: Path) -> None:
    """Paper is white, full ink nearly black, and cyan is cyan: an inverted file would show the opposite."""
    ink = np.zeros((32, 48, 4), np.uint8)
    ink[:, 16:32] = 255, 0, 0, 0
    ink[:, 32:] = 255, 255, 255, 255
    path = saved(tmp_path / "a.jpg", Image.fromarray(ink, mode="CMYK"), quality=100)
    saved(tmp_path / "a.tif", Image.fromarray(ink, mode="CMYK"))
    with Image.open(path) as opened:
        pictures = [read_image(path), read_image(tmp_path / "a.tif"), to_image(opened)]
    for picture in pictures:
        white, cyan, black = (picture.image[0, :, 16, column] for column in (5, 24, 43))
        assert white.min() > 0.97
        assert cyan[0] < 0.2
        assert cyan[2] > 0.8
        assert black.max() < 0.15


def test_cmyk_with_its_own_profile_in_sixteen_bits(tmp_path: Path) -> None:
    samples = np.tile(np.array([65535, 0, 0, 0], np.uint16), (32, 48, 1))
    with_profile(samples, "cmyk", pyvips.Image.profile_load("cmyk")).tiffsave(tmp_path / "a.tif")
    cyan = read_image(tmp_path / "a.tif").image.mean((2, 3))[0]
    assert cyan[0] < 0.2
    assert cyan[2] > 0.8


# Size


@pytest.mark.parametrize(("height", "width"), [(20, 30), (31, 17), (100, 333), (16, 4000), (333, 334)])
@pytest.mark.parametrize("size", [8, 16, 100, 257])
def test_the_longer_side_is_exactly_the_size(tmp_path: Path, height: int, width: int, size: int) -> None:
    path = saved(tmp_path / "a.png", Image.new("RGB", (width, height), (10, 200, 30)))
    image = read_image(path, size).image
    longer, shorter = max(height, width), min(height, width)
    assert max(image.shape[-2:]) == size
    assert min(image.shape[-2:]) == max(1, round(shorter * size / longer))
    assert (height > width) == (image.shape[-2] > image.shape[-1]) or image.shape[-2] == image.shape[-1]
    close(image, (torch.tensor([10, 200, 30]) / 255)[None, :, None, None].expand_as(image), 1e-6)


def test_shrinking_averages_rather_than_skips(tmp_path: Path) -> None:
    stripes = np.zeros((64, 96, 3), np.uint8)
    stripes[:, ::2] = 255
    path = saved(tmp_path / "a.png", Image.fromarray(stripes))
    for image in (read_image(path, 12).image, resize(expected(stripes), 8, 12)):
        assert (image - 0.5).abs().max() < 0.05


def test_to_image_resizes_every_kind(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.png", Image.fromarray(pixels(64, 96)))
    sources = [path, str(path), Image.fromarray(pixels(64, 96)), pixels(64, 96), smooth(64, 96)]
    for source in [*sources, to_image(path)]:
        picture = to_image(source, 48)
        close(picture.image, smooth(32, 48), 0.02)
        assert (picture.full_height, picture.full_width) == (64, 96)


# Resize laws


def test_resize_by_hand() -> None:
    """One row of 0 0 1 1, halved: symmetric about one half, within the range."""
    image = torch.tensor([0.0, 0.0, 1.0, 1.0]).expand(1, 3, 1, 4)
    half = resize(image, 1, 2)[0, 0, 0]
    assert half.sum() == pytest.approx(1, abs=1e-6)
    assert 0 <= half[0] < 0.1


@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 40), st.integers(1, 40), st.floats(0, 1, width=32))
@settings(max_examples=60, deadline=None)
def test_resize_keeps_constants_and_range(height: int, width: int, to_height: int, to_width: int, v: float) -> None:
    constant = resize(torch.full((1, 3, height, width), v), to_height, to_width)
    assert constant.shape == (1, 3, to_height, to_width)
    assert (constant == v).all()
    image = torch.rand(2, 3, height, width, generator=torch.Generator().manual_seed(height * 41 + width))
    result = resize(image, to_height, to_width)
    assert (result.amin((2, 3)) >= image.amin((2, 3))).all()
    assert (result.amax((2, 3)) <= image.amax((2, 3))).all()
    close(resize(image.flip(3), to_height, to_width), result.flip(3), 1e-5)
    close(resize(image.mT, to_width, to_height), result.mT, 1e-5)
    close(resize(image[1:], to_height, to_width), result[1:], 0)


def test_resize_to_the_same_size_is_the_identity() -> None:
    close(resize(smooth(), HEIGHT, WIDTH), smooth(), 0)


def test_fit() -> None:
    assert fit(20, 30, 15) == (10, 15)
    assert fit(30, 20, 15) == (15, 10)
    assert fit(1000, 10, 50) == (50, 1)
    assert fit(683, 1024, 512) == (342, 512)
    assert fit(3, 5000, 64) == (1, 64)


# Objects


@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.float32, np.float64, np.float16])
def test_arrays(kind: type) -> None:
    peak = np.iinfo(kind).max if np.issubdtype(kind, np.integer) else 1
    image = smooth()[0].permute(1, 2, 0).numpy().astype(np.float64)
    samples = np.round(image * peak).astype(kind) if peak > 1 else image.astype(kind)
    alpha = np.full((HEIGHT, WIDTH, 1), 0.5)
    for array in (samples, np.dstack([samples, (alpha * peak).astype(kind)]), samples[::-1][::-1]):
        before = array.copy()
        picture = to_image(array)
        close(picture.image, smooth(), HALF_LEVEL)
        assert (picture.alpha is not None) == (array.shape[2] == 4)
        picture.image.zero_()
        np.testing.assert_array_equal(array, before)
    samples.flags.writeable = False
    grey = to_image(samples[..., 0])
    close(to_image(samples).image, smooth(), HALF_LEVEL)
    close(grey.image, smooth()[:, :1].expand(-1, 3, -1, -1), HALF_LEVEL)


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_an_array_is_made_smaller_as_a_file_is(tmp_path: Path, channels: int) -> None:
    samples = np.random.default_rng(0).integers(0, 256, (61, 90, channels), np.uint8)
    Image.fromarray(samples.squeeze()).save(path := tmp_path / "picture.png")
    file, array = read_image(path, 40), to_image(samples, 40)
    assert (array.image.shape, array.full_height, array.full_width) == (file.image.shape, 61, 90)
    close(array.image, file.image, 1e-6)
    assert (array.alpha is None) == (file.alpha is None)
    if array.alpha is not None and file.alpha is not None:
        close(array.alpha, file.alpha, 1e-6)


def test_tensors() -> None:
    image = smooth()
    for tensor in (image, image[0], image.double(), image.requires_grad_()):
        picture = to_image(tensor)
        close(picture.image, smooth(), 1e-6)
        assert not picture.image.requires_grad
    assert (to_image(smooth() * 1.001).image <= 1).all()  # rounding is forgiven, and clamped


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (np.zeros((3, 20, 30), np.uint8), r"shape \(3, 20, 30\)"),
        (np.zeros((20, 30, 2), np.uint8), r"shape \(20, 30, 2\)"),
        (np.zeros(20, np.uint8), r"shape \(20,\)"),
        (np.zeros((20, 30, 3), np.int64), "int64"),
        (np.full((20, 30, 3), 255.0), r"0, 1\]; divide by 255"),
        (np.full((20, 30, 3), np.nan), "nan"),
        (np.full((20, 30, 3), -0.5), "-0.5"),
        (torch.zeros(2, 3, 20, 30), r"shape \(2, 3, 20, 30\)"),
        (torch.zeros(20, 30, 3), r"shape \(20, 30, 3\)"),
        (torch.zeros(3, 20, 30, dtype=torch.uint8), "uint8.*255"),
        (torch.full((3, 20, 30), 1.5), "1.5"),
        (torch.full((3, 20, 30), torch.nan), "nan"),
        (None, "NoneType"),
        (7, "int"),
    ],
)
def test_what_is_not_a_picture_in_memory(source: object, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        to_image(source)


def test_small_objects_are_refused() -> None:
    for source in (Image.new("L", (30, 3)), np.zeros((3, 30)), torch.zeros(3, 3, 30), np.zeros((0, 30, 3))):
        with pytest.raises(ImageError, match=rf"30 × [03] pixels; at least {MINIMUM_SIDE}"):
            to_image(source)


def test_a_truncated_pillow_image() -> None:
    buffer = io.BytesIO()
    Image.effect_noise((96, 64), 50).save(buffer, "JPEG")
    with (
        Image.open(io.BytesIO(buffer.getvalue()[:-1000])) as image,
        pytest.raises(ImageError, match="damaged or cut short"),
    ):
        to_image(image)


# Settings and metadata


@pytest.mark.parametrize("extension", EXTENSIONS)
def test_settings_survive(tmp_path: Path, extension: str) -> None:
    path = tmp_path / f"a{extension}"
    write_image(path, smooth(), settings=SETTINGS)
    assert read_settings(path) == SETTINGS
    assert read_image(path).settings == SETTINGS
    with Image.open(path) as image:
        assert to_image(image).settings == SETTINGS
    write_image(path, smooth())  # the file has changed: nothing is remembered by its name
    assert read_settings(path) is None


def test_settings_that_another_program_wrote_anew(tmp_path: Path) -> None:
    packet = (
        b'<?xpacket begin="" id="x"?><x:xmpmeta xmlns:x="adobe:ns:meta/"><r:RDF '
        b'xmlns:r="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><r:Description xmlns:q="urn:impasto:">'
        b"<q:settings>{&quot;seed&quot;: 3}</q:settings></r:Description></r:RDF></x:xmpmeta>\n   <?xpacket end='w'?>"
    )
    path = saved(tmp_path / "a.webp", Image.fromarray(pixels()), xmp=packet)
    assert read_settings(path) == '{"seed": 3}'
    saved(path, Image.fromarray(pixels()), xmp=packet.replace(b"</x:xmpmeta>", b""))
    assert read_settings(path) is None


def test_settings_that_do_not_fit(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="settings take"):
        write_image(tmp_path / "a.jpg", smooth(), settings="x" * 70_000)
    assert not list(tmp_path.iterdir())


def photograph(path: Path) -> Path:
    """A photograph on its side with everything that a camera writes."""
    exif = Image.Exif()
    exif[0x010F], exif[0x0110], exif[0x8298], exif[0x0112] = "Canon", "EOS R5", "(c) Ada & Bob (2024)", 6
    camera = exif.get_ifd(0x8769)
    camera[0x9003], camera[0x829A], camera[0x927C] = "2024:05:06 07:08:09", IFDRational(1, 125), b"secret place"
    camera[0xA001], camera[0xA002] = 65535, 9999
    place = exif.get_ifd(0x8825)
    place[1], place[2] = "N", (48.0, 31.0, 12.0)
    return saved(path, Image.fromarray(pixels()), exif=exif.tobytes())


@pytest.mark.parametrize("extension", [".jpg", ".png", ".webp", ".avif"])
@pytest.mark.parametrize("source", ["a.jpg", "a.webp", "a.tif"])
def test_the_photographs_metadata(tmp_path: Path, source: str, extension: str) -> None:
    picture = read_image(photograph(tmp_path / source))
    assert b"secret" in (tmp_path / source).read_bytes()
    assert b"secret" not in picture.metadata
    for keep_location in (False, True):
        path = tmp_path / f"painted{extension}"
        write_image(path, picture.image, settings=SETTINGS, metadata=picture.metadata, keep_location=keep_location)
        with Image.open(path) as image:
            exif = image.getexif()
            camera, place = exif.get_ifd(0x8769), exif.get_ifd(0x8825)
        assert (exif[0x010F], exif[0x0110], exif[0x8298]) == ("Canon", "EOS R5", "(c) Ada & Bob (2024)")
        assert exif.get(0x0112, 1) == 1
        assert camera[0x9003] == "2024:05:06 07:08:09"
        assert float(camera[0x829A]) == 1 / 125
        assert camera.get(0x927C, b"").strip(b"\0") == b""
        assert camera.get(0xA002, WIDTH) in (HEIGHT, WIDTH)
        assert (2 in place) == keep_location
        assert b"secret" not in path.read_bytes()
        assert read_image(path).image.shape == (1, 3, WIDTH, HEIGHT)  # not turned twice
        assert read_settings(path) == SETTINGS


def test_metadata_of_a_pillow_image_and_into_tiff(tmp_path: Path) -> None:
    with Image.open(photograph(tmp_path / "a.jpg")) as image:
        picture = to_image(image)
    write_image(tmp_path / "a.tif", picture.image, metadata=picture.metadata)
    with Image.open(tmp_path / "a.tif") as image:
        packet = image.info["xmp"].decode()
    for text in ('tiff:Make="Canon"', "(c) Ada &amp; Bob (2024)", 'exif:DateTimeOriginal="2024-05-06T07:08:09"'):
        assert text in packet


@pytest.mark.parametrize(
    "metadata", [b"", b"nonsense", b"Exif\0\0II*\0\xff\xff\xff\xff", b"Exif\0\0MM\0*" + b"\x01" * 99]
)
def test_damaged_metadata_costs_nothing(tmp_path: Path, metadata: bytes) -> None:
    write_image(tmp_path / "a.jpg", smooth(), metadata=metadata)
    close(read_image(tmp_path / "a.jpg").image, smooth(), 0.05)


def test_no_metadata_unless_asked(tmp_path: Path) -> None:
    picture = read_image(photograph(tmp_path / "a.jpg"))
    write_image(tmp_path / "b.jpg", picture.image)
    assert b"Canon" not in (tmp_path / "b.jpg").read_bytes()


# Density


def with_density(path: Path, dots: float) -> Path:
    """WebP and AVIF have a place for it in the EXIF only."""
    exif = Image.Exif()
    exif[0x011A], exif[0x011B], exif[0x0128] = dots / 2.54, dots / 2.54, 3
    return saved(path, Image.fromarray(pixels()), dpi=(dots, dots), exif=exif.tobytes())


@pytest.mark.parametrize("extension", EXTENSIONS)
@pytest.mark.parametrize("metadata", [False, True])
def test_the_density_of_the_photograph_stays(tmp_path: Path, extension: str, metadata: bool) -> None:
    picture = read_image(with_density(tmp_path / f"a{extension}", 300), 24)
    assert picture.density == pytest.approx(300, abs=0.1)
    with Image.open(tmp_path / f"a{extension}") as image:
        if "dpi" in image.info:
            assert to_image(image).density == pytest.approx(300, abs=0.1)
    path = tmp_path / f"b{extension}"
    kept = read_image(photograph(tmp_path / "c.jpg")).metadata if metadata else None
    write_image(path, picture.image, density=picture.density, metadata=kept, settings=SETTINGS)
    assert read_image(path).density == pytest.approx(300, abs=0.1)


@pytest.mark.parametrize("extension", EXTENSIONS)
def test_a_picture_without_density_has_that_of_a_screen(tmp_path: Path, extension: str) -> None:
    path = tmp_path / f"a{extension}"
    write_image(path, smooth())
    assert read_image(path).density == pytest.approx(72, abs=0.1)


@pytest.mark.parametrize("dpi", [(0, 0), (float("nan"), 1), ("a", "b"), 300, (1e9, 1e9)])
def test_a_density_that_cannot_be_is_none(dpi: object) -> None:
    image = Image.fromarray(pixels())
    image.info["dpi"] = dpi
    assert to_image(image).density is None


# Pictures for Python


@pytest.mark.parametrize("extension", EXTENSIONS)
@pytest.mark.parametrize("alpha", [False, True])
def test_what_python_saves_says_how_it_was_painted(tmp_path: Path, extension: str, alpha: bool) -> None:
    opacity = torch.full((1, 1, HEIGHT, WIDTH), 0.5) if alpha and extension not in (".jpg", ".jpeg") else None
    picture = to_pil(smooth(), opacity, settings=SETTINGS, density=240)
    assert to_image(picture).settings == SETTINGS
    for name, again in (("a", picture), ("b", picture.copy())):
        again.save(tmp_path / f"{name}{extension}")
        found = read_image(tmp_path / f"{name}{extension}")
        assert found.settings == SETTINGS
        if extension not in (".webp", ".avif"):  # where Pillow writes no density
            assert found.density == pytest.approx(240, abs=0.1)
    with (tmp_path / f"c{extension}").open("wb") as file:
        picture.save(file, {".jpg": "JPEG", ".tif": "TIFF"}.get(extension))
    assert read_settings(tmp_path / f"c{extension}") == SETTINGS


def test_what_is_passed_to_save_counts_more(tmp_path: Path) -> None:
    picture = to_pil(smooth(), settings=SETTINGS)
    picture.save(tmp_path / "fine.jpg")
    picture.save(tmp_path / "small.jpg", quality=20, dpi=(100, 100))
    picture.save(tmp_path / "a.bmp")  # which has no place for settings
    assert (tmp_path / "small.jpg").stat().st_size < (tmp_path / "fine.jpg").stat().st_size
    assert read_image(tmp_path / "small.jpg").density == 100


def test_bytes_and_open_files_are_pictures(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    write_image(path, smooth(), settings=SETTINGS)
    content = path.read_bytes()
    with path.open("rb") as file:
        for source in (content, bytearray(content), memoryview(content), io.BytesIO(content), file):
            picture = to_image(source)
            close(picture.image, smooth(), HALF_LEVEL)
            assert picture.settings == SETTINGS


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (b"", r"the picture \(bytes\) is empty"),
        (b"hello, what is this", r"the picture \(bytes\) is a text, not a picture that can be read"),
        (io.BytesIO(b"\x89PNG\r\n\x1a\n"), r"the picture \(file object\) is damaged"),
        (io.StringIO("text"), r"the picture \(file object\) gives str, not bytes; open it with mode 'rb'"),
    ],
)
def test_bytes_that_are_no_picture(source: object, words: str) -> None:
    with pytest.raises((ImageError, SettingsError), match=words):
        to_image(source)


# Files that are wrong


def refused(path: Path, *parts: str, **limits: int) -> None:
    """`read_image` says in one ImageError what is wrong with which file, and nothing of libvips' own words."""
    with pytest.raises(ImageError) as caught:
        read_image(path, **limits)
    message = str(caught.value)
    for part in (path.name, *parts):
        assert part in message, message
    assert "unable to call" not in message
    assert "\n" not in message


def test_missing_file(tmp_path: Path) -> None:
    (tmp_path / "holiday.jpg").touch()
    refused(tmp_path / "holidays.jpg", "does not exist", f"did you mean {tmp_path / 'holiday.jpg'}?")
    refused(tmp_path / "zzz.png", "does not exist", "check its name")
    refused(tmp_path / "nowhere" / "a.png", "there is no folder")
    refused(tmp_path / "holiday.jpg" / "a.png", "no folder")


def test_folder_empty_pipe(tmp_path: Path) -> None:
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "folder.jpg").mkdir()
    os.mkfifo(tmp_path / "pipe.jpg")
    refused(tmp_path / "empty.jpg", "is empty")
    refused(tmp_path / "folder.jpg", "is a folder")
    refused(tmp_path / "pipe.jpg", "is not a file")
    with pytest.raises(ImageError, match="cannot be opened"):
        read_image(tmp_path / "null\0.jpg")


def test_no_permission(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    path = saved(tmp_path / "a.png", Image.fromarray(pixels()))
    monkeypatch.setattr(Path, "open", denied)
    refused(path, "may not be read")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"\n<!DOCTYPE html><html><body>404</body></html>", "an HTML page"),
        (b"\xef\xbb\xbf<html>", "an HTML page"),
        (b"<?xml version='1.0'?><svg xmlns='x'/>", "an SVG drawing"),
        (b"%PDF-1.7\n%\xe2\xe3", "a PDF document"),
        (b"\0\0\0\x20ftypisom\0\0\x02\0isomiso2avc1mp41", "an MP4 or QuickTime video"),
        (b"\0\0\0\x14ftypqt  \0\0\0\0qt  ", "an MP4 or QuickTime video"),
        (b"\x1aE\xdf\xa3\x01\0\0\0", "a WebM or Matroska video"),
        (b"RIFF\x10\0\0\0AVI LIST", "an AVI video"),
        (b"PK\x03\x04\x14\0", "a ZIP archive"),
        (b"GIF89a\x01\0\x01\0", "a GIF picture"),
        ("Grüße an alle ".encode() * 60, "a text"),
        (b"\0\0\0\x18ftypcrx \0\0\0\0crx isom", "a Canon raw photograph"),
        (b"II*\0\x10\0\0\0CR\x02\0", "a Canon raw photograph"),
        (bytes(range(1, 200)), "a file of an unknown kind"),
        (b"\0", "a file of an unknown kind"),
    ],
)
def test_files_that_are_no_pictures(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "photo.jpg"
    path.write_bytes(content)
    refused(path, f"is {words}", "give a PNG, JPEG, TIFF, WebP, AVIF or HEIC file")
    with pytest.raises(ImageError, match="photo"):
        read_settings(path)


def test_the_name_does_not_matter(tmp_path: Path) -> None:
    write_image(tmp_path / "a.png", smooth())
    liar = (tmp_path / "a.png").rename(tmp_path / "a[page=3].jpg")
    close(read_image(liar).image, smooth(), HALF_LEVEL)


def test_names_that_are_not_utf8(tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"caf\xe9 \xe2\x98\x95.png")
    write_image(path, smooth(), settings=SETTINGS)
    assert read_settings(path) == SETTINGS


def heic(tmp_path: Path) -> Path:
    path = tmp_path / "a.heic"
    path.write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(100))
    return path


def test_heic_without_its_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    refused(heic(tmp_path), "HEIC picture", "pip install pillow-heif")
    assert sniff(b"\0\0\0\x1cftypmif1\0\0\0\0mif1heicmiaf") == "HEIC"
    assert sniff(b"\0\0\0\x1cftypmif1\0\0\0\0mif1avifmiaf") == "AVIF"


def test_heic_with_its_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def opened(file: io.RawIOBase) -> Image.Image:
        assert file.read(8)[4:] == b"ftyp"
        return Image.fromarray(pixels())

    monkeypatch.setitem(sys.modules, "pillow_heif", types.SimpleNamespace(HeifImageFile=opened))
    close(read_image(heic(tmp_path)).image, smooth(), HALF_LEVEL)
    refused(heic(tmp_path), "30 × 20 pixels", max_pixels=100)


def png(path: Path, *chunks: tuple[bytes, bytes], height: int = HEIGHT, width: int = WIDTH) -> Path:
    """A PNG by hand: RGB of 8 bits, the header and then these chunks."""
    content = b"\x89PNG\r\n\x1a\n"
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    for kind, data in ((b"IHDR", header), *chunks, (b"IEND", b"")):
        content += struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    path.write_bytes(content)
    return path


def bomb(path: Path, height: int, width: int) -> Path:
    """A file of a few bytes that declares any size."""
    return png(path, (b"IDAT", zlib.compress(bytes(1000))), height=height, width=width)


def test_what_libvips_says_about_a_profile_named_in_latin_1(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    profile = b"\xc9cran\0\0" + zlib.compress(SRGB[:128] + b"\xff\xff" + SRGB[130:])
    rows = zlib.compress(bytes(HEIGHT * (1 + WIDTH * 3)))
    picture = read_image(png(tmp_path / "a.png", (b"iCCP", profile), (b"IDAT", rows)))
    close(picture.image, torch.zeros(1, 3, HEIGHT, WIDTH), 0)
    assert capfd.readouterr() == ("", "")


def test_limits_before_decoding(tmp_path: Path) -> None:
    refused(bomb(tmp_path / "bomb.png", 60_000, 50_000), "50000 × 60000 pixels, 3,000 million", "at most 400 million")
    refused(bomb(tmp_path / "short.png", 600, 500), "damaged or cut short")
    path = saved(tmp_path / "a.png", Image.fromarray(pixels()))
    refused(path, "30 × 20 pixels", max_pixels=599)
    assert read_image(path, max_pixels=600).full_height == 20
    refused(path, f"{path.stat().st_size:,} bytes", "at most 100 are read", max_bytes=100)


@pytest.mark.parametrize(("height", "width"), [(1, 1), (3, 5000), (5000, 3), (15, 400)])
def test_too_small(tmp_path: Path, height: int, width: int) -> None:
    path = saved(tmp_path / "a.png", Image.new("RGB", (width, height)))
    refused(path, f"{width} × {height} pixels; at least {MINIMUM_SIDE}")


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """One file of each format, with everything in it that can break."""
    folder = tmp_path_factory.mktemp("samples")
    noise = torch.rand(1, 3, 48, 64, generator=torch.Generator().manual_seed(0))
    picture = read_image(photograph(folder / "a.jpg"))
    for extension in EXTENSIONS:
        alpha = None if extension in (".jpg", ".jpeg") else noise[:, :1]
        write_image(folder / f"a{extension}", noise, alpha=alpha, settings=SETTINGS, metadata=picture.metadata)
    return {extension: (folder / f"a{extension}").read_bytes() for extension in EXTENSIONS}


@pytest.mark.parametrize("extension", EXTENSIONS)
@pytest.mark.parametrize("share", [0.05, 0.5, 0.85])
def test_truncated_files(
    tmp_path: Path, samples: dict[str, bytes], extension: str, share: float, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / f"cut{extension}"
    path.write_bytes(samples[extension][: int(len(samples[extension]) * share)])
    refused(path, "damaged or cut short")
    refused_small = pytest.raises(ImageError, match="damaged or cut short")
    with refused_small:
        read_image(path, 32)
    assert capfd.readouterr() == ("", "")


@given(data=st.data())
@settings(
    max_examples=300,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_any_damage_gives_a_picture_or_an_image_error(
    tmp_path: Path, samples: dict[str, bytes], data: st.DataObject
) -> None:
    content = bytearray(samples[data.draw(st.sampled_from(sorted(samples)))])
    # Half of the hits in the headers, where they hurt.
    for _ in range(data.draw(st.integers(0, 8))):
        limit = data.draw(st.sampled_from([200, len(content)]))
        content[data.draw(st.integers(0, min(limit, len(content)) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path / "damaged"
    path.write_bytes(content[: data.draw(st.integers(0, len(content)))] if data.draw(st.booleans()) else content)
    try:
        picture = read_image(path, data.draw(st.sampled_from([None, 20])), max_pixels=10_000)
        read_settings(path)
    except ImageError:
        return
    assert isinstance(picture, Picture)
    assert picture.image.shape[:2] == (1, 3)
    assert 0 <= picture.image.min() <= picture.image.max() <= 1


# Writing that fails


def test_names_that_cannot_be_written(tmp_path: Path) -> None:
    for name in ("picture", "picture.gif", "picture.heic", ".png"):
        with pytest.raises(ImageError, match=r"choose from: \.png, \.jpg, \.jpeg, \.tif, \.tiff, \.webp, \.avif"):
            check_writable(tmp_path / name)
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(ImageError, match="is a folder"):
        check_writable(tmp_path / "folder.png")
    with pytest.raises(ImageError, match="does not exist; create it"):
        check_writable(tmp_path / "nowhere" / "a.png")
    check_writable(str(tmp_path / "a.PNG"), bits=16, longer_side=100_000)
    with pytest.raises(ImageError, match=r"WebP allows 16383 pixels.*not 20000.*\.png"):
        check_writable(tmp_path / "a.webp", longer_side=20_000)
    with pytest.raises(ImageError, match="12 bits per sample here; choose 8 or 16"):
        check_writable(tmp_path / "a.png", bits=12)
    assert names(tmp_path) == ["folder.png"]


def test_read_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(ImageError, match="read-only"):
        write_image(tmp_path / "a.png", smooth())


@contextmanager
def full_disk(free: int) -> Iterator[None]:
    """No file may grow beyond `free` bytes."""
    resource = pytest.importorskip("resource", reason="disks are filled by POSIX's limits")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (free, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("extension", EXTENSIONS)
def test_a_full_disk_leaves_what_was_there(tmp_path: Path, extension: str, capfd: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / f"a{extension}"
    path.write_bytes(b"before")
    noise = torch.rand(1, 3, 200, 300, generator=torch.Generator().manual_seed(0))
    with full_disk(2000), pytest.raises(ImageError, match=rf"cannot write .*a{extension}"):
        write_image(path, noise)
    assert path.read_bytes() == b"before"
    assert names(tmp_path) == [path.name]
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()])
def test_a_failure_at_the_last_moment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    def fail(*_: object) -> None:
        raise error

    path = tmp_path / "a.png"
    path.write_bytes(b"before")
    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(ImageError if isinstance(error, OSError) else KeyboardInterrupt):
        write_image(path, smooth())
    assert path.read_bytes() == b"before"
    assert names(tmp_path) == ["a.png"]


def test_a_link_stays_a_link_and_the_mask_of_the_user_counts(tmp_path: Path) -> None:
    (tmp_path / "link.png").symlink_to(tmp_path / "real.png")
    mask = os.umask(0o027)
    try:
        write_image(tmp_path / "link.png", smooth())
    finally:
        os.umask(mask)
    assert (tmp_path / "link.png").is_symlink()
    assert (tmp_path / "real.png").stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_pictures_that_are_not_numbers(tmp_path: Path, value: float) -> None:
    image = smooth(600, 40)
    image[0, 1, 555, 3] = value
    with pytest.raises(SettingsError, match="NaN or infinite values in rows 512"):
        write_image(tmp_path / "a.png", image)
    with pytest.raises(SettingsError, match=r"\(3, 20, 30\) was given where \(1, 3, 20, 30\)"):
        write_image(tmp_path / "a.png", smooth()[0])
    with pytest.raises(SettingsError, match=r"\(1, 1, 20, 30\)"):
        to_pil(smooth(), torch.ones(1, 1, HEIGHT, 29))
    assert not list(tmp_path.iterdir())
