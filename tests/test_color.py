import pytest
import torch
from conftest import random_image

from impasto.color import color_moments, match_colors, matrix_root


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
