"""Columns of features: what the network sees around each cell of 4 by 4 pixels, in several layers at once.

Where each cell of a picture is given a column to have, the loss is a sum over cells, as local as the content loss:
tiles, and whatever else rests on sums, need nothing new. Columns have up to 2,688 numbers; in large pictures they are
held and compared in the few directions in which those of a painting are strongest.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
import torch.nn.functional as F
from torch import Tensor

from impasto.network.layers import channels, reach, stride
from impasto.objective.tiles import Tile, own_features

CELL = 4  # px
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
        larger = F.interpolate(features, scale_factor=step // CELL, mode="bilinear", align_corners=False)
        rows, columns = tile.own(CELL)
        missing = (0, max(0, columns.stop - larger.shape[-1]), 0, max(0, rows.stop - larger.shape[-2]))
        found = F.pad(larger, missing, "replicate")[..., rows, columns]  # the last position reaches to the edge
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


@dataclass(frozen=True)
class Targets:
    """A column for each cell of a picture.

    Attributes:
        columns: (count, numbers), what there is to have.
        indices: (rows, columns) of cells: which of the columns.
        sizes: of each layer, by which features are divided; in the order in which the columns hold the layers.
        directions: (channels, numbers) for each layer, in which features are compared; None is whole.
    """

    columns: Tensor
    indices: Tensor
    sizes: Mapping[str, float]
    directions: Mapping[str, Tensor] | None = None

    def distance(self, features: Mapping[str, Tensor], tile: Tile) -> Tensor:
        """1 - the cosine between a column and its target, summed over a tile's cells (Kolkin et al. 2022, eq. 4).

        Args:
            features: by layer, of the tile's crop.
            tile: which.
        """
        rows, columns = slice(tile.top // CELL, tile.bottom // CELL), slice(tile.left // CELL, tile.right // CELL)
        indices = self.indices[rows, columns].flatten()
        product = square = self.lengths.new_zeros(())
        for ours, part in self._parts(features, tile):
            # targets stay in half precision: the way back keeps them, and they are as large as the features
            product = product + (ours * part[indices]).sum(1)
            square = square + ours.square().sum(1)
        return (1 - product / (square.clamp(min=TINY).sqrt() * self.lengths[indices])).sum()

    def _parts(self, features: Mapping[str, Tensor], tile: Tile) -> Iterator[tuple[Tensor, Tensor]]:
        """Numbers of a tile's own cells, and those of all targets; one after another."""
        if self.directions is not None:
            yield coordinates(((k, features[k]) for k in self.directions), self.directions, tile), self.columns
            return
        widths = [features[layer].shape[1] for layer in self.sizes]
        for (layer, size), part in zip(self.sizes.items(), torch.split(self.columns, widths, dim=1), strict=True):
            ours = at_cells(features[layer], layer, tile)
            yield ours.to(torch.promote_types(ours.dtype, torch.float32)) / size, part

    @cached_property
    def lengths(self) -> Tensor:
        """(count,) of the columns."""
        kept = torch.promote_types(self.columns.dtype, torch.float32)
        squares = [rows.to(kept).square().sum(1) for rows in torch.split(self.columns, ROWS)]
        return torch.cat(squares).clamp(min=TINY).sqrt()
