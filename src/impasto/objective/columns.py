"""Columns of features: what the network sees around each cell of 4 by 4 pixels, in several layers at once.

Where each cell of a picture is given a column to have, the loss is a sum over cells, as local as the content loss:
tiles, and whatever else rests on sums, need nothing new. Columns have up to 2,688 numbers; in large pictures they are
held and compared in the few directions in which those of a painting are strongest.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from impasto.network.layers import channels, reach, stride
from impasto.objective.tiles import Tile, own_features

CELL = 4  # px
NUMBERS = 2**21  # of columns that are compared at a time
ROWS = 2**14  # columns that are held in full precision at a time
DIRECTIONS = 128  # in which the columns of large pictures are held and compared;
WHOLE = 2**26  # numbers: where all columns have no more, they are whole. Without the weak directions skies lose stars
TINY = 1e-12


def sees(layers: Sequence[str]) -> int:
    """How many pixels beyond its own a cell's column depends on: a position more than a layer that is enlarged."""
    return max((reach([layer]) + (stride(layer) if stride(layer) > CELL else 0) for layer in layers), default=0)


def at_cells(features: Tensor, layer: str, tile: Tile) -> Tensor:
    """A layer's features at a tile's own cells: averaged where its positions are closer, linear between those that are
    farther apart (repeated, they paint a grid on what is flat).

    Args:
        features: (1, channels, rows, columns) of the tile's crop, which reaches as far as `sees` beyond the tile.
        layer: whose they are.
        tile: which.

    Returns:
        (cells, channels), row by row.
    """
    step = stride(layer)
    height, width = tile.bottom // CELL - tile.top // CELL, tile.right // CELL - tile.left // CELL
    if step <= CELL:
        own = own_features(tile, layer, features)
        found = F.avg_pool2d(own, CELL // step) if step < CELL else own
    else:
        factor, (rows, columns) = step // CELL, tile.own(CELL)
        missing = (0, int(columns.stop > features.shape[-1] * factor), 0, int(rows.stop > features.shape[-2] * factor))
        if any(missing):  # the last position reaches to the edge; padding by nothing would copy
            features = F.pad(features, missing, "replicate")
        larger = F.interpolate(features, scale_factor=factor, mode="bilinear", align_corners=False)
        found = larger[..., rows, columns]
    return found[..., :height, :width].permute(0, 2, 3, 1).reshape(height * width, -1)


def coordinates(features: Iterable[tuple[str, Tensor]], directions: Mapping[str, Tensor], tile: Tile) -> Tensor:
    """The columns of a tile's own cells, in some directions.

    Args:
        features: (1, channels, rows, columns) of the tile's crop, and of which layer they are.
        directions: (channels, count) for each layer.
        tile: which.

    Returns:
        (cells, count), row by row, in single precision at least.
    """
    found = None
    for layer, maps in features:
        along = directions[layer]
        exact = maps.to(torch.promote_types(maps.dtype, torch.float32))
        if stride(layer) > CELL:  # to enlarge is linear: fewer maps are enlarged
            part = at_cells(F.conv2d(exact, along.mT[..., None, None]), layer, tile)
        else:
            part = at_cells(exact, layer, tile) @ along
        found = part if found is None else found + part
    assert found is not None
    return found


def are_whole(cells: int, layers: Sequence[str]) -> bool:
    """Whether the columns of so many cells are few enough to be held and compared whole."""
    return cells * sum(map(channels, layers)) <= WHOLE


class _Products(torch.autograd.Function):
    """The products of columns, or a layer's part of them, with rows of a bank, and their squares.

    A few rows are compared at a time, and nothing but the columns is kept for the way back.
    """

    @staticmethod
    def forward(ctx: Any, ours: Tensor, theirs: Tensor, which: Tensor) -> tuple[Tensor, Tensor]:
        ctx.save_for_backward(ours, theirs, which)
        parts = [((a * b).sum(1), a.square().sum(1)) for a, b in _pairs(ours, theirs, which)]
        product, square = (torch.cat(part) for part in zip(*parts, strict=True))
        return product, square

    @staticmethod
    def backward(ctx: Any, *slopes: Tensor) -> tuple[Tensor, None, None]:
        ours, theirs, which = ctx.saved_tensors
        back, first = torch.empty_like(ours), 0
        for a, b in _pairs(ours, theirs, which):
            here = slice(first, first + len(a))
            along, outward = (slope[here, None] for slope in slopes)
            back[here] = torch.addcmul(a * (2 * outward), b, along)
            first += len(a)
        return back, None, None


def _pairs(ours: Tensor, theirs: Tensor, which: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Rows and those of a bank that belong to them, in single precision at least, so many as are held at a time."""
    exact, count = torch.promote_types(ours.dtype, torch.float32), max(1, NUMBERS // ours.shape[1])
    for a, b in zip(torch.split(ours, count), torch.split(which, count), strict=True):
        yield a.to(exact), theirs[b].to(exact)


@dataclass(frozen=True)
class Targets:
    """A column for each cell of a picture.

    Attributes:
        columns: (count, numbers), what there is to have.
        indices: (rows, columns) of cells: which of the columns.
        sizes: of each layer, by which features are divided; in the order in which the columns hold the layers.
        widths: of each layer, how many numbers of a whole column are its own.
        directions: (channels, numbers) for each layer, in which features are compared; None is whole.
    """

    columns: Tensor
    indices: Tensor
    sizes: Mapping[str, float]
    widths: Mapping[str, int]
    directions: Mapping[str, Tensor] | None = None

    def of_layer(self, layer: str, features: Tensor, tile: Tile) -> Tensor:
        """What `distance` needs of a layer, which is added to that of the others: the products of a tile's own cells
        with their targets, and their squares, (2, cells); or the cells in few directions, (cells, numbers).

        Args:
            layer: of those of the columns.
            features: of the tile's crop.
            tile: which.
        """
        if self.directions is not None:
            return coordinates([(layer, features)], self.directions, tile)
        theirs, size = self._by_layer[layer], self.sizes[layer]
        ours = at_cells(features, layer, tile)
        product, square = _Products.apply(ours, theirs, self._of(tile))  # type: ignore[no-untyped-call]
        return torch.stack([product / size, square / size**2])

    def distance(self, found: Tensor, tile: Tile) -> Tensor:
        """1 - the cosine between a column and its target, summed over a tile's cells (Kolkin et al. 2022, eq. 4).

        Args:
            found: of all layers, added.
            tile: which.
        """
        indices = self._of(tile)
        if self.directions is not None:
            product, square = (found * self.columns[indices]).sum(1), found.square().sum(1)
        else:
            product, square = found
        return (1 - product / (square.clamp(min=TINY).sqrt() * self.lengths[indices])).sum()

    def _of(self, tile: Tile) -> Tensor:
        """(cells,): which columns a tile's own cells have."""
        rows, columns = slice(tile.top // CELL, tile.bottom // CELL), slice(tile.left // CELL, tile.right // CELL)
        return self.indices[rows, columns].flatten()

    @cached_property
    def _by_layer(self) -> Mapping[str, Tensor]:
        """The numbers of whole columns."""
        parts = torch.split(self.columns, [self.widths[layer] for layer in self.sizes], dim=1)
        return dict(zip(self.sizes, parts, strict=True))

    @cached_property
    def lengths(self) -> Tensor:
        """(count,) of the columns."""
        kept = torch.promote_types(self.columns.dtype, torch.float32)
        squares = [rows.to(kept).square().sum(1) for rows in torch.split(self.columns, ROWS)]
        return torch.cat(squares).clamp(min=TINY).sqrt()
