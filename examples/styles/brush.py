"""A canvas with thick paint on it, and the strokes that put it there."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from .fields import Array, Random, lookup, vary

# Samples along and across a stroke lie this far apart in pixels: less than one, so that none is missed in a bend.
SPACING = 0.7


@dataclass
class Canvas:
    """Paint: its colour (height, width, 3) in [0, 1], and its thickness (height, width), about 0 to 1."""

    color: Array
    thickness: Array

    @property
    def height(self) -> int:
        return int(self.thickness.shape[0])

    @property
    def width(self) -> int:
        return int(self.thickness.shape[1])

    @property
    def unit(self) -> float:
        """A thousandth of the longer side, in pixels: the measure of brushes."""
        return max(self.height, self.width) / 1000


def primed(height: int, width: int, ground: Array) -> Canvas:
    """A canvas covered with one colour (3,) or with a colour field (height, width, 3)."""
    return Canvas(
        np.broadcast_to(ground, (height, width, 3)).astype(np.float32).copy(), np.zeros((height, width), np.float32)
    )


@dataclass(frozen=True)
class Brush:
    """How a brush leaves its paint.

    Lengths are in thousandths of the canvas's longer side.
    """

    radius: float
    length: float
    body: float = 1.0  # thickness of the paint
    bristle: float = 0.5  # depth of the furrows, 0 a knife, 1 a coarse brush
    dry: float = 0.3  # how far the paint breaks up towards the end of the stroke, 0 to 1
    taper: float = 0.3  # part of the stroke over which it narrows at each end, 0 square to 0.5 a leaf
    opacity: float = 1.0  # below 1 the paint beneath shines through
    spread: float = 0.25  # relative standard deviation of radius and length


def scatter(canvas: Canvas, spacing: float, rng: Random, density: Array | None = None) -> Array:
    """Points (n, 2) of (row, column): a jittered grid in random order, `spacing` thousandths apart.

    `density` (height, width) in [0, 1] is the chance of each point to stay.
    """
    step = spacing * canvas.unit
    rows, columns = np.arange(-step / 2, canvas.height + step, step), np.arange(-step / 2, canvas.width + step, step)
    points = np.stack(np.meshgrid(rows, columns, indexing="ij"), axis=-1).reshape(-1, 2)
    points = rng.permutation(points + rng.uniform(-0.5, 0.5, points.shape) * step).astype(np.float32)
    return points if density is None else points[rng.random(len(points)) < lookup(density, points)]


def trace(points: Array, angle: Array, lengths: Array, steps: int = 12) -> Array:
    """Paths (n, steps + 1, 2) through points (n, 2), following a field of angles both ways by half the lengths (n,)."""
    half = steps // 2
    path = np.empty((len(points), 2 * half + 1, 2), np.float32)
    path[:, half] = points
    stride = (lengths / (2 * half))[:, None]
    start = lookup(angle, points)
    for way in (1, -1):
        heading = np.stack([np.sin(start), np.cos(start)], axis=-1) * way
        for i in range(1, half + 1):
            here = path[:, half + way * (i - 1)]
            turn = lookup(angle, here)
            ahead = np.stack([np.sin(turn), np.cos(turn)], axis=-1)
            # a direction field has no sign: keep going forward where it flips
            ahead *= np.where((ahead * heading).sum(-1, keepdims=True) < 0, -1, 1)
            heading = ahead
            path[:, half + way * i] = here + heading * stride
    return path


def bristles(rng: Random, length: int = 1024, width: int = 256) -> Array:
    """Marks of a brush's hairs, (length, width) in [0, 1], evenly distributed and periodic: long along the stroke."""
    marks = ndimage.gaussian_filter(rng.normal(size=(length, width)), (40, 1.6), mode="wrap")
    marks += 0.2 * ndimage.gaussian_filter(rng.normal(size=(length, width)), (8, 0.8), mode="wrap")
    ranks = np.empty(marks.size, np.float32)
    ranks[np.argsort(marks, axis=None)] = np.linspace(0, 1, marks.size)
    return ranks.reshape(marks.shape)


def paint_strokes(
    canvas: Canvas,
    brush: Brush,
    points: Array,
    angle: Array,
    colors: Array,
    rng: Random,
    second: Array | None = None,
    width: Array | float = 1.0,
) -> None:
    """Lay one stroke through each point, in order.

    Args:
        points: (n, 2) of (row, column), as `scatter` gives them.
        angle: field of directions, in radians.
        colors: (n, 3), the paint on the brush.
        second: (n, 3), a paint picked up beside it: it shows between the hairs.
        width: factor on the radius, one or (n,).
    """
    radii = brush.radius * canvas.unit * np.exp(rng.normal(0, brush.spread, len(points))) * width
    lengths = brush.length * canvas.unit * np.exp(rng.normal(0, brush.spread, len(points)))
    paths = trace(points, angle, lengths.astype(np.float32))
    period = bristles(rng)
    hairs = np.tile(period, (2, 2))
    paints = np.stack([colors, colors if second is None else second], axis=1)
    for path, radius, both in zip(paths, radii, paints, strict=True):
        i, j = rng.integers(0, period.shape)
        _paint_stroke(canvas, brush, path, max(float(radius), 0.5), both, hairs[i:, j:])


