"""Matched targets: each cell of the picture is given the column of the piece of the painting that fits it there.

Nearest-neighbour style features (Kolkin et al. 2022, Neural Neighbor Style Transfer, arXiv 2203.13215, section 3).

Differs from the paper: VGG-19 instead of VGG-16; each layer divided by its size in the paintings, which are not turned;
Gram matrices and a weak content term beside; columns of fewer layers at fine scales, and only their strongest
directions; cells that belong to a region are matched with that region's; the search is done by the cells' colours as
well, and in large pictures about where the same picture found its pieces at half the size; neighbours may take pieces
that continue each other's; L-BFGS on pixels.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from itertools import product
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from impasto.images.reading import resize
from impasto.methods.styles import SMALLEST_STYLE, STYLE_TILE, StyleImage, at_size, no_larger
from impasto.network.remembered import digest
from impasto.network.vgg import VGG19
from impasto.objective.columns import CELL, DIRECTIONS, ROWS, Targets, are_whole, at_cells, coordinates, sees
from impasto.objective.tiles import Tile, tiles

SAMPLED = 512  # px: where paintings are larger, their directions are found from so much of them,
SAMPLE = 4096  # columns in all,
PASSES = 2  # by so many steps of subspace iteration
COLOR = 0.3  # of what columns differ by, that colours add: what is alike in the photograph gets pieces that are alike
COVERAGE = 0.01  # of cosine, by which a piece that is used often falls behind
CHUNK = 2**23  # numbers that a search holds at a time
SHARED = 0.5  # of the picture so far, beside the photograph, in what is matched at the finer scales
ROUNDS = 40  # of prices, until paintings have their shares
PIECES = 2**20  # cells of all paintings together, at most
SEARCH = 2**30  # pairs of a cell and a piece that are compared; where there are more, half the size is searched first,
AROUND = 1  # and so many cells about what it found,
STRANGERS = 64  # besides pieces drawn from all
CONTINUITY = 0.8  # of cosine, by which a piece is ahead that continues those of all eight neighbours,
SURE = 3  # times this power of how well the cell's own piece fits: little where the paintings have nothing like it;
TURNS = 4  # times, in which such pieces spread
BESIDE = [step for step in product((-1, 0, 1), repeat=2) if any(step)]  # down and across


@dataclass(frozen=True)
class Cells:
    """By what the cells of pictures are compared.

    Attributes:
        columns: (count, directions), in few directions; in half precision, where the network has not more than single:
            cosines between them need no more than three digits.
        colors: (count, 3), the means of the cells' pixels.
    """

    columns: Tensor
    colors: Tensor

    def __getitem__(self, which: Tensor) -> Cells:
        return Cells(self.columns[which], self.colors[which])


class Found(NamedTuple):
    """What the cells of an image are matched with.

    Attributes:
        indices: (rows, columns), which of a bank's cells.
        cosines: (rows, columns), how well these fit, where whole strokes are laid.
    """

    indices: Tensor
    cosines: Tensor | None = None


@dataclass(frozen=True)
class Bank:
    """The cells of all paintings at a scale.

    Attributes:
        cells: of one painting after another, row by row.
        columns: (count, channels of all layers), each layer divided by its size; None where there would be too many.
        sizes: root mean squares of the layers.
        directions: (channels, directions) for each layer.
        balance: (3,), what colours are multiplied by where they stand beside columns.
        paintings: whose they are.
        owners: (count,), which painting each is of.
        regions: (regions, count), whether a region may use it; None where there are no regions.
    """

    cells: Cells
    columns: Tensor | None
    sizes: Mapping[str, float]
    directions: Mapping[str, Tensor]
    balance: Tensor
    paintings: Sequence[StyleImage]
    owners: Tensor
    regions: Tensor | None

    def __len__(self) -> int:
        return len(self.owners)

    @property
    def nbytes(self) -> int:
        """Of all that it holds."""
        images = [painting.image for painting in self.paintings]
        held = [*images, self.cells.columns, self.cells.colors, self.columns, self.owners, self.regions]
        return sum(part.nbytes for part in held if part is not None)

    @cached_property
    def grids(self) -> Tensor:
        """(paintings, 2): rows and columns of each painting's cells."""
        return torch.tensor([_grid(painting.image) for painting in self.paintings], device=self.owners.device)

    @cached_property
    def firsts(self) -> Tensor:
        """(paintings,): the number of each painting's first cell."""
        counts = self.grids.prod(1)
        return counts.cumsum(0) - counts

    def keys(self, cells: Cells) -> Tensor:
        """(count, directions + 3): by what cells are compared."""
        return torch.cat([cells.columns.to(cells.colors.dtype), cells.colors * self.balance], 1)

    def allowed(self, region: int | None) -> Tensor:
        """Which pieces a region may use; a painting may be too small to have a cell that is mostly a region's."""
        of_all = torch.arange(len(self), device=self.owners.device)
        if self.regions is None or region is None or not self.regions[region].any():
            return of_all
        return of_all[self.regions[region]]


