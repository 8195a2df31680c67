"""How long a painting will take: foretold before it begins, estimated while it goes on."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import torch

from impasto.methods.progress import Progress
from impasto.methods.schedule import Scale
from impasto.network.vgg import VGG19

LONG = 2e7  # pixels evaluated, from which on a run is foretold: a minute on two cores
USUAL, USUAL_TOLERANCE = 25, 0.04  # evaluations of a scale of the quality "good", whose tolerance that is; measured by
STRICTER = 0.5  # benchmarks/evaluations.py, as that their number grows with this power of 1 / tolerance
WINDOW = 5  # evaluations whose gain is compared with the tolerance (`impasto.objective.optimize.minimise`)
SEEN = 8  # evaluations of a scale before its loss says when it will end


@torch.enable_grad()
def seconds_per_pixel(network: VGG19) -> float:
    """Of one evaluation: that of a small one, measured here and now."""
    x = torch.rand(1, 3, 256, 256, device=network.device, generator=torch.Generator(network.device).manual_seed(0))
    for _ in range(2):  # the first one warms up
        begun = time.monotonic()
        features = network(x.requires_grad_(), ["relu4_1"])["relu4_1"].float().sum()
        torch.autograd.grad(features, x)[0].sum().item()
        each = (time.monotonic() - begun) / x[0, 0].numel()
    return each


def expected_work(scales: Sequence[Scale]) -> float:
    """What scales cost together, in pixels evaluated."""
    return sum(scale.cost * expected(scale) for scale in scales)


def foretold(network: VGG19, scales: Sequence[Scale]) -> tuple[str, ...]:
    """What a user wants to know before a long run: about how long it will take, and how it fits in memory."""
    work = expected_work(scales)
    if work < LONG:
        return ()
    each = seconds_per_pixel(network)
    sizes = ["{1} × {0}".format(*scale.picture) for scale in scales]
    minutes = each * work / 60
    time_in_all = f"{minutes:.0f} minutes" if minutes < 120 else f"{minutes / 60:.0f} hours"
    notes = [f"up to {sizes[-1]} pixels; about {time_in_all}"]
    for size, scale in zip(sizes, scales, strict=True):
        if scale.plan.side:
            notes.append(f"{size} in tiles of {scale.plan.side} px, with about {scale.plan.memory / 1e9:.1f} GB")
    return tuple(notes)


def with_notes(steps: Iterator[Progress], notes: tuple[str, ...]) -> Iterator[Progress]:
    """The steps with notes added to the first."""
    for progress in steps:
        yield replace(progress, notes=(*notes, *progress.notes)) if notes else progress
        notes = ()


def with_time_left(
    steps: Iterator[Progress], scales: Sequence[Scale], clock: Callable[[], float] = time.monotonic
) -> Iterator[Progress]:
    """The steps with the time left and the share of the work done; without scales as they are.

    Evaluations to come are counted by `expected` and, at the scale under way, from how its loss falls; what each takes
    is measured at that scale, and carried to the others by their cost.

    Args:
        steps: of a method.
        scales: that it goes through.
        clock: seconds, of any beginning.
    """
    if not scales:
        yield from steps
        return
    number, share, spent, pace = 0, 0.0, None, None
    begun = clock()
    for progress in steps:
        if progress.scale != number:
            number, scale, losses = progress.scale, scales[progress.scale - 1], []
            earlier = sum(s.evaluations for s in scales[: number - 1])
            later = sum(s.cost * (1 + expected(s)) for s in scales[number:])  # to begin a scale takes about one more
        losses.append(progress.losses.get("total", math.nan))
        count = progress.step - earlier
        if spent is None:  # also after a resume
            spent = sum(s.cost * expected(s) for s in scales[: number - 1]) + scale.cost * (count - 1)
        spent += scale.cost
        if len(losses) == 1:  # what prepared the scale is no part of its pace
            pace = pace or (clock() - begun) / scale.cost
            begun = clock()
        else:
            pace = (clock() - begun) / ((len(losses) - 1) * scale.cost)
        left = scale.cost * (scale_end(scale, count, losses) - count) + later
        share = max(share, spent / (spent + left))
        yield replace(progress, seconds_left=pace * left, share=share)


def expected(scale: Scale) -> float:
    """Evaluations that a scale takes, on average: it ends once they gain less than its tolerance."""
    if scale.tolerance <= 0:
        return scale.evaluations
    return min(float(scale.evaluations), USUAL * math.pow(USUAL_TOLERANCE / scale.tolerance, STRICTER))


def scale_end(scale: Scale, count: int, losses: Sequence[float]) -> float:
    """The evaluation at which a scale will end, after `count` of them.

    What `WINDOW` evaluations gain falls with about the square of their number (measured), so the number at which it is
    the tolerance follows from what it is now.
    """
    if scale.tolerance > 0 and len(losses) > WINDOW and count >= SEEN:
        before = losses[-1 - WINDOW]
        gain = (before - min(losses[-WINDOW:])) / before
        if gain > 0:
            return min(scale.evaluations, max(count, count * math.sqrt(gain / scale.tolerance)))
    return max(count, expected(scale))