def cover(
    canvas: Canvas, scene: Array, angle: Array, rng: Random, *layers: tuple[Brush, float], calm: float = 1.0
) -> None:
    """Paint a scene (height, width, 3) with each brush in turn, its strokes so many thousandths apart.

    `calm` below 1 mixes the colours of the strokes more alike.
    """
    for brush, spacing in layers:
        points = scatter(canvas, spacing, rng)
        colors = lookup(scene, points)
        first = vary(colors, rng, 5 * calm, 9 * calm, 0.2 * calm)
        second = vary(colors, rng, 11 * calm, 22 * calm, 0.3 * calm)
        paint_strokes(canvas, brush, points, angle, first, rng, second)


def _paint_stroke(canvas: Canvas, brush: Brush, path: Array, radius: float, paints: Array, hairs: Array) -> None:
    """Press the hairs onto the canvas along one path (steps, 2); `paints` (2, 3) are the two colours on the brush."""
    middle, normal, along = _resample(path)
    across = np.linspace(-1, 1, max(3, int(2 * radius / SPACING)), dtype=np.float32)
    # hairs are about as fine on a broad brush as on a narrow one
    hair = hairs[np.arange(len(along))[:, None] % len(hairs), ((across + 1) * max(9, radius)).astype(np.intp)]
    along = along[:, None]
    offset = across * radius * _outline(along, brush.taper) * (0.92 + 0.16 * hair)
    y, x = np.moveaxis((middle[:, None] + normal[:, None] * offset[..., None]).astype(np.intp), -1, 0)
    touches = hair > brush.dry * (1.6 * along - 0.6 + 0.35 * across**2)
    touches &= (y >= 0) & (y < canvas.height) & (x >= 0) & (x < canvas.width)
    y, x, second = y[touches], x[touches], np.clip((hair[touches] - 0.45) * 2.5, 0, 1)[:, None]
    color = paints[0] * (1 - second) + paints[1] * second
    canvas.color[y, x] = canvas.color[y, x] * (1 - brush.opacity) + color * brush.opacity
    # paint is pushed to the sides and piles up where the brush is lifted
    ridge = 0.55 + 0.45 * across**4 + 0.35 * along**6
    body = brush.body * ridge * (1 - brush.bristle * (1 - hair))
    canvas.thickness[y, x] = 0.35 * canvas.thickness[y, x] + body[touches]


def _resample(path: Array) -> tuple[Array, Array, Array]:
    """Points every `SPACING` pixels of a path, the unit normals there, and the position along it, 0 to 1."""
    length = float(np.hypot(*np.diff(path, axis=0).T).sum())
    along = np.linspace(0, 1, max(4, int(length / SPACING)), dtype=np.float32)
    knots = np.linspace(0, 1, len(path))
    middle = np.stack([np.interp(along, knots, path[:, k]) for k in (0, 1)], axis=-1).astype(np.float32)
    tangent = np.gradient(path, axis=0)
    tangent = np.stack([np.interp(along, knots, tangent[:, k]) for k in (0, 1)], axis=-1)
    tangent /= np.maximum(np.hypot(tangent[:, :1], tangent[:, 1:]), 1e-6)
    return middle, np.stack([tangent[:, 1], -tangent[:, 0]], axis=-1).astype(np.float32), along


def _outline(along: Array, taper: float) -> Array:
    """Relative half width of a stroke along its way: round at the ends, full between."""
    end = np.minimum(along, 1 - along) / max(taper, 1e-3)
    return np.sqrt(np.clip(end * (2 - np.minimum(end, 1)), 0.02, 1)).astype(np.float32)


def lit(canvas: Canvas, relief: float = 1.0, gloss: float = 0.25) -> Array:
    """The canvas in the light of a window at its upper left: (height, width, 3) in [0, 1].

    Args:
        relief: how strongly the thickness shades.
        gloss: brightness of the highlights on wet or varnished paint.
    """
    depth = ndimage.gaussian_filter(canvas.thickness, 0.35 * canvas.unit) * canvas.unit * 2
    gy, gx = np.gradient(depth)
    slope = (gy + 0.8 * gx) / np.sqrt(1 + gx**2 + gy**2)
    shade = 1 + relief * np.clip(0.45 * slope, -0.55, 0.35)
    highlight = gloss * relief * np.clip(slope - 0.35, 0, 1) ** 2
    return np.clip(canvas.color * shade[..., None] + highlight[..., None], 0, 1).astype(np.float32)
