"""Pictures put together from pieces of stone and glass.

Each is a function of (height, width, random generator) that returns sRGB (height, width, 3) in [0, 1].
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage
from scipy.spatial import cKDTree

from .brush import Canvas, lit, primed, scatter
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
)


def mosaic(height: int, width: int, rng: Random) -> Array:
    """A great shell in the surf, in tesserae of glass, stone and gold that follow its turns."""
    y, x = coordinates(height, width)
    r, turn = np.hypot(y - 0.36, x - 0.56), np.arctan2(y - 0.36, x - 0.56)
    spiral = np.log(np.maximum(r, 0.004)) / 0.42 - turn / (2 * np.pi)
    surf = y + 0.05 * np.sin(8 * x + 0.5) + 0.08 * noise((height, width), 4, rng) + 0.10 * bell(r, 0.4)
    swell = 0.35 * np.sin(surf * 62) + 0.5 * fractal_noise((height, width), 6, rng, 3)
    sea = ramp(0.22 + swell, "0f2a4a 14507a 1f7f92 5fb5a8 bfe0cc f2ead0")
    scene = mix(sea, _shell(r, turn, spiral % 1), smoothstep(0.363, 0.361, r))
    angle = blend_angles(along_contours(surf), turn + np.pi / 2, smoothstep(0.40, 0.365, r))
    angle = blend_angles(angle, along_contours(spiral), smoothstep(0.335, 0.30, r))
    sites = settle(height, width, 0.0155 * max(height, width), angle, rng)
    owner, inside = square_cells(height, width, sites, angle)
    return _set_in_grout(sites, owner, inside, lookup(scene, sites), rng)


def _shell(r: Array, turn: Array, coil: Array) -> Array:
    """Colours of a ribbed shell in a ring of gold; `coil` runs from 0 to 1 across each of its turns."""
    ribs = 0.12 * np.sin(turn * 26 + 5 * coil)
    shell = ramp(0.10 + 0.8 * coil + ribs, "5a2318 a8452a d88a3a efc76a f4e6c0 e8ddc4")
    shell = mix(shell, paint("3a1a1c"), coil < 0.10)
    shell = mix(shell, paint("f7dc8a"), r < 0.028)
    return mix(shell, paint("d8a93a"), r > 0.335)


def settle(height: int, width: int, spacing: float, angle: Array, rng: Random, rounds: int = 14) -> Array:
    """Sites (n, 2) about `spacing` pixels apart whose square cells fill the canvas evenly (Lloyd's algorithm)."""
    # on a coarser grid: a seventh of the spacing is fine enough to find the centre of a cell
    rows, columns = int(height / spacing * 7), int(width / spacing * 7)
    grid = np.linspace(0, height - 1, rows).astype(int)[:, None], np.linspace(0, width - 1, columns).astype(int)
    sites = rng.random((rows * columns // 49, 2)) * (rows, columns)
    y, x = np.mgrid[:rows, :columns] + 0.5
    for _ in range(rounds):
        owner, _inside = square_cells(rows, columns, sites, angle[grid])
        count = np.bincount(owner.ravel(), minlength=len(sites))
        sums = [np.bincount(owner.ravel(), weights.ravel(), len(sites)) for weights in (y, x)]
        sites = np.where(count[:, None] > 0, np.stack(sums, axis=-1) / np.maximum(count, 1)[:, None], sites)
    return sites * (height / rows, width / columns)


def square_cells(height: int, width: int, sites: Array, angle: Array) -> tuple[Array, Array]:
    """To which site each pixel belongs, and how far inside its cell it lies, 0 at the border, in pixels.

    The distance is the larger of the two along and across the angle at the site, which makes the cells nearly
    square and lines them up (Hausner 2001, "Simulating decorative mosaics").
    """
    pixels = np.moveaxis(np.mgrid[:height, :width], 0, -1).reshape(-1, 2).astype(np.float32) + 0.5
    _, near = cKDTree(sites).query(pixels, k=min(7, len(sites)))
    offset = pixels[:, None] - sites[near].astype(np.float32)
    sine, cosine = (f(lookup(angle, sites)).astype(np.float32)[near] for f in (np.sin, np.cos))
    ahead = np.abs(offset[..., 0] * sine + offset[..., 1] * cosine)
    aside = np.abs(offset[..., 0] * cosine - offset[..., 1] * sine)
    # a little of the smaller one rounds the corners
    distance = np.maximum(ahead, aside) + 0.15 * np.minimum(ahead, aside)
    first, second = np.argpartition(distance, 1, axis=1)[:, :2].T
    pixel = np.arange(len(pixels))
    inside = distance[pixel, second] - distance[pixel, first]
    return near[pixel, first].reshape(height, width), inside.reshape(height, width)


def _set_in_grout(sites: Array, owner: Array, inside: Array, colors: Array, rng: Random) -> Array:
    """Tesserae with rounded edges, each tilted a little so that it catches the light in its own way."""
    height, width = owner.shape
    unit = max(height, width) / 1000
    flecks = fractal_noise((height, width), 90, rng, 2)
    grout = paint("4a4238") * (0.7 + 0.6 * fractal_noise((height, width), 150, rng, 2)[..., None])
    stone = vary(colors, rng, 6, 8, 0.15)[owner] * (0.90 + 0.22 * flecks[..., None])
    edge = smoothstep(1.4 * unit, 2.9 * unit, inside)
    rows, columns = np.mgrid[:height, :width]
    tilt = rng.normal(0, 0.030 / unit, (len(sites), 2))[owner]
    slope = tilt[..., 0] * (rows - sites[owner, 0]) + tilt[..., 1] * (columns - sites[owner, 1])
    thickness = 1.3 * smoothstep(0.8 * unit, 6.0 * unit, inside) + edge * (slope + 0.15 * flecks)
    return lit(Canvas(mix(grout, stone, edge), thickness), relief=1.2, gloss=0.5)


def stained_glass(height: int, width: int, rng: Random) -> Array:
    """A river between hills under a low sun: streaked glass in lead, the light behind it."""
    y, x = coordinates(height, width)
    unit = max(height, width) / 1000
    sky, dawn = _sky_glass(y, x, rng)
    hill, slopes = _hill_glass(y, x)
    river, water = _river_glass(y, x)
    light = mix(mix(dawn, slopes, hill > 0), water, river > 0)
    # hills are broken into long pieces, rows counting more than columns; sky and river are cut as drawn
    points = scatter(primed(height, width, paint("000000")), 78, rng) * (1.5, 0.75)
    warp = 26 * unit * (np.stack([noise((height, width), 9, rng), noise((height, width), 9, rng)], axis=-1) - 0.5)
    _, broken = cKDTree(points).query((np.moveaxis(np.mgrid[:height, :width], 0, -1) + warp) * (1.5, 0.75))
    drawn = np.where(river > 0, river + 10_000, np.where(hill > 0, hill * 1_000_000 + broken, sky))
    piece = np.unique(drawn, return_inverse=True)[1].reshape(height, width)
    border = ndimage.maximum_filter(piece, 3) != ndimage.minimum_filter(piece, 3)
    away = ndimage.gaussian_filter(ndimage.distance_transform_edt(~border), 0.8 * unit) / unit
    return _leaded(piece, away, light, rng)


def _sky_glass(y: Array, x: Array, rng: Random) -> tuple[Array, Array]:
    """Pieces of the sky, in rings around the sun, and the colour of the light through them."""
    r, turn = np.hypot(y - 0.30, x - 0.40), np.arctan2(y - 0.30, x - 0.40)
    ring = np.digitize(r, (0.07, 0.125, 0.195, 0.28, 0.375, 0.48))
    beams = 7 + ring // 3 * 3  # to a half turn; counted modulo the whole, for the angle jumps at the left of the sun
    beam = np.floor((turn / np.pi + 1) * beams + 0.5 * (ring % 2) + 0.5 * np.sin(r * 16 + ring)) % (2 * beams)
    distance = r / 0.62 + 0.12 * (noise(y.shape, 6, rng) - 0.5)
    colors = ramp(distance, "fff3b8 ffd24a f79a2a e2553a a8327a 5a3aa0 2a3f9a 1f2a6a")
    return (ring * 40 + np.where(ring == 0, 0, beam)).astype(np.intp), colors


def _hill_glass(y: Array, x: Array) -> tuple[Array, Array]:
    """Pieces of the hills, 0 above them, and the colour of the light through them."""
    piece, colors = np.zeros(y.shape, np.intp), np.zeros((*y.shape, 3), np.float32)
    hills = (
        (0.47, 0.05, 6.0, 0.3, "3a2a7a 6a3f9a b86aa8"),
        (0.53, 0.06, 5.0, 2.2, "1f4a8a 2f7fa8 7fc8b8"),
        (0.61, 0.06, 7.0, 4.0, "0f5a4a 2f8f52 9fc84a"),
        (0.72, 0.07, 5.5, 1.0, "14603a 5fa83a d8d84a"),
        (0.86, 0.06, 6.5, 3.2, "0f3f4a 1f7a52 7fb83a"),
    )
    for k, (level, swing, waves, start, shades) in enumerate(hills):
        below = y - level - swing * np.sin(waves * x + start)
        piece = np.where(below > 0, 1 + 2 * k + (below > 0.075), piece)
        colors = mix(colors, ramp(1 - below / 0.16, shades), below > 0)
    return piece, colors


def _river_glass(y: Array, x: Array) -> tuple[Array, Array]:
    """Pieces of the river, 0 beside it, and the colour of the light through them."""
    course = 0.40 + 0.13 * np.sin(9 * (y - 0.5)) * smoothstep(0.5, 0.9, y)
    river = (np.abs(x - course) < 0.018 + 0.22 * np.clip(y - 0.53, 0, 1)) & (y > 0.545)
    reach = 1 + np.floor(y * 16 + 0.6 * np.sin(8 * x)).astype(np.intp)
    return river * reach, ramp(0.5 + 0.5 * np.sin(y * 36 + 5 * x), "1f4fa8 2f8fd0 8fd8e8 fff0b0")


def _leaded(piece: Array, away: Array, light: Array, rng: Random) -> Array:
    """Streaked glass between bars of lead; `away` is the distance to the middle of the nearest bar, in thousandths."""
    height, width = piece.shape
    index = np.arange(piece.max() + 1)
    middle = np.stack([ndimage.mean(light[..., i], piece, index) for i in range(3)], axis=-1)
    shades = vary(middle, rng, 8, 13, 0.2)[piece]
    streaks = np.stack([fractal_noise((height, width), 12, rng, 4, stretch) for stretch in (5, 0.2, 3, 0.33)])
    streak = np.take_along_axis(streaks, rng.integers(0, 4, len(index))[piece][None], axis=0)[0]
    seeds = smoothstep(0.80, 0.86, noise((height, width), 110, rng))  # bubbles
    glow = 0.72 + 0.62 * smoothstep(0, 30, away) * (0.55 + 0.45 * fractal_noise((height, width), 5, rng, 2))
    glass = mix(0.6 * shades + 0.4 * light, paint("ffffff"), 0.5 * smoothstep(0.5, 0.9, streak) + 0.12 * seeds)
    hammered = fractal_noise((height, width), 34, rng, 3)  # small lenses in the glass
    glass = glass * (glow * (0.55 + 0.75 * streak) * (0.72 + 0.56 * hammered))[..., None]
    half = 2.9 + 1.6 * noise((height, width), 14, rng)  # width of a bar
    lead = smoothstep(1.0, 0.0, away - half)
    metal = paint("33343a") * (0.7 + 0.6 * fractal_noise((height, width), 40, rng, 3)[..., None])
    came = 2.2 * np.sqrt(np.clip(1 - (away / (half + 0.5)) ** 2, 0, 1))
    came = came + 0.25 * fractal_noise((height, width), 120, rng, 2)
    thickness = np.where(lead > 0.5, came, 0.35 * streak + 0.25 * seeds + 0.9 * hammered)
    return lit(Canvas(mix(glass, metal, lead), thickness), relief=1.0, gloss=0.5)
