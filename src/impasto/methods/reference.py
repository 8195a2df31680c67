"""The procedure of the paper (Gatys, Ecker and Bethge 2016): one scale, their losses, their optimiser."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from impasto.images.reading import resize
from impasto.methods.progress import Position, Progress, losses_of, notes_of
from impasto.methods.scene import Scene
from impasto.methods.schedule import Scale, check_side, planned
from impasto.methods.starts import noise
from impasto.methods.styles import blended_moments, mix_strokes
from impasto.network.models import Models
from impasto.network.vgg import VGG19
from impasto.objective.objective import Objective, TermWeights
from impasto.objective.optimize import PaperLBFGS, minimise
from impasto.settings import QUALITIES, Settings, layer_weights

HISTORY = (100,)  # pairs that torch's L-BFGS remembers

PAPER = TermWeights(
    content_layers={"relu4_2": 1.0},
    style_layers={f"relu{block}_1": 1.0 for block in range(1, 6)},
    style=10.0,
    relative=False,
)
"""Gatys et al. (2016): equal weights for the five style layers.

Differs from the paper: both losses are means over entries instead of sums, as in the authors' own PyTorch notebook, so
their ratio of 10 is not the paper's 10³; with this network's features it keeps the photograph readable.
"""


def weights_for(settings: Settings) -> TermWeights:
    """`PAPER`, with layers that were chosen; the usual ones, of other qualities, stand for the paper's."""
    usual = Settings()
    weights = PAPER
    if settings.content_layers != usual.content_layers:
        weights = replace(weights, content_layers=layer_weights(settings.content_layers))
    if settings.style_layers != usual.style_layers:
        weights = replace(weights, style_layers=layer_weights(settings.style_layers))
    return weights


def scales(height: int, width: int, settings: Settings, budget: float) -> list[Scale]:
    """The one scale that is painted, as of `schedule`."""
    check_side(height, width)
    quality = QUALITIES["reference"]
    weights = weights_for(settings)
    plan = planned(height, width, weights, budget, HISTORY)
    evaluations = settings.evaluations or quality.evaluations[0]
    return [Scale(height, width, evaluations, quality.tolerance, weights, plan)]


def network(models: Models, device: torch.device, settings: Settings) -> VGG19:
    """The network as it was trained, or with the average pooling of the paper (section 2), computed as others do."""
    return models.vgg(device, pooling=settings.pooling, winograd=False)


def paint(
    scene: Scene,
    models: Models,
    settings: Settings,
    scales: Sequence[Scale],
    *,
    budget: int,
    resume: Position | None = None,
) -> Iterator[Progress]:
    """Gatys et al. (2016), section 2: the output's pixels are optimised from the photograph, at full size."""
    return _steps(scene, network(models, scene.device, settings), settings, scales[0], budget, resume)


def _steps(
    scene: Scene, network: VGG19, settings: Settings, scale: Scale, budget: int, resume: Position | None
) -> Iterator[Progress]:
    content, guidance = scene.content, scene.guidance(scene.content)
    styles = [painting.beside(content) for painting in mix_strokes(network, scene.paintings)]
    objective = Objective(
        network,
        content,
        blended_moments(network, styles, scale.weights.layers, scale.plan.side),
        scale.weights,
        side=scale.plan.side,
        remember=scale.plan.remember,
        masks=guidance.get("masks"),
        protected=guidance.get("protected"),
    )
    steps = minimise(
        objective,
        _start(scene, settings),
        PaperLBFGS(),
        scale.evaluations,
        tolerance=scale.tolerance,
        explosion=math.inf,  # the paper's optimiser may wander
        state=resume.state if resume else None,
    )
    done = resume.step - 1 if resume else 0
    for step in steps:
        image = step.image.clamp(0, 1)  # that optimiser knows no bounds
        done = min(done + 1, scale.evaluations)
        position = Position(1, done, budget, step.state)
        yield Progress(1, 1, done, scale.evaluations, losses_of(step), image, None, notes_of(step), position)


def _start(scene: Scene, settings: Settings) -> Tensor:
    if scene.first is not None:
        return resize(scene.first, *scene.content.shape[-2:])
    return noise(scene.content, settings.seed) if settings.init == "noise" else scene.content
