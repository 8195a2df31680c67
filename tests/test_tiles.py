from dataclasses import replace

import pytest
import torch
from conftest import random_image, tiny_weights
from hypothesis import given, settings
from hypothesis import strategies as st

from impasto.network.layers import LAYERS, reach, stride
from impasto.network.vgg import VGG19
from impasto.network.weights import load_vgg
from impasto.objective.losses import STYLE_LOSSES
from impasto.objective.objective import Objective, TermWeights, style_moments
from impasto.objective.tiles import ALIGNMENT, tiles

WEIGHTS = TermWeights(
    content_layers={"relu4_2": 1.0, "relu2_2": 0.5},
    style_layers={"relu1_1": 1.0, "relu3_1": 0.5, "relu5_1": 2.0},
    content=0.7,
    style=3.0,
    smoothness=0.2,
    lines=0.4,
)
SIDES = st.integers(33, 150)


@given(height=st.integers(16, 300), width=st.integers(16, 300), side=st.integers(1, 320), layer=st.sampled_from(LAYERS))
def test_cores_are_a_partition_of_every_map(height: int, width: int, side: int, layer: str):
    step = stride(layer)
    count = torch.zeros(height // step, width // step)
    index = torch.arange(count.numel()).view(count.shape)
    for tile in tiles(height, width, side, reach([layer])):
        # the map of a crop, as floor pooling makes it, is a part of the whole image's map
        rows, columns = (tile.outer_bottom - tile.outer_top) // step, (tile.outer_right - tile.outer_left) // step
        top, left = tile.outer_top // step, tile.outer_left // step
        part = tile.core(index[top : top + rows, left : left + columns], step).flatten()
        count.view(-1)[part] += 1
    assert (count == 1).all()


@pytest.mark.parametrize("layer", ["relu1_1", "relu3_4", "relu4_2", "relu5_1", "pool5"])
def test_the_margin_is_as_far_as_the_network_sees(tiny_network: VGG19, layer: str):
    """A pixel `reach` beyond a position's own square moves it, the next one does not."""
    step, far = stride(layer), reach([layer])
    height, width = 2 * far + 96, 32
    row = (far + 32) // step
    image = random_image(height, width, dtype=torch.float64).requires_grad_()
    features = VGG19(tiny_weights(), pooling="average", dtype=torch.float64)(image, [layer])[layer]
    (gradient,) = torch.autograd.grad(features[..., row, :].sum(), image)
    seen = torch.nonzero(gradient.abs().sum((0, 1, 3))).flatten()
    assert int(seen.min()) >= row * step - far
    assert int(seen.max()) <= row * step + step - 1 + far
    assert int(seen.max()) - int(seen.min()) > far  # and the bound is no idle one


@settings(max_examples=25)
@given(
    height=SIDES,
    width=SIDES,
    side=st.integers(16, 96),
    pooling=st.sampled_from(["max", "average"]),
    padding=st.sampled_from(["zero", "replicate", "reflect"]),
    remember=st.booleans(),
    relative=st.booleans(),
    regions=st.integers(0, 3),
    style_loss=st.sampled_from(list(STYLE_LOSSES)),
)
def test_in_tiles_as_whole(
    height: int,
    width: int,
    side: int,
    pooling: str,
    padding: str,
    remember: bool,
    relative: bool,
    regions: int,
    style_loss: str,
):
    network = VGG19(tiny_weights(), pooling=pooling, padding=padding, dtype=torch.float64)
    content, image = (random_image(height, width, seed, torch.float64) for seed in (1, 2))
    style = random_image(70, 90, 3, torch.float64)
    generator = torch.Generator().manual_seed(0)
    masks, style_masks = (
        torch.rand(regions, *size, generator=generator, dtype=torch.float64) if regions else None
        for size in ((height, width), (70, 90))
    )
    target = style_moments(network, style, list(WEIGHTS.style_layers), masks=style_masks)
    in_tiles = style_moments(network, style, list(WEIGHTS.style_layers), side, masks=style_masks)
    for layer, whole in target.items():
        torch.testing.assert_close(in_tiles[layer].second, whole.second, rtol=1e-12, atol=1e-10)
    weights = replace(WEIGHTS, relative=relative, style_loss=style_loss)
    whole = Objective(network, content, target, weights, masks=masks)(image)
    tiled = Objective(network, content, target, weights, masks=masks, side=side, remember=remember)(image)
    assert abs(float(tiled.loss / whole.loss) - 1) < 1e-10
    assert float((tiled.gradient - whole.gradient).norm() / whole.gradient.norm()) < 1e-10
    assert tiled.terms.keys() == whole.terms.keys()
    for name, term in whole.terms.items():
        torch.testing.assert_close(tiled.terms[name], term, rtol=1e-10, atol=0)


@pytest.mark.parametrize("missing", ["content", "style"])
def test_in_tiles_with_one_of_the_losses(tiny_network: VGG19, missing: str):
    content, style, image = (random_image(100, 130, seed, torch.float64) for seed in range(3))
    weights = replace(WEIGHTS, smoothness=0.0, lines=0.0, **{missing: 0.0})
    target = style_moments(tiny_network, style, list(WEIGHTS.style_layers))
    whole, tiled = (Objective(tiny_network, content, target, weights, side=side)(image) for side in (None, 64))
    torch.testing.assert_close(tiled.loss, whole.loss, rtol=1e-10, atol=0)
    torch.testing.assert_close(tiled.gradient, whole.gradient, rtol=1e-8, atol=1e-14)


def test_the_real_network_in_tiles_as_whole():
    """In float32 a tie of the pooling may fall the other way."""
    network = VGG19(load_vgg())
    content, style, image = (random_image(150, 230, seed) for seed in range(3))
    target = style_moments(network, style, list(WEIGHTS.style_layers))
    whole, tiled = (Objective(network, content, target, WEIGHTS, side=side)(image) for side in (None, 64))
    assert abs(float(tiled.loss / whole.loss) - 1) < 1e-5
    assert float((tiled.gradient - whole.gradient).norm() / whole.gradient.norm()) < 1e-4


def test_tiles_are_no_larger_than_asked():
    for side in (64, 100, 512):
        for tile in tiles(1000, 700, side, 1):
            assert tile.bottom - tile.top <= side + ALIGNMENT
            assert tile.right - tile.left <= side + ALIGNMENT
            assert tile.pixels <= (side + 3 * ALIGNMENT) ** 2
