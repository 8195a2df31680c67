import pytest
import torch
from conftest import random_image
from torch import Tensor

from impasto.images.reading import resize
from impasto.methods.grain import grain, held, of_paintings, product
from impasto.methods.styles import StyleImage
from impasto.painting import Painter
from impasto.settings import Settings


def strength_of(image: Tensor) -> float:
    return float(product(grain(image), grain(image)))


def grainy(height: int, width: int, amount: float, seed: int = 0) -> Tensor:
    noise = torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(seed)) - 0.5
    return (0.25 + 0.5 * random_image(height, width, seed) + amount * noise).clamp(0, 1)


@pytest.mark.parametrize(("height", "width"), [(64, 48), (33, 47), (17, 16)])
def test_what_is_smooth_has_hardly_any_grain_and_a_chequer_has_nothing_else(height: int, width: int):
    ramp = torch.linspace(0, 1, width).expand(1, 3, height, width)
    inside = (..., slice(2, -3), slice(2, -3))  # an odd edge has a mean of fewer pixels
    assert grain(ramp)[inside].abs().max() < 0.2 / width
    chequer = torch.arange(height)[:, None] + torch.arange(width) & 1
    found = grain(chequer.expand(1, 3, height, width).float())[inside]
    torch.testing.assert_close(found.abs(), torch.full_like(found, 0.5), atol=1e-3, rtol=0)


def test_grain_beyond_the_paintings_is_taken_away_and_what_is_coarser_stays():
    picture, painting = grainy(60, 81, 0.3), StyleImage(grainy(50, 70, 0.25, seed=3))
    most = of_paintings([painting])
    assert strength_of(picture) > 1.3 * most
    found = held(picture, most, 50)
    assert strength_of(found) == pytest.approx(float(most), rel=1e-3)
    coarse = [resize(image, 15, 20) for image in (picture, found)]
    assert (coarse[0] - coarse[1]).abs().mean() < 0.1 * (picture - found).abs().mean()


def test_grain_that_cannot_all_be_taken_away_is_as_little_as_can_be():
    picture = grainy(60, 81, 0.3)
    least = held(picture, torch.tensor(0.0), 50)
    fine = grain(picture)
    assert all(strength_of(least) <= strength_of(picture - share * fine) + 1e-7 for share in (0.5, 0.9, 1.0))
    flat = torch.full_like(picture, 0.4)
    torch.testing.assert_close(held(flat, torch.tensor(0.0), 50), flat)


def test_a_picture_with_less_grain_than_its_painting_stays_as_it_is():
    picture = grainy(60, 81, 0.1)
    assert torch.equal(held(picture, of_paintings([StyleImage(grainy(50, 70, 0.3))]), 50), picture)


def test_a_weak_style_takes_less_away():
    picture, most = grainy(60, 81, 0.3), torch.tensor(0.01)
    none, half, all_, more = (held(picture, most, strength) for strength in (0, 25, 50, 90))
    torch.testing.assert_close(none, picture)
    torch.testing.assert_close(half, (picture + all_) / 2, atol=0.02, rtol=0)
    assert torch.equal(all_, more)


def test_what_is_not_painted_does_not_count():
    picture, where = grainy(60, 80, 0.1), torch.ones(1, 1, 60, 80)
    picture[..., :40], where[..., :44] = grainy(60, 40, 2.0, seed=9), 0  # grain sees a little of what is beside it
    most = torch.tensor(strength_of(picture[..., 44:]))
    assert strength_of(held(picture, most, 50, where)[..., 44:]) > 0.9 * most
    assert strength_of(held(picture, most, 50)[..., 44:]) < 0.6 * most


def test_the_grain_of_several_paintings_is_a_mean_by_their_weights():
    fine, coarse = grainy(60, 81, 0.4), grainy(60, 81, 0.05)
    found = of_paintings([StyleImage(fine, weight=3), StyleImage(coarse, weight=1)])
    assert float(found) == pytest.approx(0.75 * strength_of(fine) + 0.25 * strength_of(coarse), rel=1e-4)


@pytest.mark.parametrize("method", ["moments", "matched"])
def test_what_is_shown_at_full_size_has_less_grain_than_what_is_optimised(tiny_painter: Painter, method: str):
    photograph, painting = grainy(64, 83, 0.3), resize(random_image(16, 20, seed=5), 64, 80)
    settings = Settings(quality="draft", method=method, evaluations=8)
    first, *_, last = tiny_painter.steps(photograph, painting, settings)
    for progress, held_back in ((first, False), (last, True)):
        assert progress.position
        found = strength_of(progress.image), strength_of(progress.position.state["now"]["image"])
        assert (found[0] < 0.8 * found[1]) == held_back
