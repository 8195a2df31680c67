"""Colour: transfer between images, and in which colours a picture is painted (`Settings.color`).

The modes other than "painting" are those of Gatys et al. (2016, Preserving Color in Neural Artistic Style Transfer) and
two more. They act on the pictures before the transfer (`prepare`), on its result (`finish`), or on both.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from impasto.objective.moments import Moments, moments

GREY = 0.02  # of chroma, in pixel values: what has less has no colours worth matching
ROTATIONS = 12  # of colour space, until histograms agree in every direction
LEVELS = 1024  # of a histogram
SAMPLES = 2**18  # pixels from which a histogram is taken
RIDGE = 1e-3  # of squares of factors beside a mean squared error: a hue that is hardly there is not torn apart
STRIP = 256  # rows of a large image that are changed at a time

LUMINANCE = (0.2126729, 0.7151522, 0.0721750)  # of linear sRGB (IEC 61966-2-1)
TO_XYZ = ((0.4124564, 0.3575761, 0.1804375), LUMINANCE, (0.0193339, 0.1191920, 0.9503041))
WHITE = 116.0, 500.0, 200.0  # CIELAB: L* = 116 f(Y) - 16, a* = 500 (f(X) - f(Y)), b* = 200 (f(Y) - f(Z))


def color_mode(color: str, paintings: Sequence[Tensor]) -> str:
    """The mode that is possible: colours of a grey painting cannot be matched, but its lightness can be painted."""
    return "photo" if color in ("match", "histogram") and any(map(is_grey, paintings)) else color


def prepare(mode: str, photograph: Tensor, paintings: Sequence[Tensor]) -> tuple[Tensor, list[Tensor]]:
    """The photograph and the paintings as they go into the transfer.

    Args:
        mode: of `color_mode`.
        photograph, paintings: (1, 3, height, width) in [0, 1].
    """
    if mode == "photo":
        light = grey(photograph)
        return light, [match_lightness(grey(painting), light) for painting in paintings]
    if mode == "match":
        palette = color_moments(photograph)
        return photograph, [match_colors(painting, palette) for painting in paintings]
    if mode == "histogram":
        return photograph, [match_histogram(painting, photograph) for painting in paintings]
    return photograph, list(paintings)


def finish(mode: str, image: Tensor, photograph: Tensor) -> Tensor:
    """What came out of the transfer in its final colours.

    Args:
        mode: of `color_mode`.
        image: (1, 3, height, width) in [0, 1].
        photograph: like `image`, with its colours.
    """
    return with_colors_of(photograph, image) if is_finished_later(mode) else image


def is_finished_later(mode: str) -> bool:
    """Whether `finish` changes anything."""
    return mode in ("photo", "lab")


def match_regions(image: Tensor, palette: Moments, masks: Tensor | None = None) -> Tensor:
    """`match_colors` for each region of an image.

    Args:
        image: (1, 3, height, width) in [0, 1].
        palette: of each region.
        masks: (regions, height, width), adding up to 1; None is one region.
    """
    if masks is None:
        return match_colors(image, palette)
    matched = torch.zeros_like(image)
    for i, mask in enumerate(masks):
        region = Moments(*(x[i : i + 1] for x in (palette.count, palette.first, palette.second)))
        matched += mask * match_colors(image, region, mask)
    return matched


def match_colors(image: Tensor, palette: Moments, mask: Tensor | None = None) -> Tensor:
    """Give an image the mean and covariance of other colours, moving its own as little as possible.

    The linear Monge-Kantorovich map (Pitié and Kokaram 2007, eq. 17): T = A^-½ (A^½ B A^½)^½ A^-½ for the covariances
    A of the image's colours and B of the palette's.

    Args:
        image: (1, 3, height, width) in [0, 1].
        palette: `color_moments` of the image whose colours are wanted.
        mask: (height, width), how much each of the image's pixels counts; None is all.

    Returns:
        Like `image`, clipped to [0, 1]. A grey image has no colours to stretch: what is missing stays missing.
    """
    own = color_moments(image, None if mask is None else mask[None])
    root = matrix_root(own.covariance[0])
    inverse = torch.linalg.pinv(root, hermitian=True, rtol=1e-3)
    transport = inverse @ matrix_root(root @ palette.covariance[0] @ root) @ inverse
    offset = palette.mean[0] - transport @ own.mean[0]
    matched: Tensor = transport.to(image) @ image.flatten(2) + offset.to(image)[:, None]
    return matched.view_as(image).clamp_(0, 1)


def match_histogram(image: Tensor, palette: Tensor) -> Tensor:
    """Give an image the whole distribution of another's colours.

    Iterative distribution transfer (Pitié, Kokaram and Dahyot 2007, section 3): histograms are matched along three
    axes, the axes rotated, and so on. It starts from `match_colors`, which brings them near.

    Args:
        image, palette: (1, 3, height, width) in [0, 1]; each any size.

    Returns:
        Like `image`, in [0, 1].
    """
    near = match_colors(image, color_moments(palette))
    return transported(near.flatten(2)[0], palette.flatten(2)[0]).view_as(image).clamp_(0, 1).to(image)


def transported(colors: Tensor, target: Tensor) -> Tensor:
    """Colours (3, count) with the distribution of others, (3, any number), which they are near; as `match_histogram`.

    Returns:
        (3, count) on the CPU, in float64: sums of few numbers are not worth a device's rounding.
    """
    generator = torch.Generator().manual_seed(0)
    ranks = torch.linspace(0, 1, LEVELS, dtype=torch.float64)
    colors, target = colors.cpu().double(), target.cpu().double()
    for turn in range(ROTATIONS):
        axes = torch.eye(3, dtype=torch.float64)
        if turn:  # red, green and blue first
            axes = torch.linalg.qr(torch.randn(3, 3, generator=generator, dtype=torch.float64))[0]
        rotated, wanted = axes @ colors, axes @ target
        colors = axes.mT @ _interpolate(rotated, _quantiles(rotated, ranks), _quantiles(wanted, ranks))
    return colors


def fitted_change(colors: Tensor, wanted: Tensor) -> Tensor:
    """The quadratic function of colour that brings colours nearest to others: what is alike is changed alike.

    Polynomial colour correction by least squares (see Finlayson, Mackiewicz and Hurlbert 2015, Color Correction Using
    Root-Polynomial Regression), here of the change instead of the colour, with a ridge.

    Args:
        colors, wanted: (3, count), in float64.

    Returns:
        (3, 10): factors, for `change_of`.
    """
    terms = _quadratic(colors)
    products = terms @ terms.mT / terms.shape[1]
    ridge = RIDGE * torch.eye(len(terms)).to(terms)
    ridge[0, 0] = 0  # the mean is kept
    factors: Tensor = torch.linalg.solve(products + ridge, terms @ (wanted - colors).mT / terms.shape[1])
    return factors.mT


def change_of(image: Tensor, factors: Tensor) -> Tensor:
    """By how much the colours of an image (1, 3, height, width) change, with the factors of `fitted_change`."""
    found = torch.empty_like(image)
    for colors, change in zip(*(torch.split(one[0], STRIP, dim=1) for one in (image, found)), strict=True):
        change.copy_((factors @ _quadratic(colors.flatten(1))).view_as(colors))
    return found


def _quadratic(colors: Tensor) -> Tensor:
    """(10, count): 1, the three channels (3, count), and their products."""
    red, green, blue = colors
    return torch.stack(
        [torch.ones_like(red), *colors, red**2, green**2, blue**2, red * green, red * blue, green * blue]
    )


def _quantiles(values: Tensor, ranks: Tensor) -> Tensor:
    """Of each row of (rows, count)."""
    ordered = values[:, :: -(-values.shape[1] // SAMPLES)].sort(1).values
    return ordered[:, (ranks * (ordered.shape[1] - 1)).round().long()]


def _interpolate(values: Tensor, xs: Tensor, ys: Tensor) -> Tensor:
    """For each row the piecewise linear function through (xs, ys), xs not falling, at some values; constant beyond."""
    right = torch.searchsorted(xs, values).clamp_(1, xs.shape[1] - 1)
    x, y = xs.gather(1, right - 1), ys.gather(1, right - 1)
    share = ((values - x) / (xs.gather(1, right) - x).clamp_(min=1e-9)).clamp_(0, 1)
    return torch.lerp(y, ys.gather(1, right), share)


def with_colors_of(photograph: Tensor, image: Tensor) -> Tensor:
    """The lightness L* of an image under the a* and b* of a photograph, in CIELAB.

    Where sRGB has no such colour, it is greyed at the same lightness until it has: clipping would change the hue.

    Args:
        photograph, image: (1, 3, height, width) in [0, 1].
    """
    target = _lab(photograph)
    target[:, 0] = _lab(image)[:, 0]
    fy = (target[:, 0] + 16) / WHITE[0]
    xyz = torch.stack([_cube(fy + target[:, 1] / WHITE[1]), _cube(fy), _cube(fy - target[:, 2] / WHITE[2])], dim=1)
    linear = torch.einsum("rc,bchw->brhw", _to_xyz(image).inverse(), xyz)
    y = xyz[:, 1:2]
    # along the line to the grey of the same luminance, the first point within [0, 1]
    room = torch.where(linear > y, (1 - y) / (linear - y), y / (y - linear))
    share = room.nan_to_num(1.0).clamp(0, 1).amin(1, keepdim=True)
    return _encoded((y + share * (linear - y)).clamp(0, 1))


def grey(image: Tensor) -> Tensor:
    """An image's lightness: (1, 3, height, width), the grey of the same luminance."""
    weights = image.new_tensor(LUMINANCE)[:, None, None]
    return _encoded((_linear(image) * weights).sum(1, keepdim=True).clamp(0, 1)).expand_as(image).contiguous()


