"""What is painted: photograph, paintings, regions, what is protected, colours. Read, checked and prepared once."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from impasto.errors import SettingsError
from impasto.images.color import color_mode, finish, is_finished_later, prepare
from impasto.images.found import read_guides
from impasto.images.gallery import network_file
from impasto.images.reading import resize, to_image
from impasto.methods.progress import Progress
from impasto.methods.styles import StyleImage, at_size, read_paintings, with_masks
from impasto.network.device import pick_device
from impasto.settings import INITS, Settings


@dataclass(frozen=True)
class Scene:
    """What a method paints, all of it on one device.

    Attributes:
        photograph: (1, 3, height, width), at the size of the output.
        content: the same in the colours in which it is painted.
        paintings: at least one, in the colours in which they are painted; none of a style that is learnt.
        color: the mode of colours that is possible with these pictures (`impasto.images.color`).
        first: the picture to start from, if one was given.
        regions: (regions, height, width) of the photograph, adding up to 1, each painted in its own style.
        protected: (1, 1, height, width) in [0, 1], how much of each pixel stays as photographed.
        learnt: the file of a network that has learnt the style, and what of it is asked for.
        notes: what was found in the photograph, in words.
    """

    photograph: Tensor
    content: Tensor
    paintings: list[StyleImage]
    color: str = "painting"
    first: Tensor | None = None
    regions: Tensor | None = None
    protected: Tensor | None = None
    learnt: tuple[Path, str] | None = None
    notes: tuple[str, ...] = ()

    @classmethod
    def prepared(
        cls,
        content: Any,
        style: Any,
        settings: Settings,
        *,
        mask: Any = None,
        style_mask: Any = None,
        protect: Any = None,
    ) -> Scene:
        """The scene of what `impasto.paint` is given.

        Raises:
            ImpastoError: something the caller can mend.
        """
        device = pick_device(settings.device)
        memory = settings.memory if device.type == "cpu" else "auto"  # of the machine that reads
        picture = to_image(content, settings.longer_side, memory)
        photograph = picture.image.to(device)
        sources = style if isinstance(style, list | tuple) else [style]
        learnt = learnt_style(style)
        paintings = [] if learnt else read_paintings(sources, photograph, settings)
        mask, protected, notes = read_guides(mask, protect, picture)
        regions, paintings = with_masks(mask, style_mask, photograph, paintings, len(sources))
        protected = None if protected is None else protected.to(device)
        color = color_mode(settings.color, [painting.image for painting in paintings])
        first = None if settings.init in INITS else to_image(settings.init, memory=memory).image.to(device)
        painted, images = prepare(color, photograph, [painting.image for painting in paintings])
        paintings = [replace(painting, image=image) for painting, image in zip(paintings, images, strict=True)]
        return cls(photograph, painted, paintings, color, first, regions, protected, learnt, notes)

    @property
    def device(self) -> torch.device:
        """Where it lies."""
        return self.photograph.device

    def guidance(self, image: Tensor) -> dict[str, Tensor]:
        """Where what is painted, at the size of an image: arguments of `Objective`."""
        given = {"masks": self.regions, "protected": self.protected}
        return {name: at_size(maps, image) for name, maps in given.items() if maps is not None}

    def finished(self, steps: Iterable[Progress]) -> Iterator[Progress]:
        """The steps with what they have painted in its final colours, and what is protected as photographed."""
        if self.protected is None and not is_finished_later(self.color):
            yield from steps
            return
        photograph = self.photograph[..., :0, :0]
        for progress in steps:
            if photograph.shape != progress.image.shape:  # a scale has many steps
                photograph = resize(self.photograph, progress.image.shape[-2], progress.image.shape[-1])
            colored = finish(self.color, progress.image, photograph)
            yield replace(progress, image=kept(colored, photograph, self.protected))


def learnt_style(style: Any) -> tuple[Path, str] | None:
    """The file of the network that has learnt a style, and what of it is asked for; None where it is of paintings.

    Raises:
        SettingsError: a network among several styles, which only it itself can blend.
    """
    sources = style if isinstance(style, list | tuple) else [style]
    found = [network_file(os.fspath(one)) for one in sources if isinstance(one, str | os.PathLike)]
    networks = [one for one in found if one is not None]
    if networks and len(sources) > 1:
        raise SettingsError(
            f"{networks[0][0]} is a network, which blends only the paintings it has learnt, "
            f"as {networks[0][0]}:one=70,other=30"
        )
    return networks[0] if networks else None


def kept(image: Tensor, photograph: Tensor, protected: Tensor | None) -> Tensor:
    """An image with what is protected of a photograph, at the image's size."""
    if protected is None:
        return image
    height, width = image.shape[-2:]
    return torch.lerp(image, resize(photograph, height, width), at_size(protected, image))
