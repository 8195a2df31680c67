"""The front door: a photograph and a painting go in, one picture comes out. Start here.

Load the networks, prepare the scene, paint it by the method of the quality, finish its colours: each a module of its
own (`network.models`, `methods.scene`, `methods.qualities`).
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias, Unpack, overload

import numpy as np
import torch
from numpy.typing import NDArray
from PIL.Image import Image
from torch import Tensor

from impasto.errors import SettingsError
from impasto.images.areas import with_words
from impasto.images.reading import Picture, to_image
from impasto.images.writing import to_pil
from impasto.methods import textures
from impasto.methods.film import Frame, Memory, paint_film
from impasto.methods.progress import Position, Progress
from impasto.methods.qualities import LEARNT, METHODS, Method, in_vain, method_for
from impasto.methods.scene import Scene
from impasto.methods.schedule import Scale, check_resumes
from impasto.methods.time_left import foretold, with_notes, with_time_left
from impasto.methods.watching import Watch, logged, watched
from impasto.network.models import Models
from impasto.network.weights import VARIABLE, VGGWeights
from impasto.objective.losses import Loss
from impasto.objective.memory import UNLIMITED, memory_budget
from impasto.settings import Changes, Settings

__all__ = ["Loss", "Painter", "Position", "Progress", "paint", "paint_steps", "texture", "texture_steps"]

File: TypeAlias = str | os.PathLike[str]
Source: TypeAlias = File | bytes | BinaryIO | Image | NDArray[np.generic] | Tensor | Picture
"""Whatever holds a picture: see `impasto.images.reading.to_image`."""
Style: TypeAlias = Source | Sequence[Source]
"""A painting, or several, or the name of one that ships, or a folder of pictures that are one style together."""
Protected: TypeAlias = Source | tuple[float, float, float, float]
"""What stays as photographed: a picture, white where it does, or a box: left, top, right, bottom; or "faces"."""
Weights: TypeAlias = str | Path | VGGWeights | None


class Painter:
    """Paints pictures with networks that are read, checked and built once: keep one to paint many.

    Threads may share it. Nothing is read before the first picture.

    Args:
        weights: file of VGG-19's weights, or the weights themselves; None for the installed ones.
    """

    def __init__(self, *, weights: Weights = None) -> None:
        self.models = Models(weights)

    @overload
    def paint(
        self,
        content: Tensor,
        style: Style,
        settings: Settings | None = None,
        *,
        mask: Source | None = None,
        style_mask: Style | None = None,
        protect: Protected | None = None,
        losses: Sequence[Loss] = (),
        progress: Watch = False,
        **changes: Unpack[Changes],
    ) -> Tensor: ...

    @overload
    def paint(
        self,
        content: File | bytes | BinaryIO | Image | NDArray[np.generic] | Picture,
        style: Style,
        settings: Settings | None = None,
        *,
        mask: Source | None = None,
        style_mask: Style | None = None,
        protect: Protected | None = None,
        losses: Sequence[Loss] = (),
        progress: Watch = False,
        **changes: Unpack[Changes],
    ) -> Image: ...

    def paint(
        self,
        content: Source,
        style: Style,
        settings: Settings | None = None,
        *,
        mask: Source | None = None,
        style_mask: Style | None = None,
        protect: Protected | None = None,
        losses: Sequence[Loss] = (),
        progress: Watch = False,
        **changes: Unpack[Changes],
    ) -> Image | Tensor:
        """Paint a photograph in the style of a painting.

        Args:
            content: the photograph: a path, the bytes of a file or an open one, a Pillow image, a numpy array or a
                tensor (`images.reading.to_image`).
            style: the painting, likewise, or the name of one that ships, or a folder of pictures that are one style
                together; or a list of several of these, blended by `Settings.style_weight`.
            settings: how; None for the defaults.
            mask: regions of the photograph that are painted differently, by colour: a picture (`masks.pair_regions`);
                or "subject" or "faces", which are found and white, the rest black (extra `people`).
            style_mask: where in the painting the regions of those colours are: a picture, or the name of a colour for
                the whole painting, or "all"; a list of one for each painting.
            protect: what stays as photographed: a picture, white where it does; a boolean array (height, width); or a
                box, left, top, right, bottom, in pixels of the photograph as (10, 20, 300, 400), or in percent as
                "10%,20%,50%,60%"; or "faces" or "subject", which are found (extra `people`): of faces half of the
                photograph stays, of "faces:100" all.
            losses: terms of your own in what is minimised (`impasto.Loss`).
            progress: True shows a bar in a terminal, and the picture so far in a notebook; or a function that is called
                with every `Progress`.
            changes: single settings, as in `paint(photo, painting, strength=70)`.

        Returns:
            A Pillow image, with the photograph's transparency, which keeps its settings when it is saved; a tensor
            (1, 3, height, width) in [0, 1] when given one.

        Raises:
            ImpastoError: something the caller can mend; its message says what.
        """
        settings = _changed(settings, changes)
        photograph = to_image(content, settings.longer_side, settings.memory)  # here, for its transparency
        guidance: Any = {"mask": mask, "style_mask": style_mask, "protect": protect, "losses": losses}
        for now in watched(self.steps(photograph, style, settings, **guidance), progress):
            image = now.image
        return (
            image
            if isinstance(content, Tensor)
            else to_pil(
                image,
                photograph.alpha,
                settings=with_words(settings.to_json(), guidance),
                density=photograph.density,
            )
        )

    def steps(
        self,
        content: Source,
        style: Style,
        settings: Settings | None = None,
        *,
        mask: Source | None = None,
        style_mask: Style | None = None,
        protect: Protected | None = None,
        losses: Sequence[Loss] = (),
        resume: Position | None = None,
        **changes: Unpack[Changes],
    ) -> Iterator[Progress]:
        """Paint step by step; stop by leaving the loop.

        Args and errors as `paint`; errors are raised by the call, before any step. And:
            resume: the position of a step of an earlier call with the same arguments: that step is yielded again, and
                then those that would have followed it, to the same picture.

        Returns:
            An iterator; the image of its last step is the picture.
        """
        _check_gradients()
        settings = _changed(settings, changes)
        method = method_for(style, settings, {"mask": mask, "style_mask": style_mask})
        scene = Scene.prepared(content, style, settings, mask=mask, style_mask=style_mask, protect=protect)
        budget = resume.memory if resume else _budget(settings, scene.device)
        height, width = scene.photograph.shape[-2:]
        scales = method.scales(height, width, settings, budget)
        if resume:
            check_resumes(resume, scales)
        if settings.strength == 0 and "strength" not in method.ignores:
            return iter([Progress(1, 1, 1, 1, {}, scene.photograph, 0.0)])
        if losses:
            scales = _with_losses(scales, losses, settings, method)
        if settings.cluster != "none" and not method.spreads:
            what = "a network that has learnt a style" if scene.learnt else f"quality={settings.quality!r}"
            raise SettingsError(f"{what} cannot be spread over a cluster; leave out cluster")
        long = foretold(method.network(self.models, scene.device, settings), scales) if scales else ()
        notes = (*scene.notes, *in_vain(style, settings), *long)
        steps = method.paint(scene, self.models, settings, scales, budget=budget, resume=resume)
        return logged(scene.finished(with_notes(with_time_left(steps, scales), notes)))

    def film(
        self,
        frames: Iterable[Source],
        style: Style,
        settings: Settings | None = None,
        *,
        boil: float = 20.0,
        keyframes: int = 1,
        loop: bool = False,
        protect: Protected | None = None,
        **changes: Unpack[Changes],
    ) -> Iterator[Tensor]:
        """Paint the frames of a film, one by one, so that they hang together (extra `video`).

        Args:
            frames: pictures of one size, in order; taken as they are needed.
            style, settings, changes: as for `paint`; `quality="reference"` and clusters paint no films.
            boil: how much the paint may live: 0 holds it as firmly as can be, 100 paints every frame by itself.
            keyframes: paint every so many frames, and carry those between along the flow from both sides.
            loop: lead the last frames back to the first, where the film comes back to it.
            protect: what stays as photographed, as for `paint`; "faces" and "subject" are looked for in every frame.

        Returns:
            An iterator over (1, 3, height, width) in [0, 1], one for each frame.

        Raises:
            ImpastoError: something the caller can mend.
        """
        how: Any = {"boil": boil, "keyframes": keyframes, "loop": loop, "protect": protect}
        steps = self.film_steps(frames, style, settings, **how, **changes)
        return (frame.image for frame in steps)

    def film_steps(
        self,
        frames: Iterable[Source],
        style: Style,
        settings: Settings | None = None,
        *,
        boil: float = 20.0,
        keyframes: int = 1,
        loop: bool = False,
        protect: Protected | None = None,
        resume: Memory | None = None,
        **changes: Unpack[Changes],
    ) -> Iterator[Frame]:
        """`film` with what is remembered after each frame, to go on from. Args and errors as there, and:

        Args:
            resume: what was remembered after a frame by an earlier call with the same arguments; `frames` are then
                those after it.
        """
        _check_gradients()
        settings = _changed(settings, changes)
        how: Any = {"boil": boil, "keyframes": keyframes, "loop": loop, "protect": protect}
        return paint_film(frames, style, self.models, settings, **how, resume=resume)

    def texture(
        self,
        style: Style,
        settings: Settings | None = None,
        *,
        seamless: bool = False,
        progress: Watch = False,
        **changes: Unpack[Changes],
    ) -> Image:
        """A square image of a painting's texture (Gatys et al. 2015, Texture Synthesis Using Convolutional Networks).

        Args:
            style: as for `paint`.
            settings: how; their `size` is that of the side, 512 where it is "full".
            seamless: the left edge goes on from the right one, and the upper from the lower.
            progress, changes: as for `paint`.

        Raises:
            ImpastoError: something the caller can mend.
        """
        settings = _changed(settings, changes)
        for now in watched(self.texture_steps(style, settings, seamless=seamless), progress):
            image = now.image
        return to_pil(image, settings=settings.to_json())

    def texture_steps(
        self, style: Style, settings: Settings | None = None, *, seamless: bool = False, **changes: Unpack[Changes]
    ) -> Iterator[Progress]:
        """`texture` step by step; errors are raised by the call, before any step."""
        _check_gradients()
        return logged(textures.paint(style, self.models, _changed(settings, changes), seamless=seamless))


def painter(weights: Weights = None) -> Painter:
    """The painter that `impasto.paint` uses: one for each file of weights, kept."""
    return _painter(weights, os.environ.get(VARIABLE))


@lru_cache(maxsize=4)
def _painter(weights: Weights, chosen: str | None) -> Painter:
    return Painter(weights=weights)


@overload
def paint(
    content: Tensor,
    style: Style,
    settings: Settings | None = None,
    *,
    mask: Source | None = None,
    style_mask: Style | None = None,
    protect: Protected | None = None,
    losses: Sequence[Loss] = (),
    progress: Watch = False,
    weights: Weights = None,
    **changes: Unpack[Changes],
) -> Tensor: ...


@overload
def paint(
    content: File | bytes | BinaryIO | Image | NDArray[np.generic] | Picture,
    style: Style,
    settings: Settings | None = None,
    *,
    mask: Source | None = None,
    style_mask: Style | None = None,
    protect: Protected | None = None,
    losses: Sequence[Loss] = (),
    progress: Watch = False,
    weights: Weights = None,
    **changes: Unpack[Changes],
) -> Image: ...


def paint(
    content: Source, style: Style, settings: Settings | None = None, *, weights: Weights = None, **named: Any
) -> Image | Tensor:
    """Paint a photograph in the style of a painting, with a painter that is kept for the next one.

    Args:
        weights: file of VGG-19's weights; None for the installed ones.

    All else as `Painter.paint`.
    """
    return painter(weights).paint(content, style, settings, **named)


def paint_steps(
    content: Source,
    style: Style,
    settings: Settings | None = None,
    *,
    mask: Source | None = None,
    style_mask: Style | None = None,
    protect: Protected | None = None,
    losses: Sequence[Loss] = (),
    weights: Weights = None,
    resume: Position | None = None,
    **changes: Unpack[Changes],
) -> Iterator[Progress]:
    """Paint step by step; stop by leaving the loop. As `Painter.steps`, with the painter of `impasto.paint`."""
    guidance: Any = {"mask": mask, "style_mask": style_mask, "protect": protect, "losses": losses}
    return painter(weights).steps(content, style, settings, **guidance, resume=resume, **changes)


def texture(
    style: Style,
    settings: Settings | None = None,
    *,
    seamless: bool = False,
    progress: Watch = False,
    weights: Weights = None,
    **changes: Unpack[Changes],
) -> Image:
    """A square image of a painting's texture. As `Painter.texture`, with the painter of `impasto.paint`."""
    return painter(weights).texture(style, settings, seamless=seamless, progress=progress, **changes)


