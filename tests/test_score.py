import torch
import torch.nn.functional as F
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
from impasto.score_pixels import bidirectional_similarity, filter_energies, stroke_breadth
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


def known_cases():
    """A painting of stripes and flecks, a photograph, and what can go wrong with a picture."""
    generator = torch.Generator().manual_seed(5)
    y, x = torch.meshgrid(torch.arange(96.0), torch.arange(128.0), indexing="ij")
    stripes = 0.5 + 0.4 * torch.sin(2 * torch.pi * (x + 2 * y) / 11)
    painting = (stripes * torch.tensor([1.0, 0.6, 0.3])[:, None, None])[None]
    painting = (painting + 0.3 * random_image(96, 128, seed=6)).clamp(0, 1)
    blocks = F.unfold(painting, (48, 64), stride=(48, 64))[..., [2, 3, 1, 0]]
    mosaic = F.fold(blocks, (96, 128), (48, 64), stride=(48, 64))
    return {
        "painting": painting,
        "photograph": random_image(96, 128, seed=7),
        "blurred": F.avg_pool2d(painting, 9, stride=1, padding=4, count_include_pad=False),
        "noisy": (painting + 0.2 * torch.randn(painting.shape, generator=generator)).clamp(0, 1),
        "mosaic": mosaic,
    }


def test_the_judge_without_a_network_knows_known_cases(vgg: VGG19):
    cases = known_cases()
    found = {name: score(vgg, image, cases["photograph"], cases["painting"]) for name, image in cases.items()}
    same = found.pop("painting")
    assert max(same.patches, same.filters, same.coherence, same.completeness) < 0.01
    for name in ("photograph", "blurred", "noisy"):
        for distance in ("patches", "filters", "coherence", "completeness"):
            wrong, mosaic = (getattr(one, distance) for one in (found[name], found["mosaic"]))
            assert wrong > 1.15 * mosaic or (name, distance) == ("blurred", "coherence"), (
                name,
                distance,
                wrong,
                mosaic,
            )
    assert found["photograph"].forms < 1e-3 < 0.05 < min(found["mosaic"].forms, found["blurred"].forms)


def test_half_a_painting_is_coherent_and_not_complete():
    painting = torch.cat([known_cases()["painting"][..., :60], 1 - random_image(96, 60, seed=8)], dim=3)
    coherence, completeness = bidirectional_similarity(painting[..., :57], painting)
    assert coherence < 0.01 < 0.1 < completeness


def test_distances_of_patches_are_those_by_hand():
    black, grey = torch.zeros(1, 3, 7, 7), torch.full((1, 3, 7, 10), 0.5)
    grey[..., 7:] = 1.0  # two patches: 0.5 everywhere, and 1.0 in three of seven columns
    variance = ((4 * 0 + 3 * 0.25**2) / 7 * 2) / 2
    forth, back = 0.5**2, (0.5**2 + (4 * 0.25 + 3) / 7) / 2
    found = bidirectional_similarity(black, grey)
    assert torch.allclose(torch.tensor(found), torch.tensor([forth / variance, back / variance]).sqrt(), atol=1e-4)


def test_filters_tell_direction_and_breadth():
    _, x = torch.meshgrid(torch.arange(64.0), torch.arange(96.0), indexing="ij")
    images = {side: 0.5 + 0.5 * torch.sin(2 * torch.pi * x / side).expand(1, 3, 64, 96) for side in (4, 8, 16)}
    energies = filter_energies(images[4])[0, :, 8, 10].view(-1, 6)
    assert energies.argmax() == 0  # of the finest scale, across upright stripes
    breadths = [stroke_breadth(image) for image in images.values()]
    assert breadths[1] > 1.5 * breadths[0]
    assert breadths[2] > 1.5 * breadths[1]
    assert abs(stroke_breadth(images[8].mT) - breadths[1]) < 0.5
