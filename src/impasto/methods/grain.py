"""Grain: the finest detail of a picture, which shall be no stronger than that of its paintings.

A photograph brings its sensor's and its compression's, and optimisation through a network that pools adds some of its
own (seen as specks and nets on what is flat), which no loss here weighs much.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from impasto.methods.starts import FULL_COLOR
from impasto.methods.styles import StyleImage

LEAST = 1e-6  # of what is divided by


def grain(image: Tensor) -> Tensor:
    """What an image (1, 3, height, width) has that half its size cannot hold."""
    height, width = image.shape[-2:]
    half = F.avg_pool2d(image, 2, ceil_mode=True, count_include_pad=False)
    return image - F.interpolate(half, scale_factor=2, mode="bicubic")[..., :height, :width]


def product(one: Tensor, other: Tensor, where: Tensor | None = None) -> Tensor:
    """The mean of two grains' products; of what counts, as much as `where` (1, 1, height, width) says."""
    if where is None:
        return one.flatten() @ other.flatten() / one.numel()
    return (one * other * where).sum() / (one.shape[1] * where.sum()).clamp(min=LEAST)


def of_paintings(paintings: Sequence[StyleImage]) -> Tensor:
    """How strong the grain of paintings is at the sizes that they have: its mean square, by their weights."""
    total = sum(painting.weight for painting in paintings)
    fine = [(painting.weight / total, grain(painting.image)) for painting in paintings]
    return torch.stack([share * product(one, one) for share, one in fine]).sum()


def held(image: Tensor, most: Tensor, strength: float, where: Tensor | None = None) -> Tensor:
    """An image (1, 3, height, width) in [0, 1] with its grain no stronger than that; a weak style takes less away.

    Args:
        image: what is painted.
        most: of `of_paintings`.
        strength: of the style.
        where: (1, 1, height, width), how much of each pixel is painted.
    """
    fine = grain(image)
    again = grain(fine)  # what is left of grain that is taken away: |fine - taken · again|² = most is a quadratic
    square, mixed, least = product(fine, fine, where), product(fine, again, where), product(again, again, where)
    root = (mixed.square() - least * (square - most)).clamp(min=0).sqrt()
    taken = ((mixed - root) / least.clamp(min=LEAST**2)).clamp(0, 1)
    return fine.mul_(-taken * min(1.0, strength / FULL_COLOR)).add_(image).clamp_(0, 1)
