"""The style images that ship, the gallery that finds them, and the code that paints them."""

import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageChops
from scipy import ndimage

from impasto.errors import SettingsError
from impasto.images.gallery import (
    contact_sheet,
    find_style,
    network_facts,
    network_file,
    network_names,
    network_path,
    style_facts,
    style_names,
    style_path,
)
from impasto.network.transform_file import load_transform
from impasto.styles import generate
from impasto.styles.brush import Brush, cover, lit, paint_strokes, primed, scatter, trace
from impasto.styles.fields import blend_angles, mix, noise, paint, ramp

NAMES = style_names()
BROAD = Brush(radius=60, length=300)


def grey(name: str) -> np.ndarray:
    """A style image at half size, where a painter's eye and the network look: (height, width) in [0, 1]."""
    with Image.open(style_path(name)) as picture:
        return np.asarray(picture.convert("L").reduce(2), np.float32) / 255


def test_every_name_has_one_file_one_painter_and_no_file_is_left_over():
    shipped = {path.stem for path in style_path(NAMES[0]).parent.glob("*.jpg")}
    assert len(NAMES) >= 8
    assert shipped == set(NAMES) == set(generate.STYLES)


@pytest.mark.parametrize("name", NAMES)
def test_file_is_a_plain_srgb_jpeg_of_the_stated_size_and_light_enough_to_ship(name):
    facts = style_facts(name)
    assert style_path(name).stat().st_size <= 350_000
    with Image.open(style_path(name)) as picture:
        assert (picture.format, picture.mode) == ("JPEG", "RGB")
        assert (picture.height, picture.width) == (facts.height, facts.width)
    assert sorted((facts.height, facts.width)) == [768, 1024]
    assert facts.licence == "CC0-1.0"
    assert facts.description.endswith(".")


@pytest.mark.parametrize("name", NAMES)
def test_picture_has_contrast_strokes_and_no_blank_part(name):
    picture = grey(name)
    assert picture.std() > 0.12
    # strokes: what a blur of 6 pixels takes away, in the picture and in each of its 4 × 4 parts
    strokes = (picture - ndimage.gaussian_filter(picture, 6)) ** 2
    assert strokes.mean() ** 0.5 > 0.03
    for rows in np.array_split(strokes, 4, axis=0):
        for part in np.array_split(rows, 4, axis=1):
            assert part.mean() ** 0.5 > 0.006


def test_names_and_facts_of_the_gallery():
    assert len({style_facts(name).title for name in NAMES}) == len(NAMES)
    assert style_facts("stained-glass").title == "Stained glass"


@pytest.mark.parametrize(
    ("wrong", "meant"), [("nocturn", "nocturne"), ("styles/INK.PNG", "ink"), ("stained_glass", "stained-glass")]
)
def test_a_wrong_name_is_an_error_that_names_the_closest_and_lists_all(wrong, meant):
    for find in (style_path, style_facts, find_style):
        with pytest.raises(SettingsError, match=f"{wrong}'.*; did you mean {meant}[?]") as caught:
            find(wrong)
        assert all(name in str(caught.value) for name in NAMES)


def test_a_name_like_no_other_is_an_error_without_a_guess():
    with pytest.raises(SettingsError, match="'xyzzy' is neither a file nor a style that ships; choose from: nocturne"):
        find_style("xyzzy")


