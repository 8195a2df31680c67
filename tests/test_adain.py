import pytest
import torch
from conftest import random_image

from impasto.images.gallery import style_path
from impasto.images.reading import read_image
from impasto.methods.adain import LAYER, Decoder, adain, paint_instantly
from impasto.network.vgg import VGG19
from impasto.network.weights import load_decoder, load_vgg
from impasto.objective.moments import moments
from impasto.objective.objective import style_moments


@pytest.fixture(scope="module")
def network() -> VGG19:
    return VGG19(load_vgg(), padding="reflect")


@pytest.fixture(scope="module")
def decoder() -> Decoder:
    return Decoder(load_decoder())


def test_adain_gives_the_styles_mean_and_deviation():
    generator = torch.Generator().manual_seed(0)
    content, style = torch.rand(1, 5, 6, 7, generator=generator), 3 * torch.rand(1, 5, 8, 4, generator=generator)
    ours, theirs = moments(adain(content, moments(style))), moments(style)
    torch.testing.assert_close(ours.mean, theirs.mean, atol=1e-4, rtol=0)
    torch.testing.assert_close(ours.deviation, theirs.deviation, atol=1e-3, rtol=0)


def test_the_decoder_inverts_the_encoder(network: VGG19, decoder: Decoder):
    """Roughly: it was trained to paint, and blurs what it repeats. Colours and layout come back."""
    image = read_image(style_path("meadow"), 96).image
    decoded = paint_instantly(network, decoder, image, style_moments(network, image, [LAYER])[LAYER], strength=0)
    assert (decoded - image).abs().mean() < 0.16
    assert (decoded.mean((2, 3)) - image.mean((2, 3))).abs().max() < 0.06


@pytest.mark.parametrize(("height", "width"), [(64, 96), (61, 99), (16, 33)])
def test_any_size_comes_back(network: VGG19, decoder: Decoder, height: int, width: int):
    style = style_moments(network, random_image(64, 80, seed=1), [LAYER])[LAYER]
    painted = paint_instantly(network, decoder, random_image(height, width), style)
    assert painted.shape == (1, 3, height, width)
    assert 0 <= painted.min() <= painted.max() <= 1


def test_the_right_and_lower_edge_are_no_seam(network: VGG19, decoder: Decoder):
    """The picture of a size that is no multiple of 8 continues as that of the next multiple does."""
    image = random_image(72, 104)
    style = style_moments(network, random_image(64, 80, seed=1), [LAYER])[LAYER]
    whole, cut = (paint_instantly(network, decoder, x, style) for x in (image, image[..., :67, :101]))
    assert (whole[..., :60, :92] - cut[..., :60, :92]).abs().mean() < 0.08  # their statistics differ a little
    inner, edge = cut[..., 20:40, 20:80], cut[..., -7:, :]
    assert (edge.diff(dim=3).abs().mean()) < 2 * inner.diff(dim=3).abs().mean()


def test_strength_goes_from_the_photograph_to_the_style(network: VGG19, decoder: Decoder):
    image, painting = random_image(64, 96), random_image(64, 80, seed=1)
    style = style_moments(network, painting, [LAYER])[LAYER]
    distances = []
    for strength in (0.0, 0.5, 1.0):
        painted = network(paint_instantly(network, decoder, image, style, strength), [LAYER])[LAYER]
        distances.append(float((moments(painted).mean - style.mean).norm()))
    assert distances == sorted(distances, reverse=True)


def test_in_tiles_as_whole(network: VGG19, decoder: Decoder):
    image = random_image(150, 203)
    style = style_moments(network, random_image(64, 80, seed=1), [LAYER])[LAYER]
    whole, tiled = (paint_instantly(network, decoder, image, style, side=side) for side in (None, 64))
    torch.testing.assert_close(tiled, whole, atol=1e-4, rtol=0)
