"""Where what is painted: masks that pair regions of the photograph with paintings, and areas that stay as they are."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from impasto.errors import SettingsError
from impasto.images.areas import EVERYWHERE, REGION_COLORS, UNLABELLED
from impasto.images.reading import Picture, resize, to_image

PURE = 0.2  # how far a colour may be from its name, per channel: masks may have been JPEGs
WRONG = 0.01  # share of the pixels that may have a colour of no region and none between two
LEAST = 1e-3  # share of the pixels below which a region is not there
FINEST = 2048  # px of a side: masks have no finer detail
SOFT = 0.02  # width of the soft edge around a protected area, of the longer side


def regions_of(name: str, source: Any, height: int, width: int) -> dict[str, Tensor]:
    """The regions of a mask by the names of their colours.

    A pixel between two colours, as along soft edges, belongs to both by its distance: grey is a part white. What is
    transparent is not labelled.

    Args:
        name: of the mask, for errors.
        source: whatever holds a picture (`impasto.images.reading.to_image`).
        height, width: of the result; a mask of another size is resampled.

    Returns:
        (height, width) each, in [0, 1], adding up to 1.

    Raises:
        SettingsError: a part of the mask has a colour that names no region.
    """
    picture = to_image(source)
    image = picture.image if picture.alpha is None else picture.image * picture.alpha
    rows, columns = (min(a, b, FINEST) for a, b in zip((height, width), image.shape[-2:], strict=True))
    image = resize(image.cpu(), rows, columns)
    named = torch.tensor(list(REGION_COLORS.values()))
    near = (image - named[:, :, None, None]).abs().amax(1) < PURE  # names, rows, columns
    present = [i for i, pixels in enumerate(near) if float(pixels.float().mean()) >= LEAST] or [0]
    if float((image - image.mean(1, keepdim=True)).abs().max()) < PURE:
        present = [0, 1]  # a grey mask is soft between black and white, even if it is neither anywhere
    shares, far = _between(image, named[present])
    wrong = far > PURE
    if float(wrong.float().mean()) > WRONG:
        color = image[0, :, wrong].median(1).values.mul(255).round().int().tolist()
        raise SettingsError(
            f"{name} has a part coloured #{bytes(color).hex()}, which names no region; use {', '.join(REGION_COLORS)}"
        )
    shares = resize(shares[None], height, width)[0]
    shares /= shares.sum(0).clamp(min=1e-6)
    names = [list(REGION_COLORS)[i] for i in present]
    return {color: share for color, share in zip(names, shares, strict=True) if float(share.mean()) >= LEAST}


def _between(image: Tensor, colors: Tensor) -> tuple[Tensor, Tensor]:
    """Each pixel as a mixture of the two colours on whose connection it lies, or nearly.

    Args:
        image: (1, 3, height, width).
        colors: (n, 3).

    Returns:
        The shares of the colours (n, height, width), and the distance to that connection (height, width).
    """
    height, width = image.shape[-2:]
    shares = torch.zeros(len(colors), height, width)
    nearest = torch.full((height, width), float("inf"))
    # the first two are black and white, if they are there, which the greys between others must not be taken for
    for i, j in [*combinations(range(len(colors)), 2)][::-1] or [(0, 0)]:
        step = colors[j] - colors[i]
        offset = image[0] - colors[i][:, None, None]
        t = (torch.einsum("chw,c->hw", offset, step) / step.square().sum().clamp(min=1e-6)).clamp(0, 1)
        distance = (offset - t * step[:, None, None]).square().sum(0).sqrt()
        better = distance < nearest - 1e-4
        nearest = torch.where(better, distance, nearest)
        pair = torch.zeros_like(shares)
        pair[j] = t
        pair[i] = 1 - t if i != j else 1.0
        shares = torch.where(better, pair, shares)
    return shares, nearest


def pair_regions(
    mask: Any, style_masks: Sequence[Any], photograph: Tensor, paintings: Sequence[Tensor]
) -> tuple[Tensor, list[Tensor]] | None:
    """The regions of a photograph, and what is painted there.

    Args:
        mask: of the photograph, whatever holds a picture.
        style_masks: for each painting a mask whose regions pair with those of the same colour, or the name of a colour:
            the whole painting belongs to that region; or "all": it counts everywhere.
        photograph, paintings: (1, 3, height, width) each.

    Returns:
        (regions, height, width) of the photograph, and for each painting (regions, its height, its width), zero where
        it does not count; None if the photograph's mask is blank.

    Raises:
        SettingsError: a region of the photograph that no painting has.
    """
    wanted = regions_of(_name("mask", mask), mask, *photograph.shape[-2:])
    if len(wanted) == 1:
        return None
    sizes = [(image.shape[-2], image.shape[-1]) for image in paintings]
    painted = [_painted(style_mask, *size) for style_mask, size in zip(style_masks, sizes, strict=True)]
    columns: list[list[Tensor]] = []
    for color in wanted:
        parts = [one.get(color, one.get(EVERYWHERE)) for one in painted]
        if all(part is None for part in parts):
            if color != UNLABELLED:
                raise SettingsError(
                    f"{_name('mask', mask)} has a {color} region, but no painting has; give a style mask with "
                    f"{color} in it, or the word {color} for a whole painting"
                )
            parts = [torch.ones(size) for size in sizes]  # what is not labelled is painted with everything
        columns.append([torch.zeros(size) if p is None else p for p, size in zip(parts, sizes, strict=True)])
    return torch.stack(list(wanted.values())), [torch.stack(rows) for rows in zip(*columns, strict=True)]


def _painted(style_mask: Any, height: int, width: int) -> Mapping[str, Tensor]:
    """Which part of a painting counts in the regions of which colour."""
    if isinstance(style_mask, str) and style_mask in (*REGION_COLORS, EVERYWHERE):
        return {style_mask: torch.ones(height, width)}
    regions = regions_of(_name("style_mask", style_mask), style_mask, height, width)
    return regions if len(regions) > 1 else {EVERYWHERE: torch.ones(height, width)}  # a blank mask is none


def read_protection(protect: Any, photograph: Picture) -> Tensor:
    """How much of each pixel of a photograph stays as it is.

    Args:
        protect: whatever holds a picture, white is protected; a boolean array or tensor (height, width), true is
            protected; or a box, left, top, right, bottom, in pixels of the photograph's file, or in percent: four
            numbers, or a text as "10%,20%,50%,60%".
        photograph: as it is painted.

    Returns:
        (1, 1, height, width) in [0, 1], falling off softly outside the area.

    Raises:
        SettingsError: a box that is none, or that leaves nothing to be painted.
    """
    height, width = photograph.image.shape[-2:]
    if isinstance(protect, np.ndarray | Tensor) and protect.dtype in (np.bool_, torch.bool):
        protect = np.asarray(protect.cpu() if isinstance(protect, Tensor) else protect).squeeze().astype(np.uint8) * 255
    if isinstance(protect, list | tuple):
        area = _box(",".join(map(str, protect)), photograph)
    elif isinstance(protect, str) and re.fullmatch(r"[-\d.%\s]+(,[-\d.%\s]*)+", protect):
        area = _box(protect, photograph)
    else:
        picture = to_image(protect)
        light = picture.image.mean(1, keepdim=True).cpu()
        area = resize(light if picture.alpha is None else light * picture.alpha.cpu(), height, width)
    margin = max(1, round(SOFT * max(height, width) / 2))
    padded, window = F.pad(area, (2 * margin,) * 4, "replicate"), 2 * margin + 1
    grown = over_windows(padded, window, torch.maximum)
    soft = over_windows(grown, window, torch.add) / window**2
    if float(soft.min()) > 1 - LEAST:
        raise SettingsError(f"{_name('protect', protect)} protects the whole photograph; leave something to paint")
    return soft.to(photograph.image.device)


def over_windows(image: Tensor, side: int, combine: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """What a pooling of that kernel and a stride of 1 gives, by doubling: in prints windows have thousands of pixels.

    Args:
        image: (B, C, H, W).
        side: of the windows, in pixels; at most H and W.
        combine: joins two windows: `torch.maximum`, or `torch.add` for sums.

    Returns:
        (B, C, H - side + 1, W - side + 1).
    """
    for dim in (-2, -1):
        length = image.shape[dim] - side + 1
        joined, power, begun, rest = None, image, 0, side  # power: over `reach` neighbours
        for bit in range(side.bit_length()):
            reach = 1 << bit
            if rest & reach:
                part = power.narrow(dim, begun, length)
                joined = part if joined is None else combine(joined, part)
                begun, rest = begun + reach, rest - reach
            if rest:
                size = power.shape[dim] - reach
                power = combine(power.narrow(dim, 0, size), power.narrow(dim, reach, size))
        assert joined is not None
        image = joined
    return image


def _box(text: str, photograph: Picture) -> Tensor:
    """A box as a mask (1, 1, height, width)."""
    height, width = photograph.image.shape[-2:]
    full = (photograph.full_width, photograph.full_height) * 2
    try:
        left, top, right, bottom = (
            float(part.strip().rstrip("%")) / (100 if part.strip().endswith("%") else whole)
            for part, whole in zip(text.split(","), full, strict=True)
        )
    except ValueError:
        left = top = right = bottom = -1.0
    if not (0 <= left < right <= 1 and 0 <= top < bottom <= 1):
        raise SettingsError(
            f"{_name('protect', text)} is not a box in the photograph of {full[0]} × {full[1]} pixels; "
            "give left,top,right,bottom in pixels or in percent, as 10%,20%,50%,60%"
        )
    area = torch.zeros(1, 1, height, width)
    area[
        ..., round(top * height) : max(1, round(bottom * height)), round(left * width) : max(1, round(right * width))
    ] = 1
    return area


def _name(option: str, source: Any) -> str:
    """What is wrong, for an error: the argument, and its file if it is one."""
    return f"{option}={source}" if isinstance(source, str | Path) else option
