"""Where the painting of a scale starts: the photograph in the painting's colours, new detail, or noise."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from impasto.images.color import change_of, color_moments, fitted_change, match_regions, transported
from impasto.images.reading import resize
from impasto.methods.styles import StyleImage, at_size, no_larger
from impasto.objective.losses import LEAST_VARIANCE, blurred_colors, color_cells, has_blurred_colors
from impasto.objective.moments import blend

FULL_COLOR = 50.0  # the strength from which on the picture starts in the painting's colours
COLOR_SHARE = 0.7  # of the way to the paintings' proportions: with all of it, a pale mane goes under in paper
COLOR_SIDE = 160  # px: an image of this size says how colours change
COLOR_SAMPLE = 2**14  # pixels of all paintings together
PIECES = 0.5  # how far a picture gives way to what its pieces make,
PIECES_SIDE = 64  # px: but for what is seen at this size, colours without strokes
UNFIT = 3  # power of a piece's cosine as a share of the median, by which less of it is laid where that is below 1


def in_colors_of(
    styles: Sequence[StyleImage], content: Tensor, regions: Tensor | None, strength: float, *, proportions: bool = False
) -> Tensor:
    """The content image in the paintings' colours; a weak style moves them a part of the way.

    Args:
        styles: the paintings.
        content: (1, 3, height, width).
        regions: (regions, height, width), whether each of them has colours of its own.
        strength: of the style.
        proportions: with about as much of each colour as the paintings have, not with their mean and covariance only.
            Otherwise room would have to be found later, across objects, for what only the paintings have much of.
    """
    palette = blend([color_moments(style.image, style.masks) for style in styles], [style.share for style in styles])
    matched = match_regions(content, palette, regions)
    if proportions:
        matched = _in_proportions_of(styles, matched, regions)
    return torch.lerp(content, matched, min(1.0, strength / FULL_COLOR))


def firmness(styles: Sequence[StyleImage], recolored: Tensor) -> float:
    """How firmly a picture can hold the colours that it begins with: the share of their variance that paintings have.

    Both blurred (`blurred_colors`). Of a print's small figures next to nothing is left then, and a picture that held
    all that a photograph has could not be made of such figures.

    Args:
        styles: the paintings, at the picture's scale.
        recolored: (1, 3, height, width), as of `in_colors_of`.

    Returns:
        At most 1.
    """
    cells = color_cells(*recolored.shape[-2:])
    total = sum(style.weight for style in styles)
    painted = _variance([(style.image, style.weight / total) for style in styles], cells)
    return min(1.0, painted / _variance([(recolored, 1.0)], cells))


def _variance(images: Sequence[tuple[Tensor, float]], cells: tuple[int, int]) -> float:
    """Of the blurred colours of images together, by their shares; one that is too small to have any is one colour."""
    mean = square = torch.zeros(3, dtype=torch.float64)
    for image, share in images:
        has_any = has_blurred_colors(image, *cells)
        colors = (blurred_colors(image, *cells) if has_any else image.mean((2, 3), keepdim=True)).cpu().double()
        mean = mean + share * colors.mean((0, 2, 3))
        square = square + share * colors.square().mean((0, 2, 3))
    return max(LEAST_VARIANCE, float((square - mean.square()).mean()))


def _in_proportions_of(styles: Sequence[StyleImage], matched: Tensor, regions: Tensor | None) -> Tensor:
    """Colours moved on towards the paintings' whole distribution by a smooth function of colour, so that what is alike
    stays alike: an object of one colour would be torn, were it to make up for a colour that the photograph lacks.
    """
    small = no_larger(matched, COLOR_SIDE).cpu().double()
    places = torch.ones_like(matched[0, :1]) if regions is None else regions
    found = matched.clone()
    for number, (place, mask) in enumerate(zip(places, at_size(places, small).cpu(), strict=True)):
        palette, colors = _colors(styles, number), small[0, :, mask > 0.5]
        if len(palette) and colors.numel():
            factors = fitted_change(colors, transported(colors, palette.mT)).to(matched)
            found += change_of(matched, factors).mul_(COLOR_SHARE * place)
    return found.clamp_(0, 1)


def _colors(styles: Sequence[StyleImage], region: int) -> Tensor:
    """(count, 3): a sample of the paintings' pixels in a region, of each by its share."""
    shares = [float(share[region] if isinstance(share := style.share, Tensor) else share) for style in styles]
    parts = []
    for style, share in zip(styles, shares, strict=True):
        colors = style.image[0].flatten(1).mT
        if style.masks is not None:
            colors = colors[style.masks[region].flatten() > 0.5]
        count = round(COLOR_SAMPLE * share / max(sum(shares), 1e-12))
        parts.append(colors[torch.linspace(0, len(colors) - 1, count).round().long()] if len(colors) else colors)
    return torch.cat(parts)


def with_pieces(image: Tensor, pieces: Tensor, cosines: Tensor, strength: float) -> Tensor:
    """An image with paint laid over it, in its own colours, but for its finest detail, which is the photograph's.

    Real strokes lie there before the optimisation begins, which only has to fit them together. Less is laid where the
    paintings have nothing that fits, as at eyes and mouths.

    Args:
        image: (1, 3, height, width), with what a scale would begin.
        pieces: the picture that matched pieces make, of that size or cells' remainders less.
        cosines: (rows, columns) of cells, how well the pieces fit.
        strength: of the style; a weak one lays less.
    """
    height, width = image.shape[-2:]
    fits = (cosines / cosines.median().clamp(min=1e-3)).clamp(0, 1) ** UNFIT
    fits = resize(fits[None, None], pieces.shape[-2], pieces.shape[-1])
    missing = (0, width - pieces.shape[-1], 0, height - pieces.shape[-2])
    pieces, fits = (F.pad(part, missing, "replicate") for part in (pieces, fits))
    recolored = pieces + resize(no_larger(image - pieces, PIECES_SIDE), height, width)
    coarse = resize(resize(image, height // 2, width // 2), height, width)
    share = PIECES * min(1.0, strength / FULL_COLOR) * fits.to(image)
    return (image + share * (recolored - coarse)).clamp_(0, 1)


def with_detail_of(detailed: Tensor, image: Tensor) -> Tensor:
    """A smaller image enlarged to the size of a detailed one, with the detail that enlarging cannot give."""
    height, width = detailed.shape[-2:]
    coarse = resize(resize(detailed, image.shape[-2], image.shape[-1]), height, width)
    return (resize(image, height, width) + detailed - coarse).clamp_(0, 1)


def noise(like: Tensor, seed: int) -> Tensor:
    """Uniform noise in [0, 1], the same on every device."""
    return torch.rand(like.shape, generator=torch.Generator().manual_seed(seed)).to(like.device)
