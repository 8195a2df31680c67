"""The network that paints a style in one pass: an image transformation network (Johnson et al. 2016, Perceptual
Losses).

    photograph -> convolution -> two of stride 2 -> residual blocks -> two that double the size -> convolution ->
    picture

with bridges: what was seen at full and at half size is added where that size is reached again (Ronneberger et al. 2015,
U-Net), so that faces and towers need not pass through a quarter of the size. Behind every convolution but the last is
conditional instance normalisation (Dumoulin et al. 2017, A Learned Representation for Artistic Style, eq. 5): the
paintings of one network share all filters, and each has its own scales and shifts. A picture between paintings has
scales and shifts between theirs. The first ones, at `PHOTOGRAPH`, give back the photograph, so a weaker style lies on
the way to them.

Differs from the papers: maps are added, not set side by side, and before they are rectified, so that a painting can
take away what it does not want; sizes are doubled by repetition and a convolution, against checkerboards (Odena et al.
2016); the outermost convolutions are 5x5 instead of 9x9; channels are few (`Shape.width`); the last function is the
logistic one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

PHOTOGRAPH = 0  # the number of the scales and shifts that paint nothing
EPSILON = 1e-5  # variance below which a map counts as flat
SMALLEST = 16  # px of the shorter side of a picture: its smallest maps are a quarter of it, and must have an inside
NORMALISED = {"enter": 1, "halve": 2, "quarter": 4, "to_half": 2, "to_full": 1}
"""The convolutions outside of blocks that are normalised, and their channels in widths."""
WIDTHS = (4, 64)
MOST_BLOCKS = 10
MOST_PAINTINGS = 64


@dataclass(frozen=True)
class Shape:
    """What a network is made of.

    Attributes:
        paintings: how many it knows.
        width: channels of its largest maps; twice as many at half size, four times at a quarter.
        blocks: residual ones, each of two convolutions, at a quarter of the size.
        depthwise: each convolution of these in two, one of each map by itself and one across maps: for phones.
        bridges: maps of full and half size are added where that size comes again.
    """

    paintings: int
    width: int = 16
    blocks: int = 5
    depthwise: bool = False
    bridges: bool = True


class Convolution(nn.Module):
    """A convolution whose borders reflect, of every `stride`-th position, after doubling its input's size if asked."""

    def __init__(self, before: int, after: int, kernel: int, *, stride: int = 1, doubles: bool = False) -> None:
        super().__init__()
        self.kernel, self.stride, self.doubles = kernel, stride, doubles
        self.filters = nn.Sequential(nn.Conv2d(before, after, kernel, stride))

    @property
    def margin(self) -> int:
        """Positions that it sees beyond its own, on each side."""
        return self.kernel // 2

    def forward(self, x: Tensor) -> Tensor:
        """(B, before, height, width) to (B, after, height', width')."""
        x = F.interpolate(x, scale_factor=2.0, mode="nearest") if self.doubles else x
        margin = self.margin
        return self.valid(F.pad(x, (margin, margin, margin, margin), "reflect"))

    def valid(self, x: Tensor) -> Tensor:
        """The same without doubling or borders: the positions whose neighbours are all there."""
        y: Tensor = self.filters(x)
        return y


class Depthwise(Convolution):
    """The same in two: each map by itself, then across maps (Howard et al. 2017, MobileNets, section 3.1)."""

    def __init__(self, before: int, after: int, kernel: int) -> None:
        super().__init__(before, after, kernel)
        self.filters = nn.Sequential(
            nn.Conv2d(before, before, kernel, groups=before, bias=False), nn.Conv2d(before, after, 1)
        )


