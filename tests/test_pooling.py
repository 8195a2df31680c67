import pytest
import torch
import torch.nn.functional as F
from conftest import random_image, tiny_weights

from impasto.network.device import present_devices
from impasto.network.layers import LAYERS
from impasto.network.pooling import max_pool
from impasto.network.vgg import VGG19


@pytest.mark.parametrize("device", present_devices())
@pytest.mark.parametrize(("height", "width"), [(8, 12), (9, 13), (2, 3)])
def test_values_and_gradients_are_the_librarys(height: int, width: int, device: str):
    generator = torch.Generator().manual_seed(0)
    x = torch.randint(-3, 3, (2, 5, height, width), generator=generator).to(device, torch.float32)  # many are equal
    x = x.contiguous(memory_format=torch.channels_last).requires_grad_()
    ours, theirs = max_pool(x), F.max_pool2d(x, 2)
    assert torch.equal(ours, theirs)
    upstream = torch.rand(theirs.shape, generator=generator).to(device)
    assert torch.equal(*(torch.autograd.grad(y, x, upstream)[0] for y in (ours, theirs)))


@pytest.mark.parametrize("pooling", ["max", "average"])
def test_the_gradient_does_not_depend_on_what_else_is_asked_for(pooling: str):
    """Rectified before or after pooling."""
    network = VGG19(tiny_weights(), pooling=pooling, dtype=torch.float64)
    image = random_image(37, 50, dtype=torch.float64).requires_grad_()
    found = [
        torch.autograd.grad(network(image, layers)["relu3_1"].square().sum(), image)[0]
        for layers in (["relu3_1"], ["relu3_1", "pool1", "relu2_2"], LAYERS[:12])
    ]
    for other in found[1:]:
        torch.testing.assert_close(other, found[0], rtol=1e-12, atol=1e-15)
