"""What the judge sees without any network: patches of raw pixels, and filters in several scales and directions.

No objective here minimises any of it, and none of it comes from VGG-19.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

PATCH = 7  # px: side of a patch, at each of the levels
LEVELS = 3  # each of half the size of the one before: patches of 7, 14 and 28 px
STEP = 3  # px between the patches that are compared, at each level
DIRECTIONS, SCALES = 6, 4  # of the filters
WAVELENGTH = 4.0  # px of the filters, at each scale
CHUNK = 2**24  # distances that are held at a time


def levels(image: Tensor, count: int, smallest: int = 2 * PATCH) -> list[Tensor]:
    """An image and its halves, as long as they are no smaller than `smallest` px."""
    pyramid = [image]
    while len(pyramid) < count and min(pyramid[-1].shape[-2:]) >= 2 * smallest:
        pyramid.append(F.avg_pool2d(pyramid[-1], 2))
    return pyramid


def details(image: Tensor) -> Tensor:
    """Patches without their mean colour, as features of the pixel in their middle: (1, 3 · 7², h - 6, w - 6)."""
    patches = F.unfold(image, PATCH).view(1, 3, PATCH**2, -1)
    centred = patches - patches.mean(2, keepdim=True)
    return centred.view(1, 3 * PATCH**2, image.shape[-2] - PATCH + 1, image.shape[-1] - PATCH + 1)


def bidirectional_similarity(image: Tensor, style: Tensor) -> tuple[float, float]:
    """Coherence and completeness (Simakov et al. 2008, eq. 1) of an image as a summary of a painting.

    Coherence: how far each patch of the image is from the painting's nearest one. Completeness: how far each patch of
    the painting is from the image's nearest one. 0 where every patch is found; about 1 where a patch has nothing in
    common with its nearest.

    Differs from the paper: distances are divided by the painting's variance of pixels, and are the root of a mean over
    patches, averaged over three sizes of patches.

    Args:
        image, style: (1, 3, any height, any width) in [0, 1].
    """
    found = []
    for ours, theirs in zip(levels(image, LEVELS), levels(style, LEVELS), strict=False):
        a, b = (F.unfold(x - style.mean(), PATCH, stride=STEP)[0].mT for x in (ours, theirs))
        variance = (b - b.mean(0)).square().mean().clamp(min=1e-12) * b.shape[1]
        forth, back = _nearest(a, b)
        found.append([(squares.mean() / variance).sqrt() for squares in (forth, back)])
    coherence, completeness = torch.tensor(found).mean(0).tolist()
    return coherence, completeness


def _nearest(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Squared distances of each row to the nearest of the other's rows, both ways."""
    forth, back = [], a.new_full((len(b),), torch.inf)
    sizes = b.square().sum(1)
    for rows in torch.split(a, max(1, CHUNK // len(b))):
        squares = torch.addmm(sizes + rows.square().sum(1)[:, None], rows, b.mT, alpha=-2).clamp_(min=0)
        forth.append(squares.amin(1))
        back = torch.minimum(back, squares.amin(0))
    return torch.cat(forth), back


def filter_energies(image: Tensor) -> Tensor:
    """How much of each wavelength and direction there is around each position: sizes of Gabor filters' answers.

    Filters of `SCALES` wavelengths from 4 px up, by factors of two, in `DIRECTIONS` directions, on the luminance
    (after Portilla and Simoncelli 2000, who use a steerable pyramid).

    Args:
        image: (1, 3, height, width) in [0, 1].

    Returns:
        (1, scales · directions, height / 4, width / 4), rounded down.
    """
    cells = image.shape[-2] // 4, image.shape[-1] // 4
    luminance = (image * image.new_tensor([0.299, 0.587, 0.114])[:, None, None]).sum(1, keepdim=True)
    filters = _gabor_filters().to(image)
    margin = filters.shape[-1] // 2
    energies = []
    for level in levels(luminance, SCALES, smallest=margin + 1):
        answers = F.conv2d(F.pad(level, (margin,) * 4, "reflect"), filters)
        sizes = answers.view(1, 2, DIRECTIONS, *answers.shape[-2:]).square().sum(1).sqrt()
        energies.append(F.interpolate(sizes, cells, mode="area"))
    return torch.cat(energies, 1)


def _gabor_filters() -> Tensor:
    """(2 · directions, 1, side, side): cosines, then sines, under a bell; without mean."""
    sigma = WAVELENGTH / 2
    reach = math.ceil(2.5 * sigma)
    y, x = torch.meshgrid(*[torch.arange(-reach, reach + 1.0)] * 2, indexing="ij")
    bell = torch.exp(-(x**2 + y**2) / (2 * sigma**2))
    bell = bell / bell.sum()
    waves = torch.stack(list(_waves(x, y)))
    return ((waves - (waves * bell).sum((1, 2), keepdim=True)) * bell)[:, None]


def _waves(x: Tensor, y: Tensor) -> Iterator[Tensor]:
    for wave in (torch.cos, torch.sin):
        for number in range(DIRECTIONS):
            angle = math.pi * number / DIRECTIONS
            yield wave(2 * math.pi / WAVELENGTH * (x * math.cos(angle) + y * math.sin(angle)))


def stroke_breadth(image: Tensor) -> float:
    """How broad an image's strokes are, in pixels: half the mean wavelength of its filters' energies.

    Args:
        image: (1, 3, height, width) in [0, 1].
    """
    energies = filter_energies(image).square().mean((0, 2, 3)).view(-1, DIRECTIONS).sum(1)
    octaves = torch.arange(len(energies), dtype=energies.dtype, device=energies.device)
    mean = float((energies * octaves).sum() / energies.sum().clamp(min=1e-12))
    return WAVELENGTH / 2 * 2**mean
