import pytest
import torch
import torch.nn.functional as F
from conftest import random_image, tiny_weights

from impasto.errors import SettingsError
from impasto.network.layers import LAYERS
from impasto.network.vgg import VGG19
from impasto.network.weights import load_vgg


def test_layers_are_named_and_ordered_as_in_the_paper():
    assert LAYERS[:5] == ["conv1_1", "relu1_1", "conv1_2", "relu1_2", "pool1"]
    assert LAYERS[-3:] == ["conv5_4", "relu5_4", "pool5"]
    assert len(LAYERS) == 16 * 2 + 5


def test_every_layer_of_a_slow_obvious_network():
    weights = tiny_weights()
    image = random_image(37, 50, dtype=torch.float64)
    x = torch.einsum("oc,bchw->bohw", weights.input_matrix, image) + weights.input_bias[:, None, None]
    expected = {}
    for name in LAYERS:
        if name.startswith("conv"):
            weight, bias = weights.convolutions[name]
            x = F.conv2d(x, weight, bias, padding=1)
        else:
            x = x.clamp(min=0) if name.startswith("relu") else F.max_pool2d(x, 2)
        expected[name] = x
    network = VGG19(weights, dtype=torch.float64)
    for name, features in network(image, LAYERS).items():
        torch.testing.assert_close(features, expected[name])


def test_only_what_is_asked_is_returned_in_order(tiny_network: VGG19):
    features = tiny_network(random_image(32, 48, dtype=torch.float64), ["relu3_1", "relu1_1"])
    assert list(features) == ["relu1_1", "relu3_1"]
    assert features["relu3_1"].shape == (1, 7, 8, 12)


def test_it_goes_only_as_deep_as_asked(tiny_network: VGG19):
    network = VGG19(tiny_weights(), dtype=torch.float64)
    del network.convolutions["conv2_2"]
    network(random_image(32, 48, dtype=torch.float64), ["relu2_1"])
    with pytest.raises(KeyError):
        network(random_image(32, 48, dtype=torch.float64), ["relu2_2"])


def test_an_unknown_layer_is_named():
    with pytest.raises(SettingsError, match=r"relu4_7.*relu4_1"):
        VGG19(tiny_weights(), dtype=torch.float64)(random_image(32, 48, dtype=torch.float64), ["relu4_7"])


@pytest.mark.parametrize("padding", ["reflect", "replicate"])
def test_padding_shows_no_border_on_a_flat_image(padding: str):
    network = VGG19(tiny_weights(), padding=padding, dtype=torch.float64)
    features = network(torch.full((1, 3, 32, 48), 0.7, dtype=torch.float64), ["relu4_2"])["relu4_2"]
    torch.testing.assert_close(features, features[..., :1, :1].expand_as(features))


def test_zero_padding_shows_it(tiny_network: VGG19):
    features = tiny_network(torch.full((1, 3, 32, 48), 0.7, dtype=torch.float64), ["relu4_2"])["relu4_2"]
    assert (features - features[..., 2:3, 2:3]).abs().max() > 1e-3


def test_average_pooling_differs_from_max_pooling():
    image = random_image(32, 48, dtype=torch.float64)
    average = VGG19(tiny_weights(), pooling="average", dtype=torch.float64)(image, ["relu1_2", "pool1"])
    torch.testing.assert_close(average["pool1"], F.avg_pool2d(average["relu1_2"], 2))


def test_the_normalised_network_has_mean_activations_of_order_one(vgg: VGG19):
    features = vgg(random_image(96, 128), ["relu1_1", "relu3_1", "relu5_1"])
    for name, f in features.items():
        assert 0.05 < f.mean() < 20, name


@pytest.mark.parametrize("padding", ["zero", "reflect"])
def test_winograd_changes_nothing_but_rounding(padding: str):
    image = random_image(75, 100)
    fast, slow = (VGG19(load_vgg(), winograd=w, padding=padding)(image, ["relu5_1"])["relu5_1"] for w in (True, False))
    assert (fast - slow).norm() / slow.norm() < 1e-4


def test_what_is_forgotten_is_found_again():
    network, image = VGG19(load_vgg()), random_image(48, 64)
    before = network(image, ["relu4_2"])["relu4_2"]
    network.forget_beyond(["relu4_1"])
    kept = {name for name, one in network.convolutions.items() if "filters" in vars(one)}
    assert "conv4_1" in kept
    assert "conv4_2" not in kept
    assert network(image, ["relu4_2"])["relu4_2"].equal(before)


def test_weights_are_held_once():
    weights = load_vgg()
    network = VGG19(weights)
    for name, (weight, _) in weights.convolutions.items():
        assert network.convolutions[name].weight.data_ptr() == weight.data_ptr()
