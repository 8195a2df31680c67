"""The paintings whose style is painted: what each weighs, how large its strokes are, and where it counts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from torch import Tensor

from impasto.errors import SettingsError
from impasto.images.areas import EVERYWHERE, REGION_COLORS
from impasto.images.color import color_moments, match_colors
from impasto.images.gallery import network_file, style_pictures
from impasto.images.masks import pair_regions
from impasto.images.reading import resize, to_image
from impasto.network.remembered import digest
from impasto.network.vgg import VGG19
from impasto.objective.moments import Moments, blend
from impasto.objective.objective import Objective, TermWeights, style_moments
from impasto.objective.optimize import LBFGS, minimise
from impasto.settings import Settings

SMALLEST_STYLE = 32  # px: relu5_1 is a sixteenth of it
LIGHTEST = 1e-30  # of paintings, beside one of about 1
STROKE_LAYERS = ("relu1_1", "relu2_1")  # which see no more than strokes
STROKE_EVALUATIONS = 30
STYLE_TILE = 1024  # px: a painting may be much larger than the picture


@dataclass(frozen=True)
class StyleImage:
    """One of the pictures whose style is painted.

    Attributes:
        image: (1, 3, height, width), as large as the last scale needs it, or at its own smaller size.
        weight: its share among the paintings.
        scale: size of its strokes; 1 is that of the whole painting in the whole output.
        strokes: "all", or only its "coarse" forms, or only its "fine" strokes, for the coarse ones.
        number: which of the paintings that were given it belongs to.
        masks: (regions, height, width) in [0, 1], where it counts for each region; None if there are none.
    """

    image: Tensor
    weight: float = 1.0
    scale: float = 1.0
    strokes: str = "all"
    number: int = 0
    masks: Tensor | None = None

    def beside(self, content: Tensor) -> StyleImage:
        """At the size at which its strokes go with a content image's size."""
        image = at_scale(self.image, content, self.scale)
        return replace(self, image=image, masks=None if self.masks is None else at_size(self.masks, image))

    @property
    def share(self) -> float | Tensor:
        """Its weight, in each region that it counts in."""
        return self.weight if self.masks is None else self.weight * (self.masks.amax((1, 2)) > 0)


def read_paintings(sources: Sequence[Any], photograph: Tensor, settings: Settings) -> list[StyleImage]:
    """The paintings from whatever holds them, on the photograph's device; the pictures in a folder share its weight."""
    if not sources:
        raise SettingsError("there is no painting; give the path of one, or the name of a style that ships")
    if networks := [one for one in sources if isinstance(one, str | Path) and network_file(one)]:
        raise SettingsError(f"{networks[0]} is a network, not a painting; give a picture, or a painting that ships")
    names = ("style_weight", "style_scale", "strokes")
    each = list(zip(*(settings.for_each(name, len(sources)) for name in names), strict=True))
    alone = not any(weight for weight, _, strokes in each if strokes == "fine")  # then nothing to share among
    memory = settings.memory if photograph.device.type == "cpu" else "auto"  # of the machine that reads
    weights = comparable([1.0 if strokes == "fine" and alone else weight for weight, _, strokes in each])
    paintings = []
    for number, (source, weight, (_, scale, strokes)) in enumerate(zip(sources, weights, each, strict=True)):
        pictures = style_pictures(source) if isinstance(source, str | Path) else [source]
        if weight > 0:
            for picture in pictures:
                # no scale needs it larger than the last one, which a folder of photographs would not fit in memory
                image = at_scale(to_image(picture, memory=memory).image.to(photograph.device), photograph, scale)
                paintings.append(StyleImage(image, weight / len(pictures), scale, strokes, number))
    return paintings


def comparable(weights: Sequence[float]) -> list[float]:
    """Weights in the same proportions that float32 can hold: the largest near 1, none but 0 lost beside it.

    They are multiplied by a power of two, which rounds nothing.
    """
    _, exponent = math.frexp(max(weights))
    return [max(math.ldexp(weight, -exponent), LIGHTEST) if weight > 0 else 0.0 for weight in weights]


