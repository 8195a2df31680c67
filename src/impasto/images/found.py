"""Areas that are found in a photograph: soft masks of its faces and of its subject."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from impasto.errors import SettingsError
from impasto.images.areas import Area, masked_area, protected_area
from impasto.images.masks import LEAST, over_windows, read_protection
from impasto.images.reading import Picture, resize
from impasto.network.finders import Face, find_faces, find_subject

INNER, OUTER = 0.8, 1.4  # of a face's ellipse, of which the box is 1: where the area is whole, and where it ends
LOW, HIGH = 0.3, 0.7  # of the subject's map: where the area begins, and where it is whole
FEATHER = 0.006  # width over which the subject's edge is blurred, of the longer side: 3 px of 512

NOT_FOUND = {
    "faces": "no face was found in the photograph: all of it is painted alike",
    "subject": "nothing stands out in the photograph as its subject: all of it is painted alike",
}
"""What is said where an area is not there; it is no error, since of many photographs some have no face."""


def read_guides(mask: Any, protect: Any, photograph: Picture) -> tuple[Any, Tensor | None, tuple[str, ...]]:
    """What says where what is painted, with the areas themselves in place of words that name them.

    Args:
        mask, protect: as of `impasto.paint`.
        photograph: as it is painted.

    Returns:
        The mask, white on black where a word named it; how much of each pixel stays as photographed, (1, 1, height,
        width) in [0, 1], None where nothing does; and what was found, in words.

    Raises:
        ImpastoError: something the caller can mend.
    """
    region, kept = masked_area(mask), protected_area(protect)
    notes = []
    if region is not None:
        area, note = find_area(region, photograph)
        mask = area.expand(1, 3, -1, -1)
        notes.append(note)
    if kept is None:
        return mask, None if protect is None else read_protection(protect, photograph), tuple(notes)
    area, note = find_area(kept, photograph)
    if float(area.min()) > 1 - LEAST:
        raise SettingsError(f"protect={protect} protects the whole photograph; leave something to paint")
    return mask, area if float(area.max()) > 0 else None, tuple(dict.fromkeys([*notes, note]))


def find_area(area: Area, photograph: Picture) -> tuple[Tensor, str]:
    """An area of a photograph, and in words what was found.

    Returns:
        (1, 1, height, width) in [0, its share] with soft edges, zero everywhere if it is not there, on the
        photograph's device.

    Raises:
        ImpastoError: the network that finds it is not installed, or is another one.
    """
    image = photograph.image
    if area.name == "faces":
        faces = find_faces(image)
        found = ellipses(faces, *image.shape[-2:])
        note = f"{len(faces)} face{'s' if len(faces) > 1 else ''} found"
    else:
        found = outline(find_subject(image), *image.shape[-2:])
        note = f"the subject was found: {float(found.mean()):.0%} of the photograph"
    if float(found.mean()) < (LEAST if area.name == "subject" else 1e-9):
        return torch.zeros_like(found).to(image.device), NOT_FOUND[area.name]
    return (found * area.share).to(image.device), note


def ellipses(faces: Sequence[Face], height: int, width: int) -> Tensor:
    """A soft ellipse around each face, (1, 1, height, width): hair and ears fade from photograph to paint."""
    area = torch.zeros(1, 1, height, width)
    for face in faces:
        tall, wide = (face.bottom - face.top) / 2 * height, (face.right - face.left) / 2 * width
        middle, center = (face.bottom + face.top) / 2 * height, (face.right + face.left) / 2 * width
        rows = slice(max(0, int(middle - OUTER * tall)), max(0, int(middle + OUTER * tall) + 1))
        columns = slice(max(0, int(center - OUTER * wide)), max(0, int(center + OUTER * wide) + 1))
        y = (torch.arange(height)[rows] + 0.5 - middle) / max(tall, 0.5)
        x = (torch.arange(width)[columns] + 0.5 - center) / max(wide, 0.5)
        distance = torch.hypot(y[:, None], x[None])
        area[..., rows, columns] = torch.maximum(
            area[..., rows, columns], smoothly((OUTER - distance) / (OUTER - INNER))
        )
    return area


def outline(found: Tensor, height: int, width: int) -> Tensor:
    """The subject's map as an area, (1, 1, height, width): whole where the network is rather sure."""
    area = smoothly((resize(found, height, width) - LOW) / (HIGH - LOW))
    margin = max(1, round(FEATHER * max(height, width) / 2))
    window = 2 * margin + 1
    return over_windows(F.pad(area, (margin,) * 4, "replicate"), window, torch.add).clamp(max=window**2) / window**2


def smoothly(x: Tensor) -> Tensor:
    """From 0 to 1 without a corner."""
    x = x.clamp(0, 1)
    return x * x * (3 - 2 * x)
