import pytest
import torch
from conftest import random_image
from torch import Tensor

from impasto.images.color import match_histogram
from impasto.methods import starts
from impasto.methods.starts import in_colors_of, with_pieces
from impasto.methods.styles import StyleImage

RED, BLUE, GREEN = ((0.8, 0.1, 0.1), (0.1, 0.1, 0.7), (0.1, 0.6, 0.1))


def halves(left: tuple[float, ...], right: tuple[float, ...], share: float = 0.5, side: int = 48) -> Tensor:
    """(1, 3, side, side): a share of one colour at the left, another at the right."""
    image = torch.tensor(right)[None, :, None, None].expand(1, 3, side, side).clone()
    image[..., : round(share * side)] = torch.tensor(left)[:, None, None]
    return image


def distance(image: Tensor, palette: Tensor) -> float:
    """Between two distributions of colours, along some axes."""
    axes = torch.nn.functional.normalize(torch.randn(8, 3, generator=torch.Generator().manual_seed(5)), dim=1)
    ranks = torch.linspace(0.01, 0.99, 50)
    ours, theirs = ((axes @ one.flatten(2)[0]).quantile(ranks, dim=1) for one in (image, palette))
    return float((ours - theirs).abs().mean())


@pytest.fixture
def all_the_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(starts, "COLOR_SHARE", 1.0)


@pytest.mark.usefixtures("all_the_way")
def test_colours_come_in_the_paintings_proportions():
    photograph, painting = random_image(48, 64, seed=1), random_image(40, 50, seed=2) ** 4
    near, far = (in_colors_of([StyleImage(painting)], photograph, None, 50, proportions=w) for w in (False, True))
    assert distance(far, painting) < 0.6 * distance(near, painting)


