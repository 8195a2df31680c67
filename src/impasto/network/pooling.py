"""Maximum pooling that keeps only where the greatest were."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from impasto.network.convolution import empty_image

SIDE = (2, 2)
INDEXED = ("cpu", "cuda")  # whose way back goes by the places of the greatest; MPS looks for them in the input


def max_pool(x: Tensor) -> Tensor:
    """(B, channels, height, width), channels last, to half the height and width, rounded down.

    As `torch.nn.functional.max_pool2d`, which keeps its input for the way back as well: a third of all that a network
    of fixed weights would have to keep.
    """
    if x.device.type not in INDEXED:
        return F.max_pool2d(x, SIDE)
    y: Tensor = _MaxPool.apply(x)  # type: ignore[no-untyped-call]
    return y


class _MaxPool(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        y, where = F.max_pool2d(x, SIDE, return_indices=True)
        ctx.shape, ctx.where = x.shape, where.int()
        return y

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        (gradient,) = gradients
        like = empty_image(ctx.shape, gradient)  # only its shape and order in memory are looked at
        pool = (SIDE, SIDE, (0, 0), (1, 1), False)
        back: Tensor = torch.ops.aten.max_pool2d_with_indices_backward(gradient, like, *pool, ctx.where.long())
        return back
