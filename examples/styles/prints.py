"""Prints: lines cut into a block and inks pressed onto paper.

Each is a function of (height, width, random generator) that returns sRGB (height, width, 3) in [0, 1].
"""

from __future__ import annotations

import numpy as np

from .fields import Array, Random, coordinates, fractal_noise, mix, noise, paint, palette, paper, ramp, smoothstep


def woodcut(height: int, width: int, rng: Random) -> Array:
    """Sun over terraced hills, cut with a gouge and printed in black over three colours."""
    y, x = coordinates(height, width)
    sway = noise((height, width), 6, rng) - 0.5
    phase, along, tone, color, outline = _sunrise(y, x, sway, rng)
    hills = ((0.45, 0.05, 0.3), (0.53, 0.07, -0.5), (0.65, 0.06, 0.6), (0.78, 0.07, -0.4), (0.95, 0.05, 0.5))
    for k, (level, swing, lean) in enumerate(hills):
        crest = level + swing * np.sin(x * (5 + 1.3 * k) + 2.1 * k) + 0.03 * (noise((height, width), 5, rng) - 0.5)
        below = y - crest
        furrows = below + lean * (x - 0.4) + (0.10 + 0.04 * k) * np.sin(7 * x + 3 * y + k) + 0.05 * sway
        terraces = below * (1 - 0.3 * below) * (110 - 10 * k) + 0.8 * sway
        patches = 0.35 * (fractal_noise((height, width), 6, rng, 3) - 0.5)
        light = np.clip(0.62 + 0.35 * np.sin(x * 6 + k * 1.9) - 2.2 * below + patches, 0.14, 0.9)
        hill = below > 0
        phase = np.where(hill, furrows * (85 - 9 * k) if k % 2 else terraces, phase)
        along, tone = np.where(hill, x * 7 - 2 * y, along), np.where(hill, light, tone)
        color, outline = np.where(hill, 2 + k % 2, color), np.where(hill, below < 0.006, outline)
    cut = gouged(phase, along, tone, rng) + 0.10 * (noise((height, width), 130, rng) - 0.5)
    return _printed(smoothstep(0.0, 0.14, cut) * ~outline, palette("e8a33a d9683c c9a24a 5f8f86")[color], rng)


def _sunrise(y: Array, x: Array, sway: Array, rng: Random) -> tuple[Array, Array, Array, Array, Array]:
    """The sky as a carver plans it: phase, along and tone (see `gouged`), index of the ink, and outlines."""
    disc = 0.125
    r, turn = np.hypot(y - 0.27, x - 0.47), np.arctan2(y - 0.27, x - 0.47)
    # rays part in two at every doubling of the distance, so that they keep their width
    parts = 2 ** np.floor(np.log2(np.maximum(r, disc) / disc * 1.2)).clip(0, 3)
    rays = parts * (52 * turn / np.pi + 0.5 * sway)
    streaks = 0.3 * np.sin(turn * 13 + 9 * sway) + 0.4 * (fractal_noise(y.shape, 5, rng) - 0.5)
    light = np.clip(0.90 - 0.85 * (r - disc) + streaks, 0.22, 0.92)
    sun = r < disc
    phase, along = np.where(sun, r * 75, rays), np.where(sun, turn * 1.6, r * 5 + 0.2 * sway)
    tone = np.where(sun, 0.93 - 0.25 * smoothstep(0.4 * disc, disc, r), light)
    return phase, along, tone, np.where(sun, 0, 1), np.abs(r - disc) < 0.0035


def gouged(phase: Array, along: Array, tone: Array, rng: Random) -> Array:
    """How far each pixel lies inside a cut of the gouge, in spacings of the lines; negative where the wood stands.

    Args:
        phase: counts the lines; a line is cut around each whole number.
        along: counts the cuts along a line.
        tone: 0 leaves the wood standing (dark), 1 removes it all (light).
    """
    line = np.rint(phase).astype(np.intp) % 997
    start, reach = rng.random((2, 997), dtype=np.float32)
    t = (along * (0.7 + 0.6 * reach[line]) + start[line]) % 1
    # a cut enters steeply and leaves in a long tail; where it is light, one runs into the next
    blade = np.maximum(np.minimum(smoothstep(0, 0.1, t), smoothstep(1, 0.45, t)), smoothstep(0.75, 1, tone))
    return tone * (0.25 + 0.75 * blade) - 2 * np.abs(phase - np.rint(phase))


def _printed(cut: Array, inks: Array, rng: Random) -> Array:
    """A black block, `cut` 1 where its wood was cut away, over flat inks (height, width, 3) not quite in register."""
    height, width = cut.shape
    unit = max(height, width) / 1000
    tooth = paper(height, width, rng)
    grain = fractal_noise((height, width), 9, rng, 3, stretch=0.12)
    sheet = paint("efe3c6") * (0.93 + 0.09 * tooth[..., None])
    shifted = np.roll(inks, (round(2.5 * unit), round(-2 * unit)), axis=(0, 1))
    covered = 0.97 * smoothstep(0.02, 0.22, 0.75 * tooth + 0.35 * grain)
    colors = mix(sheet, shifted * (0.90 + 0.16 * grain[..., None]), covered)
    black = (1 - cut) * (0.80 + 0.20 * smoothstep(0.10, 0.28, 0.8 * tooth + 0.2 * grain))
    return np.clip(mix(colors, paint("1a1614"), black), 0, 1)