def with_masks(
    mask: Any, style_mask: Any, photograph: Tensor, paintings: list[StyleImage], count: int
) -> tuple[Tensor | None, list[StyleImage]]:
    """The regions of the photograph, and the paintings with theirs."""
    masks = style_mask if isinstance(style_mask, list | tuple) else [] if style_mask is None else [style_mask]
    if mask is None and masks:
        raise SettingsError(
            "style_mask needs mask: which regions of the photograph are painted like those of a painting"
        )
    if mask is None:
        return None, paintings
    if len(masks) != count:
        raise SettingsError(
            f"there are {len(masks)} style masks for {count} painting{'s' if count != 1 else ''}; give each painting a "
            f"mask, or the name of the colour where it is painted ({', '.join(REGION_COLORS)}), or {EVERYWHERE}"
        )
    if any(painting.strokes != "all" for painting in paintings):
        raise SettingsError("strokes cannot be mixed where mask is given; leave out one of them")
    own_masks = [masks[painting.number] for painting in paintings]
    paired = pair_regions(mask, own_masks, photograph, [painting.image for painting in paintings])
    if paired is None:
        return None, paintings
    device = photograph.device
    guided = [replace(painting, masks=own.to(device)) for painting, own in zip(paintings, paired[1], strict=True)]
    return paired[0].to(device), guided


def at_scale(painting: Tensor, content: Tensor, style_scale: float) -> Tensor:
    """The painting with as many pixels as the content image at this scale, times the square of the style scale.

    It is not enlarged beyond its own size: blurred strokes would be painted as blur.
    """
    height, width = painting.shape[-2:]
    factor = min(1.0, style_scale * (content.shape[-2] * content.shape[-1] / (height * width)) ** 0.5)
    return resize(painting, max(SMALLEST_STYLE, round(height * factor)), max(SMALLEST_STYLE, round(width * factor)))


def no_larger(image: Tensor, side: int) -> Tensor:
    """An image, reduced where its longer side has more pixels than that."""
    factor = side / max(image.shape[-2:])
    if factor >= 1:
        return image
    return resize(image, *(max(SMALLEST_STYLE, round(length * factor)) for length in image.shape[-2:]))


def mix_strokes(network: VGG19, paintings: Sequence[StyleImage]) -> list[StyleImage]:
    """The paintings of which all is taken, and the coarse ones painted anew with the strokes of the fine ones.

    Gatys et al. (2017, section 6): adding up losses of fine layers of one painting and coarse layers of another does
    not do, since coarse features see strokes as well. So the coarse painting itself is optimised to have the other's
    Gram matrices at fine layers, and serves as the style from then on.

    Differs from the paper: the fine paintings have the coarse one's colours, so that only their strokes are taken.
    """
    mixed = []
    fine = [painting for painting in paintings if painting.strokes == "fine"]
    for painting in paintings:
        if painting.strokes == "coarse":
            shares = tuple(one.weight for one in fine)
            what = "strokes", shares, digest(painting.image, *(one.image for one in fine))
            mix = partial(_with_strokes, network, painting.image, fine)
            painting = replace(painting, image=network.remember(what, mix, lambda image: image.nbytes))
        if painting.strokes != "fine":
            mixed.append(painting)
    return mixed


def _with_strokes(network: VGG19, coarse: Tensor, fine: Sequence[StyleImage]) -> Tensor:
    palette = color_moments(coarse)
    recolored = [replace(one, image=match_colors(one.image, palette)) for one in fine]
    style = blended_moments(network, recolored, STROKE_LAYERS)
    weights = TermWeights(content_layers={}, style_layers=dict.fromkeys(STROKE_LAYERS, 1.0))
    objective = Objective(network, coarse, style, weights, side=STYLE_TILE)
    *_, last = minimise(objective, coarse, LBFGS(), STROKE_EVALUATIONS)
    return last.image


def blended_moments(
    network: VGG19, styles: Sequence[StyleImage], layers: Sequence[str], side: int | None = None
) -> dict[str, Moments]:
    """One style of several paintings, each with its share, by layer; in tiles of `STYLE_TILE` or smaller.

    Each painting's own are computed once for pictures of a size, whatever the photographs.
    """
    side = min(side or STYLE_TILE, STYLE_TILE)
    each = []
    for style in styles:
        what = "moments", tuple(layers), side, digest(style.image, style.masks)
        measure = partial(style_moments, network, style.image, layers, side, masks=style.masks)
        each.append(network.remember(what, measure, lambda found: sum(one.nbytes for one in found.values())))
    return {layer: blend([one[layer] for one in each], [style.share for style in styles]) for layer in layers}


def at_size(maps: Tensor, image: Tensor) -> Tensor:
    """Maps (..., height, width) at the size of an image."""
    height, width = image.shape[-2:]
    return resize(maps.reshape(1, -1, *maps.shape[-2:]), height, width).reshape(*maps.shape[:-2], height, width)
