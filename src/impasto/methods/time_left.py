"""How long a painting will take: foretold before it begins, estimated while it goes on."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace

import torch

from impasto.methods.progress import Progress
from impasto.methods.schedule import Scale
from impasto.network.vgg import VGG19

LONG = 2e7  # pixels evaluated, from which on a run is foretold: a minute on two cores


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


def foretold(network: VGG19, scales: Sequence[Scale]) -> tuple[str, ...]:
    """What a user wants to know before a long run: how long it will take at most, and how it fits in memory."""
    work = sum(scale.cost * scale.evaluations for scale in scales)
    if work < LONG:
        return ()
    each = seconds_per_pixel(network)
    sizes = ["{1} × {0}".format(*scale.picture) for scale in scales]
    notes = [f"up to {sizes[-1]} pixels; at most about {each * work / 60:.0f} minutes"]
    for size, scale in zip(sizes, scales, strict=True):
        if scale.plan.side:
            notes.append(f"{size} in tiles of {scale.plan.side} px, with about {scale.plan.memory / 1e9:.1f} GB")
    return tuple(notes)


def with_notes(steps: Iterator[Progress], notes: tuple[str, ...]) -> Iterator[Progress]:
    """The steps with notes added to the first."""
    for progress in steps:
        yield replace(progress, notes=(*notes, *progress.notes)) if notes else progress
        notes = ()


def with_time_left(steps: Iterator[Progress], scales: Sequence[Scale]) -> Iterator[Progress]:
    """The steps with the estimate of the time left, from the work done (`Scale.cost`); without scales as they are."""
    if not scales:
        yield from steps
    begun, spent = time.monotonic(), 0.0
    for progress in steps:
        number = progress.scale
        scale = scales[number - 1]
        spent += scale.cost
        here = progress.step - sum(s.evaluations for s in scales[: number - 1])
        left = scale.cost * max(0, scale.evaluations - here) + sum(s.cost * s.evaluations for s in scales[number:])
        left *= (time.monotonic() - begun) / spent
        yield replace(progress, seconds_left=left)
