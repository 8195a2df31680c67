"""A transformation network over a picture of any size, in strips: the same picture as whole, within bounded memory.

Instance normalisation needs each map's mean and deviation over the whole picture before the next convolution can
begin. So maps are computed row by row from whatever they are computed from, as often as they are asked for: once for
their sums, once for what follows. Only maps at half the size or less are kept; at full size they would take 64 bytes
a pixel, and are cheap to compute anew. This is what `moments` are for the objective.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from impasto.network.transform import Convolution, Normalisation, Transform

STRIP = 2**19  # positions of a map that are computed at once
WHOLE = 2**21  # pixels of a picture that is painted whole: it takes some 400 MB
ALIGNMENT = 4  # px: pictures are extended to multiples of it, and cut afterwards


class Map(Protocol):
    """A feature map of which any rows can be asked for."""

    @property
    def height(self) -> int: ...

    @property
    def width(self) -> int: ...

    def rows(self, top: int, bottom: int) -> Tensor:
        """(1, channels, bottom - top, width)."""


@dataclass(frozen=True)
class Kept:
    """A map that lies in memory."""

    values: Tensor

    @property
    def height(self) -> int:
        return int(self.values.shape[-2])

    @property
    def width(self) -> int:
        return int(self.values.shape[-1])

    def rows(self, top: int, bottom: int) -> Tensor:
        return self.values[..., top:bottom, :]


@dataclass(frozen=True)
class Doubled:
    """Each position of a map four times."""

    source: Map

    @property
    def height(self) -> int:
        return 2 * self.source.height

    @property
    def width(self) -> int:
        return 2 * self.source.width

    def rows(self, top: int, bottom: int) -> Tensor:
        first = top // 2
        doubled = F.interpolate(self.source.rows(first, -(-bottom // 2)), scale_factor=2.0, mode="nearest")
        return doubled[..., top - 2 * first : bottom - 2 * first, :]


@dataclass(frozen=True)
class Convolved:
    """A convolution of a map; sides are multiples of its stride."""

    source: Map
    convolution: Convolution

    @property
    def height(self) -> int:
        return self.source.height // self.convolution.stride

    @property
    def width(self) -> int:
        return self.source.width // self.convolution.stride

    def rows(self, top: int, bottom: int) -> Tensor:
        margin, stride, last = self.convolution.margin, self.convolution.stride, self.source.height - 1
        seen = torch.arange(top * stride - margin, (bottom - 1) * stride + margin + 1)
        seen = last - (last - seen.abs()).abs()  # reflected at the upper and the lower edge
        first = int(seen.min())
        values = self.source.rows(first, int(seen.max()) + 1)
        if len(seen) != values.shape[-2]:
            values = values.index_select(2, (seen - first).to(values.device))
        return self.convolution.valid(F.pad(values, (margin, margin, 0, 0), "reflect"))


@dataclass(frozen=True)
class Normalised:
    """A map times one number for each channel, plus another and what is added to it, without what is negative."""

    source: Map
    factor: Tensor  # (channels, 1, 1)
    summand: Tensor
    added: Map | None = None  # of the same size

    @property
    def height(self) -> int:
        return self.source.height

    @property
    def width(self) -> int:
        return self.source.width

    def rows(self, top: int, bottom: int) -> Tensor:
        rows = self.source.rows(top, bottom) * self.factor + self.summand
        return (rows if self.added is None else rows.add_(self.added.rows(top, bottom))).relu_()


@torch.no_grad()
def transform(network: Transform, image: Tensor, shares: Tensor, *, strip: int = STRIP, whole: int = WHOLE) -> Tensor:
    """Paint a picture of any size.

    Args:
        network: that paints.
        image: (1, 3, height, width) in [0, 1], at least `transform.SMALLEST` on the shorter side.
        shares: (1, 1 + paintings), as of `Transform`.
        strip: positions of a map that are computed at once.
        whole: pixels up to which a picture is painted whole, which is faster.

    Returns:
        Like `image`.
    """
    height, width = image.shape[-2:]
    padded = F.pad(image, (0, -width % ALIGNMENT, 0, -height % ALIGNMENT), "reflect")
    if height * width <= whole:
        painted: Tensor = network(padded, shares)
    else:
        painted = _streamed(network, padded, shares, strip)
    return painted[..., :height, :width]


def _streamed(network: Transform, image: Tensor, shares: Tensor, strip: int) -> Tensor:
    enter = Convolved(Kept(image - 0.5), network.enter)
    entered = Normalised(enter, *_affine(enter, network.norm("enter"), shares, strip))
    half = _settled(Convolved(entered, network.halve), network.norm("halve"), shares, strip)
    x = _settled(Convolved(half, network.quarter), network.norm("quarter"), shares, strip)
    for block in network.each_block():
        y = _settled(Convolved(x, block.first), block.norm_first, shares, strip)
        x = _settled(Convolved(y, block.second), block.norm_second, shares, strip, added=x, rectified=False)
    at_half, at_full = (half, entered) if network.shape.bridges else (None, None)
    x = _settled(Convolved(Doubled(x), network.to_half), network.norm("to_half"), shares, strip, added=at_half)
    to_full = Convolved(Doubled(x), network.to_full)
    full = Normalised(to_full, *_affine(to_full, network.norm("to_full"), shares, strip), at_full)
    return _kept(Convolved(full, network.leave), strip).values.sigmoid_()


def _settled(
    x: Map, norm: Normalisation, shares: Tensor, strip: int, *, added: Kept | None = None, rectified: bool = True
) -> Kept:
    """A map, computed once, normalised where it lies; another is added to it."""
    kept = _kept(x, strip)
    factor, summand = _affine(kept, norm, shares, strip)
    kept.values.mul_(factor).add_(summand)
    if added is not None:
        kept.values.add_(added.values)
    return Kept(kept.values.relu_() if rectified else kept.values)


def _affine(x: Map, norm: Normalisation, shares: Tensor, strip: int) -> tuple[Tensor, Tensor]:
    """What a map is multiplied with and increased by, from its mean and variance: (channels, 1, 1) each.

    Sums of squares in float64: what is left of them after the squared mean must be right.
    """
    sums = squares = torch.zeros((), dtype=torch.float64)
    for top, bottom in _strips(x, strip):
        rows = x.rows(top, bottom).double()
        sums, squares = sums + rows.sum((2, 3)), squares + rows.square().sum((2, 3))
    mean = sums / (x.height * x.width)
    variance = (squares / (x.height * x.width) - mean.square()).clamp(min=0)
    factor, summand = norm.affine(mean.float(), variance.float(), shares)
    return factor[0, :, None, None], summand[0, :, None, None]


def _kept(x: Map, strip: int) -> Kept:
    """A map, computed strip by strip into memory."""
    values: Tensor | None = None
    for top, bottom in _strips(x, strip):
        rows = x.rows(top, bottom)
        if values is None:
            values = rows.new_empty((1, rows.shape[1], x.height, x.width))
        values[..., top:bottom, :] = rows
    assert values is not None
    return Kept(values)


def _strips(x: Map, strip: int) -> Iterator[tuple[int, int]]:
    """First and last + 1 of the rows of each strip; even, as doubled maps like it."""
    rows = max(2, strip // x.width // 2 * 2)
    for top in range(0, x.height, rows):
        yield top, min(x.height, top + rows)