def test_a_file_wins_over_a_name_and_a_folder_does_not(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("ink").mkdir()
    assert find_style("ink") == style_path("ink")
    Path("wave").write_bytes(b"mine")
    assert find_style("wave") == Path("wave")
    assert find_style(tmp_path / "wave") == tmp_path / "wave"


def test_every_network_that_ships_is_what_its_facts_say():
    names = network_names()
    assert {path.stem for path in style_path(NAMES[0]).parent.glob("*.safetensors")} == set(names)
    assert not set(names) & set(NAMES)
    for name in names:
        facts = network_facts(name)
        _, about = load_transform(network_path(name))
        assert (about.names, about.strength) == (facts.paintings, facts.strength)
        assert set(facts.paintings) <= set(NAMES)
        assert network_path(name).stat().st_size <= 1_000_000
        assert facts.description.endswith(".")


@pytest.mark.parametrize("name", network_names())
def test_a_network_that_ships_is_found_by_its_name(name, tmp_path, monkeypatch):
    (painting,) = network_facts(name).paintings
    assert find_style(name) == network_path(name)
    assert find_style(f"{name}:{painting}") == Path(f"{network_path(name)}:{painting}")
    assert network_file(f"{name}:{painting}=1") == (network_path(name), f"{painting}=1")
    with pytest.raises(SettingsError, match=f"did you mean {name}[?]"):
        find_style(name[:-1])
    with pytest.raises(SettingsError, match="there is no network 'other'; choose from: "):
        network_path("other")
    monkeypatch.chdir(tmp_path)
    Path(name).mkdir()
    assert network_file(name) == (network_path(name), "")
    Path(name).rmdir()
    Path(name).write_bytes(b"mine")
    assert network_file(name) is None
    assert find_style(name) == Path(name)


def test_contact_sheet_shows_every_style_in_order_and_its_name():
    sheet = contact_sheet(columns=4, thumbnail=75)
    margin, label = 5, 10
    for i, name in enumerate(NAMES):
        left, top = margin + i % 4 * 80, margin + i // 4 * 87
        with Image.open(style_path(name)) as picture:
            side = min(picture.size)
            x, y = (picture.width - side) // 2, (picture.height - side) // 2
            expected = picture.crop((x, y, x + side, y + side)).resize((75, 75))
        shown = sheet.crop((left, top, left + 75, top + 75))
        assert np.asarray(ImageChops.difference(shown, expected)).mean() < 4
        words = np.asarray(sheet.crop((left, top + 75, left + 75, top + 75 + label)).convert("L"))
        assert words.min() < 128 < words.max()
    assert sheet.height > sheet.width * 0.75


def test_the_gallery_imports_neither_torch_nor_pillow():
    found = "print(*{'torch', 'PIL', 'numpy'} & set(sys.modules))"
    code = f"import sys, impasto.images.gallery as g; g.find_style('ink'); {found}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


@pytest.mark.parametrize("name", ["woodcut", "wave", "stained-glass"])  # the rest take seconds even when small
def test_a_small_render_is_the_same_each_time_and_resembles_what_ships(name):
    small = generate.render(name, scale=0.125)
    assert (small.height, small.width) == (style_facts(name).height // 8, style_facts(name).width // 8)
    assert small.tobytes() == generate.render(name, scale=0.125).tobytes()
    with Image.open(style_path(name)) as picture:
        shipped = np.asarray(picture.resize((8, 8), Image.Resampling.BOX), np.float32)
    assert np.abs(shipped - np.asarray(small.resize((8, 8), Image.Resampling.BOX))).mean() < 20


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_the_generator_paints_what_ships(name):
    # both as JPEG, so that only rounding on another machine differs: another seed is at 20 or more
    painted = Image.open(io.BytesIO(generate.as_jpeg(generate.render(name))))
    with Image.open(style_path(name)) as picture:
        assert np.abs(np.asarray(painted, np.float32) - np.asarray(picture)).mean() < 2


def test_another_seed_paints_another_picture():
    first, second = (generate.STYLES["stained-glass"](48, 64, np.random.default_rng(seed)) for seed in (0, 1))
    assert np.abs(first - second).mean() > 0.02


def test_strokes_are_laid_the_same_from_the_same_seed():
    def painted(seed: int) -> np.ndarray:
        rng = np.random.default_rng(seed)
        canvas = primed(40, 60, paint("808080"))
        cover(canvas, noise((40, 60), 3, rng)[..., None].repeat(3, axis=2), noise((40, 60), 3, rng), rng, (BROAD, 90))
        return lit(canvas)

    np.testing.assert_array_equal(painted(5), painted(5))
    assert np.abs(painted(5) - painted(6)).mean() > 0.02


def test_as_jpeg_lowers_the_quality_until_the_file_is_small_enough(monkeypatch):
    pixels = np.random.default_rng(0).integers(0, 256, (60, 80, 3), dtype=np.uint8)
    best = len(generate.as_jpeg(Image.fromarray(pixels)))
    monkeypatch.setattr(generate, "LARGEST_FILE", best * 3 // 4)
    assert best // 2 < len(generate.as_jpeg(Image.fromarray(pixels))) <= best * 3 // 4
    monkeypatch.setattr(generate, "LARGEST_FILE", 100)
    with pytest.raises(ValueError, match="80 × 60 pixels does not fit into 100 bytes"):
        generate.as_jpeg(Image.fromarray(pixels))


def test_a_stroke_follows_its_angle_and_leaves_its_colour_and_thickness():
    canvas = primed(40, 60, paint("000000"))
    right = np.zeros((40, 60), np.float32)
    brush = Brush(radius=50, length=500, dry=0, spread=0)  # thousandths of 60 pixels: 3 and 30
    points, red = np.array([[20.0, 30.0]], np.float32), np.array([[1.0, 0.0, 0.0]], np.float32)
    paint_strokes(canvas, brush, points, right, red, np.random.default_rng(0))
    assert canvas.color[20, 20:40].tolist() == [[1.0, 0.0, 0.0]] * 20
    rows, columns = np.nonzero(canvas.thickness)
    assert columns.min() == pytest.approx(15, abs=1)
    assert columns.max() == pytest.approx(45, abs=1)
    assert rows.min() >= 16
    assert rows.max() <= 23


def test_trace_keeps_its_way_where_the_field_turns_its_sign():
    angle = np.zeros((10, 40), np.float32)
    angle[:, 20:] = np.pi  # the same direction, written the other way round
    path = trace(np.array([[5.0, 20.5]], np.float32), angle, np.array([12.0], np.float32), steps=6)
    np.testing.assert_allclose(np.abs(np.diff(path[0, :, 1])), 2.0, rtol=1e-6)
    assert abs(path[0, -1, 1] - path[0, 0, 1]) == pytest.approx(12)


def test_scatter_covers_the_canvas_at_its_spacing():
    canvas = primed(300, 500, paint("ffffff"))
    points = scatter(canvas, 40, np.random.default_rng(0))  # 20 pixels
    inside = points[(points >= 0).all(axis=1) & (points < (300, 500)).all(axis=1)].astype(int)
    assert len(inside) == pytest.approx(300 * 500 / 20**2, rel=0.05)
    empty = np.ones((300, 500), bool)
    empty[inside[:, 0], inside[:, 1]] = False
    assert ndimage.distance_transform_edt(empty).max() < 2 * 20
    left = np.zeros((300, 500), np.float32)
    left[:, :250] = 1
    assert scatter(canvas, 40, np.random.default_rng(0), density=left)[:, 1].max() < 250


def test_ramp_ends_on_its_colours_and_mixes_between():
    black, middle, white = ramp(np.array([-1.0, 0.5, 2.0]), "000000 ffffff")
    np.testing.assert_allclose([black, white], [[0, 0, 0], [1, 1, 1]], atol=2e-3)
    np.testing.assert_allclose(middle, 119 / 255, atol=3e-3)  # CIELAB L = 50 is sRGB 119


def test_mix_of_a_colour_field_and_one_colour():
    field, amount = np.zeros((2, 3, 3)), np.array([[0, 0.5, 1], [0.25, 0, 0]])
    np.testing.assert_allclose(mix(field, np.array([1.0, 2.0, 4.0]), amount)[0, 1], [0.5, 1, 2])
    np.testing.assert_allclose(mix(np.zeros((2, 3)), np.ones((2, 3)), amount), amount)


def test_blended_angles_know_that_a_stroke_has_no_front():
    # 10 degrees and 170 degrees are 20 degrees apart: their middle is the horizontal, not the vertical
    first, second = np.deg2rad([[10.0]]), np.deg2rad([[170.0]])
    assert np.sin(blend_angles(first, second, np.array([[0.5]]))).item() == pytest.approx(0, abs=1e-6)


def test_noise_is_the_same_composition_at_any_size():
    small, large = (noise((height, width), 5, np.random.default_rng(3)) for height, width in ((30, 50), (90, 150)))
    np.testing.assert_allclose(small, large[1::3, 1::3], atol=1e-5)
    assert small.std() > 0.05
