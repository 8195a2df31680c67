"""Paintings laid with a brush, stroke upon stroke, from broad to fine.

Each is a function of (height, width, random generator) that returns sRGB (height, width, 3) in [0, 1].
"""

from __future__ import annotations

import numpy as np

from .brush import Brush, cover, lit, paint_strokes, primed, scatter
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
    ramp,
    smoothstep,
    vary,
    wander,
)

STARS = (
    (0.14, 0.81, 0.085),
    (0.11, 0.13, 0.042),
    (0.29, 0.29, 0.052),
    (0.20, 0.53, 0.036),
    (0.36, 0.66, 0.038),
    (0.07, 0.39, 0.032),
    (0.38, 0.07, 0.036),
    (0.39, 0.47, 0.026),
    (0.35, 0.93, 0.034),
)  # row, column, radius of the disc
LAMPS = ((0.08, 0.6), (0.19, 0.9), (0.27, 0.7), (0.41, 1.0), (0.55, 0.7), (0.64, 0.9), (0.82, 1.2), (0.93, 0.8))
# column, length of the reflection


def nocturne(height: int, width: int, rng: Random) -> Array:
    """A swirling night over a bay, the lamps of the far shore on the water."""
    y, x = coordinates(height, width)
    sky, wind = _night_sky(y, x, rng)
    water, ripples = _lamplit_water(y, x, rng)
    shore = 0.475 + 0.02 * noise((height, width), 9, rng) - 0.03 * bell(x - 0.8, 0.1) - 0.02 * bell(x - 0.3, 0.12)
    hills = ramp(fractal_noise((height, width), 12, rng), "0a0f24 12203a 173a4a 24505a")
    land = smoothstep(-0.003, 0.003, y - shore)
    bay = smoothstep(0.545, 0.552, y)
    scene = mix(mix(sky, hills, land), water, bay)
    angle = mix(mix(wind, along_contours(y - shore), land > 0.5), ripples, bay > 0.5)
    canvas = primed(height, width, paint("131a3a"))
    broad, middle = Brush(13, 90, body=0.7, dry=0.2), Brush(7.5, 60, bristle=0.6)
    fine = Brush(5.2, 42, body=1.3, bristle=0.6)
    cover(canvas, scene, angle, rng, (broad, 12), (middle, 9.5), (fine, 11))
    return lit(canvas)


def _night_sky(y: Array, x: Array, rng: Random) -> tuple[Array, Array]:
    """Colours of the sky and the angle of its flow: whirls around the stars, a river of wind between them."""
    potential = y + 0.09 * np.sin(6.5 * x + 0.5) + 0.16 * noise(y.shape, 4, rng)
    wind = fractal_noise(y.shape, 7, rng, 3, stretch=2)
    tone = 0.40 * wind + 0.21 * np.sin(potential * 40) + 0.25 * y + 0.19
    angle, light = along_contours(potential), np.zeros_like(y)
    for row, column, radius in STARS:
        distance, turn = np.hypot(y - row, x - column) / radius, np.arctan2(y - row, x - column)
        arms = np.cos(distance * 5.2 - turn * 2 + 40 * column)
        # a little off the tangent, so that the strokes wind inwards
        angle = blend_angles(angle, turn + np.pi / 2 + 0.22, smoothstep(3.4, 1.6, distance))
        tone = mix(tone, 0.50 + 0.26 * arms, smoothstep(3.2, 1.6, distance))
        halo = 0.34 * smoothstep(0.2, 1, arms) * smoothstep(2.7, 1.1, distance)
        light = np.maximum(light, smoothstep(1.30, 0.1, distance) + halo)
    blue = ramp(tone, "0c1238 152a6c 2450a0 3c84c0 84bccc dbe4c8")
    glow = ramp(light, "3a6fa8 9fb68a e3bd4e f7d648 fdf1b4")
    return mix(blue, glow, smoothstep(0.10, 0.45, light)), angle


def _lamplit_water(y: Array, x: Array, rng: Random) -> tuple[Array, Array]:
    """Colours of the bay and the angle of its ripples."""
    ripples = y + 0.012 * np.sin(30 * x + 25 * y) + 0.05 * noise(y.shape, 8, rng, stretch=3)
    swell = 0.35 * np.sin(ripples * 150) * smoothstep(0.5, 0.9, y)
    colors = ramp(
        0.14 + swell + 0.4 * fractal_noise(y.shape, 10, rng, 3, stretch=4), "0b1030 142a62 1f4c86 2f7898 78aeb0"
    )
    light = np.zeros_like(y)
    for column, reach in LAMPS:
        sway = x - column + 0.012 * np.sin(y * 160 + column * 50)
        light += bell(sway, 0.010 + 0.06 * np.abs(y - 0.54)) * smoothstep(0.57 + 0.2 * reach, 0.56, y)
    light *= 0.80 + 0.45 * np.sin(y * 190 + 4 * noise(y.shape, 12, rng))
    glow = ramp(light, "1f4c86 a0763c e8a83c f9dc6a")
    return mix(colors, glow, smoothstep(0.06, 0.35, light)), along_contours(ripples)


