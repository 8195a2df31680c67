"""Matched targets: each cell of the picture is given the column of the piece of the painting that fits it there.

Nearest-neighbour style features (Kolkin et al. 2022, Neural Neighbor Style Transfer, arXiv 2203.13215, section 3).

Differs from the paper: VGG-19 instead of VGG-16; Gram matrices beside; columns of fewer layers at fine scales; cells
that belong to a region are matched with that region's; a piece that is used often is used less gladly; the search is
done among the strongest directions of the painting's columns only; L-BFGS on pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from impasto.methods.styles import StyleImage
from impasto.network.layers import reach
from impasto.network.vgg import VGG19
from impasto.objective.columns import CELL, Targets, at_cells
from impasto.objective.objective import own_features
from impasto.objective.tiles import tiles

TILE = 512  # px: in which the columns of pictures are computed
DIRECTIONS = 192  # of the columns, in which they are compared
COVERAGE = 0.03  # of cosine, by which a piece that is used often falls behind
CHUNK = 2**23  # cosines that are held at a time
SHARED = 0.25  # of the picture so far, beside the photograph, in what is matched at the finer scales
ROUNDS = 40  # of prices, until paintings have their shares


@dataclass(frozen=True)
class Bank:
    """The columns of all paintings at a scale.

    Attributes:
        columns: (count, channels), each layer divided by its size.
        sizes: root mean squares of the layers, in the columns' order.
        owners: (count,), which painting each is of.
        regions: (regions, count), whether a region may use it; None where there are no regions.
    """

    columns: Tensor
    sizes: dict[str, float]
    owners: Tensor
    regions: Tensor | None


def bank(network: VGG19, paintings: Sequence[StyleImage], layers: Sequence[str]) -> Bank:
    """The columns of the paintings, at the sizes that they have."""
    found = [image_columns(network, painting.image, layers) for painting in paintings]
    whole = {k: torch.cat([one[k] for one in found]) for k in layers}
    sizes = {k: max(float(part.square().mean().sqrt()), 1e-6) for k, part in whole.items()}
    counts = torch.tensor([len(one[layers[0]]) for one in found])
    owners = torch.arange(len(paintings)).repeat_interleave(counts).to(network.device)
    regions = None
    if paintings[0].masks is not None:
        regions = torch.cat([F.avg_pool2d(p.masks, CELL).flatten(1) > 0.5 for p in paintings if p.masks is not None], 1)
    return Bank(torch.cat([whole.pop(k).div_(sizes[k]) for k in layers], 1), sizes, owners, regions)


@torch.no_grad()
def image_columns(network: VGG19, image: Tensor, layers: Sequence[str], side: int = TILE) -> dict[str, Tensor]:
    """Columns of an image (1, 3, height, width), by layer: (cells, channels), row by row; in tiles of a side."""
    height, width = image.shape[-2] // CELL, image.shape[-1] // CELL
    whole: dict[str, Tensor] = {}
    for tile in tiles(image.shape[-2], image.shape[-1], side, reach(layers)):
        rows, columns = slice(tile.top // CELL, tile.bottom // CELL), slice(tile.left // CELL, tile.right // CELL)
        cells = tile.bottom // CELL - rows.start, tile.right // CELL - columns.start
        for layer, features in network.walk(tile.crop(image), layers):
            part = at_cells(own_features(tile, layer, features), layer, *cells).to(image.dtype)
            if layer not in whole:
                whole[layer] = part.new_empty(height, width, part.shape[1])
            whole[layer][rows, columns] = part.view(*cells, -1)
    return {layer: part.flatten(0, 1) for layer, part in whole.items()}


def matched_targets(
    network: VGG19,
    source: Bank,
    image: Tensor,
    shares: Sequence[float],
    masks: Tensor | None = None,
) -> Targets:
    """The columns that fit an image.

    Args:
        source: of the paintings.
        image: (1, 3, height, width): the photograph in the paintings' colours, or that mixed with the picture so far.
        shares: of the paintings.
        masks: (regions, height, width) of the image.
    """
    own = image_columns(network, image, list(source.sizes))
    queries = torch.cat([own.pop(k).div_(size) for k, size in source.sizes.items()], 1)
    cells = image.shape[-2] // CELL, image.shape[-1] // CELL
    if masks is None or source.regions is None:
        everything = torch.arange(len(source.columns), device=image.device)
        indices = matches(queries, source, everything, shares)
    else:
        indices = torch.zeros(len(queries), dtype=torch.long, device=image.device)
        region = F.avg_pool2d(masks, CELL).flatten(1).argmax(0)
        for number, allowed in enumerate(source.regions):
            here = (region == number).nonzero()[:, 0]
            if len(here):
                # a painting may be too small to have a cell that is mostly a region's
                candidates = allowed.nonzero()[:, 0] if allowed.any() else torch.arange(len(allowed)).to(here)
                indices[here] = matches(queries[here], source, candidates, shares)
    return Targets(source.columns, indices.view(cells), source.sizes)


def matches(queries: Tensor, source: Bank, candidates: Tensor, shares: Sequence[float]) -> Tensor:
    """The candidate that fits each query best, each painting used as its share says."""
    cosines, found, weights = [], [], []
    for number, share in enumerate(shares):
        mine = candidates[source.owners[candidates] == number]
        if len(mine) and share > 0:
            best, which = nearest(queries, source.columns[mine])
            cosines.append(best)
            found.append(mine[which])
            weights.append(share)
    chosen = _shared_out(torch.stack(cosines, 1), torch.tensor(weights).to(queries))
    return torch.stack(found, 1).gather(1, chosen[:, None])[:, 0]


def _shared_out(cosines: Tensor, shares: Tensor) -> Tensor:
    """Which painting each cell takes: the nearest, at prices at which each is taken as often as its share says."""
    shares = shares / shares.sum()
    price = torch.zeros_like(shares)
    chosen = cosines.argmax(1)
    for number in range(ROUNDS if len(shares) > 1 else 0):
        used = torch.bincount(chosen, minlength=len(shares)) / len(chosen)
        price = price + (used - shares) * 0.2 / (1 + number / 4)
        chosen = (cosines - price).argmax(1)
    return chosen


def nearest(queries: Tensor, keys: Tensor, coverage: float = COVERAGE) -> tuple[Tensor, Tensor]:
    """For each query the key at the smallest angle, both without their means: (queries,) cosines and indices.

    Compared in the `DIRECTIONS` in which the keys differ most, found by a step of subspace iteration (Halko,
    Martinsson and Tropp 2011, algorithm 4.4). In a second search, keys that the first has used often fall behind.
    """
    center = keys.mean(0)
    keys = keys - center
    basis = _directions(keys)
    theirs = F.normalize(keys @ basis, dim=1)
    ours = F.normalize((queries - queries.mean(0)) @ basis, dim=1)
    cosines, indices = _search(ours, theirs, None)
    if coverage:
        often = torch.bincount(indices, minlength=len(keys)) * (len(keys) / len(queries))
        cosines, indices = _search(ours, theirs, coverage * often.log1p())
    return cosines, indices


def _directions(rows: Tensor) -> Tensor:
    """(channels, directions): an orthonormal basis of the strongest directions of centred rows."""
    channels = rows.shape[1]
    count = min(DIRECTIONS, channels)
    if count == channels:
        return torch.eye(channels).to(rows)
    start = torch.randn(channels, count, generator=torch.Generator().manual_seed(0)).to(rows)
    basis: Tensor = torch.linalg.qr(rows.mT @ (rows @ start)).Q
    return basis


def _search(ours: Tensor, theirs: Tensor, price: Tensor | None) -> tuple[Tensor, Tensor]:
    found = []
    for chunk in torch.split(ours, max(1, CHUNK // len(theirs))):
        cosines = chunk @ theirs.mT
        found.append((cosines if price is None else cosines - price).max(1))
    return torch.cat([best.values for best in found]), torch.cat([best.indices for best in found])
