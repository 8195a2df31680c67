import pytest
import torch
from conftest import random_image

from impasto.images.color import (
    _lab,
    change_of,
    color_mode,
    color_moments,
    finish,
    fitted_change,
    grey,
    is_grey,
    match_colors,
    match_histogram,
    match_lightness,
    matrix_root,
    prepare,
    with_colors_of,
)
from impasto.settings import COLOR_MODES


def test_the_root_squared_is_the_matrix():
    matrix = torch.tensor([[2.0, 0.5, 0.0], [0.5, 1.0, 0.2], [0.0, 0.2, 0.3]], dtype=torch.float64)
    torch.testing.assert_close(matrix_root(matrix) @ matrix_root(matrix), matrix)


def test_matched_colours_have_the_palettes_mean_and_covariance():
    image = 0.4 + 0.2 * random_image(20, 31, seed=1)  # far from the border of the cube: nothing is clipped
    palette = color_moments(0.4 + 0.15 * random_image(17, 40, seed=2))
    matched = color_moments(match_colors(image, palette))
    torch.testing.assert_close(matched.mean, palette.mean, atol=1e-5, rtol=0)
    torch.testing.assert_close(matched.covariance, palette.covariance, atol=1e-6, rtol=1e-3)


def test_an_image_matched_to_itself_stays():
    image = random_image(20, 31)
    torch.testing.assert_close(match_colors(image, color_moments(image)), image, atol=1e-4, rtol=0)


@pytest.mark.parametrize("value", [0.0, 0.3, 1.0])
def test_a_flat_or_grey_image_stays_finite(value: float):
    flat = torch.full((1, 3, 20, 31), value)
    grey = random_image(20, 31)[:, :1].expand(1, 3, 20, 31)
    for image in (flat, grey):
        for palette in (flat, grey, random_image(9, 8)):
            matched = match_colors(image, color_moments(palette))
            assert matched.isfinite().all()
            assert 0 <= matched.min() <= matched.max() <= 1


def test_lab_of_known_colours():
    """White, and the red and blue of sRGB, as colour scientists print them (D65)."""
    colors = torch.tensor([[1.0, 1.0, 1.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, 0.0, 0.0]]).mT[None, :, None]
    expected = torch.tensor([[100.0, 0.0, 0.0], [53.24, 80.09, 67.20], [32.30, 79.19, -107.86], [0.0, 0.0, 0.0]])
    torch.testing.assert_close(_lab(colors)[0, :, 0].mT, expected, atol=0.05, rtol=0)


def test_lightness_of_one_under_colours_of_the_other():
    photograph, image = (0.4 + 0.2 * random_image(20, 31, seed) for seed in (1, 2))
    mixed = _lab(with_colors_of(photograph, image))
    torch.testing.assert_close(mixed[:, :1], _lab(image)[:, :1], atol=0.01, rtol=0)
    torch.testing.assert_close(mixed[:, 1:], _lab(photograph)[:, 1:], atol=0.01, rtol=0)
    torch.testing.assert_close(with_colors_of(photograph, photograph), photograph, atol=1e-4, rtol=0)


def test_colours_that_do_not_exist_are_greyed_and_keep_lightness_and_hue():
    photograph = torch.tensor([0.9, 0.0, 0.0])[None, :, None, None].expand(1, 3, 4, 5)
    image = torch.full((1, 3, 4, 5), 0.9)
    light, a, b = _lab(with_colors_of(photograph, image))[0, :, 0, 0]
    assert light == pytest.approx(float(_lab(image)[0, 0, 0, 0]), abs=0.1)
    assert a > 10
    assert b > 0


def test_a_matched_histogram_is_the_palettes_along_any_axis():
    image, palette = random_image(60, 80, seed=1), random_image(70, 50, seed=2) ** 3
    ranks = torch.linspace(0.01, 0.99, 50)
    axes = torch.nn.functional.normalize(torch.randn(8, 3, generator=torch.Generator().manual_seed(5)), dim=1)

    def distance(x: torch.Tensor) -> float:
        ours, theirs = ((axes @ one.flatten(2)[0]).quantile(ranks, dim=1) for one in (x, palette))
        return float((ours - theirs).abs().mean())

    assert distance(match_histogram(image, palette)) < 0.01
    assert distance(match_colors(image, color_moments(palette))) > 0.02