def wave(height: int, width: int, rng: Random) -> Array:
    """Curling breakers in Prussian blue and cream, row upon row, as a colour print."""
    y, x = coordinates(height, width)
    tooth = paper(height, width, rng)
    grain = fractal_noise((height, width), 5, rng, 4, stretch=9)
    rows = (y + 0.03 * np.sin(6 * x + 1) + 0.06 * noise((height, width), 4, rng)) * 62 % 1
    sky = ramp(4.6 * y + 0.3 * (grain - 0.5), "4a6a7a 8fa59c d9c89c e8b87a d9805a")
    print_ = mix(sky, sky * 0.7, smoothstep(0.55, 0.75, np.abs(rows - 0.5) * 2))
    print_ = mix(print_, paint("12264a"), y > 0.21)  # the troughs between the breakers
    for row, column, radius in _breakers(height / max(height, width), rng):
        _press_breaker(print_, y, x, row, column, radius, rng)
    worn = mix(print_, paint("efe0bd"), 0.30 * smoothstep(0.30, 0.12, 0.8 * tooth + 0.2 * grain))
    return np.clip(worn * (0.87 + 0.06 * tooth + 0.10 * grain)[..., None], 0, 1)


def _breakers(bottom: float, rng: Random) -> list[tuple[float, float, float]]:
    """Rows of (row, column, radius) from the horizon to the viewer, each wave larger than those behind it."""
    places = []
    row, radius = 0.19, 0.060
    while row - radius < bottom:
        for column in rng.permutation(np.arange(-1.5 * radius * rng.random(), 1 + radius, 1.75 * radius)):
            swell = 0.28 * np.sin(5 * column + 9 * row)
            lift = radius * (rng.normal(0, 0.12) - 0.3 * swell)
            places.append((row + lift, float(column), radius * (1 + swell) * rng.uniform(0.9, 1.15)))
        row, radius = row + 0.80 * radius, radius * 1.13
    return places


def _press_breaker(picture: Array, y: Array, x: Array, row: float, column: float, radius: float, rng: Random) -> None:
    """Print one breaker into `picture`: a wound ribbon, with foam along its back."""
    longer = max(y.shape)
    top, left = (max(0, int((middle - 1.2 * radius) * longer)) for middle in (row, column))
    bottom, right = (max(0, int((middle + far * radius) * longer)) for middle, far in ((row, 1.2), (column, 1.2)))
    window = slice(top, bottom), slice(left, right)
    if not y[window].size:
        return
    dy, dx = (y[window] - row) / radius, (x[window] - column) / radius
    dy = dy + 0.10 * np.sin(3 * dx + rng.uniform(0, 6))
    r, turn = np.hypot(dy, dx), np.arctan2(dy, dx)
    printed = _wound_ribbon(dy, dx, r, 0.04 + 0.003 / radius, rng)
    lobes = int(rng.integers(15, 22))
    scallops = np.abs(np.sin(turn * lobes / 2 + rng.uniform(0, 3))) ** 0.6 * smoothstep(0.6, -0.3, dy)
    foam = r - 0.90 + 0.11 * scallops - 0.2 * smoothstep(-0.1, 0.9, dy)
    rim = r - 0.97 - 0.07 * np.abs(np.sin(turn * lobes + 1)) ** 0.7
    printed = mix(printed, paint("0f1c3c"), smoothstep(-0.035, -0.020, foam))
    printed = mix(printed, paint("f4ecd4"), smoothstep(0.0, 0.012, foam))
    printed = mix(printed, paint("0f1c3c"), smoothstep(-0.05, -0.035, rim))
    picture[window] = mix(picture[window], printed, smoothstep(0.012, 0.0, rim))


def _wound_ribbon(dy: Array, dx: Array, r: Array, soft: float, rng: Random) -> Array:
    """Colours of the face of a wave: a cream and a blue ribbon wound into a spiral, fine lines along the blue."""
    eye = rng.uniform(0.28, 0.42)
    near, turn = np.hypot(dy + 0.10, dx + eye), np.arctan2(dy + 0.10, dx + eye)
    winding = np.log(np.maximum(near, 0.02)) / np.log(0.60) + turn / (2 * np.pi) + 0.35 * (r - 1)
    band = winding % 1
    blues = ("12315f 1c4f86 3f82a8 8fbcc0", "173a5a 2a6a8a 5fa3a8 b8d0bc", "101f45 1a3f78 2f6a9a 6fa4b8")
    blue = ramp(0.25 + 0.55 * band + 0.35 * dy, blues[rng.integers(0, 3)])
    lines = smoothstep(0.25, 0.55, np.cos(2 * np.pi * winding * 7)) * smoothstep(0.30, 0.42, band)
    face = mix(blue, paint("0f2148"), 0.75 * lines)
    face = mix(face, paint("f1e6c8"), smoothstep(0.36, 0.36 - soft, band) * smoothstep(0.06, 0.06 + soft, band))
    edges = np.maximum(smoothstep(0.09, 0.05, band), smoothstep(0.05, 0.02, np.abs(band - 0.38)))
    return mix(face, paint("0f1c3c"), edges)
