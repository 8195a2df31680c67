"""Artefacts of a painted picture that need no comparison with a painting: grain, specks, borders, checkers, blocks.

All are 0 in a flat picture and larger the worse; of luminance in [0, 1], the border's of colours. A painting
may have grain of its own, and a photograph a dark border: compare pictures of one pair with each other.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

SPECK = 0.2  # of luminance: a pixel that differs as much from the median around it stands out
BAND = 8  # pixels of the border, and of a block


@dataclass(frozen=True)
class Artefacts:
    """Faults of one picture.

    Attributes:
        grain: deviation of the finest noise (Immerkær 1996, Fast Noise Variance Estimation, eq. 3).
        specks: share of pixels that stand out from the median of the nine around them.
        border: difference of mean colours between the outermost 8 px and the next 8, of the side where it is largest.
        checkers: mean strength of the pattern of a chessboard of single pixels that goes on over 16 px.
        blocks: how much larger steps between blocks of 8 px are than other steps between pixels, relative.
    """

    grain: float
    specks: float
    border: float
    checkers: float
    blocks: float


@torch.no_grad()
def artefacts(image: Tensor) -> Artefacts:
    """Faults of a picture (1, 3, height, width) in [0, 1], of 32 pixels or more on each side."""
    light = (image * image.new_tensor([0.299, 0.587, 0.114])[:, None, None]).sum(1, keepdim=True)
    return Artefacts(grain(light), specks(light), border(image), checkers(light), blocks(light))


def grain(light: Tensor) -> float:
    """Deviation of the finest noise: a mask that edges and planes do not answer to."""
    mask = light.new_tensor([[1.0, -2.0, 1.0], [-2.0, 4.0, -2.0], [1.0, -2.0, 1.0]])
    return float(F.conv2d(light, mask[None, None]).abs().mean()) * math.sqrt(math.pi / 2) / 6


def specks(light: Tensor) -> float:
    """Share of pixels far from the median of the nine around them."""
    around = F.unfold(light, 3)
    return float(((around[:, 4] - around.median(1).values).abs() > SPECK).float().mean())


def border(image: Tensor) -> float:
    """Distance of colours of the outermost band and the next one, largest of four sides."""
    sides = [image, image.flip(2), image.mT, image.mT.flip(2)]
    outer, inner = ([side[:, :, i * BAND : (i + 1) * BAND].mean((0, 2, 3)) for side in sides] for i in (0, 1))
    return max(float((a - b).square().mean().sqrt()) for a, b in zip(outer, inner, strict=True))


def checkers(light: Tensor) -> float:
    """What is left of a chessboard of pixels when it is averaged over 16 px, where noise is not."""
    pattern = light.new_tensor([[1.0, -1.0], [-1.0, 1.0]])[None, None] / 4
    return float(F.avg_pool2d(F.conv2d(light, pattern, stride=2), BAND).abs().mean())


def blocks(light: Tensor) -> float:
    """Steps across lines at multiples of 8 px, relative to all others, of the direction where it is more."""
    found = 0.0
    for turned in (light, light.mT):
        steps = (turned[..., 1:] - turned[..., :-1]).abs().mean((0, 1, 2))
        at = torch.arange(1, len(steps) + 1, device=steps.device) % BAND == 0
        found = max(found, float(steps[at].mean() / steps[~at].mean().clamp(min=1e-4)) - 1)
    return found