def pointillism(height: int, width: int, rng: Random) -> Array:
    """Evening over a calm harbour in dots of pure colour, complements side by side."""
    y, x = coordinates(height, width)
    scene = mix(_evening_sky(y, x, rng), _evening_sea(y, x, rng), smoothstep(0.418, 0.422, y))
    for column, foot, tall in ((0.15, 0.58, 0.34), (0.36, 0.46, 0.15), (0.85, 0.62, 0.40)):
        cloth = ramp((foot - y) / tall, "2a2050 7a3a5a c86a5a f0b080")
        scene = mix(scene, cloth, _boat(y, x, column, foot, tall))
    canvas = primed(height, width, paint("d8c9a8"))
    level = wander((height, width), 6, 0.15, rng)
    for radius, length, spacing, share in ((11, 15, 11, 0.05), (7.2, 9, 8.6, 0.14), (5.6, 7, 9.5, 0.22)):
        dot = Brush(radius, length, body=6 / radius, bristle=0.2, dry=0, taper=0.5, spread=0.14)
        points = scatter(canvas, spacing, rng)
        paint_strokes(canvas, dot, points, level, _divided(lookup(scene, points), share, rng), rng)
    return lit(canvas, relief=0.7, gloss=0.15)


def _evening_sky(y: Array, x: Array, rng: Random) -> Array:
    """A low sun and the far shore."""
    sun = np.hypot(y - 0.30, x - 0.62)
    clouds = fractal_noise(y.shape, 5, rng, 4, stretch=3)
    sky = ramp(0.82 - 1.15 * sun + 0.45 * clouds, "24408a 4a62ac 8f7cb8 d98aa0 f2a45c f8cc5e fce88a")
    sky = mix(sky, paint("fffbe0"), smoothstep(0.075, 0.060, sun))
    sky = mix(sky, paint("f0a038"), 0.6 * smoothstep(0.05, 0.02, np.abs(sun - 0.10)))
    shore = 0.40 - 0.11 * bell(x - 0.12, 0.2) - 0.06 * bell(x - 0.93, 0.13) + 0.015 * noise(y.shape, 12, rng)
    land = ramp(fractal_noise(y.shape, 8, rng, 3) + 0.4 - y, "2a2f6a 3f4f8a 6a5a9a a8688a")
    return mix(sky, land, smoothstep(-0.002, 0.002, y - shore))


def _evening_sea(y: Array, x: Array, rng: Random) -> Array:
    """Long swells and the path of the sun."""
    glitter = 0.6 + 0.5 * np.sin(y * 130 + 5 * noise(y.shape, 9, rng, stretch=3))
    path = np.clip(glitter * bell(x - 0.62, 0.03 + 0.28 * np.abs(y - 0.4)), 0, 1)
    swell = 0.15 * np.sin(y * 70 + 6 * fractal_noise(y.shape, 5, rng, 2, stretch=4))
    return ramp(0.39 + swell - 0.15 * y + 0.75 * path, "1f3a7a 2f62a0 3f8fa8 7ab0a8 e8a878 fad070 fff0b0")


def _boat(y: Array, x: Array, column: float, foot: float, tall: float) -> Array:
    """Where a boat covers the scene (height, width): two sails on a mast above a hull."""
    up = np.clip((foot - y) / tall, 0, 1)
    sails = (x > column - 0.11 * (1 - up)) & (x < column + 0.07 * (1 - up) ** 1.4) & (np.abs(x - column) > 0.004)
    hull = (np.abs(x - column + 0.02) < 0.11 - 2 * (y - foot)) & (y > foot + 0.008) & (y < foot + 0.035)
    return np.where(y < foot, sails & (up < 1), hull).astype(np.float32)


def _divided(colors: Array, share: float, rng: Random) -> Array:
    """Colours (n, 3) taken apart as the divisionists did: purer, varied, a `share` of them turned into complements."""
    mixed = vary(colors, rng, 6, 20, 0.25)
    grey = mixed.mean(axis=1, keepdims=True)
    pure, opposite = grey + 1.25 * (mixed - grey), grey - (mixed - grey)
    return np.clip(np.where(rng.random((len(colors), 1)) < share, opposite, pure), 0, 1).astype(np.float32)