def texture_steps(
    style: Style,
    settings: Settings | None = None,
    *,
    seamless: bool = False,
    weights: Weights = None,
    **changes: Unpack[Changes],
) -> Iterator[Progress]:
    """`texture` step by step; errors are raised by the call, before any step."""
    return painter(weights).texture_steps(style, settings, seamless=seamless, **changes)


def _changed(settings: Settings | None, changes: Any) -> Settings:
    return replace(settings or Settings(), **Settings.known(changes))


def _with_losses(scales: Sequence[Scale], losses: Sequence[Loss], settings: Settings, method: Method) -> list[Scale]:
    """The scales with terms of the caller's in what each minimises.

    Raises:
        SettingsError: they cannot be evaluated, which needs the picture whole and on one machine.
    """
    if method is LEARNT:
        raise SettingsError("a network that has learnt a style takes no losses of your own; give paintings")
    if not method.losses:
        able = ", ".join(name for name, other in METHODS.items() if other.losses)
        raise SettingsError(f"quality={settings.quality!r} takes no losses of your own; choose from: {able}")
    if settings.cluster != "none":
        raise SettingsError("losses of your own see the whole picture, which no machine of a cluster has; leave it out")
    if any(scale.plan.side for scale in scales):
        raise SettingsError("losses of your own need the picture whole in memory: raise memory, or lower size")
    names = [loss.name for loss in losses]
    for name in {*names}:
        if names.count(name) > 1:
            raise SettingsError(f"two losses have the name {name!r}; give each its own")
    return [replace(scale, weights=replace(scale.weights, own=tuple(losses))) for scale in scales]


def _budget(settings: Settings, device: torch.device) -> int:
    """Bytes that may be used; on a cluster every worker plans its own part."""
    return memory_budget(settings.memory, device) if settings.cluster == "none" else UNLIMITED


def _check_gradients() -> None:
    """Refuse to work where torch computes none; `torch.no_grad` does no harm."""
    if torch.is_inference_mode_enabled():
        raise SettingsError("painting needs gradients; call it outside of torch.inference_mode()")
