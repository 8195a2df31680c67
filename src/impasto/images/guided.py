"""What is alike in one image is changed alike: the guided filter (He, Sun and Tang 2013, Guided Image Filtering).

About each pixel what is wanted is fitted by a linear function of the guide's colours (eqs. 14 to 19), and the functions
are averaged. So a change of colours stays as smooth as the guide, and has its edges.

Differs from the paper: what counts more in the fit can be said; functions are fitted in small images and applied to
large ones (He and Sun 2015, Fast Guided Filter).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

STRIP = 256  # rows of a large image that are filtered at a time


def fitted(guide: Tensor, wanted: Tensor, weight: Tensor, radius: int, smoothness: float) -> Tensor:
    """Linear functions of a guide's colours, about each pixel, that come near to what is wanted.

    Args:
        guide: (1, 3, height, width).
        wanted: (1, channels, height, width).
        weight: (1, 1, height, width), 0 or more: how much a pixel counts.
        radius: pixels to each side that a function is fitted to.
        smoothness: variance of the guide below which it counts as flat.

    Returns:
        (1, channels · 4, height, width): for each channel the factors of the guide's three, and what is added.
    """
    side = 2 * radius + 1

    def sums(maps: Tensor) -> Tensor:
        rows = F.avg_pool2d(F.pad(maps, (radius, radius, radius, radius)), (side, 1), 1)
        return F.avg_pool2d(rows, (1, side), 1)

    height, width = guide.shape[-2:]
    count = sums(weight).clamp(min=1e-6)

    def mean(maps: Tensor) -> Tensor:
        return sums(weight * maps) / count

    x, y = mean(guide), mean(wanted)
    products = torch.cat([guide[:, i : i + 1] * torch.cat([guide, wanted], 1) for i in range(3)], 1)
    means = torch.cat([x[:, i : i + 1] * torch.cat([x, y], 1) for i in range(3)], 1)
    covariance = (mean(products) - means).view(3, -1, height * width).permute(2, 0, 1)
    own, common = covariance[..., :3], covariance[..., 3:]
    factors = torch.linalg.solve(own + smoothness * torch.eye(3).to(own), common)  # pixels × 3 × channels
    added = y.flatten(2)[0].mT - torch.einsum("pi,pic->pc", x.flatten(2)[0].mT, factors)
    functions = torch.cat([factors, added[:, None]], 1).permute(2, 1, 0).reshape(1, -1, height, width)
    return sums(functions) / sums(torch.ones_like(weight))


def filtered(functions: Tensor, guide: Tensor) -> Tensor:
    """What the functions, fitted in a smaller image or in this one, make of a guide.

    Args:
        functions: of `fitted`.
        guide: (1, 3, height, width), of any size.

    Returns:
        (1, channels, height, width).
    """
    height, width = guide.shape[-2:]
    channels, rows = functions.shape[1] // 4, functions.shape[-2]
    wide = F.interpolate(functions, size=(rows, width), mode="bilinear", align_corners=False)
    place = ((torch.arange(height) + 0.5) * rows / height - 0.5).clamp(0, rows - 1).to(guide)
    above = place.floor().long()
    found = guide.new_empty(1, channels, height, width)
    for first in range(0, height, STRIP):
        here = slice(first, first + STRIP)
        upper, share = above[here], (place - above)[here, None]
        each = torch.lerp(wide[..., upper, :], wide[..., (upper + 1).clamp(max=rows - 1), :], share)
        each = each.view(channels, 4, -1, width)
        found[0, :, here] = (each[:, :3] * guide[:, :, here]).sum(1) + each[:, 3]
    return found