def match_lightness(image: Tensor, target: Tensor) -> Tensor:
    """Give a grey image the mean and deviation of another (Gatys et al. 2016, Preserving Color, eq. 10)."""
    scale = target.std(correction=0) / image.std(correction=0).clamp(min=1e-3)
    return ((image - image.mean()) * scale + target.mean()).clamp(0, 1)


def is_grey(image: Tensor) -> bool:
    """Whether an image has next to no colours, or the same tint all over, as a pencil drawing or a sepia print."""
    colors = image - image.mean(1, keepdim=True)
    return float((colors - colors.mean((2, 3), keepdim=True)).square().sum(1).mean().sqrt()) < GREY


def color_moments(image: Tensor, masks: Tensor | None = None) -> Moments:
    """Moments of an image's colours, on the CPU in float64: nine numbers are not worth a device's rounding."""
    return moments(image.cpu().double(), None if masks is None else masks.cpu().double())


def matrix_root(matrix: Tensor) -> Tensor:
    """Symmetric square root of a positive semi-definite matrix."""
    values, vectors = torch.linalg.eigh(matrix)
    root: Tensor = vectors * values.clamp(min=0).sqrt() @ vectors.mT
    return root


def _lab(image: Tensor) -> Tensor:
    """CIELAB (1, 3, height, width) of sRGB, relative to its own white."""
    f = torch.einsum("rc,bchw->brhw", _to_xyz(image), _linear(image))
    f = torch.where(f > (6 / 29) ** 3, f.clamp(min=1e-9) ** (1 / 3), f * (29 / 6) ** 2 / 3 + 4 / 29)
    x, y, z = f.unbind(1)
    return torch.stack([WHITE[0] * y - 16, WHITE[1] * (x - y), WHITE[2] * (y - z)], dim=1)


def _cube(f: Tensor) -> Tensor:
    """The inverse of CIELAB's cube root with its linear toe."""
    return torch.where(f > 6 / 29, f**3, (f - 4 / 29) * 3 * (6 / 29) ** 2)


def _to_xyz(like: Tensor) -> Tensor:
    matrix = torch.tensor(TO_XYZ, dtype=torch.float64)
    return (matrix / matrix.sum(1, keepdim=True)).to(like)  # white is (1, 1, 1)


def _linear(image: Tensor) -> Tensor:
    return torch.where(image > 0.04045, ((image + 0.055) / 1.055) ** 2.4, image / 12.92)


def _encoded(linear: Tensor) -> Tensor:
    return torch.where(linear > 0.0031308, 1.055 * linear.clamp(min=1e-9) ** (1 / 2.4) - 0.055, linear * 12.92)