def test_a_quadratic_change_of_colours_is_found_and_made(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("impasto.images.color.STRIP", 7)  # the last strip is shorter
    image = random_image(20, 31).double()
    red, green, blue = image.unbind(1)
    wanted = torch.stack([red**2, 0.1 + 0.8 * green * blue, 0.5 * blue + 0.2 * red], 1)
    found = image + change_of(image, fitted_change(image[0].flatten(1), wanted[0].flatten(1)))
    gap = (found - wanted).square().mean().sqrt()
    assert gap < 0.1 * (image - wanted).square().mean().sqrt()  # the ridge keeps a little of it back
    torch.testing.assert_close((found - wanted).mean((2, 3)), torch.zeros(1, 3).double(), atol=1e-9, rtol=0)


def test_what_is_alike_is_changed_alike():
    generator = torch.Generator().manual_seed(0)
    sky = 0.3 + 0.02 * torch.rand(3, 400, generator=generator, dtype=torch.float64)
    tower = 0.8 + 0.02 * torch.rand(3, 100, generator=generator, dtype=torch.float64)
    colors = torch.cat([sky, tower], 1)
    torn = torch.cat([sky[:, :200] - 0.3, sky[:, 200:] + 0.5, tower], 1)  # one half of the sky black, one as the tower
    found = colors + change_of(colors[None, :, None], fitted_change(colors, torn))[0, :, 0]
    assert found[:, :400].std(1).max() < 0.06
    torch.testing.assert_close(found[:, :400].mean(1), torn[:, :400].mean(1), atol=0.02, rtol=0)  # all of it is moved
    assert (found[:, 400:].mean(1) - found[:, :400].mean(1)).min() > 0.35  # they were 0.5 apart, are to be 0.4


@pytest.mark.parametrize("count", [1, 5])
def test_few_or_equal_colours_are_moved_as_they_are_wanted(count: int):
    colors, wanted = torch.full((3, count), 0.3).double(), torch.full((3, count), 0.7).double()
    image = torch.full((1, 3, 4, 5), 0.3).double()
    found = image + change_of(image, fitted_change(colors, wanted))
    torch.testing.assert_close(found, torch.full_like(image, 0.7))


def test_matched_lightness_by_hand():
    image, target = torch.tensor([0.4, 0.6, 0.5]), torch.tensor([0.2, 0.6, 0.4])
    torch.testing.assert_close(match_lightness(image, target), torch.tensor([0.2, 0.6, 0.4]))


def test_grey_is_of_the_same_luminance_and_knows_a_tint():
    image = random_image(20, 31)
    torch.testing.assert_close(_lab(grey(image))[:, 0], _lab(image)[:, 0], atol=0.01, rtol=0)
    assert _lab(grey(image))[:, 1:].abs().max() < 0.01
    sepia = (grey(image) + torch.tensor([0.1, 0.05, 0.0])[:, None, None]).clamp(0, 1)
    assert is_grey(grey(image))
    assert is_grey(sepia)
    assert not is_grey(image)


@pytest.mark.parametrize("color", COLOR_MODES)
def test_no_colour_mode_gives_nan_or_colours_from_nowhere(color: str):
    colorful = random_image(20, 31)
    greys = [grey(colorful), torch.zeros(1, 3, 20, 31), torch.ones(1, 3, 20, 31)]
    for photograph in (colorful, *greys):
        for painting in (random_image(17, 40, seed=1), *greys):
            mode = color_mode(color, [painting])
            content, [style] = prepare(mode, photograph, [painting])
            for one in (content, style, finish(mode, content, photograph)):
                assert one.isfinite().all()
                assert 0 <= one.min() <= one.max() <= 1
            if color != "painting" and is_grey(photograph):
                assert is_grey(finish(mode, content, photograph))
                assert is_grey(style) or color == "lab"


def test_a_grey_painting_keeps_the_photographs_colours():
    photograph, drawing = random_image(20, 31), grey(random_image(17, 40, seed=1))
    for color in ("match", "histogram"):
        assert color_mode(color, [drawing]) == "photo"
        assert color_mode(color, [photograph]) == color
    assert finish("photo", grey(photograph), photograph).allclose(photograph, atol=1e-3)
