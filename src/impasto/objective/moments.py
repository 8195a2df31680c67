"""The style statistic: sums over the positions of a feature map. Everything about size rests on them being sums.

The moments of an image are those of its parts added up, so an image can be measured whole, in tiles, or on many
machines, and style losses that are functions of moments come out the same.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

LEAST = 1e-6  # positions: a region that a coarse map does not have must not divide by zero


@dataclass(frozen=True)
class Moments:
    """Sums over the positions of one feature map, for each region of a mask.

    Attributes:
        count: (regions,), Σ m: how many positions a region has.
        first: (regions, channels), Σ m F.
        second: (regions, channels, channels), Σ m F Fᵀ.
    """

    count: Tensor
    first: Tensor
    second: Tensor

    def __add__(self, other: Moments) -> Moments:
        return Moments(self.count + other.count, self.first + other.first, self.second + other.second)

    def map(self, change: Callable[[Tensor], Tensor]) -> Moments:
        """The same change to each of the sums."""
        return Moments(change(self.count), change(self.first), change(self.second))

    @property
    def nbytes(self) -> int:
        """Bytes that they take."""
        return self.count.nbytes + self.first.nbytes + self.second.nbytes

    @property
    def gram(self) -> Tensor:
        """(regions, channels, channels): the Gram matrix of Gatys et al. (2016, eq. 3), averaged over positions.

        Differs from the paper: divided by the number of positions, so that image sizes compare.
        """
        return self.second / self.count.clamp(min=LEAST)[:, None, None]

    @property
    def mean(self) -> Tensor:
        """(regions, channels)."""
        return self.first / self.count.clamp(min=LEAST)[:, None]

    @property
    def covariance(self) -> Tensor:
        """(regions, channels, channels), of the population (divided by the count)."""
        return self.gram - self.mean[:, :, None] * self.mean[:, None, :]

    @property
    def deviation(self) -> Tensor:
        """(regions, channels): standard deviation of each channel."""
        return self.covariance.diagonal(dim1=1, dim2=2).clamp(min=0).sqrt()


def moments(features: Tensor, masks: Tensor | None = None) -> Moments:
    """Moments of a feature map.

    Args:
        features: (1, channels, height, width).
        masks: (regions, height, width), weights of each position in [0, 1]; None is one region with all positions.

    Returns:
        Sums in the features' dtype, float32 at least: half precision overflows over a picture.
    """
    positions = features.permute(0, 2, 3, 1).reshape(-1, features.shape[1])  # (H W) C: a view of channels_last memory
    if positions.dtype in (torch.float16, torch.bfloat16):
        positions = positions.float()
    if masks is None:
        count = positions.new_full((1,), float(positions.shape[0]))
        first, second = _Sums.apply(positions, None)  # type: ignore[no-untyped-call]
        return Moments(count, first[None], second[None])
    weights = masks.flatten(1).to(positions.dtype)  # R (H W)
    sums = [_Sums.apply(positions, w[:, None]) for w in weights]  # type: ignore[no-untyped-call]
    first, second = map(torch.stack, zip(*sums, strict=True))
    return Moments(weights.sum(1), first, second)


class _Sums(torch.autograd.Function):
    """Σ w x and Σ w x xᵀ over the rows x. Only the rows are kept for the way back, which is one product."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, weights: Tensor | None) -> tuple[Tensor, Tensor]:
        ctx.save_for_backward(rows, weights)
        ctx.set_materialize_grads(False)  # zeros would be added to every row
        weighted = rows if weights is None else rows * weights
        return weighted.sum(0), rows.mT @ weighted

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor, None]:
        rows, weights = ctx.saved_tensors
        first, second = gradients
        back = torch.zeros_like(rows) if second is None else rows @ (second + second.mT)
        if first is not None:
            back.add_(first)
        return back if weights is None else back.mul_(weights), None


def blend(styles: Sequence[Moments], shares: Sequence[Tensor | float]) -> Moments:
    """One style made of several: their mean moments, each with its share, over one position.

    Args:
        styles: with the same regions.
        shares: of each style, or of each of its regions (regions,); at least one must be positive in each.
    """
    weights = torch.stack(
        [torch.as_tensor(s).to(m.count).expand_as(m.count) for m, s in zip(styles, shares, strict=True)]
    )
    weights = weights / weights.sum(0)
    return Moments(
        torch.ones_like(styles[0].count),
        torch.stack([m.mean * w[:, None] for m, w in zip(styles, weights, strict=True)]).sum(0),
        torch.stack([m.gram * w[:, None, None] for m, w in zip(styles, weights, strict=True)]).sum(0),
    )
