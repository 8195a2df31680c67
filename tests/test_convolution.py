import pytest
import torch
import torch.nn.functional as F

from impasto.network.convolution import DirectConvolution, WinogradConvolution
from impasto.network.device import present_devices

KINDS = [(WinogradConvolution, "cpu"), *((DirectConvolution, device) for device in present_devices())]


@pytest.mark.parametrize(("kind", "device"), KINDS)
@pytest.mark.parametrize("padding", [0, 1])
@pytest.mark.parametrize(("height", "width"), [(8, 12), (11, 14), (3, 5), (10, 8), (150, 65), (9, 530)])
def test_outputs_and_gradients_are_the_librarys(kind: type, device: str, height: int, width: int, padding: int):
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(2, 5, height, width, generator=generator).contiguous(memory_format=torch.channels_last)
    x = x.to(device).requires_grad_()
    weight, bias = (torch.randn(shape, generator=generator).to(device) for shape in ((7, 5, 3, 3), (7,)))
    fast, slow = kind(weight, bias)(x, padding), F.conv2d(x, weight, bias, padding=padding)
    torch.testing.assert_close(fast, slow, rtol=1e-4, atol=1e-4)
    upstream = torch.randn(slow.shape, generator=generator).to(device)
    ours, theirs = (torch.autograd.grad(y, x, upstream)[0] for y in (fast, slow))
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)


def test_the_output_can_be_changed_in_place():
    x = torch.randn(1, 5, 11, 12, generator=torch.Generator().manual_seed(0), requires_grad=True)
    y = WinogradConvolution(torch.ones(7, 5, 3, 3), torch.zeros(7))(x, 1)
    F.relu(y, inplace=True).sum().backward()
    assert x.grad is not None


def test_channels_last_is_kept():
    x = torch.rand(1, 5, 9, 7).contiguous(memory_format=torch.channels_last)
    y = WinogradConvolution(torch.ones(6, 5, 3, 3), torch.zeros(6))(x, 1)
    assert y.is_contiguous(memory_format=torch.channels_last)
