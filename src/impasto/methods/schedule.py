"""What is minimised at which size: settings turned into the scales of a pyramid, coarsest first."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from impasto.errors import SettingsError
from impasto.methods.progress import Position
from impasto.network.layers import LAYERS
from impasto.objective.memory import HISTORIES, Plan, plan
from impasto.objective.objective import TermWeights, used
from impasto.settings import QUALITIES, Settings, layer_weights

T = TypeVar("T")

COARSEST = 128  # px of the longer side, about: at less, the photograph is lost
SMALLEST = 16  # px of the shorter side: relu5_1 is a sixteenth of it
BLEED = 4  # px painted beyond each edge at the coarsest scale, and cut off: the network sees edges, and frames them;
MOST_BLEED = 16  # at larger ones twice as many, and at most so many
BALANCE = 30.0  # style over content at strength 50, both relative to their targets
STEEPNESS = 1.5  # of that ratio in strength / (100 - strength); see docs/strength.md
LINES = 5.0  # weight of the photograph's lines at keep_lines 100, where content + style = 1
COARSE_STYLE = (0.4, 0.8)  # of the style weight at the coarsest scales, where the painting's layout would take over
FINE = 384  # px of the longer side: larger scales see only the layers up to the following, which are cheaper,
FINE_STYLE = "relu4_1"  # since the broad strokes lie already,
FINE_CONTENT = "relu3_1"  # and keep the photograph's edges
ADAM_HISTORY = (1,)  # its two moments

MATCHED_COARSEST = 64  # px: pieces of the painting are laid by what they are, which holds the photograph
MATCHED_FINE = 96  # px, instead of `FINE`: all scales but the coarsest, since pieces hold the broad strokes
MATCHED_CONTENT = 4.5  # of the content's weight above `FINE`, where pieces, as heavy as the style, would move edges
MATCHED = 1.0  # weight of matched targets where that of the style is 1
PIECES_FROM = 192  # px of the longer side: in larger scales pieces are laid; smaller ones decide what is where
ROUND = 8  # evaluations, which fit together what was laid
MATCHED_TOLERANCE = 0.2  # of the quality's tolerance: much of this loss stays, however good the picture
COLUMN_LAYERS = tuple(
    f"relu{block}_{number}" for block, count in enumerate((2, 2, 3, 3), start=1) for number in range(1, count + 1)
)
"""Of the columns that are matched (Kolkin et al. 2022), at coarse scales;"""
FINE_COLUMN_LAYERS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1")
"""at fine ones, where the others changed nothing that was measured (docs/matched.md)."""

NOT_OF_THIS = (
    "the position to resume from, at scale {}, is not one of this picture; "
    "give the same photograph, painting and settings again"
)


@dataclass(frozen=True)
class Scale:
    """One level of the pyramid.

    Attributes:
        height, width: of what is painted, in pixels, with the bleed.
        evaluations: at most so many.
        tolerance: of `minimise`.
        weights: of the objective.
        plan: how it is evaluated.
        bleed: pixels that are painted beyond each edge of the picture.
    """

    height: int
    width: int
    evaluations: int
    tolerance: float
    weights: TermWeights
    plan: Plan
    bleed: int = 0

    @property
    def picture(self) -> tuple[int, int]:
        """Height and width of the picture at this scale, without the bleed."""
        return self.height - 2 * self.bleed, self.width - 2 * self.bleed

    @property
    def lays(self) -> bool:
        """Whether pieces are laid before it begins."""
        return self.weights.matched > 0 and max(self.picture) > PIECES_FROM

    @property
    def cost(self) -> float:
        """Of one evaluation, relative: its pixels, and what tiles add."""
        return self.height * self.width * self.plan.work


def check_resumes(position: Position, scales: Sequence[Scale]) -> None:
    """Whatever paints, a position has an image of the size of its scale.

    Raises:
        SettingsError: it has not, so it is one of another picture or of other settings.
    """
    shape = tuple(position.state["now"]["image"].shape[-2:])
    if shape not in [(scale.height, scale.width) for scale in scales[position.scale - 1 : position.scale]]:
        raise SettingsError(NOT_OF_THIS.format(position.scale))


def schedule(
    height: int, width: int, settings: Settings, budget: float = math.inf, *, bleeds: bool = False
) -> list[Scale]:
    """The scales at which a picture of a size is painted, coarsest first; each has half the size of the next.

    Where pieces are laid, one may come in rounds: long optimisation moves on from the paint that was laid.

    Args:
        height, width: of the picture.
        settings: how to paint.
        budget: bytes of memory that may be used.
        bleeds: paint beyond the edges of the picture; the paper's procedure does not, and textures, which have no
            photograph to be matched with, do not.

    Raises:
        SettingsError: the network cannot see a picture that narrow, the memory does not suffice, or there are fewer
            evaluations than scales.
    """
    check_side(height, width)
    quality = QUALITIES[settings.quality]
    matching = bleeds and (settings.method == "matched" or (settings.method == "auto" and quality.matched))
    sizes = pyramid(height, width, MATCHED_COARSEST if matching else COARSEST)
    usual = quality.matched_evaluations if matching else quality.evaluations
    evaluations = [_at(level, usual) for level in range(len(sizes))]
    if settings.evaluations:
        evaluations = shared_out(settings.evaluations, evaluations)
    shares = (*COARSE_STYLE[: len(sizes) - 1], 1.0)
    first_bleed = BLEED * bleeds * (MATCHED_COARSEST / COARSEST if matching else 1)
    scales: list[Scale] = []
    for level, (h, w) in enumerate(sizes):
        fine = max(h, w) > FINE
        bolder = _at(level, quality.matched_style) if matching else quality.fine_style if fine else 1.0
        style = _at(level, shares) * bolder
        weights = weights_for(settings, style, fine=fine or (matching and max(h, w) > MATCHED_FINE))
        if matching:
            weights = with_matches(weights, _at(level, quality.held_colors), fine=fine)
        bleed = min(MOST_BLEED, round(first_bleed * 2**level))
        h, w = h + 2 * bleed, w + 2 * bleed
        way = planned(h, w, weights, budget, histories(settings))
        tolerance = quality.tolerance * (MATCHED_TOLERANCE if weights.matched else 1)
        scale = Scale(h, w, evaluations[level], tolerance, weights, way, bleed)
        scales += in_rounds(scale, _at(level, quality.rounds))
    return scales


def _at(level: int, by_scale: Sequence[T]) -> T:
    """What is given by scale, at a level; larger scales have the last."""
    return by_scale[min(level, len(by_scale) - 1)]


def in_rounds(scale: Scale, rounds: int) -> list[Scale]:
    """A scale more than once, its evaluations shared, if it lays pieces; each time it has `ROUND` of them or more."""
    rounds = max(1, min(rounds, scale.evaluations // ROUND)) if scale.lays else 1
    return [replace(scale, evaluations=(scale.evaluations + left) // rounds) for left in reversed(range(rounds))]


def shared_out(evaluations: int, usual: Sequence[int]) -> list[int]:
    """So many evaluations in all, in the proportions of the usual ones: at least one for each scale.

    Raises:
        SettingsError: there are fewer than scales.
    """
    if evaluations < len(usual):
        raise SettingsError(
            f"evaluations={evaluations} is too few: a picture of this size is painted at {len(usual)} sizes, one after "
            f"the other; give {len(usual)} or more, or 0 for the quality's own"
        )
    shares = [evaluations * number / sum(usual) for number in usual]
    found = [math.floor(share) for share in shares]
    largest = sorted(range(len(usual)), key=lambda level: shares[level] % 1, reverse=True)
    for level in largest[: evaluations - sum(found)]:
        found[level] += 1
    while 0 in found:
        found[found.index(max(found))] -= 1
        found[found.index(0)] += 1
    return found


def with_matches(weights: TermWeights, held_colors: float, *, fine: bool) -> TermWeights:
    """The weights with those of matched targets and of colours."""
    layers = FINE_COLUMN_LAYERS if fine else COLUMN_LAYERS
    content = MATCHED_CONTENT if fine else 1.0
    return replace(
        weights,
        matched=MATCHED * weights.style,
        matched_layers=layers,
        matched_content=content,
        colors=held_colors * weights.content,
    )


def without_matches(scale: Scale) -> Scale:
    """A scale as it is painted where nothing is matched."""
    return replace(scale, weights=replace(scale.weights, matched=0.0, matched_layers=(), colors=0.0))


def histories(settings: Settings) -> Sequence[int]:
    """Pairs of images that the optimiser may remember, the most first."""
    return ADAM_HISTORY if settings.optimizer == "adam" else HISTORIES


def check_side(height: int, width: int) -> None:
    """Refuse a picture that is too narrow for the network to see.

    Raises:
        SettingsError: its shorter side has less than `SMALLEST` pixels.
    """
    if min(height, width) < SMALLEST:
        raise SettingsError(
            f"the picture would be {width} × {height} pixels; its shorter side must be {SMALLEST} or more: raise size"
        )


def planned(height: int, width: int, weights: TermWeights, budget: float, histories: Sequence[int]) -> Plan:
    """How an objective of some weights is evaluated at a size (`impasto.objective.memory.plan`)."""
    content_layers = used(weights.content_layers, weights.content)
    return plan(height, width, weights.layers, content_layers, budget, histories, weights.matched_layers)


def pyramid(height: int, width: int, coarsest: int = COARSEST) -> list[tuple[int, int]]:
    """Heights and widths from about `coarsest` to the given size, by factors of two."""
    sizes = [(height, width)]
    while max(sizes[0]) >= coarsest * 2**0.5 and min(sizes[0]) >= 2 * SMALLEST:
        factor = 2 ** len(sizes)  # of the last size, so that rounding does not add up
        sizes.insert(0, (round(height / factor), round(width / factor)))
    return sizes


def weights_for(settings: Settings, share: float, *, fine: bool) -> TermWeights:
    """The objective's weights: content + style = 1, their ratio from the strength."""
    content, style = layer_weights(settings.content_layers), layer_weights(settings.style_layers)
    if fine:
        content, style = _up_to(FINE_CONTENT, content), _up_to(FINE_STYLE, style)
    t = settings.strength / 100
    ratio = BALANCE * share * (t / (1 - t)) ** STEEPNESS if t < 1 else float("inf")
    return TermWeights(
        content_layers=content,
        style_layers=style,
        content=1 / (1 + ratio),
        style=1 - 1 / (1 + ratio),
        smoothness=settings.smoothness,
        style_loss=settings.style_loss,
        lines=LINES * settings.keep_lines / 100,
    )


def _up_to(deepest: str, layers: dict[str, float]) -> dict[str, float]:
    """The layers that come no later than one; if there is none, that one."""
    return {k: w for k, w in layers.items() if w and LAYERS.index(k) <= LAYERS.index(deepest)} or {deepest: 1.0}
