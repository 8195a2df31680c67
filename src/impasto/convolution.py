"""3x3 convolutions with fixed weights: gradients flow to the input only, so nothing of the input is kept for them.

`WinogradConvolution` has a quarter of the multiplications: Winograd's minimal filtering F(4x4, 3x3) (Lavin and Gray
2016, section 4). Each 6x6 patch of the input and each filter are transformed, multiplied entry by entry, summed over
channels (36 matrix products) and transformed back to 4x4 outputs. On CPUs the library's direct convolution already runs
at the machine's peak, so this is the way to be faster where there are many channels; see `benchmarks/convolution.py`.
It is exact up to rounding, about 3e-6 relative in float32.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.grad import conv2d_input

OUTPUT = 4  # pixels a side of each patch of the output
CHANNELS_LAST = torch.channels_last
PATCH = 6  # pixels a side of each patch of the input

# the matrices of Lavin and Gray (2016), section 4.2, for the interpolation points 0, ±1, ±2 and infinity
INPUT_TRANSFORM = (
    (4, 0, -5, 0, 1, 0),
    (0, -4, -4, 1, 1, 0),
    (0, 4, -4, -1, 1, 0),
    (0, -2, -1, 2, 1, 0),
    (0, 2, -1, -2, 1, 0),
    (0, 4, 0, -5, 0, 1),
)
FILTER_TRANSFORM = (
    (1 / 4, 0, 0),
    (-1 / 6, -1 / 6, -1 / 6),
    (-1 / 6, 1 / 6, -1 / 6),
    (1 / 24, 1 / 12, 1 / 6),
    (1 / 24, -1 / 12, 1 / 6),
    (0, 0, 1),
)
OUTPUT_TRANSFORM = (
    (1, 1, 1, 1, 1, 0),
    (0, 1, -1, 2, -2, 0),
    (0, 1, 1, 4, 4, 0),
    (0, 1, -1, 8, -8, 1),
)


def both_ways(transform: tuple[tuple[float, ...], ...]) -> Tensor:
    """The one-dimensional transform applied to rows and columns, as one matrix over flattened patches."""
    matrix = torch.tensor(transform, dtype=torch.float64)
    return torch.kron(matrix, matrix).float()


class DirectConvolution:
    """A 3x3 convolution, stride 1, by the library, on any device.

    Args:
        weight: (channels out, channels in, 3, 3).
        bias: (channels out,).
        padding: zeros on each side of the input, 0 or 1.
    """

    def __init__(self, weight: Tensor, bias: Tensor, *, padding: int) -> None:
        # channels_last is fastest on CPUs and on tensor cores
        self.weight = weight.contiguous(memory_format=CHANNELS_LAST)
        self.bias, self.padding = bias, padding

    def __call__(self, x: Tensor) -> Tensor:
        """(B, channels in, height, width) to (B, channels out, height - 2 + 2 padding, ...)."""
        y: Tensor = _Direct.apply(x, self.weight, self.bias, self.padding)  # type: ignore[no-untyped-call]
        return y


class _Direct(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, padding: int) -> Tensor:
        ctx.shape, ctx.weight, ctx.padding = x.shape, weight, padding
        return F.conv2d(x, weight, bias, padding=padding)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None, None]:
        shape, padding = ctx.shape, ctx.padding
        back: Tensor = conv2d_input(shape, ctx.weight, gradients[0], padding=padding)  # type: ignore[no-untyped-call]
        return back, None, None, None


class WinogradConvolution:
    """The same in float32 on the CPU, by Winograd's method.

    Args:
        weight, bias, padding: as for `DirectConvolution`.
    """

    def __init__(self, weight: Tensor, bias: Tensor, *, padding: int) -> None:
        self.weight, self.bias, self.padding = weight, bias, padding

    @cached_property
    def filters(self) -> Tensor:
        """Transformed, (36, channels in, channels out): four times the weights' memory, so not before they are used."""
        return transform_filters(self.weight)

    @cached_property
    def filters_back(self) -> Tensor:
        """Those of the gradient with respect to the input: a convolution with the filters turned around."""
        return transform_filters(self.weight.flip(2, 3).transpose(0, 1))

    def __call__(self, x: Tensor) -> Tensor:
        """(B, channels in, height, width) to (B, channels out, height - 2 + 2 padding, ...), channels last."""
        y: Tensor = _Winograd.apply(x, self)  # type: ignore[no-untyped-call]
        return y.add_(self.bias[:, None, None])


class _Winograd(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, convolution: WinogradConvolution) -> Tensor:
        ctx.convolution = convolution
        return convolve(x, convolution.filters, convolution.padding)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        convolution = ctx.convolution
        return convolve(gradients[0], convolution.filters_back, 2 - convolution.padding), None


def transform_filters(weight: Tensor) -> Tensor:
    """(36, channels in, channels out) of filters (channels out, channels in, 3, 3)."""
    transform = both_ways(FILTER_TRANSFORM)
    taps = weight.permute(2, 3, 1, 0).reshape(9, -1)
    return (transform @ taps).view(PATCH * PATCH, weight.shape[1], weight.shape[0])


def convolve(x: Tensor, filters: Tensor, padding: int) -> Tensor:
    """Convolve (B, channels in, height, width) with transformed filters, zeros around."""
    batch, channels, height, width = x.shape
    height, width = height + 2 * padding - 2, width + 2 * padding - 2  # of the output
    rows, columns = -(-height // OUTPUT), -(-width // OUTPUT)
    right, below = columns * OUTPUT - width + padding, rows * OUTPUT - height + padding
    padded = F.pad(x.permute(0, 2, 3, 1), (0, 0, padding, right, padding, below))  # B H W C
    patches = padded.unfold(1, PATCH, OUTPUT).unfold(2, PATCH, OUTPUT)  # B rows columns C 6 6
    flat = patches.permute(4, 5, 0, 1, 2, 3).reshape(PATCH * PATCH, -1)
    transformed = (both_ways(INPUT_TRANSFORM) @ flat).view(PATCH * PATCH, -1, channels)
    products = torch.bmm(transformed, filters).view(PATCH * PATCH, -1)  # 36 (B rows columns C)
    outputs = (both_ways(OUTPUT_TRANSFORM) @ products).view(OUTPUT, OUTPUT, batch, rows, columns, -1)
    shape = (batch, outputs.shape[-1], rows * OUTPUT, columns * OUTPUT)
    y = torch.empty(shape, dtype=x.dtype, memory_format=CHANNELS_LAST)
    pixels = y.permute(0, 2, 3, 1).view(batch, rows, OUTPUT, columns, OUTPUT, -1)
    pixels.copy_(outputs.permute(2, 3, 0, 4, 1, 5))
    if y.shape[-2:] == (height, width):
        return y
    return y[..., :height, :width].clone(memory_format=CHANNELS_LAST)  # a view could not be changed in place
