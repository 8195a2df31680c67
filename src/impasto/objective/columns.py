"""Columns of features: what the network sees around each cell of 4 by 4 pixels, in several layers at once.

Where each cell of a picture is given a column to have, the loss is a sum over cells, as local as the content loss:
tiles, and whatever else rests on sums, need nothing new.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
import torch.nn.functional as F
from torch import Tensor

from impasto.network.layers import reach, stride
from impasto.objective.tiles import Tile, own_features

CELL = 4  # px
ROWS = 2**13  # columns that are held in full precision at a time
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


@dataclass(frozen=True)
class Targets:
    """A column for each cell of a picture.

    Attributes:
        columns: (count, channels of all layers), what there is to have; each layer divided by its size.
        indices: (rows, columns) of cells: which of the columns.
        sizes: of each layer, by which features are divided; in the order in which the columns hold the layers.
    """

    columns: Tensor
    indices: Tensor
    sizes: Mapping[str, float]

    def distance(self, features: Mapping[str, Tensor], tile: Tile) -> Tensor:
        """1 - the cosine between a column and its target, summed over a tile's cells (Kolkin et al. 2022, eq. 4).

        Args:
            features: by layer, of the tile's crop.
            tile: which.
        """
        rows, columns = slice(tile.top // CELL, tile.bottom // CELL), slice(tile.left // CELL, tile.right // CELL)
        indices = self.indices[rows, columns].flatten()
        widths = [features[layer].shape[1] for layer in self.sizes]
        product = square = self.lengths.new_zeros(())
        for (layer, size), part in zip(self.sizes.items(), torch.split(self.columns, widths, dim=1), strict=True):
            ours = at_cells(features[layer], layer, tile)
            ours = ours.to(torch.promote_types(ours.dtype, torch.float32))
            # targets stay in half precision: the way back keeps them, and they are as large as the features
            product = product + (ours * part[indices]).sum(1) / size
            square = square + ours.square().sum(1) / size**2
        return (1 - product / (square.clamp(min=TINY).sqrt() * self.lengths[indices])).sum()

    @cached_property
    def lengths(self) -> Tensor:
        """(count,) of the columns."""
        kept = torch.promote_types(self.columns.dtype, torch.float32)
        squares = [rows.to(kept).square().sum(1) for rows in torch.split(self.columns, ROWS)]
        return torch.cat(squares).clamp(min=TINY).sqrt()
