"""What is minimised at which size: settings turned into the scales of a pyramid, coarsest first."""

from __future__ import annotations

from dataclasses import dataclass

from impasto.objective import Weights
from impasto.settings import QUALITIES, Settings, layer_weights
from impasto.vgg import LAYERS

COARSEST = 128  # px of the longer side, about: at less, the photograph is lost
COARSE_STYLE = (0.3, 0.6)  # of the style weight at the coarsest scales, where the painting's layout would take over
BALANCE = 15.0  # style over content at strength 50, both relative to their targets
DEEPEST_FINE = "relu3_1"  # of the layers that large scales see

PAPER = Weights(
    content_layers={"relu4_2": 1.0},
    style_layers={f"relu{block}_1": 1.0 for block in range(1, 6)},
    style=10.0,
    relative=False,
)
"""Gatys et al. (2016): equal weights for the five style layers.

Differs from the paper: both losses are means over entries instead of sums, as in the authors' own PyTorch notebook, so
their ratio of 10 is not the paper's 10³; with this network's features it keeps the photograph readable.
"""


@dataclass(frozen=True)
class Scale:
    """One level of the pyramid."""

    height: int
    width: int
    evaluations: int
    tolerance: float
    weights: Weights

    @property
    def cost(self) -> float:
        """Of one evaluation, relative: its pixels, a third as dear when only the first layers are computed."""
        deep = any(LAYERS.index(layer) > LAYERS.index(DEEPEST_FINE) for layer in self.weights.layers)
        return self.height * self.width * (1.0 if deep else 1 / 3)


def schedule(height: int, width: int, settings: Settings) -> list[Scale]:
    """The scales at which a picture of a size is painted, coarsest first; each has half the size of the next."""
    quality = QUALITIES[settings.quality]
    if settings.quality == "reference":
        return [Scale(height, width, quality.evaluations[0], quality.tolerance, PAPER)]
    sizes = pyramid(height, width)
    scales = []
    for level, (h, w) in enumerate(sizes):
        evaluations = quality.evaluations[min(level, len(quality.evaluations) - 1)]
        share = COARSE_STYLE[level] if level < min(len(COARSE_STYLE), len(sizes) - 1) else 1.0
        fine = max(h, w) > quality.deep_size
        scales.append(Scale(h, w, evaluations, quality.tolerance, weights_for(settings, share, fine=fine)))
    return scales


def pyramid(height: int, width: int) -> list[tuple[int, int]]:
    """Heights and widths from about `COARSEST` to the given size, by factors of two."""
    sizes = [(height, width)]
    while max(sizes[0]) >= COARSEST * 2**0.5 and min(sizes[0]) >= 32:
        factor = 2 ** len(sizes)  # of the last size, so that rounding does not add up
        sizes.insert(0, (round(height / factor), round(width / factor)))
    return sizes


def weights_for(settings: Settings, share: float, *, fine: bool) -> Weights:
    """The objective's weights: content + style = 1, their ratio from the strength."""
    content, style = layer_weights(settings.content_layers), layer_weights(settings.style_layers)
    if fine:
        content, style = _shallow(content), _shallow(style)
    t = settings.strength / 100
    ratio = BALANCE * share * t / (1 - t) if t < 1 else float("inf")
    return Weights(
        content_layers=content,
        style_layers=style,
        content=1 / (1 + ratio),
        style=1 - 1 / (1 + ratio),
        smoothness=settings.smoothness,
    )


def _shallow(layers: dict[str, float]) -> dict[str, float]:
    """The layers up to `DEEPEST_FINE`; if there is none, that one."""
    limit = LAYERS.index(DEEPEST_FINE)
    return {k: w for k, w in layers.items() if LAYERS.index(k) <= limit and w} or {DEEPEST_FINE: 1.0}