def bank(
    network: VGG19,
    paintings: Sequence[StyleImage],
    layers: Sequence[str],
    *,
    whole: bool = False,
    side: int | None = None,
) -> Bank:
    """The cells of the paintings, at the sizes that they have, as some layers see them.

    Seen once for all rounds of a scale, and for photographs of one size.

    Args:
        network: sees them.
        paintings: whose.
        layers: of the columns.
        whole: keep columns in all directions as well, where there are few enough.
        side: as of `cells_of`.
    """
    what = "bank", tuple(layers), whole, side, digest(*(part for one in paintings for part in (one.image, one.masks)))
    return network.remember(what, partial(_bank, network, paintings, layers, whole, side), lambda found: found.nbytes)


@torch.no_grad()
def _bank(
    network: VGG19, paintings: Sequence[StyleImage], layers: Sequence[str], whole: bool, side: int | None
) -> Bank:
    images = [painting.image for painting in paintings]
    counts = [math.prod(_grid(image)) for image in images]
    whole = whole and are_whole(sum(counts), layers)
    few, columns, sizes, directions = _seen(network, images, layers, whole, side)
    cells = Cells(few, torch.cat([_colors(image) for image in images]))
    owners = torch.arange(len(paintings)).repeat_interleave(torch.tensor(counts)).to(network.device)
    masks = [painting.masks for painting in paintings if painting.masks is not None]
    regions = torch.cat([F.avg_pool2d(one, CELL).flatten(1) > 0.5 for one in masks], 1) if masks else None
    spread = _variance(cells.columns, cells.colors.dtype)
    balance = (COLOR / 3 * spread).sqrt() / cells.colors.std(0, correction=0).clamp(min=1e-3)
    return Bank(cells, columns, sizes, directions, balance, paintings, owners, regions)


