"""Painted films against painting frame by frame: does it flicker, drift, drag, and what does it cost?

Clips are made here from photographs of scikit-image: a camera that pans, zooms or stands, an object in front that moves
on its own, and a little noise, as of a sensor. So the true flow is known, and what is hidden or newly seen. Real films
come as arguments (Debian's opencv-doc has some: /usr/share/doc/opencv-doc/examples/data/vtest.avi).

For each clip: what was painted as a film, beside the same frames painted each by itself.

- warping: Lai et al. (2018, eq. 8 and 9), the mean squared difference between a frame and the one before, warped, where
  it was visible; with the true flow, and with one estimated from the photographs (DIS, reliable by Ruder et al.'s
  conditions); times 10⁴. That of the clip itself is its noise.
- tOF: Chu et al. (2020), mean absolute difference between the flow of what was painted and that of the clip, in pixels.
- style, content: `impasto.score`, means over frames. A blurred film has no warping error; these would tell.
- drift: of a camera that stands, the largest relative change of mean, contrast and saturation from the first frame on.
- evaluations (at full size and at half), instant passes, and seconds of processor time for each frame after the first,
  as a ratio to painting each by itself.

    python benchmarks/video.py --size 640 --frames 8 --quality draft --out out/video
    python benchmarks/video.py --clip vtest.avi --size 384 --frames 12
    python benchmarks/video.py --flow 320
    python benchmarks/video.py --memory 30 3000
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from impasto import Painter, Settings
from impasto.images.gallery import find_style, sample_path
from impasto.images.reading import read_image, resize
from impasto.images.writing import write_image
from impasto.methods.flow import Flow, optical_flow
from impasto.methods.motion import steady_flow
from impasto.methods.styles import at_scale
from impasto.network.models import Models
from impasto.objective.objective import Objective
from impasto.score import score

NOISE = 0.01  # deviation in pixel values: a good camera's


@dataclass(frozen=True)
class Clip:
    """Frames, and where each pixel of a frame was in the one before, if that is known."""

    name: str
    frames: list[Tensor]
    true: list[Flow] = field(default_factory=list)  # of frame i + 1 to frame i

    def begun(self, count: int | None) -> Clip:
        """Its first frames."""
        frames = self.frames[:count]
        return Clip(self.name, frames, self.true[: len(frames) - 1])


# Clips


def made_clips(width: int, count: int, names: Sequence[str]) -> Iterator[Clip]:
    """The clips of some names, `width` × 9/16 `width` px large."""
    speed = width / 640
    cameras: dict[str, tuple[str, str, Callable[[int], tuple[float, float, float]], tuple[float, float]]] = {
        # photograph, object, (x, y, zoom) of the camera at a frame, the object's way in a frame
        "pan": ("coffee", "astronaut", lambda t: (3.3 * speed * t, 0.4 * speed * t, 1.0), (-2.4 * speed, 0.6 * speed)),
        "zoom": ("rocket", "chelsea", lambda t: (0.0, 0.0, 1.01**t), (2.7 * speed, -0.5 * speed)),
        "still": ("astronaut", "astronaut", lambda t: (0.0, 0.0, 1.0), (0.0, 0.0)),
    }
    for name in names:
        photograph, other, camera, way = cameras[name]
        yield _made(name, photograph, None if name == "still" else other, camera, way, width, count)


def _made(
    name: str,
    photograph: str,
    other: str | None,
    camera: Callable[[int], tuple[float, float, float]],
    way: tuple[float, float],
    width: int,
    count: int,
) -> Clip:
    height = round(width * 9 / 16) // 2 * 2
    wide = read_image(sample_path(photograph)).image
    factor = max(1.25 * width / wide.shape[-1], 1.25 * height / wide.shape[-2])
    wide = resize(wide, round(wide.shape[-2] * factor), round(wide.shape[-1] * factor))
    left, top = 0.03 * width, (wide.shape[-2] - height) / 2
    side = round(0.45 * height)
    front = None if other is None else resize(_square(read_image(sample_path(other)).image), side, side)
    y, x = torch.meshgrid(torch.arange(height) + 0.0, torch.arange(width) + 0.0, indexing="ij")
    generator = torch.Generator().manual_seed(0)

    def in_world(t: int, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        dx, dy, zoom = camera(t)
        return (x - width / 2) / zoom + width / 2 + left + dx, (y - height / 2) / zoom + height / 2 + top + dy

    def from_world(t: int, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        dx, dy, zoom = camera(t)
        return (x - left - dx - width / 2) * zoom + width / 2, (y - top - dy - height / 2) * zoom + height / 2

    def corner(t: int) -> tuple[float, float]:
        middle = (t - (count - 1) / 2) if count < 40 else t - 20
        return 0.5 * width + way[0] * middle - side / 2, 0.5 * height + way[1] * middle - side / 2

    def covered(t: int, x: Tensor, y: Tensor) -> Tensor:
        if front is None:
            return torch.zeros_like(x, dtype=torch.bool)
        cx, cy = corner(t)
        return ((x - cx - side / 2) ** 2 + (y - cy - side / 2) ** 2) < (0.47 * side) ** 2

    frames, flows = [], []
    for t in range(count):
        frame = _sampled(wide, *in_world(t, x, y))
        if front is not None:
            cx, cy = corner(t)
            # the edge is a pixel wide, as of a lens
            distance = 0.47 * side - ((x - cx - side / 2) ** 2 + (y - cy - side / 2) ** 2).sqrt()
            frame = torch.lerp(frame, _sampled(front, x - cx, y - cy), (distance + 0.5).clamp(0, 1))
        frames.append((frame + NOISE * torch.randn(frame.shape, generator=generator)).clamp(0, 1))
        if t:
            here = covered(t, x, y)
            bx, by = from_world(t - 1, *in_world(t, x, y))
            ox, oy = (was - now for was, now in zip(corner(t - 1), corner(t), strict=True))
            at_x, at_y = torch.where(here, x + ox, bx), torch.where(here, y + oy, by)
            inside = (at_x >= 0) & (at_x <= width - 1) & (at_y >= 0) & (at_y <= height - 1)
            seen = inside & (covered(t - 1, at_x, at_y) == here)
            flows.append(Flow(torch.stack([at_x - x, at_y - y])[None], seen[None, None].float()))
    return Clip(name, frames, flows)


def _square(image: Tensor) -> Tensor:
    side = min(image.shape[-2:])
    left = (image.shape[-1] - side) // 2
    return image[..., :side, left : left + side]


def _sampled(image: Tensor, x: Tensor, y: Tensor) -> Tensor:
    height, width = image.shape[-2:]
    grid = torch.stack([x * (2 / (width - 1)) - 1, y * (2 / (height - 1)) - 1], dim=-1)[None]
    return F.grid_sample(image, grid, "bicubic", "reflection", align_corners=True).clamp(0, 1)


def read_clip(path: Path, width: int, count: int) -> Clip:
    """The first frames of a film."""
    from impasto.runs.film import pyav

    frames = []
    with pyav().open(str(path)) as container:
        for frame in container.decode(video=0):
            pixels = torch.from_numpy(frame.to_ndarray(format="rgb24")).permute(2, 0, 1)[None] / 255
            frames.append(resize(pixels, round(width * frame.height / frame.width) // 2 * 2, width))
            if len(frames) == count:
                break
    return Clip(path.stem, frames)


# Measures


def warping_error(painted: Sequence[Tensor], flows: Sequence[Flow]) -> float:
    """Lai et al. (2018, eq. 8): mean over pairs of the mean squared difference where the flow holds."""
    errors = []
    for (before, after), flow in zip(pairwise(painted), flows, strict=True):
        squares = (after - flow.carry(before)).square().mean(1, keepdim=True) * flow.reliable
        errors.append(float(squares.sum() / flow.reliable.sum().clamp(min=1)))
    return statistics.mean(errors)


def temporal_of(painted: Sequence[Tensor], frames: Sequence[Tensor]) -> float:
    """tOF of Chu et al. (2020): how differently what was painted moves, in pixels."""
    pairs = zip(pairwise(painted), pairwise(frames), strict=True)
    return statistics.mean(
        float((optical_flow(b, a)[0].vectors - optical_flow(d, c)[0].vectors).abs().mean()) for (a, b), (c, d) in pairs
    )


def drift(painted: Sequence[Tensor]) -> float:
    """The largest relative change of mean, contrast and saturation from the first frame on."""

    def looks(image: Tensor) -> Tensor:
        grey = image.mean(1)
        return torch.stack([grey.mean(), grey.std(), (image.amax(1) - image.amin(1)).mean()])

    first = looks(painted[0])
    return max(float(((looks(image) - first) / first).abs().max()) for image in painted[1:])


class Counted:
    """Counts evaluations of the objective, by pixels, and instant passes, while it is entered."""

    def __enter__(self) -> Counted:
        self.evaluations: Counter[int] = Counter()
        self.call = Objective.__call__
        counted = self

        def call(objective: Objective, image: Tensor) -> Any:
            counted.evaluations[image.shape[-1]] += 1
            return counted.call(objective, image)

        Objective.__call__ = call  # type: ignore[method-assign]
        return self

    def __exit__(self, *_: object) -> None:
        Objective.__call__ = self.call  # type: ignore[method-assign]


@dataclass
class Painted:
    """What came out, and what it cost for each frame after the first."""

    images: list[Tensor]
    seconds: float
    evaluations: str


def as_film(painter: Painter, clip: Clip, style: Any, settings: Settings, **how: Any) -> Painted:
    images, begun = [], 0.0
    with Counted() as counted:
        for image in painter.film(clip.frames, style, settings, **how):
            if not images:
                begun, first = time.process_time(), Counter(counted.evaluations)
            images.append(image)
    later = len(images) - 1
    each = counted.evaluations - first
    by_size = ", ".join(f"{each[width] / later:.1f} at {width}" for width in sorted(each))
    return Painted(images, (time.process_time() - begun) / later, by_size or "0")


def each_alone(painter: Painter, clip: Clip, style: Any, settings: Settings) -> Painted:
    images, seconds = [], []
    with Counted() as counted:
        for frame in clip.frames:
            begun = time.process_time()
            images.append(painter.paint(frame, style, settings))
            seconds.append(time.process_time() - begun)
    by_size = ", ".join(f"{n / len(images):.1f} at {width}" for width, n in sorted(counted.evaluations.items()))
    return Painted(images, statistics.mean(seconds[1:]), by_size or "0")


def strip(out: Path, name: str, images: Sequence[Tensor], flows: Sequence[Flow], columns: int = 4) -> None:
    """Every so many frames side by side, and below each how it differs, four times enlarged, from the frame before.

    That one is moved along the flow first, also where it is not reliable: grey is steady paint.
    """
    every = max(1, (len(images) - 1) // columns)
    chosen = range(every, len(images), every)[:columns]
    top = torch.cat([images[i] for i in chosen], dim=-1)
    low = torch.cat([(0.5 + 4 * (images[i] - flows[i - 1].carry(images[i - 1]))).clamp(0, 1) for i in chosen], dim=-1)
    write_image(out / f"{name}.png", torch.cat([top, low], dim=-2))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=640, help="width in pixels")
    parser.add_argument("--frames", type=int, default=8)
    parser.add_argument("--first", type=int, help="only so many of them are painted")
    parser.add_argument("--quality", nargs="*", default=["draft"])
    parser.add_argument("--keyframes", type=int, nargs="*", default=[1])
    parser.add_argument("--method", default="auto")
    parser.add_argument("--boil", type=float, default=20)
    parser.add_argument("--clips", nargs="*", default=["pan", "zoom", "still"])
    parser.add_argument("--clip", type=Path, nargs="*", default=[], help="films of your own")
    parser.add_argument("--style", default="nocturne")
    parser.add_argument("--out", type=Path, default=Path("out/video"))
    parser.add_argument("--alone", type=int, default=1, help="0 leaves out painting each by itself")
    parser.add_argument("--memory", type=int, nargs="*", help="peak memory of tiny instant films of so many frames")
    parser.add_argument("--flow", type=int, help="only how much can be followed, and how well, at a width in pixels")
    parser.add_argument("--memory-of", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.memory_of:
        print(_peak_of(arguments.memory_of))
        return
    if arguments.memory:
        memory(arguments.memory)
        return
    if arguments.flow:
        followed(arguments.flow, arguments.clips)
        return
    arguments.out.mkdir(parents=True, exist_ok=True)
    clips = [*made_clips(arguments.size, arguments.frames, [] if arguments.clip else arguments.clips)]
    clips += [read_clip(path, arguments.size, arguments.frames) for path in arguments.clip]
    print(HEADER, flush=True)
    for clip in clips:
        compare(clip.begun(arguments.first), Painter(), arguments)


HEADER = """\
| clip | how | warping, true | ratio | warping, estimated | ratio | tOF | style | content | drift | evaluations | time |
| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |"""


def compare(clip: Clip, painter: Painter, arguments: argparse.Namespace) -> None:
    """Print the rows of a clip, and write its pictures."""
    rows = Rows(clip, at_scale(read_image(find_style(arguments.style)).image, clip.frames[0], 1.0))
    rows.print("the clip", Painted(clip.frames, 0.0, ""))
    for quality in arguments.quality:
        settings = Settings(size=arguments.size, quality=quality, method=arguments.method)
        rows.base = None
        if arguments.alone:
            alone = each_alone(painter, clip, rows.style, settings)
            rows.print(f"{quality}, each alone", alone)
            strip(arguments.out, f"{clip.name}-{quality}-alone", alone.images, rows.moves)
        for keyframes in arguments.keyframes:
            film = as_film(painter, clip, rows.style, settings, keyframes=keyframes, boil=arguments.boil)
            rows.print(f"{quality}, film" + (f", {keyframes} keyframes" if keyframes > 1 else ""), film)
            label = f"{clip.name}-{quality}-k{keyframes}"
            strip(arguments.out, label, film.images, rows.moves)
            for number, image in enumerate(film.images):
                write_image(arguments.out / f"{label}-{number:03d}.png", image)


class Rows:
    """Measures of what was painted from a clip, relative to the first that is printed after `base` was forgotten."""

    def __init__(self, clip: Clip, style: Tensor) -> None:
        self.clip, self.style, self.network = clip, style, Models().vgg()
        self.flows = [optical_flow(after, before)[0] for before, after in pairwise(clip.frames)]
        self.moves = clip.true or self.flows
        self.base: tuple[float, float, float] | None = None

    def print(self, how: str, painted: Painted) -> None:
        clip, images = self.clip, painted.images
        true = warping_error(images, clip.true) if clip.true else float("nan")
        estimated = warping_error(images, self.flows)
        self.base = self.base or (true, estimated, max(painted.seconds, 1e-9))
        chosen = sorted({1, len(images) // 2, len(images) - 1})
        scores = [score(self.network, images[i], clip.frames[i], self.style) for i in chosen]
        style, content = (statistics.mean(getattr(s, name) for s in scores) for name in ("style", "content"))
        cells = [
            *(f"{true * 1e4:.2f}", f"{true / self.base[0]:.2f}"),
            *(f"{estimated * 1e4:.2f}", f"{estimated / self.base[1]:.2f}"),
            *(f"{temporal_of(images, clip.frames):.2f}", f"{style:.3f}", f"{content:.3f}"),
            f"{drift(images):.3f}" if clip.name == "still" else "",
            *(painted.evaluations, f"{painted.seconds / self.base[2]:.2f}"),
        ]
        print(f"| {clip.name} | {how} | " + " | ".join(cells) + " |", flush=True)


# Flow


def followed(width: int, names: Sequence[str]) -> None:
    """Of what is visible in both of two frames: the share that can be followed, and the mean error there in pixels."""
    print("| clip | as searched | px | with flat areas | px |\n| --- | --- | --- | --- | --- |")
    for clip in made_clips(width, 5, names):
        cells = []
        for search in (optical_flow, steady_flow):
            shares, errors = [], []
            for (before, after), true in zip(pairwise(clip.frames), clip.true, strict=True):
                found, _ = search(after, before)
                both = found.reliable * true.reliable
                gap = (found.vectors - true.vectors).square().sum(1, keepdim=True).sqrt()
                shares.append(float(both.sum() / true.reliable.sum()))
                errors.append(float((gap * both).sum() / both.sum()))
            cells += [f"{statistics.mean(shares):.3f}", f"{statistics.mean(errors):.2f}"]
        print(f"| {clip.name} | " + " | ".join(cells) + " |", flush=True)


# Memory over length


def memory(counts: Sequence[int]) -> None:
    """Peak resident memory of processes that paint films of some lengths, beside each other."""
    print("| frames | peak resident memory, MB |\n| --- | --- |")
    for count in counts:
        command = [sys.executable, __file__, "--memory-of", str(count)]
        peak = subprocess.run(command, check=True, capture_output=True, text=True, env=os.environ).stdout
        print(f"| {count} | {float(peak):.0f} |", flush=True)


def _peak_of(count: int) -> float:
    """Of painting so many frames of 64 × 36 px instantly, with the real network and decoder."""
    import resource

    wide = read_image(sample_path("coffee"), 200).image

    def frames() -> Iterator[Tensor]:
        for t in range(count):
            x = abs(t % 120 - 60)  # to the right and back
            yield wide[..., 20:56, x : x + 64].contiguous()

    painted = sum(1 for _ in Painter().film(frames(), "nocturne", quality="instant", size=64))
    assert painted == count
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
