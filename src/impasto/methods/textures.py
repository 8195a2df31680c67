"""Textures: an image with the style of a painting and no content, which may be repeated without a seam."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from impasto.errors import SettingsError
from impasto.images.reading import resize
from impasto.methods.coarse_to_fine import minimise_scale
from impasto.methods.progress import Progress, losses_of, notes_of
from impasto.methods.schedule import Scale, schedule
from impasto.methods.styles import StyleImage, blended_moments, mix_strokes, read_paintings
from impasto.methods.time_left import with_time_left
from impasto.network.device import pick_device
from impasto.network.models import Models
from impasto.network.vgg import VGG19
from impasto.objective.memory import memory_budget
from impasto.settings import QUALITIES, Settings

CELL = 16  # px: a seamless texture has sides of multiples, so that no pooling drops a row
PATCH = 4  # px: so coarsely are the painting's pixels mixed at the start; single ones stay behind as a checkerboard
NOISE = 0.03  # of pixel values that are added when going up, for new detail to grow from


def paint(style: Any, models: Models, settings: Settings, *, seamless: bool) -> Iterator[Progress]:
    """Grow a texture; errors are raised by the call, before any step.

    Args:
        style: whatever holds paintings.
        models: the networks.
        settings: how; those of `settings.TEXTURE_SETTINGS` count.
        seamless: its edges go on from each other.

    Raises:
        ImpastoError: something the caller can mend.
    """
    settings = replace(settings, strength=100, color="painting", keep_lines=0, cluster="none")
    side = settings.longer_side or 512
    if not QUALITIES[settings.quality].textures:
        choices = ", ".join(name for name, quality in QUALITIES.items() if quality.textures)
        raise SettingsError(f"quality={settings.quality!r} makes no textures; choose from: {choices}")
    if seamless and side % CELL:
        near = max(CELL, round(side / CELL) * CELL)
        raise SettingsError(f"size={side} cannot be seamless; give a multiple of {CELL}, as {near}")
    device = pick_device(settings.device)
    canvas = torch.zeros(1, 3, side, side, device=device)
    paintings = read_paintings(style if isinstance(style, list | tuple) else [style], canvas, settings)
    scales = schedule(side, side, settings, memory_budget(settings.memory, device))
    padding = "circular" if seamless else settings.padding
    network = models.vgg(device, pooling=settings.pooling, padding=padding, precision=settings.precision)
    if seamless:
        if any(scale.plan.side for scale in scales):  # a tile's edge is not the other end of the picture
            raise SettingsError(
                f"size={side} does not fit in memory whole, as a seamless texture must; give a smaller one"
            )
        scales = [replace(s, height=_cells(s.height), width=_cells(s.width)) for s in scales]
    return with_time_left(_grow(network, paintings, scales, settings, canvas, seamless=seamless), scales)


def _grow(
    network: VGG19,
    paintings: list[StyleImage],
    scales: list[Scale],
    settings: Settings,
    canvas: Tensor,
    *,
    seamless: bool,
) -> Iterator[Progress]:
    """Coarse to fine, from the painting's pixels in disorder."""
    paintings = mix_strokes(network, paintings)
    generator = torch.Generator().manual_seed(settings.seed)
    first = scales[0]
    image = _disorder(paintings, first.height // PATCH, first.width // PATCH, generator)
    image = enlarge(image, first.height, first.width, wrapped=seamless)
    done, planned = 0, sum(scale.evaluations for scale in scales)
    for number, scale in enumerate(scales, start=1):
        empty = canvas[..., : scale.height, : scale.width]
        styles = [painting.beside(empty) for painting in paintings]
        style = blended_moments(network, styles, scale.weights.layers, scale.plan.side)
        if number > 1:
            image = enlarge(image, scale.height, scale.width, wrapped=seamless)
            image = (image + NOISE * torch.randn(image.shape, generator=generator).to(image)).clamp(0, 1)
        for step in minimise_scale(network, scale, empty, style, image, {}, settings):
            image, done = step.image, min(done + 1, planned)
            yield Progress(number, len(scales), done, planned, losses_of(step), image, None, notes_of(step))
        done = sum(s.evaluations for s in scales[:number])


def _disorder(paintings: list[StyleImage], height: int, width: int, generator: torch.Generator) -> Tensor:
    """Pixels drawn from the paintings: their colours are right from the start."""
    count = height * width
    shares = torch.tensor([painting.weight for painting in paintings])
    which = torch.multinomial(shares, count, replacement=True, generator=generator)
    pixels = torch.empty(3, count)
    for i, painting in enumerate(paintings):
        flat = painting.image.flatten(2)[0].cpu()
        chosen = torch.randint(flat.shape[1], (int((which == i).sum()),), generator=generator)
        pixels[:, which == i] = flat[:, chosen]
    return pixels.view(1, 3, height, width).to(paintings[0].image.device)


def enlarge(image: Tensor, height: int, width: int, *, wrapped: bool) -> Tensor:
    """Resize (1, 3, h, w); a wrapped image as a part of the plane that it tiles."""
    if not wrapped:
        return resize(image, height, width)
    return resize(image.tile(1, 1, 3, 3), 3 * height, 3 * width)[..., height : 2 * height, width : 2 * width]


def _cells(length: int) -> int:
    return max(CELL, round(length / CELL) * CELL)
