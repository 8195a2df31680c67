"""The method: what happens between a photograph and a painting going in and one picture coming out.

Coarse to fine: the photograph, in the painting's colours, is optimised at about 128 px; enlarged, given new detail,
and optimised again at twice the size, until it has the size that was asked for. Broad strokes are laid where they are
cheap, and full size needs few evaluations.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from impasto.color import color_moments, match_colors
from impasto.device import pick_device
from impasto.fast.adain import LAYER as ADAIN_LAYER
from impasto.fast.adain import Decoder, paint_instantly
from impasto.gallery import find_style
from impasto.image import resize, to_image
from impasto.image_writing import to_pil
from impasto.moments import Moments, blend
from impasto.objective import Objective, style_moments
from impasto.optimize import OPTIMIZERS, Optimizer, PaperLBFGS, Step, minimise
from impasto.schedule import Scale, schedule
from impasto.settings import INITS, Settings
from impasto.vgg import VGG19
from impasto.weights import load_decoder, load_vgg

FULL_COLOR = 50.0  # the strength from which on the picture starts in the painting's colours
SMALLEST_STYLE = 32  # px: relu5_1 is a sixteenth of it


@dataclass(frozen=True)
class Progress:
    """One step of the optimisation, as `paint_steps` yields it.

    Attributes:
        scale, scales: of the pyramid; 1 is the coarsest.
        step, steps: evaluations of the objective so far, and planned, over all scales; it may end earlier.
        losses: weighted terms of the objective, "content", "style", ..., and their sum, "total".
        image: (1, 3, height, width) in [0, 1], at this scale's size.
        seconds_left: an estimate; None before anything is known.
        notes: what the user should know: a loss that is not finite, ...
    """

    scale: int
    scales: int
    step: int
    steps: int
    losses: dict[str, float]
    image: Tensor
    seconds_left: float | None = None
    notes: tuple[str, ...] = field(default=())


def paint(
    content: Any,
    style: Any,
    settings: Settings | None = None,
    *,
    weights: Path | None = None,
    **changes: Any,
) -> Any:
    """Paint a photograph in the style of a painting.

    Args:
        content: the photograph: a path, a Pillow image, a numpy array or a tensor (`impasto.image.to_image`).
        style: the painting, likewise, or the name of one that ships; or a list of several.
        settings: how; None for the defaults.
        weights: file of VGG-19's weights; None for the installed ones.
        changes: single settings, as in `paint(photo, painting, strength=70)`.

    Returns:
        A Pillow image, with the photograph's transparency; a tensor (1, 3, height, width) in [0, 1] when given one.

    Raises:
        ImpastoError: something the caller can mend; its message says what.
    """
    settings = replace(settings or Settings(), **Settings.known(changes))
    photograph = to_image(content, settings.longer_side)
    for progress in paint_steps(photograph, style, settings, weights=weights):
        image = progress.image
    return image if isinstance(content, Tensor) else to_pil(image, photograph.alpha)


def paint_steps(
    content: Any, style: Any, settings: Settings | None = None, *, weights: Path | None = None
) -> Iterator[Progress]:
    """Paint step by step; stop by leaving the loop.

    Args and errors as `paint`; errors are raised by the call, before any step.

    Returns:
        An iterator; the image of its last step is the picture.
    """
    settings = settings or Settings()
    device = pick_device(settings.device)
    photograph = to_image(content, settings.longer_side).image.to(device)
    paintings = [_painting(one).to(device) for one in (style if isinstance(style, list | tuple) else [style])]
    first = None if settings.init in INITS else to_image(settings.init).image.to(device)
    if settings.strength == 0:
        return iter([Progress(1, 1, 1, 1, {"total": 0.0}, photograph, 0.0)])
    scales = schedule(photograph.shape[-2], photograph.shape[-1], settings)
    reference = settings.quality == "reference"
    vgg = load_vgg(weights)
    if reference:
        network = VGG19(vgg, device=device, winograd=False)
    else:
        network = VGG19(vgg, pooling=settings.pooling, padding=settings.padding, device=device)
    decoder = Decoder(load_decoder(), device=device) if vgg.normalised and len(scales) > 1 else None
    return _with_time_left(_paint(network, decoder, photograph, paintings, first, scales, settings), scales)


def _paint(
    network: VGG19,
    decoder: Decoder | None,
    photograph: Tensor,
    paintings: list[Tensor],
    first: Tensor | None,
    scales: list[Scale],
    settings: Settings,
) -> Iterator[Progress]:
    """Coarse to fine: optimise at each scale, from what the scale before has painted."""
    image = photograph
    done, planned = 0, sum(scale.evaluations for scale in scales)
    for number, scale in enumerate(scales, start=1):
        content = resize(photograph, scale.height, scale.width)
        styles = [_at_scale(painting, scale, settings.style_scale) for painting in paintings]
        layers = scale.weights.layers if number == 1 or decoder is None else [*scale.weights.layers, ADAIN_LAYER]
        style = _blended([style_moments(network, one, layers) for one in styles])
        if number == 1:
            image = _first_image(content, styles, first, settings)
        else:
            image = _enlarge(network, decoder, image, style, content)
        objective = Objective(network, content, style, scale.weights)
        for step in minimise(objective, image, _optimizer(settings), scale.evaluations, tolerance=scale.tolerance):
            image = step.image.clamp(0, 1)  # the paper's optimiser knows no bounds
            done = min(done + 1, planned)
            yield Progress(number, len(scales), done, planned, _losses(step), image, notes=_notes(step))
        done = sum(s.evaluations for s in scales[:number])


def _painting(source: Any) -> Tensor:
    """A painting from whatever holds one, or the name of one that ships."""
    return to_image(find_style(source) if isinstance(source, str) else source).image


def _at_scale(painting: Tensor, scale: Scale, style_scale: float) -> Tensor:
    """The painting with as many pixels as the output has at this scale, times the square of the style scale.

    It is not enlarged beyond its own size: blurred strokes would be painted as blur.
    """
    height, width = painting.shape[-2:]
    factor = min(1.0, style_scale * (scale.height * scale.width / (height * width)) ** 0.5)
    return resize(painting, max(SMALLEST_STYLE, round(height * factor)), max(SMALLEST_STYLE, round(width * factor)))


def _blended(styles: Sequence[dict[str, Moments]]) -> dict[str, Moments]:
    """One style of several, with equal shares, by layer."""
    return {layer: blend([one[layer] for one in styles], [1.0] * len(styles)) for layer in styles[0]}


def _first_image(content: Tensor, styles: Sequence[Tensor], first: Tensor | None, settings: Settings) -> Tensor:
    """Where the optimisation starts."""
    if first is not None:
        return resize(first, content.shape[-2], content.shape[-1])
    if settings.init == "noise":
        noise = torch.rand(content.shape, generator=torch.Generator().manual_seed(settings.seed))
        return noise.to(content.device)
    if settings.quality == "reference":
        return content
    palette = blend([color_moments(one) for one in styles], [1.0] * len(styles))
    # a weak style moves colours a part of the way, so that the slider starts at the photograph
    return torch.lerp(content, match_colors(content, palette), min(1.0, settings.strength / FULL_COLOR))


def _enlarge(
    network: VGG19, decoder: Decoder | None, image: Tensor, style: dict[str, Moments], content: Tensor
) -> Tensor:
    """The image at the next scale's size, with the detail that one AdaIN pass invents."""
    height, width = content.shape[-2:]
    larger = resize(image, height, width)
    if decoder is None:
        return larger
    painted = paint_instantly(network, decoder, larger, style[ADAIN_LAYER])
    coarse = resize(resize(painted, image.shape[-2], image.shape[-1]), height, width)
    return (larger + painted - coarse).clamp_(0, 1)


def _optimizer(settings: Settings) -> Optimizer:
    return PaperLBFGS() if settings.quality == "reference" else OPTIMIZERS[settings.optimizer]()


def _losses(step: Step) -> dict[str, float]:
    losses = {name: float(term) for name, term in step.evaluation.terms.items()}
    return {**losses, "total": float(step.evaluation.loss)}


def _notes(step: Step) -> tuple[str, ...]:
    return () if step.note is None else (step.note,)


def _with_time_left(steps: Iterator[Progress], scales: Sequence[Scale]) -> Iterator[Progress]:
    """Add the estimate of the time left, from the work done so far (`Scale.cost`)."""
    begun, spent, number, here = time.monotonic(), 0.0, 1, 0
    for progress in steps:
        here = here + 1 if progress.scale == number else 1
        number = progress.scale
        scale = scales[number - 1]
        spent += scale.cost
        left = scale.cost * max(0, scale.evaluations - here) + sum(s.cost * s.evaluations for s in scales[number:])
        yield replace(progress, seconds_left=(time.monotonic() - begun) / spent * left)
