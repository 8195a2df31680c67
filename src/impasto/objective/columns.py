"""Columns of features: what the network sees around each cell of 4 by 4 pixels, in several layers at once.

Where each cell of a picture is given a column to have, the loss is a sum over cells, as local as the content loss:
tiles, and whatever else rests on sums, need nothing new.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from impasto.network.layers import stride
from impasto.objective.tiles import Tile

CELL = 4  # px
TINY = 1e-12


def at_cells(features: Tensor, layer: str, height: int, width: int) -> Tensor:
    """A layer's features at cells: averaged where its positions are closer, repeated where they are farther apart.

    Nothing outside of a cell's own positions counts, so that the cells of tiles are those of the whole.

    Args:
        features: (1, channels, rows, columns) of a part of an image that begins at a multiple of 32 px.
        layer: whose they are.
        height, width: of the part, in cells.

    Returns:
        (height * width, channels).
    """
    step = stride(layer)
    if step < CELL:
        features = F.avg_pool2d(features, CELL // step)
    elif step > CELL:
        rows, columns = (
            torch.arange(n, device=features.device).div(step // CELL, rounding_mode="floor").clamp(max=most - 1)
            for n, most in zip((height, width), features.shape[-2:], strict=True)
        )
        features = features[..., rows[:, None], columns]  # the last position reaches to the edge
    return features.permute(0, 2, 3, 1).reshape(height * width, -1)


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

    def distance(self, own: Mapping[str, Tensor], tile: Tile) -> Tensor:
        """1 - the cosine between a column and its target, summed over a tile's cells (Kolkin et al. 2022, eq. 4).

        Args:
            own: by layer, the features at the tile's own positions.
            tile: which.
        """
        rows, columns = slice(tile.top // CELL, tile.bottom // CELL), slice(tile.left // CELL, tile.right // CELL)
        indices = self.indices[rows, columns]
        wanted = self.columns[indices.flatten()]
        product = square = wanted.new_zeros(())
        for (layer, size), target in zip(
            self.sizes.items(), torch.split(wanted, [own[k].shape[1] for k in self.sizes], dim=1), strict=True
        ):
            ours = at_cells(own[layer], layer, *indices.shape).to(target.dtype) / size
            product = product + (ours * target).sum(1)
            square = square + ours.square().sum(1)
        lengths = square.clamp(min=TINY).sqrt() * wanted.square().sum(1).clamp(min=TINY).sqrt()
        return (1 - product / lengths).sum()
