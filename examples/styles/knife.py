"""Paintings laid with a palette knife: short, flat, thick strokes, the accents last.

Each is a function of (height, width, random generator) that returns sRGB (height, width, 3) in [0, 1].
"""

from __future__ import annotations

import numpy as np

from .brush import Brush, Canvas, cover, lit, paint_strokes, primed, scatter
from .fields import (
    Array,
    Random,
    along_contours,
    bell,
    blend_angles,
    coordinates,
    fractal_noise,
    lookup,
    mix,
    noise,
    paint,
    palette,
    ramp,
    smoothstep,
    vary,
    wander,
)


def meadow(height: int, width: int, rng: Random) -> Array:
    """A poppy field under a wide summer sky."""
    y, x = coordinates(height, width)
    horizon = 0.27 + 0.02 * np.sin(4 * x + 1) + 0.02 * noise((height, width), 5, rng)
    depth = np.clip((y - horizon) / 0.48, 0, 1)  # 0 at the horizon, 1 before the viewer's feet
    scene = _summer(y, horizon, depth, rng)
    breeze = along_contours(y + 0.05 * np.sin(7 * x) + 0.10 * noise((height, width), 4, rng))
    grass = wander((height, width), 5, 0.9, rng) + np.pi / 2
    angle = blend_angles(breeze, grass, smoothstep(0.1, 0.55, depth))
    canvas = primed(height, width, paint("b8702a"))
    broad = Brush(15, 62, body=0.8, bristle=0.18, dry=0.12, taper=0.1)
    narrow = Brush(9, 40, body=1.2, bristle=0.18, dry=0.12, taper=0.1)
    cover(canvas, scene, angle, rng, (broad, 15), (narrow, 12))
    _blades(canvas, scene, angle, depth, rng)
    _poppies(canvas, x, depth, rng)
    return lit(canvas, relief=1.1, gloss=0.3)


def _summer(y: Array, horizon: Array, depth: Array, rng: Random) -> Array:
    """Colours of sky, far trees and field."""
    clouds = fractal_noise(y.shape, 4, rng, 4, stretch=2.2)
    sky = ramp(clouds * 1.3 - 0.25 + 0.5 * y, "3f86b4 7fb6c8 bcd6c8 f3e6c0 f7cf8e")
    drifts = fractal_noise(y.shape, 6, rng, 4, stretch=2)
    field = ramp(0.6 * depth + 0.9 * drifts - 0.2, "e9c25c d9a63a b7a640 7f9438 4d7434 2f5230")
    trees = horizon - 0.055 * np.clip(fractal_noise(y.shape, 10, rng, 3) * 1.8 - 0.6, 0, 1)
    wood = ramp(fractal_noise(y.shape, 16, rng, 3), "1f3b36 2e5a44 4f7a3e 8c9a44")
    scene = mix(sky, wood, smoothstep(-0.004, 0.004, y - trees))
    return mix(scene, field, smoothstep(-0.004, 0.004, y - horizon))


def _blades(canvas: Canvas, scene: Array, angle: Array, depth: Array, rng: Random) -> None:
    """Blades of grass, broader towards the viewer."""
    points = scatter(canvas, 9, rng, 0.75 * smoothstep(0.05, 0.6, depth))
    colors = vary(lookup(scene, points), rng, 13, 18, 0.3)
    blade = Brush(3.4, 44, body=1.1, dry=0.1, taper=0.5)
    paint_strokes(canvas, blade, points, angle, colors, rng, width=0.6 + 0.7 * lookup(depth, points))


def _poppies(canvas: Canvas, x: Array, depth: Array, rng: Random) -> None:
    """Dabs of red in a drift from the far left to the near right, some white and violet among them."""
    drift = bell(x - 0.25 - 0.55 * depth, 0.22 + 0.20 * depth)
    drift = 0.75 * smoothstep(0.35, 0.95, drift + 1.6 * (fractal_noise(depth.shape, 7, rng, 4, stretch=2) - 0.55))
    flowers = palette("c8261c e0452a d83420 f07038 a81c28 f4ead0 8a5aa0 f2c23a")
    any_way = wander(depth.shape, 30, 1.8, rng)
    dab = Brush(9, 17, body=1.6, bristle=0.3, dry=0.1, taper=0.45)
    for near, spacing in ((0.0, 9), (0.25, 13), (0.55, 19)):
        points = scatter(canvas, spacing, rng, drift * smoothstep(near - 0.02, near + 0.12, depth) * (depth > 0))
        chosen = rng.choice(len(flowers), len(points), p=(0.24, 0.22, 0.17, 0.12, 0.11, 0.06, 0.04, 0.04))
        colors = vary(flowers[chosen], rng, 4, 6)
        size = 0.35 + 1.1 * lookup(depth, points)
        paint_strokes(canvas, dab, points, any_way, colors, rng, vary(colors, rng, 12, 12), width=size)