def _seen(
    network: VGG19, images: Sequence[Tensor], layers: Sequence[str], whole: bool, side: int | None
) -> tuple[Tensor, Tensor | None, dict[str, float], dict[str, Tensor]]:
    """The columns of images in few directions; whole ones, divided by sizes, if wanted; the sizes; the directions."""
    counts = [math.prod(_grid(image)) for image in images]
    generator = torch.Generator().manual_seed(0)
    sample, kept = [], []
    for image, count in zip(images, counts, strict=True):
        some = columns_of(network, image if whole else no_larger(image, SAMPLED), layers, side)
        places = torch.randperm(len(some), generator=generator)[: -(-SAMPLE * count // sum(counts))]
        sample.append(some[places.to(some.device)])
        kept += [some] if whole else []
    widths = {layer: network.channels(layer) for layer in layers}
    sizes, directions = _measured(torch.cat(sample), widths, generator)
    if not whole:
        few = torch.cat([cells_of(network, image, directions, side).columns for image in images])
        return few, None, sizes, directions
    exact = torch.cat(kept)
    few = exact @ torch.cat(list(directions.values()))
    for part, size in zip(torch.split(exact, list(widths.values()), dim=1), sizes.values(), strict=True):
        part /= size
    return few.to(_kept(few.dtype)), exact.to(_kept(exact.dtype)), sizes, directions


def _variance(columns: Tensor, dtype: torch.dtype) -> Tensor:
    """By how much columns differ from their mean: the mean of the squares."""
    squares = torch.zeros((), dtype=dtype, device=columns.device)
    total = columns.new_zeros(columns.shape[1], dtype=dtype)
    for rows in torch.split(columns, ROWS):
        squares, total = squares + rows.to(dtype).square().sum(), total + rows.to(dtype).sum(0)
    return squares / len(columns) - (total / len(columns)).square().sum()


def fits(paintings: Sequence[StyleImage]) -> bool:
    """Whether a bank can hold the paintings; at large style scales it may not, and statistics have to do."""
    return sum(rows * columns for rows, columns in (_grid(painting.image) for painting in paintings)) <= PIECES


def _grid(image: Tensor) -> tuple[int, int]:
    """Rows and columns of an image's cells."""
    return image.shape[-2] // CELL, image.shape[-1] // CELL


def _measured(
    sample: Tensor, widths: Mapping[str, int], generator: torch.Generator
) -> tuple[dict[str, float], dict[str, Tensor]]:
    """Each layer's root mean square, and (channels, directions): orthonormal ones in which columns are strongest.

    Layers are divided by their sizes first, which the directions do as well. By subspace iteration (Halko, Martinsson
    and Tropp 2011, algorithm 4.4).

    Args:
        sample: (count, channels of all layers), some columns.
        widths: of each layer, how many channels it has.
        generator: of what is drawn by chance.
    """
    parts = dict(zip(widths, torch.split(sample, list(widths.values()), dim=1), strict=True))
    sizes = {layer: max(float(rows.square().mean().sqrt()), 1e-6) for layer, rows in parts.items()}
    basis = strongest(torch.cat([rows / sizes[layer] for layer, rows in parts.items()], 1), generator)
    along = torch.split(basis, list(widths.values()))
    directions = {layer: part / sizes[layer] for layer, part in zip(widths, along, strict=True)}
    return sizes, directions


def strongest(sample: Tensor, generator: torch.Generator) -> Tensor:
    """(numbers, directions): orthonormal directions in which the rows of a sample (count, numbers) are strongest."""
    count = sample.shape[1]
    if count <= DIRECTIONS:
        return torch.eye(count, dtype=sample.dtype, device=sample.device)
    basis = torch.randn(count, DIRECTIONS, generator=generator).to(sample)
    for _ in range(PASSES):
        basis = torch.linalg.qr(sample.mT @ (sample @ basis)).Q
    return basis


def _kept(dtype: torch.dtype) -> torch.dtype:
    return torch.float16 if dtype == torch.float32 else dtype


@torch.no_grad()
def cells_of(network: VGG19, image: Tensor, directions: Mapping[str, Tensor], side: int | None = None) -> Cells:
    """The cells of an image (1, 3, height, width), row by row; in tiles of a side, at most `STYLE_TILE`."""
    rows, across = _grid(image)
    found = image.new_empty(rows, across, next(iter(directions.values())).shape[1], dtype=_kept(image.dtype))
    for tile, here in _tiles(image, list(directions), side):
        seen = network.walk(tile.crop(image), list(directions))
        found[here].copy_(coordinates(seen, directions, tile).view(found[here].shape))
    return Cells(found.flatten(0, 1), _colors(image))


@torch.no_grad()
def columns_of(network: VGG19, image: Tensor, layers: Sequence[str], side: int | None = None) -> Tensor:
    """(cells, channels of all layers): the columns of an image, not divided by sizes; otherwise as `cells_of`."""
    rows, across = _grid(image)
    widths = [network.channels(layer) for layer in layers]
    found = image.new_empty(rows, across, sum(widths))
    for tile, here in _tiles(image, layers, side):
        parts = dict(zip(layers, torch.split(found[here], widths, dim=-1), strict=True))
        for layer, features in network.walk(tile.crop(image), layers):
            parts[layer].copy_(at_cells(features, layer, tile).view(parts[layer].shape))
    return found.flatten(0, 1)


def _tiles(image: Tensor, layers: Sequence[str], side: int | None) -> Iterator[tuple[Tile, tuple[slice, slice]]]:
    """The tiles in which some layers see an image, and where their cells are among all."""
    for tile in tiles(image.shape[-2], image.shape[-1], min(side or STYLE_TILE, STYLE_TILE), sees(layers)):
        yield tile, (slice(tile.top // CELL, tile.bottom // CELL), slice(tile.left // CELL, tile.right // CELL))


def _colors(image: Tensor) -> Tensor:
    """(cells, 3): the means of the pixels of an image's cells, row by row."""
    return F.avg_pool2d(image, CELL)[0].flatten(1).mT.contiguous()


def targets_of(source: Bank, indices: Tensor) -> Targets:
    """The columns of a bank that are used, and where: the others need not be kept."""
    used, where = torch.unique(indices, return_inverse=True)
    widths = {layer: len(part) for layer, part in source.directions.items()}
    if source.columns is not None:
        return Targets(source.columns[used], where, source.sizes, widths)
    return Targets(source.cells.columns[used], where, source.sizes, widths, source.directions)


def laid(source: Bank, indices: Tensor) -> Tensor:
    """The picture that matched pieces make: each pixel is the mean of what the pieces of the nine cells about it have
    there, in their own surroundings; near ones weigh more.

    Args:
        source: of the paintings.
        indices: (rows, columns), what `matched` has found.

    Returns:
        (1, 3, rows · `CELL`, columns · `CELL`).
    """
    height, width = indices.shape
    pixels = torch.cat([_pixels(painting.image) for painting in source.paintings])
    window = torch.split(torch.hann_window(3 * CELL + 2)[1:-1].to(pixels), CELL)
    padded = F.pad(indices, (1, 1, 1, 1), value=-1)  # beyond the edges there is no piece
    found = pixels.new_empty(height, width, pixels.shape[1])
    most = max(1, CHUNK // (width * pixels.shape[1]))
    for rows in torch.split(torch.arange(height, device=indices.device), most):
        total = pixels.new_zeros(len(rows), width, pixels.shape[1])
        weights = pixels.new_zeros(len(rows), width, CELL**2)
        for down, across in product((-1, 0, 1), repeat=2):
            near = padded[rows + 1 + down, 1 + across : 1 + across + width]
            here, exists = _beside(source, near, -down, -across)
            weight = torch.outer(window[1 - down], window[1 - across]).flatten() * exists[..., None]
            total += pixels[here] * weight.repeat(1, 1, 3)
            weights += weight
        found[rows] = total / weights.repeat(1, 1, 3)
    return F.pixel_shuffle(found.permute(2, 0, 1)[None], CELL)


def _beside(source: Bank, pieces: Tensor, down: int, across: int) -> tuple[Tensor, Tensor]:
    """The pieces so many cells from others (-1: none) in their paintings, and whether they exist."""
    owner = source.owners[pieces]
    rows, columns = source.grids[owner].unbind(-1)
    place = pieces - source.firsts[owner]
    y, x = place // columns + down, place % columns + across
    exists = (pieces >= 0) & (y >= 0) & (y < rows) & (x >= 0) & (x < columns)
    return torch.where(exists, pieces + down * columns + across, 0), exists


def _pixels(image: Tensor) -> Tensor:
    """(cells, 3 · CELL²): the pixels of an image's cells, row by row."""
    rows, columns = _grid(image)
    return F.pixel_unshuffle(image[..., : rows * CELL, : columns * CELL], CELL)[0].flatten(1).mT.contiguous()


def matched(
    network: VGG19,
    source: Bank,
    image: Tensor,
    shares: Sequence[float],
    masks: Tensor | None = None,
    most: int = SEARCH,
    *,
    side: int | None = None,
    continuing: bool = False,
) -> Found:
    """Which of the bank's cells fit an image.

    Args:
        network: sees the columns.
        source: of the paintings.
        image: (1, 3, height, width): the photograph in the paintings' colours, or that mixed with the picture so far.
        shares: of the paintings.
        masks: (regions, height, width) of the image.
        most: pairs that are compared at a size.
        side: as of `cells_of`.
        continuing: neighbours take pieces that continue each other's; whole strokes are laid then.
    """
    rows, columns = _grid(image)
    few = rows * columns * len(source) <= most or not all(map(_has_half, source.paintings))
    # the half first: its cells and these need not be in memory together
    likely = None if few else _searched_at_half(network, source, image, shares, masks, most, side)
    cells = cells_of(network, image, source.directions, side)
    if likely is None:
        found = torch.empty(rows * columns, dtype=torch.long, device=image.device)
        for here, allowed in _by_region(source, masks, rows * columns):
            found[here] = matches(source, cells[here], allowed, shares)
        found = found.view(rows, columns)
    else:
        found = _searched_about(source, cells, likely, masks)
    return _continuing(source, cells, found, masks) if continuing else Found(found)


def _searched_at_half(
    network: VGG19,
    source: Bank,
    image: Tensor,
    shares: Sequence[float],
    masks: Tensor | None,
    most: int,
    side: int | None,
) -> Tensor:
    """What half of the image is matched with, as of `_enlarged`; arguments as of `matched`."""
    halves = [_half(painting) for painting in source.paintings]
    smaller = bank(network, halves, list(source.directions), side=side)
    half = resize(image, image.shape[-2] // 2, image.shape[-1] // 2)
    half_masks = None if masks is None else at_size(masks, half)
    coarse = matched(network, smaller, half, shares, half_masks, most, side=side)
    return _enlarged(coarse.indices, _grid(image), smaller.paintings, source.paintings)


def _has_half(painting: StyleImage) -> bool:
    """Whether the network can see the painting at half its size."""
    return min(painting.image.shape[-2:]) // 2 >= SMALLEST_STYLE


def _half(painting: StyleImage) -> StyleImage:
    image = resize(painting.image, painting.image.shape[-2] // 2, painting.image.shape[-1] // 2)
    return replace(painting, image=image, masks=None if painting.masks is None else at_size(painting.masks, image))


def _by_region(source: Bank, masks: Tensor | None, count: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Which of an image's cells belong to each region, and which pieces these may use."""
    everywhere = torch.arange(count, device=source.owners.device)
    if masks is None or source.regions is None:
        yield everywhere, source.allowed(None)
        return
    region = _regions(masks)
    for number in range(len(source.regions)):
        here = everywhere[region == number]
        if len(here):
            yield here, source.allowed(number)


def _regions(masks: Tensor) -> Tensor:
    """(cells,): the region to which most of each cell belongs."""
    return F.avg_pool2d(masks, CELL).flatten(1).argmax(0)


def matches(source: Bank, cells: Cells, allowed: Tensor, shares: Sequence[float]) -> Tensor:
    """The allowed piece that fits each cell best, each painting used as its share says."""
    queries = source.keys(cells)
    cosines, found, weights = [], [], []
    for number, share in enumerate(shares):
        mine = allowed[source.owners[allowed] == number]
        if len(mine) and share > 0:
            best, which = nearest(queries, source.keys(source.cells[mine]))
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


def _enlarged(
    coarse: Tensor, shape: tuple[int, int], smaller: Sequence[StyleImage], larger: Sequence[StyleImage]
) -> Tensor:
    """(rows, columns, 3): painting, row and column of the piece where an image of half the size found its own."""
    rows, columns = (torch.arange(count, device=coarse.device) for count in shape)
    found = coarse[(rows // 2).clamp(max=coarse.shape[0] - 1)][:, (columns // 2).clamp(max=coarse.shape[1] - 1)]
    place = torch.empty(*shape, 3, dtype=torch.long, device=coarse.device)
    first = 0
    for number, (small, large) in enumerate(zip(smaller, larger, strict=True)):
        (height, width), (most_rows, most_columns) = _grid(small.image), _grid(large.image)
        own = found - first
        here = (own >= 0) & (own < height * width)
        down, across = 2 * (own // width) + (rows % 2)[:, None], 2 * (own % width) + columns % 2
        here_is = torch.stack(
            [torch.full_like(own, number), down.clamp(max=most_rows - 1), across.clamp(max=most_columns - 1)], -1
        )
        place[here] = here_is[here]
        first += height * width
    return place


def _searched_about(source: Bank, cells: Cells, likely: Tensor, masks: Tensor | None) -> Tensor:
    """The piece that fits each cell best among those about a likely one and some of the same painting's others."""
    shape, likely = likely.shape[:2], likely.flatten(0, 1)
    found = torch.empty(len(likely), dtype=torch.long, device=likely.device)
    theirs, ours = _mean_key(source, source.cells), _mean_key(source, cells)
    generator = torch.Generator().manual_seed(0)
    for here, allowed in _by_region(source, masks, len(likely)):
        some = allowed[torch.randint(len(allowed), (STRANGERS,), generator=generator).to(allowed.device)]
        permitted = torch.zeros(len(source), dtype=torch.bool, device=likely.device).index_fill(0, allowed, True)
        strangers = F.normalize(source.keys(source.cells[some]) - theirs, dim=1)
        count = CHUNK // (cells.columns.shape[1] * (2 * AROUND + 1) ** 2)
        for part in torch.split(here, count):
            queries = F.normalize(source.keys(cells[part]) - ours, dim=1)
            near = _about(source, likely[part])
            keys = source.keys(source.cells[near.flatten()]) - theirs
            cosines = (F.normalize(keys, dim=1).view(*near.shape, -1) @ queries[..., None])[..., 0]
            cosines.masked_fill_(~permitted[near], -2)
            others = queries @ strangers.mT
            others.masked_fill_(source.owners[some] != likely[part, :1], -3)
            best = torch.cat([cosines, others], 1).argmax(1, keepdim=True)
            found[part] = torch.cat([near, some.expand(len(part), -1)], 1).gather(1, best)[:, 0]
    return found.view(shape)


def _continuing(source: Bank, cells: Cells, found: Tensor, masks: Tensor | None) -> Found:
    """What cells are matched with when each also looks at how the pieces of its neighbours go on in their painting.

    Whole strokes are laid then, not the mean of bits that do not belong together. Candidates as of Ashikhmin (2001,
    Synthesizing Natural Textures, section 3); a candidate is the further ahead the more neighbours agree on it, and the
    better the cell's own piece fits: what the painting has nothing like is held to what is most like it.

    Args:
        source: of the paintings.
        cells: of the image.
        found: (rows, columns), the pieces that fit them; a cell keeps its painting.
        masks: (regions, height, width) of the image.
    """
    columns = found.shape[1]
    numbers = torch.arange(found.numel(), device=found.device).view(found.shape)
    region = None if masks is None or source.regions is None else _regions(masks)
    means, centres = _centres(source, cells, region)
    cosines = torch.empty_like(found, dtype=cells.colors.dtype)
    most = max(1, CHUNK // (columns * cells.columns.shape[1] * (len(BESIDE) + 1)))
    for _ in range(TURNS):
        padded = F.pad(found, (1, 1, 1, 1), value=-1)  # beyond the edges there is no piece
        better = torch.empty_like(found)
        for rows in torch.split(torch.arange(len(found), device=found.device), most):
            here, own = numbers[rows].flatten(), found[rows].flatten()
            near = _continued(source, padded, rows)
            fits_not = source.owners[near] != source.owners[own][:, None]
            if region is not None and source.regions is not None:
                fits_not |= ~source.regions[region[here][:, None], near]
            pieces = torch.cat([own[:, None], near.masked_fill_(fits_not, -1)], 1)
            where = 0 if region is None else region[here]
            ours, theirs = means[where], centres[where, source.owners[own]]
            queries = F.normalize(source.keys(cells[here]) - ours, dim=1)
            keys = source.keys(source.cells[pieces.flatten()]).view(*pieces.shape, -1)
            fit = (F.normalize(keys - theirs[:, None], dim=2) @ queries[..., None])[..., 0]
            agree = (pieces[:, :, None] == near[:, None]).sum(2)
            sure = fit[:, :1].clamp(min=0) ** SURE
            ahead = (fit + CONTINUITY / len(BESIDE) * sure * agree).masked_fill(pieces < 0, -math.inf)
            best = ahead.argmax(1, keepdim=True)
            better[rows], cosines[rows] = (of.gather(1, best).view(len(rows), columns) for of in (pieces, fit))
        found = better
    return Found(found, cosines)


def _centres(source: Bank, cells: Cells, region: Tensor | None) -> tuple[Tensor, Tensor]:
    """The means without which cells and pieces are compared, as in the search: those of the cells of a region, and of
    a painting's pieces that the region may use.

    Args:
        source: of the paintings.
        cells: of the image.
        region: (cells,), of each; None is one region.

    Returns:
        (regions, numbers of a key) and (regions, paintings, numbers of a key).
    """
    ours, theirs = [], []
    for number in range(1 if region is None or source.regions is None else len(source.regions)):
        allowed = source.allowed(None if region is None else number)
        mine = [allowed[source.owners[allowed] == painting] for painting in range(len(source.paintings))]
        ours.append(_mean_key(source, cells if region is None else cells[region == number]))
        theirs.append(torch.stack([_mean_key(source, source.cells[pieces]) for pieces in mine]))
    return torch.stack(ours), torch.stack(theirs)


def _continued(source: Bank, padded: Tensor, rows: Tensor) -> Tensor:
    """(cells, `BESIDE`): the pieces with which those of a cell's neighbours go on there in their paintings; -1: none.

    Args:
        source: of the paintings.
        padded: (rows + 2, columns + 2), what cells are matched with, and -1 about them.
        rows: whose cells.
    """
    columns = padded.shape[1] - 2
    found = []
    for down, across in BESIDE:
        near = padded[rows + 1 + down, 1 + across : 1 + across + columns]
        here, exists = _beside(source, near, -down, -across)
        found.append(here.masked_fill(~exists, -1).flatten())
    return torch.stack(found, 1)


def _mean_key(source: Bank, cells: Cells) -> Tensor:
    """The mean of the keys of cells; 0 where there are none, as of a painting of which a region may use nothing."""
    parts = zip(torch.split(cells.columns, ROWS), torch.split(cells.colors, ROWS), strict=True)
    return torch.stack([source.keys(Cells(*part)).sum(0) for part in parts]).sum(0) / max(1, len(cells.colors))


def _about(source: Bank, likely: Tensor) -> Tensor:
    """(cells, count): the pieces about likely ones, of the same painting."""
    owner, down, across = likely.unbind(1)
    rows, columns = source.grids[owner].unbind(1)
    steps = torch.arange(-AROUND, AROUND + 1, device=likely.device)
    downward = torch.minimum((down[:, None] + steps).clamp(min=0), rows[:, None] - 1)
    sideward = torch.minimum((across[:, None] + steps).clamp(min=0), columns[:, None] - 1)
    first = source.firsts[owner][:, None, None]
    return (first + downward[:, :, None] * columns[:, None, None] + sideward[:, None]).flatten(1)
