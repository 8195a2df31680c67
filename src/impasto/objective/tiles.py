"""Geometry: an image as tiles, each with the margin that the network must see around it.

Tiles begin at multiples of `ALIGNMENT`, so the pooling windows of a crop fall where those of the whole image do, and
the features of a tile's own positions are exactly those of the whole image.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from torch import Tensor

from impasto.network.layers import stride

ALIGNMENT = 32  # px: the stride of the network's last layer
LARGEST, SMALLEST = 2048, 128  # px: sides; larger tiles are no cheaper, smaller ones are mostly margin


@dataclass(frozen=True)
class Tile:
    """A rectangle of an image, and the larger one with its margin, in pixels from the image's upper left corner."""

    top: int
    left: int
    bottom: int
    right: int
    outer_top: int
    outer_left: int
    outer_bottom: int
    outer_right: int

    @property
    def pixels(self) -> int:
        """With the margin: what an evaluation costs."""
        return (self.outer_bottom - self.outer_top) * (self.outer_right - self.outer_left)

    def crop(self, image: Tensor, stride: int = 1) -> Tensor:
        """The tile with its margin: a view of the image, or of a map of it, (..., height, width)."""
        rows = slice(self.outer_top // stride, self.outer_bottom // stride)
        return image[..., rows, self.outer_left // stride : self.outer_right // stride]

    def core(self, features: Tensor, stride: int = 1) -> Tensor:
        """The tile's own positions of a map (..., height, width) that was computed from its crop.

        The cores of all tiles are a partition of the whole map's positions. Maps whose last position is missing, as
        of differences between neighbours, are cut where they end.
        """
        rows, columns = self.own(stride)
        return features[..., rows, columns]

    def own(self, stride: int = 1) -> tuple[slice, slice]:
        """Rows and columns of the tile's own positions in a map of its crop."""
        rows = slice((self.top - self.outer_top) // stride, (self.bottom - self.outer_top) // stride)
        columns = slice((self.left - self.outer_left) // stride, (self.right - self.outer_left) // stride)
        return rows, columns


def tiles(height: int, width: int, side: int | None, reach: int, rows: tuple[int, int] | None = None) -> list[Tile]:
    """A partition of an image.

    Args:
        height, width: of the image.
        side: of a tile without its margin, about, in pixels; None is one tile for all.
        reach: how far beyond its own pixels a tile must see (`impasto.network.layers.reach`); rounded up to the
            alignment.
        rows: first and last + 1 of those to cut, multiples of the alignment or the image's own ends; None is all.
    """
    first, last = rows or (0, height)
    if side is None:
        return [Tile(first, 0, last, width, 0, 0, height, width)]
    margin = margin_for(reach)
    downward, across = [first + cut for cut in _cuts(last - first, side)], _cuts(width, side)
    return [
        Tile(
            top,
            left,
            bottom,
            right,
            max(0, top - margin),
            max(0, left - margin),
            min(height, bottom + margin),
            min(width, right + margin),
        )
        for top, bottom in pairwise(downward)
        for left, right in pairwise(across)
    ]


def margin_for(reach: int) -> int:
    """How many pixels a part must see beyond its own, so that its crop begins at the alignment."""
    return -(-reach // ALIGNMENT) * ALIGNMENT


def _cuts(length: int, side: int) -> list[int]:
    """Where to cut a length into about equal parts no longer than `side` rounded up to the alignment."""
    count = -(-length // max(ALIGNMENT, side // ALIGNMENT * ALIGNMENT))
    inner = [round(i * length / count / ALIGNMENT) * ALIGNMENT for i in range(1, count)]
    return sorted({0, *(cut for cut in inner if 0 < cut < length), length})


def own_features(tile: Tile, layer: str, features: Tensor) -> Tensor:
    """A tile's own positions of the features of its crop.

    Cut with the channels last, as they lie in memory: the gradient of a cut is a new tensor in the order of the cut; to
    turn it for the convolutions would cost a quarter of an evaluation.
    """
    rows, columns = tile.own(stride(layer))
    return features.permute(0, 2, 3, 1)[:, rows, columns].permute(0, 3, 1, 2)
