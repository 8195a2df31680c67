"""Matched targets: each cell of the picture is given the column of the piece of the painting that fits it there.

Nearest-neighbour style features (Kolkin et al. 2022, Neural Neighbor Style Transfer, arXiv 2203.13215, section 3).

Differs from the paper: VGG-19 instead of VGG-16; each layer divided by its size in the paintings, which are not turned;
Gram matrices and a weak content term beside; columns of fewer layers at fine scales; cells that belong to a region are
matched with that region's; the search is done among the strongest directions of the paintings' columns only, and by
the cells' colours as well; L-BFGS on pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from impasto.methods.styles import StyleImage
from impasto.network.vgg import VGG19
from impasto.objective.columns import CELL, ROWS, Targets, at_cells, sees
from impasto.objective.tiles import tiles

TILE = 512  # px: in which the columns of pictures are computed
DIRECTIONS = 192  # of the columns, in which they are compared
SAMPLE = 4096  # columns from which these are found
COLOR = 0.3  # of what columns differ by, that colours add: what is alike in the photograph gets pieces that are alike
COVERAGE = 0.01  # of cosine, by which a piece that is used often falls behind
CHUNK = 2**23  # cosines that are held at a time
SHARED = 0.5  # of the picture so far, beside the photograph, in what is matched at the finer scales
ROUNDS = 40  # of prices, until paintings have their shares
PIECES = 2**17  # columns of all paintings together, at most


@dataclass(frozen=True)
class Bank:
    """The columns of all paintings at a scale.

    Attributes:
        columns: (count, channels), each layer divided by its size; in half precision, where the network has not more
            than single.
        keys: (count, directions + 3), the same in few directions, and the mean colours of the cells.
        basis: (channels, directions), orthonormal.
        colors: (3,), what colours are multiplied by where they stand beside the directions.
        sizes: root mean squares of the layers, in the columns' order.
        owners: (count,), which painting each is of.
        regions: (regions, count), whether a region may use it; None where there are no regions.
    """

    columns: Tensor
    keys: Tensor
    basis: Tensor
    colors: Tensor
    sizes: dict[str, float]
    owners: Tensor
    regions: Tensor | None


@torch.no_grad()
def bank(network: VGG19, paintings: Sequence[StyleImage], layers: Sequence[str]) -> Bank:
    """The columns of the paintings, at the sizes that they have."""
    widths = [network.channels(layer) for layer in layers]
    images = [painting.image for painting in paintings]
    counts = [_cells(image) for image in images]
    dtype = images[0].dtype
    columns = images[0].new_empty(sum(counts), sum(widths), dtype=_kept(dtype))
    for rows, image in zip(torch.split(columns, counts), images, strict=True):
        image_columns(network, image, layers, out=rows)
    sizes = {}
    for layer, part in zip(layers, torch.split(columns, widths, dim=1), strict=True):
        squares = [rows.to(dtype).square().mean(1).sum() for rows in torch.split(part, ROWS)]
        sizes[layer] = max(float((torch.stack(squares).sum() / len(part)).sqrt()), 1e-6)
        part.div_(sizes[layer])
    basis = _directions(columns, dtype)
    owners = torch.arange(len(paintings)).repeat_interleave(torch.tensor(counts)).to(network.device)
    masks = [painting.masks for painting in paintings if painting.masks is not None]
    regions = torch.cat([F.avg_pool2d(one, CELL).flatten(1) > 0.5 for one in masks], 1) if masks else None
    projected, colors = _projected(columns, basis), torch.cat([_cell_colors(image) for image in images])
    deviations = colors.std(0, correction=0).clamp(min=1e-3)
    scale = (COLOR / 3 * projected.var(0, correction=0).sum()).sqrt() / deviations
    return Bank(columns, torch.cat([projected, colors * scale], 1), basis, scale, sizes, owners, regions)


def fits(paintings: Sequence[StyleImage]) -> bool:
    """Whether a bank can hold the paintings; at large style scales it may not, and statistics have to do."""
    return sum(_cells(painting.image) for painting in paintings) <= PIECES


def _cell_colors(image: Tensor) -> Tensor:
    """(cells, 3), row by row."""
    return F.avg_pool2d(image, CELL)[0].flatten(1).mT


def _cells(image: Tensor) -> int:
    return (image.shape[-2] // CELL) * (image.shape[-1] // CELL)


def _kept(dtype: torch.dtype) -> torch.dtype:
    """In which columns are held: cosines between them need no more than three digits."""
    return torch.float16 if dtype == torch.float32 else dtype


def _projected(columns: Tensor, basis: Tensor) -> Tensor:
    return torch.cat([rows.to(basis.dtype) @ basis for rows in torch.split(columns, ROWS)])


def _directions(columns: Tensor, dtype: torch.dtype) -> Tensor:
    """(channels, directions): an orthonormal basis of the directions in which columns differ most.

    From a sample, by a step of subspace iteration (Halko, Martinsson and Tropp 2011, algorithm 4.4).
    """
    count = columns.shape[1]
    if count <= DIRECTIONS:
        return torch.eye(count, dtype=dtype, device=columns.device)
    generator = torch.Generator().manual_seed(0)
    some = torch.randperm(len(columns), generator=generator)[:SAMPLE].to(columns.device)
    rows = columns[some].to(dtype)
    rows = rows - rows.mean(0)
    start = torch.randn(count, DIRECTIONS, generator=generator).to(rows)
    basis: Tensor = torch.linalg.qr(rows.mT @ (rows @ start)).Q
    return basis


@torch.no_grad()
def image_columns(
    network: VGG19, image: Tensor, layers: Sequence[str], side: int = TILE, out: Tensor | None = None
) -> Tensor:
    """Columns of an image (1, 3, height, width): (cells, channels), row by row; in tiles of a side.

    Args:
        out: where to; None is new memory.
    """
    height, width = image.shape[-2] // CELL, image.shape[-1] // CELL
    if out is None:
        out = image.new_empty(height * width, sum(map(network.channels, layers)), dtype=_kept(image.dtype))
    whole = out.view(height, width, -1)
    for tile in tiles(image.shape[-2], image.shape[-1], side, sees(layers)):
        rows, columns = slice(tile.top // CELL, tile.bottom // CELL), slice(tile.left // CELL, tile.right // CELL)
        place = whole[rows, columns]
        first = 0
        for layer, features in network.walk(tile.crop(image), layers):
            last = first + network.channels(layer)
            place[..., first:last] = at_cells(features, layer, tile).view(*place.shape[:2], -1)
            first = last
    return out


def matched_targets(
    network: VGG19,
    source: Bank,
    image: Tensor,
    shares: Sequence[float],
    masks: Tensor | None = None,
) -> Tensor:
    """Which of the bank's columns fit an image: (rows, columns) of cells.

    Args:
        source: of the paintings.
        image: (1, 3, height, width): the photograph in the paintings' colours, or that mixed with the picture so far.
        shares: of the paintings.
        masks: (regions, height, width) of the image.
    """
    own = image_columns(network, image, list(source.sizes))
    widths = [network.channels(layer) for layer in source.sizes]
    for part, size in zip(torch.split(own, widths, dim=1), source.sizes.values(), strict=True):
        part.div_(size)
    queries = torch.cat([_projected(own, source.basis), _cell_colors(image) * source.colors], 1)
    cells = image.shape[-2] // CELL, image.shape[-1] // CELL
    if masks is None or source.regions is None:
        everything = torch.arange(len(source.columns), device=image.device)
        return matches(queries, source, everything, shares).view(cells)
    indices = torch.zeros(len(queries), dtype=torch.long, device=image.device)
    region = F.avg_pool2d(masks, CELL).flatten(1).argmax(0)
    for number, allowed in enumerate(source.regions):
        here = (region == number).nonzero()[:, 0]
        if len(here):
            # a painting may be too small to have a cell that is mostly a region's
            candidates = allowed.nonzero()[:, 0] if allowed.any() else torch.arange(len(allowed)).to(here)
            indices[here] = matches(queries[here], source, candidates, shares)
    return indices.view(cells)


def targets_of(source: Bank, indices: Tensor) -> Targets:
    """The columns of a bank that are used, and where: the others need not be kept."""
    used, where = torch.unique(indices, return_inverse=True)
    return Targets(source.columns[used], where, source.sizes)


def matches(queries: Tensor, source: Bank, candidates: Tensor, shares: Sequence[float]) -> Tensor:
    """The candidate that fits each query best, each painting used as its share says."""
    cosines, found, weights = [], [], []
    for number, share in enumerate(shares):
        mine = candidates[source.owners[candidates] == number]
        if len(mine) and share > 0:
            best, which = nearest(queries, source.keys[mine])
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

    In a second search, keys that the first has used often fall behind.
    """
    theirs = F.normalize(keys - keys.mean(0), dim=1)
    ours = F.normalize(queries - queries.mean(0), dim=1)
    cosines, indices = _search(ours, theirs, None)
    if coverage:
        often = torch.bincount(indices, minlength=len(keys)) * (len(keys) / len(queries))
        cosines, indices = _search(ours, theirs, coverage * often.log1p())
    return cosines, indices


def _search(ours: Tensor, theirs: Tensor, price: Tensor | None) -> tuple[Tensor, Tensor]:
    best, which = ours.new_empty(len(ours)), torch.empty(len(ours), dtype=torch.long, device=ours.device)
    rows = max(1, min(len(ours), CHUNK // len(theirs)))
    # one buffer for all chunks: results allocated between buffers would keep each from being used again
    cosines = ours.new_empty(rows, len(theirs))
    for first in range(0, len(ours), rows):
        here = slice(first, min(first + rows, len(ours)))
        some = torch.mm(ours[here], theirs.mT, out=cosines[: here.stop - first])
        if price is not None:
            some -= price
        torch.max(some, 1, out=(best[here], which[here]))
    return best, which