@pytest.mark.parametrize("side", [48, 400])  # 400: changes are found in a smaller image
def test_an_object_of_one_colour_stays_of_one_colour(side: int):
    photograph = halves((0.6, 0.55, 0.5), (0.3, 0.3, 0.35), side=side)
    noisy = (photograph + 0.02 * (random_image(side, side) - 0.5)).clamp(0, 1)
    painting = halves(RED, BLUE, 0.8)  # so an object must take colours of both
    painted = in_colors_of([StyleImage(painting)], noisy, None, 50, proportions=True)
    each_for_itself = match_histogram(noisy, painting)
    inside = slice(side // 8, -side // 8)
    for half in (slice(0, side // 2), slice(side // 2, side)):
        ours, theirs = (image[..., half][..., inside].std((2, 3)).max() for image in (painted, each_for_itself))
        assert ours < 0.7 * max(theirs, 0.1)


def test_a_weak_style_moves_colours_a_part_of_the_way():
    photograph, styles = random_image(32, 40, seed=1), [StyleImage(random_image(40, 50, seed=2) ** 4)]
    full = in_colors_of(styles, photograph, None, 50, proportions=True)
    torch.testing.assert_close(in_colors_of(styles, photograph, None, 0, proportions=True), photograph)
    half = in_colors_of(styles, photograph, None, 25, proportions=True)
    torch.testing.assert_close(half, (photograph + full) / 2, atol=1e-5, rtol=0)
    torch.testing.assert_close(in_colors_of(styles, photograph, None, 80, proportions=True), full)


@pytest.mark.usefixtures("all_the_way")
def test_each_region_has_the_colours_of_its_part_of_the_painting():
    regions = torch.zeros(2, 48, 48)
    regions[0, :, :24], regions[1, :, 24:] = 1, 1
    painting = random_image(48, 48, seed=4) ** 4
    painting[..., 24:] = 1 - painting[..., 24:]
    photograph = random_image(48, 48, seed=1)
    painted = in_colors_of([StyleImage(painting, masks=regions)], photograph, regions, 50, proportions=True)
    for part in (slice(0, 24), slice(24, 48), slice(20, 24), slice(24, 28)):  # where regions meet as well
        own = slice(0, 24) if part.start < 24 else slice(24, 48)
        assert distance(painted[..., part], painting[..., own]) < 0.047


def test_a_region_that_a_painting_has_not_takes_anothers_colours():
    regions = torch.zeros(2, 48, 48)
    regions[0, :, :24], regions[1, :, 24:] = 1, 1
    only = torch.zeros(2, 48, 48)
    only[0] = 1
    paintings = [StyleImage(halves(RED, RED), masks=only), StyleImage(halves(BLUE, BLUE), masks=1 - only)]
    painted = in_colors_of(paintings, random_image(48, 48, seed=1), regions, 50, proportions=True)
    torch.testing.assert_close(painted[..., :20].mean((2, 3))[0], torch.tensor(RED), atol=0.05, rtol=0)
    torch.testing.assert_close(painted[..., 28:].mean((2, 3))[0], torch.tensor(BLUE), atol=0.05, rtol=0)


def test_paintings_give_colours_by_their_shares():
    photograph = random_image(48, 48, seed=1)
    whole = halves(GREEN, RED, 0.25)
    shares = [StyleImage(halves(GREEN, GREEN), weight=1), StyleImage(halves(RED, RED), weight=3)]
    expected = in_colors_of([StyleImage(whole)], photograph, None, 50, proportions=True)
    torch.testing.assert_close(
        in_colors_of(shares, photograph, None, 50, proportions=True), expected, atol=0.03, rtol=0
    )


def test_grey_after_grey_stays_grey():
    grey = [random_image(48, 48, seed)[:, :1].expand(1, 3, 48, 48) for seed in (1, 2)]
    painted = in_colors_of([StyleImage(grey[1] ** 3)], grey[0], None, 50, proportions=True)
    assert (painted - painted.mean(1, keepdim=True)).abs().max() < 0.03  # a step of the histogram's


@pytest.mark.parametrize("shape", [(16, 16), (16, 300), (300, 16)])
def test_any_shape_and_flat_images_are_finite(shape: tuple[int, int]):
    flat = torch.full((1, 3, 40, 40), 0.3)
    for painting in (flat, random_image(40, 40)):
        for photograph in (random_image(*shape), torch.full((1, 3, *shape), 0.5)):
            painted = in_colors_of([StyleImage(painting)], photograph, None, 50, proportions=True)
            assert painted.shape == photograph.shape
            assert painted.isfinite().all()
            assert 0 <= painted.min() <= painted.max() <= 1


def test_pieces_are_laid_as_strongly_as_the_style_but_for_the_finest_detail():
    chequer = (torch.arange(300)[:, None] + torch.arange(420)) % 2 * 0.1 - 0.05
    image = 0.5 + chequer.expand(1, 3, -1, -1)
    strokes = halves(RED, BLUE, side=416)[..., :296, :]  # the last rows and columns are less than a cell
    strokes = strokes + 0.1 * torch.sin(torch.arange(416) * torch.pi / 4)
    alike = torch.full((74, 104), 0.7)
    torch.testing.assert_close(with_pieces(image, strokes, alike, 0), image)
    half, full, more = (with_pieces(image, strokes, alike, strength) for strength in (25, 50, 90))
    torch.testing.assert_close(full, more)
    torch.testing.assert_close(half - image, (full - image) / 2, rtol=0, atol=1e-6)
    flat = (full - image)[..., 16:-24, 16:192]  # of one colour, but for strokes
    assert flat.mean((2, 3)).abs().max() < 0.01
    assert flat.std(2).max() < 0.01  # the chequer is there as it was
    assert flat.std(3).min() > 0.25 * 0.1 / 2**0.5


def test_less_is_laid_where_nothing_fits():
    image = torch.full((1, 3, 130, 200), 0.5)
    strokes = random_image(128, 200)
    cosines = torch.full((32, 50), 0.8)
    cosines[:, :10], cosines[:, 10:20] = 0.4, -0.1  # the rest is more than half of all
    cosines[:, 40:] = 0.9
    full = with_pieces(image, strokes, torch.full((32, 50), 0.8), 50) - image
    laid = with_pieces(image, strokes, cosines, 50) - image
    where_it_fits = slice(96, None)  # not more than elsewhere, where it fits best
    torch.testing.assert_close(laid[..., where_it_fits], full[..., where_it_fits], rtol=0, atol=1e-6)
    torch.testing.assert_close(laid[..., :32], full[..., :32] / 8, rtol=0, atol=1e-6)
    assert laid[..., 48:72].abs().max() < 1e-6
    assert with_pieces(image, strokes, torch.zeros(32, 50), 50).equal(image)
