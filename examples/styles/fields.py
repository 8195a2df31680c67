"""Scalar, direction and colour fields: what a painting is composed of before a brush touches it.

A field is a float32 array (height, width); positions are in units of the longer side, so that the same
composition can be made at any size.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from scipy import ndimage
from skimage import color

# numpy's own types know neither shapes nor what scipy returns: the name is for the reader
Array = Any
Random = np.random.Generator


def coordinates(height: int, width: int) -> tuple[Array, Array]:
    """(y, x) of every pixel's centre; the longer side runs from 0 to 1."""
    longer = max(height, width)
    rows, columns = np.mgrid[:height, :width].astype(np.float32)
    return (rows + 0.5) / longer, (columns + 0.5) / longer


def noise(shape: tuple[int, int], cells: float, rng: Random, stretch: float = 1.0) -> Array:
    """Smooth noise (height, width) in [0, 1], `cells` bumps along the longer side, `stretch` times wider than high."""
    height, width = shape
    longer = max(shape)
    # the lattice depends on the shape only, not on the size, so that a small render resembles the large one
    down = _splines((np.arange(height) + 0.5) / longer * cells)
    across = _splines((np.arange(width) + 0.5) / longer * cells / stretch)
    lattice = rng.random((down.shape[1], across.shape[1]), dtype=np.float32)
    return down @ lattice @ across.T


def _splines(positions: Array) -> Array:
    """Cubic B-spline weights (n, knots) of unit-spaced knots at positions of 0 or more."""
    knots = np.arange(-1, np.ceil(positions[-1]) + 2)
    t = np.abs(positions[:, None] - knots)
    inner, outer = 2 / 3 - t**2 + t**3 / 2, (2 - t) ** 3 / 6
    return np.where(t < 1, inner, np.where(t < 2, outer, 0)).astype(np.float32)


def fractal_noise(shape: tuple[int, int], cells: float, rng: Random, octaves: int = 4, stretch: float = 1.0) -> Array:
    """Noise with detail at `octaves` scales, each half the size and half the strength; stretched to [0, 1]."""
    total = sum(noise(shape, cells * 2**i, rng, stretch) / 2**i for i in range(octaves))
    return rescale(np.asarray(total, dtype=np.float32))


def rescale(values: Array) -> Array:
    """Stretch to [0, 1]."""
    low, high = values.min(), values.max()
    return (values - low) / max(high - low, np.float32(1e-9))


def smoothstep(low: float, high: float, values: Array) -> Array:
    """0 below `low`, 1 above `high`, a soft ramp between; `low` may be the greater one."""
    t = np.clip((values - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


def bell(distance: Array, width: Array | float) -> Array:
    """1 where the distance is 0, falling to 0.37 at `width` on both sides."""
    return np.exp(-((distance / width) ** 2))


def mix(first: Array, second: Array, amount: Array | float) -> Array:
    """Between two fields, of values or of colours (either may be one colour): 0 is the first, 1 the second."""
    t = np.asarray(amount, np.float32)
    colored = first.ndim > t.ndim > 0
    return first + (second - first) * (t[..., None] if colored else t)


def palette(hexes: str) -> Array:
    """Colours written '1b2a49 f4d58d' as rows (n, 3) of sRGB in [0, 1]."""
    return np.array([[int(word[i : i + 2], 16) / 255 for i in (0, 2, 4)] for word in hexes.split()], np.float32)


def paint(hex: str) -> Array:
    """One colour (3,), written '1b2a49'."""
    return palette(hex)[0]


def ramp(values: Array, hexes: str) -> Array:
    """Values as colours: 0 and less the first of the palette, 1 and more the last, mixed evenly to the eye (CIELAB)."""
    stops = color.rgb2lab(palette(hexes))
    positions = np.linspace(0, 1, len(stops))
    return _displayed(np.stack([np.interp(values, positions, stops[:, i]) for i in range(3)], axis=-1))


def _displayed(lab: Array) -> Array:
    """CIELAB as sRGB; a colour that no screen shows is clipped to the nearest value of each channel."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Conversion from CIE-LAB", category=UserWarning)
        return np.clip(color.lab2rgb(lab), 0, 1).astype(np.float32)


def vary(colors: Array, rng: Random, lightness: float, hue: float, chroma: float = 0.0) -> Array:
    """Colours (n, 3), each a little off, as mixed anew on the palette.

    Args:
        lightness: standard deviation in CIELAB L (0 to 100).
        hue: standard deviation of the turn around the colour circle, in degrees.
        chroma: standard deviation of the relative change of chroma.
    """
    lch = color.lab2lch(color.rgb2lab(colors))
    n = len(colors)
    lch[:, 0] = np.clip(lch[:, 0] + rng.normal(0, lightness, n), 0, 100)
    lch[:, 1] *= np.clip(1 + rng.normal(0, chroma, n), 0, 2)
    lch[:, 2] += np.deg2rad(rng.normal(0, hue, n))
    return _displayed(color.lch2lab(lch))


def paper(height: int, width: int, rng: Random) -> Array:
    """Tooth of a sheet of paper (height, width) in [0, 1], 0 in the hollows: grain of three sizes."""
    unit = max(height, width) / 1000
    sizes = (0.8, 1.6, 3.2)
    grain = sum(ndimage.gaussian_filter(rng.normal(size=(height, width)), size * unit) * size for size in sizes)
    return rescale(np.clip(np.asarray(grain, np.float32), -1, 1))


def along_contours(potential: Array) -> Array:
    """Angle of the contour lines of a field, in radians: strokes that follow it wind around its hills."""
    gy, gx = np.gradient(potential)
    return np.arctan2(gx, -gy).astype(np.float32)


def lookup(field: Array, points: Array) -> Array:
    """Values of a field (height, width, ...) at points (..., 2) of (row, column) pixels, nearest, edges extended."""
    rows = np.clip(points[..., 0].astype(np.intp), 0, field.shape[0] - 1)
    columns = np.clip(points[..., 1].astype(np.intp), 0, field.shape[1] - 1)
    return field[rows, columns]


def wander(shape: tuple[int, int], cells: float, swing: float, rng: Random) -> Array:
    """Angles that wander smoothly about 0 (to the right), within `swing` radians to either side."""
    return ((noise(shape, cells, rng) - 0.5) * 2 * swing).astype(np.float32)


def blend_angles(first: Array, second: Array, amount: Array) -> Array:
    """Between two fields of stroke directions: 0 is the first, 1 the second. A stroke has no front and back."""
    # directions that differ by half a turn are the same, so the doubled angles are what can be averaged
    doubled = [(1 - amount) * f(2 * first) + amount * f(2 * second) for f in (np.sin, np.cos)]
    return (np.arctan2(*doubled) / 2).astype(np.float32)