class Normalisation(nn.Module):
    """Scales and shifts of each map for each painting, and the first for the photograph."""

    def __init__(self, channels: int, paintings: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1 + paintings, channels))
        self.shift = nn.Parameter(torch.zeros(1 + paintings, channels))

    def forward(self, x: Tensor, shares: Tensor) -> Tensor:
        """(B, channels, height, width) with mean and deviation of the paintings' blend; `shares` (B, 1 + paintings).

        By the library's batch normalisation, of batches of one: in channels_last memory that is faster than mean and
        deviation by themselves (1.1 s instead of 1.6 for a picture of 1024 × 768, in all).
        """
        blends = zip(x, shares @ self.scale, shares @ self.shift, strict=True)
        each = [F.batch_norm(one[None], None, None, scale, shift, True, 0.0, EPSILON) for one, scale, shift in blends]
        return each[0] if len(each) == 1 else torch.cat(each)

    def affine(self, mean: Tensor, variance: Tensor, shares: Tensor) -> tuple[Tensor, Tensor]:
        """What a map with a mean and variance is multiplied with and increased by: (B, channels) each."""
        factor = (shares @ self.scale) * torch.rsqrt(variance + EPSILON)
        return factor, shares @ self.shift - mean * factor


class Block(nn.Module):
    """Two convolutions whose result is added to what came in (He et al. 2016)."""

    def __init__(self, channels: int, shape: Shape) -> None:
        super().__init__()
        kind = Depthwise if shape.depthwise else Convolution
        self.first, self.second = kind(channels, channels, 3), kind(channels, channels, 3)
        self.norm_first = Normalisation(channels, shape.paintings)
        self.norm_second = Normalisation(channels, shape.paintings)

    def forward(self, x: Tensor, shares: Tensor) -> Tensor:
        y = F.relu(self.norm_first(self.first(x), shares))
        added: Tensor = self.norm_second(self.second(y), shares)
        return x + added


class Transform(nn.Module):
    """The network of a shape, its weights random by torch's generator.

    Args:
        shape: what it is made of.
    """

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        width, paintings = shape.width, shape.paintings
        self.shape = shape
        self.enter = Convolution(3, width, 5)
        self.halve = Convolution(width, 2 * width, 3, stride=2)
        self.quarter = Convolution(2 * width, 4 * width, 3, stride=2)
        self.blocks = nn.ModuleList(Block(4 * width, shape) for _ in range(shape.blocks))
        self.to_half = Convolution(4 * width, 2 * width, 3, doubles=True)
        self.to_full = Convolution(2 * width, width, 3, doubles=True)
        self.leave = Convolution(width, 3, 5)
        self.norms = nn.ModuleDict({name: Normalisation(k * width, paintings) for name, k in NORMALISED.items()})
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def norm(self, name: str) -> Normalisation:
        """That of a convolution, by a name of `NORMALISED`."""
        return cast(Normalisation, self.norms[name])

    def each_block(self) -> Iterator[Block]:
        """The residual blocks, in order."""
        return (cast(Block, block) for block in self.blocks)

    def forward(self, image: Tensor, shares: Tensor) -> Tensor:
        """Paint whole images.

        Args:
            image: (B, 3, height, width) in [0, 1], sides multiples of 4 and at least `SMALLEST`.
            shares: (B, 1 + paintings), of the photograph and of each painting in the style of each image, adding up
                to 1.

        Returns:
            Like `image`.
        """
        x = (image - 0.5).contiguous(memory_format=torch.channels_last)
        full = F.relu(self.norm("enter")(self.enter(x), shares))
        half = F.relu(self.norm("halve")(self.halve(full), shares))
        x = F.relu(self.norm("quarter")(self.quarter(half), shares))
        for block in self.each_block():
            x = block(x, shares)
        for name, seen in (("to_half", half), ("to_full", full)):
            x = self.norm(name)(getattr(self, name)(x), shares)
            x = F.relu(x + seen if self.shape.bridges else x)
        return torch.sigmoid(self.leave(x))


def shares_of(weights: Sequence[float], strength: float = 1.0) -> Tensor:
    """(1, 1 + paintings) shares: those of the paintings, relative, and the photograph's, 1 - strength.

    Args:
        weights: of the paintings, 0 or more, one at least positive.
        strength: from 0, the photograph, to 1.
    """
    paintings = torch.tensor(weights, dtype=torch.float32)
    return torch.cat([torch.tensor([1 - strength]), strength * paintings / paintings.sum()])[None]
