"""A painting of planes, after the analytic cubists.

A function of (height, width, random generator) that returns sRGB (height, width, 3) in [0, 1].
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from .brush import Brush, Canvas, cover, lit, paint_strokes, primed
from .fields import Array, Random, bell, coordinates, lookup, noise, paint, ramp, smoothstep, vary

DIRECTIONS = np.deg2rad([18, 62, 88, 112, 155])  # of the cuts and of the brush: few, so that the planes belong together


def cubist(height: int, width: int, rng: Random) -> Array:
    """Shaded planes in ochre, grey, green and rust, seen from several sides at once."""
    y, x = coordinates(height, width)
    facet = facets(height, width, 95, rng)
    count = int(facet.max()) + 1
    direction = rng.choice(DIRECTIONS, count).astype(np.float32)
    light = bell(y - 0.42, 0.34) * bell(x - 0.40, 0.25)
    tone = 0.40 * light + 0.62 * _shaded(facet, direction, rng) + rng.normal(0, 0.08, count)[facet]
    kinds = (
        ramp(tone, "1c1712 4a3220 85582c b98a48 dcbf88 f2e6c8"),
        ramp(tone, "14171a 36403f 5f6f6c 94a09a c8cbb8 efe9d4"),
        ramp(tone, "121a16 2a4038 4f6a4c 8a9468 c6c294 f0e8c8"),
        ramp(tone, "1c100e 56241a 94452a c07a4e e0b48c f4e4cc"),
    )
    scene = np.choose(rng.choice(4, count, p=(0.42, 0.32, 0.12, 0.14))[facet][..., None], kinds)
    canvas = primed(height, width, paint("6a5236"))
    broad = Brush(10, 34, body=0.8, dry=0.25, taper=0.12)
    narrow = Brush(5.5, 20, body=1.1, dry=0.2, taper=0.15)
    cover(canvas, scene, direction[facet], rng, (broad, 11), (narrow, 8), calm=0.7)
    _contours(canvas, facet, rng)
    return lit(canvas, relief=0.9, gloss=0.15)


def facets(height: int, width: int, count: int, rng: Random) -> Array:
    """Labels (height, width) of `count` pieces of the canvas, got by straight cuts, mostly through the largest."""
    facet = np.zeros((height, width), np.intp)
    areas = [height * width]
    for new in range(1, count):
        old = np.argmax(np.array(areas) * rng.uniform(0.5, 1.0, len(areas)))
        rows, columns = np.nonzero(facet == old)
        through = rng.integers(0, len(rows), 12)  # their mean lies somewhere about the middle
        angle = rng.choice(DIRECTIONS) + rng.normal(0, 0.07)
        down, right = rows - rows[through].mean(), columns - columns[through].mean()
        beyond = down * np.cos(angle) > right * np.sin(angle)
        facet[rows[beyond], columns[beyond]] = new
        areas[old] -= int(beyond.sum())
        areas.append(int(beyond.sum()))
    return facet


def _shaded(facet: Array, direction: Array, rng: Random) -> Array:
    """Each facet from 0 at one edge to 1 at the other, across its direction, (height, width)."""
    rows, columns = np.mgrid[: facet.shape[0], : facet.shape[1]]
    across = rows * np.cos(direction)[facet] - columns * np.sin(direction)[facet]
    labels = np.arange(len(direction))
    low, high = ndimage.minimum(across, facet, labels), ndimage.maximum(across, facet, labels)
    t = (across - low[facet]) / np.maximum(high - low, 1)[facet]
    turned = (rng.random(len(direction)) < 0.35)[facet]
    return np.where(turned, 1 - t, t) ** 1.3


def _contours(canvas: Canvas, facet: Array, rng: Random) -> None:
    """Dark lines along the edges of the facets, left out here and there so that plane passes into plane."""
    edge = ndimage.maximum_filter(facet, 3) != ndimage.minimum_filter(facet, 3)
    points = np.argwhere(edge).astype(np.float32)
    drawn = smoothstep(0.35, 0.6, lookup(noise(canvas.thickness.shape, 9, rng), points))
    points = points[rng.random(len(points)) < 0.07 / canvas.unit * drawn]
    # the gradient flips its sign across a line, its square does not: direction of the line by the structure tensor
    gy, gx = np.gradient(ndimage.gaussian_filter(edge.astype(np.float32), 2.5 * canvas.unit))
    yy, yx, xx = (ndimage.gaussian_filter(product, 4 * canvas.unit) for product in (gy * gy, gy * gx, gx * gx))
    angle = (np.arctan2(2 * yx, xx - yy) / 2 + np.pi / 2).astype(np.float32)
    dark = vary(np.tile(paint("1a1512"), (len(points), 1)), rng, 5, 5)
    paint_strokes(canvas, Brush(2.1, 30, dry=0.5), points, angle, dark, rng)
