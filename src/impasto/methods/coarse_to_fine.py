"""The method of impasto: broad strokes are laid where they are cheap, and full size needs few evaluations.

The photograph, in the painting's colours, is optimised at about 128 px; enlarged, given new detail, and optimised again
at twice the size, until it has the size that was asked for.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from impasto.errors import SettingsError
from impasto.images.reading import resize
from impasto.methods import grain
from impasto.methods.adain import LAYER as ADAIN_LAYER
from impasto.methods.adain import paint_instantly
from impasto.methods.cluster import Cluster
from impasto.methods.matched import SHARED, Bank, bank, fits, laid, matched, targets_of
from impasto.methods.progress import Position, Progress, losses_of, notes_of
from impasto.methods.scene import Scene
from impasto.methods.schedule import NOT_OF_THIS, Scale, without_matches
from impasto.methods.starts import FULL_COLOR, firmness, in_colors_of, noise, with_detail_of, with_pieces
from impasto.methods.styles import StyleImage, blended_moments, mix_strokes
from impasto.network.decoder import Decoder
from impasto.network.models import Models
from impasto.network.vgg import VGG19
from impasto.objective.columns import CELL, Targets, are_whole
from impasto.objective.memory import give_back
from impasto.objective.moments import Moments
from impasto.objective.objective import Objective
from impasto.objective.optimize import LBFGS, Adam, State, Step, minimise
from impasto.settings import Settings


def network(models: Models, device: torch.device, settings: Settings) -> VGG19:
    """The network that computes the features, as the settings want it."""
    return models.vgg(device, pooling=settings.pooling, padding=settings.padding, precision=settings.precision)


def paint(
    scene: Scene,
    models: Models,
    settings: Settings,
    scales: Sequence[Scale],
    *,
    budget: int,
    resume: Position | None = None,
) -> Iterator[Progress]:
    """Optimise at each scale, coarsest first, from what the scale before has painted.

    Args:
        scene: what is painted.
        models: the networks.
        settings: how.
        scales: of `schedule`.
        budget: bytes that they were planned with.
        resume: the position of a step from which to go on.

    Raises:
        SettingsError: there is no such cluster, or the position's matches are those of another picture.
    """
    cluster = None if settings.cluster == "none" else Cluster(settings.cluster, settings, models.source)
    decoder = models.decoder(scene.device) if settings.strength > FULL_COLOR else None
    descent = _Pyramid(scene, network(models, scene.device, settings), decoder, settings, cluster, budget)
    return descent.steps(scales, resume)


@dataclass(frozen=True)
class _Pyramid:
    """From scale to scale.

    Attributes:
        decoder: invents detail above strength 50; None where there is none, or it is not wanted.
        cluster: of machines that paint large scales together, if one was asked for.
        budget: bytes that the scales were planned with.
    """

    scene: Scene
    network: VGG19
    decoder: Decoder | None
    settings: Settings
    cluster: Cluster | None
    budget: int

    def steps(self, scales: Sequence[Scale], resume: Position | None) -> Iterator[Progress]:
        paintings = mix_strokes(self.network, self.scene.paintings)
        image = self.scene.content
        most = grain.of_paintings([one.beside(image) for one in paintings])
        painted = None if self.scene.protected is None else 1 - self.scene.protected
        planned = sum(scale.evaluations for scale in scales)
        first, done = (resume.scale, resume.step - 1) if resume else (1, 0)
        for number, scale in list(enumerate(scales, start=1))[first - 1 :]:
            state = None
            if resume and number == first:
                state = _on(self.scene.device, resume.state)
                resume = None  # it holds as much as the painting under way
            content, protected, walk = self._begun(paintings, scale, image, state, number)
            state = None
            for step in walk:
                image = step.image.clamp(0, 1)
                done = min(done + 1, planned)
                position = Position(number, done, self.budget, step.state) if step.state else None
                shown = trimmed(image, scale)
                if shown.shape == self.scene.content.shape:  # a cluster shows smaller ones on its way
                    shown = grain.held(shown, most, self.settings.strength, painted)
                yield Progress(
                    number, len(scales), done, planned, losses_of(step), shown, None, notes_of(step), position
                )
            if protected is not None:  # where nothing has been painted; elsewhere painting goes on from paint
                image = torch.where(protected < 1, image, content)
            if number < len(scales):
                image = narrowed(image, scale, scales[number])
            done = sum(s.evaluations for s in scales[:number])

    def _begun(
        self, paintings: Sequence[StyleImage], scale: Scale, image: Tensor, state: State | None, number: int
    ) -> tuple[Tensor, Tensor | None, Iterator[Step]]:
        """The photograph at a scale, what of it is protected, and the optimisation.

        A function of its own so that nothing that only the start needs is held while the optimisation goes on.
        """
        coarsest = number == 1
        picture = resize(self.scene.content, *scale.picture)
        content = spread(picture, scale)
        styles = [painting.beside(picture) for painting in paintings]
        style = blended_moments(self.network, styles, [*scale.weights.layers, ADAIN_LAYER], scale.plan.side)
        guidance = {name: spread(maps, scale) for name, maps in self.scene.guidance(picture).items()}
        strength, proportions = self.settings.strength, scale.weights.matched > 0
        recolored = in_colors_of(styles, content, guidance.get("masks"), strength, proportions=proportions)
        if state is None:
            if coarsest:
                image = self._first_image(scale, content, recolored)
            elif image.shape != content.shape:
                image = self._enlarged(image, style[ADAIN_LAYER], recolored, guidance.get("masks"))
        if self.cluster and state is None and self.cluster.wants(scale):
            walk = self.cluster.minimise(without_matches(scale), content, style, image, guidance)
        else:
            indices = targets = None
            scale = scale if fits(styles) else without_matches(scale)
            if scale.weights.matched:
                held = scale.weights.colors * firmness(styles, recolored)
                scale = replace(scale, weights=replace(scale.weights, colors=held))
                layers = scale.weights.matched_layers
                whole = are_whole(scale.height * scale.width // CELL**2, layers)
                pieces = bank(self.network, styles, layers, whole=whole, side=scale.plan.side)
                if state is None:
                    shown = recolored if coarsest else torch.lerp(recolored, image, SHARED)
                    shares = [style.weight for style in styles]
                    masks = guidance.get("masks")
                    found = matched(
                        self.network, pieces, shown, shares, masks, side=scale.plan.side, continuing=scale.lays
                    )
                    indices = found.indices
                    if found.cosines is not None and not coarsest:
                        image = with_pieces(image, laid(pieces, indices), found.cosines, strength)
                else:
                    indices = _matches_of(state, pieces, content, number)
                targets = targets_of(pieces, indices)
                del pieces
            walk = minimise_scale(
                self.network, scale, content, style, image, guidance, self.settings, state, targets, recolored
            )
            if indices is not None:
                walk = _with_matches(walk, indices)
        return content, guidance.get("protected"), walk

    def _first_image(self, scale: Scale, content: Tensor, recolored: Tensor) -> Tensor:
        """Where the optimisation starts."""
        if self.scene.first is not None:
            return spread(resize(self.scene.first, *scale.picture), scale)
        return noise(content, self.settings.seed) if self.settings.init == "noise" else recolored

    def _enlarged(self, image: Tensor, style: Moments, recolored: Tensor, regions: Tensor | None) -> Tensor:
        """The image at the next scale's size, with new detail.

        It is the photograph's up to strength 50, which keeps its edges, and gives way to what an AdaIN pass invents.
        """
        invented = max(0.0, self.settings.strength - FULL_COLOR) / (100 - FULL_COLOR)
        enlarged = with_detail_of(recolored, image)
        if invented and self.decoder:
            larger = resize(image, recolored.shape[-2], recolored.shape[-1])
            painted = paint_instantly(self.network, self.decoder, larger, style, masks=regions)
            enlarged = torch.lerp(enlarged, with_detail_of(painted, image), invented)
        return enlarged


def minimise_scale(
    network: VGG19,
    scale: Scale,
    content: Tensor,
    style: Mapping[str, Moments],
    image: Tensor,
    guidance: Mapping[str, Tensor],
    settings: Settings,
    state: State | None = None,
    targets: Targets | None = None,
    colors: Tensor | None = None,
) -> Iterator[Step]:
    """The optimisation of one scale, on this machine; arguments as of `Objective`."""
    plan = scale.plan
    network.forget_beyond(scale.weights.layers)  # fine scales look less deep, and need the memory,
    give_back()  # as they need what smaller ones and the search have left in pieces
    objective = Objective(
        network,
        content,
        style,
        scale.weights,
        masks=guidance.get("masks"),
        protected=guidance.get("protected"),
        targets=targets,
        colors=colors,
        side=plan.side,
        remember=plan.remember,
    )
    return minimise(
        objective,
        image,
        LBFGS(history=plan.history) if settings.optimizer == "lbfgs" else Adam(),
        scale.evaluations,
        tolerance=scale.tolerance,
        state=state,
        ahead=image.is_cuda and plan.side is None,  # tiles take long enough, and want the memory
    )


def _with_matches(walk: Iterator[Step], indices: Tensor) -> Iterator[Step]:
    """The steps with what was matched in their states: it rests on the image at which the scale began."""
    for step in walk:
        yield replace(step, state={**step.state, "matches": indices})


def spread(maps: Tensor, scale: Scale) -> Tensor:
    """Maps (..., height, width) of the picture, mirrored beyond its edges as far as it bleeds."""
    return F.pad(maps, (scale.bleed,) * 4, "reflect") if scale.bleed else maps


def narrowed(image: Tensor, scale: Scale, following: Scale) -> Tensor:
    """An image of a scale with as much beyond its edges as the following one paints there."""
    kept = round(following.bleed * max(scale.picture) / max(following.picture))
    cut = scale.bleed - kept
    return image[..., cut : scale.height - cut, cut : scale.width - cut] if cut > 0 else image


def trimmed(image: Tensor, scale: Scale) -> Tensor:
    """An image of a scale, or a smaller picture of it, without the bleed."""
    height, width = image.shape[-2:]
    y, x = round(scale.bleed * height / scale.height), round(scale.bleed * width / scale.width)
    return image[..., y : height - y, x : width - x].contiguous()


def _matches_of(state: State, pieces: Bank, image: Tensor, number: int) -> Tensor:
    """What an image's cells were matched with when the scale began, if that can be."""
    indices: Tensor | None = state.get("matches")
    cells = (image.shape[-2] // CELL, image.shape[-1] // CELL)
    if indices is None or indices.shape != cells or int(indices.max()) >= len(pieces) or int(indices.min()) < 0:
        raise SettingsError(NOT_OF_THIS.format(number))
    return indices


def _on(device: torch.device, state: Any) -> Any:
    """The state with its tensors on a device."""
    if isinstance(state, dict):
        return {key: _on(device, value) for key, value in state.items()}
    if isinstance(state, list):
        return [_on(device, value) for value in state]
    return state.to(device) if isinstance(state, Tensor) else state
