import torch
from conftest import random_image

from impasto.methods.schedule import schedule
from impasto.network.vgg import VGG19
from impasto.score import (
    CONTENT_LAYERS,
    STYLE_LAYERS,
    edge_distance,
    score,
    self_similarity_distance,
    sliced_wasserstein,
)
from impasto.settings import Settings


def test_the_judge_uses_no_layer_that_is_optimised():
    optimised = {layer for scale in schedule(768, 1024, Settings()) for layer in scale.weights.layers}
    assert not optimised & {*STYLE_LAYERS, *CONTENT_LAYERS}


def test_identical_pictures_have_distance_zero(vgg: VGG19):
    image = random_image(64, 96)
    found = score(vgg, image, image, image)
    assert (found.style, found.content) == (0, 0) or max(found.style, found.content) < 1e-3


def test_a_wrong_style_is_farther_than_the_right_one(vgg: VGG19):
    generator = torch.Generator().manual_seed(0)
    rough = torch.rand(1, 3, 64, 96, generator=generator)
    smooth = random_image(64, 96, seed=3)
    assert score(vgg, smooth, smooth, random_image(64, 80, seed=4)).style < score(vgg, smooth, smooth, rough).style


def test_sliced_wasserstein_of_a_shift_is_the_shift_over_the_spread():
    cloud = torch.randn(1, 4, 200, 300, generator=torch.Generator().manual_seed(0))
    shifted = sliced_wasserstein(cloud + torch.tensor([2.0, 0, 0, 0])[:, None, None], cloud)
    assert abs(shifted - 1.0) < 0.15  # 2 along one of four axes: 2² / 4 per random direction, spread 1
    assert sliced_wasserstein(cloud.flip(3), cloud) < 1e-5


def test_self_similarity_forgets_the_features_scale():
    features = torch.rand(1, 4, 9, 11, generator=torch.Generator().manual_seed(0))
    assert self_similarity_distance(features * 3, features) < 1e-5
    assert self_similarity_distance(features.flip(3), features) > 0.05


def test_edges_move_the_edge_distance_and_brightness_does_not():
    image = 0.2 + 0.5 * random_image(64, 96)
    assert edge_distance(image + 0.1, image) < 1e-4
    assert edge_distance(image.roll(9, 3), image) > 0.1