def autumn(height: int, width: int, rng: Random) -> Array:
    """An avenue after rain: fire-coloured leaves, dark trunks, and all of it again in the wet road."""
    y, x = coordinates(height, width)
    middle, ground = 0.36, 0.60
    glow = bell(x - middle, 0.16) * bell(y - 0.47, 0.22)
    leaves = fractal_noise((height, width), 9, rng, 4)
    tone = 0.15 + 0.55 * leaves + 0.75 * glow
    crowns = ramp(tone, "1a1a3a 5a1f3a a8281f dc5a1e f09a2a f9d25a fdf2c4")
    gaps = ramp(leaves * 0.9 + glow, "14203f 1f4668 3f7f8e 9fc0a0 fdf2c4")
    crowns = mix(crowns, gaps, 0.75 * smoothstep(0.52, 0.66, fractal_noise((height, width), 4, rng, 3)))
    mirrored = crowns[np.clip(2 * int(ground * height) - np.arange(height), 0, height - 1)]
    road = mix(mirrored * 0.85, ramp(tone, "10142c 24345a 4a6a8c d8c8a0"), 0.35)
    below = smoothstep(-0.004, 0.004, y - ground + 0.01 * noise((height, width), 8, rng))
    scene = mix(crowns, road, below)
    wild = wander((height, width), 9, 2.5, rng)
    angle = blend_angles(wild, wander((height, width), 9, 0.25, rng), below)
    canvas = primed(height, width, paint("2a1a2c"))
    broad = Brush(17, 50, body=0.8, bristle=0.25, dry=0.15, taper=0.15)
    narrow = Brush(8, 30, body=1.2, bristle=0.25, dry=0.1, taper=0.2)
    cover(canvas, scene, angle, rng, (broad, 16), (narrow, 12))
    _trunks(canvas, middle, ground, rng)
    _leaves(canvas, tone, 0.8 * smoothstep(0.42, 0.70, leaves) * (1 - 0.85 * below) * (1 - 0.8 * glow), wild, rng)
    return lit(canvas, relief=1.1, gloss=0.3)


def _trunks(canvas: Canvas, middle: float, ground: float, rng: Random) -> None:
    """Two rows of trees towards a vanishing point, with their reflections; the near ones are thick."""
    longer = 1000 * canvas.unit
    upright = wander(canvas.thickness.shape, 7, 0.12, rng) + np.pi / 2
    bark, warm, cold = palette("17142a 2a1d33 3a2430"), palette("8a4a3a"), palette("44608a")
    for near in (0.12, 0.2, 0.32, 0.5, 0.75, 1.0):
        for side, gleam in ((-1, warm), (1, cold)):
            foot = ground - 0.03 + 0.16 * near
            rows = np.linspace(foot - 0.72 * (0.2 + near), foot + 0.16 * (0.3 + near), int(40 + 60 * near))
            columns = middle + side * (0.05 + 0.36 * near) + rng.normal(0, 0.005 * near, len(rows))
            points = np.stack([rows, columns], axis=-1) * longer
            colors = vary(bark[rng.integers(0, 3, len(rows))], rng, 4, 10)
            lights = vary(gleam.repeat(len(rows), axis=0), rng, 8, 10)
            knife = Brush(11 * (0.3 + near), 60, bristle=0.5, dry=0.3, taper=0.1)
            paint_strokes(canvas, knife, points, upright, colors, rng, lights)


def _leaves(canvas: Canvas, tone: Array, density: Array, angle: Array, rng: Random) -> None:
    """Small thick dabs, lighter than what lies under them."""
    points = scatter(canvas, 9, rng, density)
    fire = ramp(lookup(tone, points) * 0.8 + rng.normal(0.12, 0.14, len(points)), "7a1f2a c8321f ee7a24 f8b838 fbe48a")
    dab = Brush(6.5, 17, body=1.6, bristle=0.3, dry=0.1, taper=0.4)
    paint_strokes(canvas, dab, points, angle, vary(fire, rng, 5, 9), rng, vary(fire, rng, 12, 20))
