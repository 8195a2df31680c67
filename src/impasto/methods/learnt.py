"""A picture in one pass of a network that has learnt its style (`impasto train`): nothing is optimised."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from typing import Any

import torch

from impasto.errors import SettingsError
from impasto.methods.progress import Position, Progress
from impasto.methods.scene import Scene
from impasto.methods.schedule import Scale
from impasto.network.models import Models
from impasto.network.streamed import transform
from impasto.network.transform import shares_of
from impasto.network.transform_file import About, shares_in
from impasto.network.vgg import VGG19
from impasto.settings import Settings

USED = ("size", "strength", "color")  # settings; those of the machine count as well
IGNORED = tuple(f.name for f in fields(Settings) if f.name not in USED and not f.metadata["machine"])
BROADER = 1.5  # times the size that it learnt on, from which it is said that strokes are not as broad


def network(models: Models, device: torch.device, settings: Settings) -> VGG19:
    """None is needed; this is what would compute features."""
    return models.vgg(device)


def paint(
    scene: Scene,
    models: Models,
    settings: Settings,
    scales: Sequence[Scale] = (),
    *,
    budget: int = 0,
    resume: Position | None = None,
) -> Iterator[Progress]:
    """One pass; nothing is kept to go on from.

    A weaker style than the network's own lies on the way from the photograph's scales and shifts to the painting's; a
    stronger one was not learnt, and is painted as its own.

    Raises:
        WeightsError: the file is no such network.
        SettingsError: it has no painting of a name that is asked for.
    """
    assert scene.learnt is not None
    path, asked = scene.learnt
    known, about = models.transform(path, scene.device)
    strength = min(1.0, settings.strength / about.strength)
    shares = shares_of(shares_in(path, about, asked), strength).to(scene.device)
    image = transform(known, scene.content, shares)
    return iter([Progress(1, 1, 1, 1, {}, image, 0.0, _notes(scene, settings, about))])


def refuse(settings: Settings, guidance: Mapping[str, Any]) -> None:
    """What a learnt style cannot do.

    Raises:
        SettingsError: it is asked for.
    """
    if given := [name for name in ("mask", "style_mask") if guidance.get(name) is not None]:
        raise SettingsError(f"{given[0]} needs a painting: a network paints all of a photograph alike; leave it out")
    if settings.color in ("match", "histogram"):
        raise SettingsError(
            f"color={settings.color} needs a painting, whose colours a network has learnt already; choose from: "
            "painting, photo, lab"
        )


def _notes(scene: Scene, settings: Settings, about: About) -> tuple[str, ...]:
    notes = []
    if settings.strength > about.strength:
        notes.append(f"the network has learnt strength {about.strength:g}, and paints no stronger")
    longer = max(scene.photograph.shape[-2:])
    if not about.size / BROADER <= longer <= about.size * BROADER:
        notes.append(f"the network has learnt on pictures of {about.size} px: its strokes are as broad as there")
    return tuple(notes)
