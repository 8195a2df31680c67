"""3x3 convolutions with fixed weights: gradients flow to the input only, so nothing of the input is kept for them.

`WinogradConvolution` has a quarter of the multiplications: Winograd's minimal filtering F(4x4, 3x3) (Lavin and Gray
2016, section 4). Each 6x6 patch of the input and each filter are transformed, multiplied entry by entry, summed over
channels (36 matrix products) and transformed back to 4x4 outputs. On CPUs the library's direct convolution already runs
at the machine's peak, so this is the way to be faster where there are many channels; see `benchmarks/convolution.py`.
It is exact up to rounding, about 3e-6 relative in float32.
"""

from __future__ import annotations

from functools import cache, cached_property
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

OUTPUT = 4  # pixels a side of each patch of the output
CHANNELS_LAST = torch.channels_last
PATCH = 6  # pixels a side of each patch of the input
CACHED = 128  # patches that are transformed at once: of 256 channels they take 5 MB

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


@cache
def both_ways(transform: tuple[tuple[float, ...], ...]) -> Tensor:
    """The one-dimensional transform applied to rows and columns, as one matrix over flattened patches."""
    matrix = torch.tensor(transform, dtype=torch.float64)
    return torch.kron(matrix, matrix).float()


class DirectConvolution:
    """A 3x3 convolution, stride 1, by the library, on any device.

    Args:
        weight: (channels out, channels in, 3, 3).
        bias: (channels out,).
    """

    def __init__(self, weight: Tensor, bias: Tensor) -> None:
        # channels_last is fastest on CPUs and on tensor cores
        self.weight = weight.contiguous(memory_format=CHANNELS_LAST)
        self.bias = bias

    def __call__(self, x: Tensor, padding: int) -> Tensor:
        """(B, channels in, height, width) to (B, channels out, height - 2 + 2 padding, ...), zeros around."""
        y: Tensor = _Direct.apply(x, self.weight, self.bias, padding)  # type: ignore[no-untyped-call]
        return y


class _Direct(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, padding: int) -> Tensor:
        ctx.shape, ctx.weight, ctx.padding = x.shape, weight, padding
        return F.conv2d(x, weight, bias, padding=padding)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None, None]:
        (gradient,) = gradients
        # of the input, only shape and order in memory are looked at; one number repeated, as
        # `torch.nn.grad.conv2d_input` gives, would be written out
        like = empty_image(ctx.shape, gradient)
        around = (ctx.padding, ctx.padding)
        how = (None, (1, 1), around, (1, 1), False, (0, 0), 1, (True, False, False))
        back: Tensor = torch.ops.aten.convolution_backward(gradient, like, ctx.weight, *how)[0]
        return back, None, None, None


def empty_image(shape: torch.Size, like: Tensor) -> Tensor:
    """(B, channels, height, width), channels last, of which nothing is known but its shape."""
    return torch.empty(shape, dtype=like.dtype, device=like.device, memory_format=CHANNELS_LAST)


class WinogradConvolution:
    """The same in float32 on the CPU, by Winograd's method.

    Args:
        weight, bias: as for `DirectConvolution`.
    """

    def __init__(self, weight: Tensor, bias: Tensor) -> None:
        self.weight, self.bias = weight, bias

    @cached_property
    def filters(self) -> Tensor:
        """Transformed, (36, channels in, channels out): four times the weights' memory, so not before they are used."""
        return transform_filters(self.weight)

    @cached_property
    def filters_back(self) -> Tensor:
        """Those of the gradient with respect to the input: a convolution with the filters turned around."""
        return transform_filters(self.weight.flip(2, 3).transpose(0, 1))

    def forget(self) -> None:
        """Give back the memory of transformed filters; where they are wanted again, they are transformed again."""
        for name in ("filters", "filters_back"):
            self.__dict__.pop(name, None)

    def __call__(self, x: Tensor, padding: int) -> Tensor:
        """As `DirectConvolution`; the result has its channels last in memory."""
        y: Tensor = _Winograd.apply(x, self, padding)  # type: ignore[no-untyped-call]
        return y


class _Winograd(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, convolution: WinogradConvolution, padding: int) -> Tensor:
        ctx.convolution, ctx.padding = convolution, padding
        return convolve(x, convolution.filters, padding, convolution.bias)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        return convolve(gradients[0], ctx.convolution.filters_back, 2 - ctx.padding), None, None


def transform_filters(weight: Tensor) -> Tensor:
    """(36, channels in, channels out) of filters (channels out, channels in, 3, 3)."""
    transform = both_ways(FILTER_TRANSFORM)
    taps = weight.permute(2, 3, 1, 0).reshape(9, -1)
    return (transform @ taps).view(PATCH * PATCH, weight.shape[1], weight.shape[0])


def convolve(x: Tensor, filters: Tensor, padding: int, bias: Tensor | None = None) -> Tensor:
    """Convolve (B, channels in, height, width) with transformed filters, zeros around."""
    height, width = x.shape[-2] + 2 * padding - 2, x.shape[-1] + 2 * padding - 2
    y = torch.empty((len(x), filters.shape[-1], height, width), dtype=x.dtype, memory_format=CHANNELS_LAST)
    for source, target in zip(x.permute(0, 2, 3, 1), y.permute(0, 2, 3, 1), strict=True):
        columns = -(-width // OUTPUT)
        right = columns * OUTPUT + 2 - padding - source.shape[1]
        rows = max(1, CACHED // columns) * OUTPUT
        for top in range(0, height, rows):
            strip = target[top : top + rows]
            seen = -(-len(strip) // OUTPUT) * OUTPUT + 2
            above = max(0, padding - top)
            part = source[top + above - padding : top - padding + seen]
            padded = F.pad(part, (0, 0, padding, right, above, seen - above - len(part)))
            strip.copy_(_convolve_strip(padded, filters, bias)[: len(strip), :width])
    return y


def _convolve_strip(padded: Tensor, filters: Tensor, bias: Tensor | None) -> Tensor:
    """(4 rows + 2, 4 columns + 2, channels in) to (4 rows, 4 columns, channels out).

    In strips, what lies between input and output never leaves the processor's cache: it is four times their size, and
    its way to memory and back would cost more than the multiplications.
    """
    patches = padded.unfold(0, PATCH, OUTPUT).unfold(1, PATCH, OUTPUT)  # rows columns C 6 6
    rows, columns, channels = patches.shape[:3]
    flat = patches.permute(3, 4, 0, 1, 2).reshape(PATCH * PATCH, -1)
    products = torch.bmm((both_ways(INPUT_TRANSFORM) @ flat).view(PATCH * PATCH, -1, channels), filters)
    outputs = (both_ways(OUTPUT_TRANSFORM) @ products.view(PATCH * PATCH, -1)).view(OUTPUT, OUTPUT, rows, columns, -1)
    pixels = outputs.permute(2, 0, 3, 1, 4).reshape(OUTPUT * rows, OUTPUT * columns, -1)
    return pixels if bias is None else pixels.add_(bias)
