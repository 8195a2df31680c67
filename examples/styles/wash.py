"""Ink and water on paper.

A function of (height, width, random generator) that returns sRGB (height, width, 3) in [0, 1].
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from .brush import Brush, Canvas, paint_strokes, primed, scatter
from .fields import (
    Array,
    Random,
    along_contours,
    bell,
    coordinates,
    fractal_noise,
    noise,
    paint,
    palette,
    paper,
    ramp,
    smoothstep,
    vary,
    wander,
)

RIDGES = (
    (0.31, "6a8aa0"),
    (0.41, "5a7f9a"),
    (0.52, "7a7468"),
    (0.64, "3f6684"),
    (0.77, "5a5a58"),
    (0.91, "2f4a66"),
)  # row, ink; from the farthest to the nearest


def ink(height: int, width: int, rng: Random) -> Array:
    """Mountains in mist, in indigo and soot washed on wet paper, with a vermilion sun."""
    y, x = coordinates(height, width)
    tooth = paper(height, width, rng)
    fine = fractal_noise((height, width), 60, rng, 3) - 0.5
    wet = fractal_noise((height, width), 7, rng, 5)
    canvas = primed(height, width, ramp(0.8 * wet + 0.3 * y, "efe2c2 ecd6a8 dfc08e d6ac7c"))
    _clouds(canvas, rng)
    sun = 0.085 - np.hypot(y - 0.20, x - 0.50) + 0.006 * fine
    disc = smoothstep(-0.002, 0.004, sun) * (0.65 + 0.5 * smoothstep(0.02, 0.0, sun)) * (0.6 + 0.6 * wet)
    clouds = fractal_noise((height, width), 4, rng, 5, stretch=1.6) + 0.05 * fine
    cover = 0.24 * smoothstep(0.47, 0.56, clouds) + 0.22 * smoothstep(0.60, 0.64, clouds)
    washes = [("5f7f96", cover * smoothstep(0.004, -0.010, sun)), ("cf3a20", 1.1 * disc)]
    for k, (level, tint) in enumerate(RIDGES):
        below = y - _ridge(y, x, level, k, rng) + (0.006 + 0.040 * smoothstep(0.5, 0.75, wet)) * fine
        washes.append((tint, (0.44 + 0.055 * k) * _mountain(below, wet, k, rng)))
        _texture_strokes(canvas, below, k, rng)
    color = canvas.color
    for tint, amount in washes:
        # pigment absorbs: each layer lets a power of its colour through (Beer and Lambert)
        color = color * paint(tint) ** (1.35 * _settled(amount, tooth)[..., None])
    return np.clip(color * (0.93 + 0.10 * tooth[..., None]), 0, 1)


def _ridge(y: Array, x: Array, level: float, k: int, rng: Random) -> Array:
    """Row of a mountain's outline above each column, (1, width)."""
    rough = fractal_noise(y.shape, 3 + k, rng, 6)[len(y) // 2]
    return level + 0.20 * (rough - 0.5)[None] + 0.10 * np.sin(x[:1] * (4 + k) + 2.4 * k) * (0.5 + 0.1 * k)


def _mountain(below: Array, wet: Array, k: int, rng: Random) -> Array:
    """Amount of ink on a mountain: dark along its ridge, thinning into mist below, with veins where it ran."""
    mist = np.exp(-np.clip(below, 0, 1) / (0.060 + 0.012 * k))
    veins = smoothstep(0.035, 0.0, np.abs(fractal_noise(below.shape, 8, rng, 4) - 0.5))
    return smoothstep(-0.002, 0.003, below) * (
        0.06 + mist * (0.55 + 0.8 * wet + 0.35 * veins) + 0.45 * bell(below, 0.005)
    )


def _settled(amount: Array, tooth: Array) -> Array:
    """What a wash leaves: pigment settles in the hollows of the paper and creeps to the edge of the wet patch."""
    unit = max(amount.shape) / 1000
    edge = np.clip(amount - ndimage.gaussian_filter(amount, 7 * unit), 0, 1)
    return np.clip(amount * (1.3 - 0.6 * tooth) + 0.9 * edge, 0, 2)


def _clouds(canvas: Canvas, rng: Random) -> None:
    """Thin tea, ochre and grey with a broad dry brush over the whole sheet, drifting like cloud."""
    height, width = canvas.height, canvas.width
    y, _ = coordinates(height, width)
    drift = along_contours(y + 0.10 * noise((height, width), 4, rng) + 0.02 * noise((height, width), 12, rng))
    points = scatter(canvas, 34, rng)
    colors = vary(palette("a89a84 8f9a9c c49a68")[rng.integers(0, 3, len(points))], rng, 4, 6)
    hake = Brush(13, 150, dry=0.75, taper=0.2, opacity=0.30, spread=0.5)
    paint_strokes(canvas, hake, points, drift, colors, rng)


def _texture_strokes(canvas: Canvas, below: Array, k: int, rng: Random) -> None:
    """Dry strokes of soot down the mountain's side, dots of moss along its ridge."""
    fall = wander(canvas.thickness.shape, 6, 1.6, rng) + np.pi / 2 + 0.35 * (-1) ** k
    length, opacity = 26 + 7 * k, 0.25 + 0.07 * k
    points = scatter(canvas, 10, rng, 0.8 * smoothstep(0.0, 0.01, below) * smoothstep(0.06 + 0.03 * k, 0.01, below))
    points[:, 0] += 0.6 * length * canvas.unit  # a stroke is laid about its middle; none may rise above the ridge
    soot = np.tile(paint("26282c"), (len(points), 1))
    dry = Brush(2.2 + 0.7 * k, length, dry=0.85, taper=0.45, opacity=opacity, spread=0.45)
    paint_strokes(canvas, dry, points, fall, soot, rng)
    points = scatter(canvas, 9, rng, 0.55 * smoothstep(0.012, 0.002, np.abs(below)))
    moss = np.tile(paint("15181c"), (len(points), 1))
    dot = Brush(1.6 + 0.7 * k, 5 + 2 * k, taper=0.5, opacity=opacity + 0.05, spread=0.5)
    paint_strokes(canvas, dot, points, 0.3 * fall, moss, rng)
