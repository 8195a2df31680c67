"""Grain: the finest detail of a picture, which shall be no stronger than that of its paintings.

A photograph brings its sensor's and its compression's, and optimisation through a network that pools adds some of its
own (seen as specks and nets on what is flat), which no loss here weighs much.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor

from impasto.methods.starts import FULL_COLOR
from impasto.methods.styles import StyleImage

LEAST = 1e-6  # of grain, that is divided by


def grain(image: Tensor) -> Tensor:
    """What an image (1, 3, height, width) has that half its size cannot hold."""
    height, width = image.shape[-2:]
    half = F.avg_pool2d(image, 2, ceil_mode=True, count_include_pad=False)
    return image - F.interpolate(half, scale_factor=2, mode="bicubic")[..., :height, :width]


def strength_of(fine: Tensor, where: Tensor | None = None) -> Tensor:
    """Root mean square of grain; of what counts, as much as `where` (1, 1, height, width) says."""
    if where is None:
        return fine.square().mean().sqrt()
    return ((fine.square() * where).sum() / (fine.shape[1] * where.sum()).clamp(min=LEAST)).sqrt()


def of_paintings(paintings: Sequence[StyleImage]) -> Tensor:
    """The strength of paintings' grain at the sizes that they have: a mean by their weights."""
    total = sum(painting.weight for painting in paintings)
    parts = [painting.weight / total * strength_of(grain(painting.image)).square() for painting in paintings]
    return sum(parts[1:], parts[0]).sqrt()


def held(image: Tensor, most: Tensor, strength: float, where: Tensor | None = None) -> Tensor:
    """An image (1, 3, height, width) in [0, 1] with its grain no stronger than that; a weak style takes less away.

    Args:
        image: what is painted.
        most: of `of_paintings`.
        strength: of the style.
        where: (1, 1, height, width), how much of each pixel is painted.
    """
    fine = grain(image)
    gain = (most / strength_of(fine, where).clamp(min=LEAST)).clamp(max=1)
    return fine.mul_((gain - 1) * min(1.0, strength / FULL_COLOR)).add_(image).clamp_(0, 1)
