"""Which method paints which quality, and what each can do: a new quality is a line here and one in `settings`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Protocol

import torch

from impasto.methods import coarse_to_fine, instant, learnt, reference
from impasto.methods.progress import Position, Progress
from impasto.methods.scene import Scene, learnt_style
from impasto.methods.schedule import Scale, check_side, schedule
from impasto.network.models import Models
from impasto.network.vgg import VGG19
from impasto.settings import Settings


class Paint(Protocol):
    """Errors are raised by the call, before any step."""

    def __call__(
        self,
        scene: Scene,
        models: Models,
        settings: Settings,
        scales: Sequence[Scale],
        *,
        budget: int,
        resume: Position | None = None,
    ) -> Iterator[Progress]: ...


@dataclass(frozen=True)
class Method:
    """A way to paint.

    Attributes:
        paint: a generator of steps from a scene; its arguments as of `coarse_to_fine.paint`.
        scales: what is evaluated for a picture of some height and width, with settings and a budget of bytes; nothing
            where nothing is optimised.
        network: that computes the features.
        ignores: settings that have no part in it.
        spreads: whether a cluster can share the work.
        losses: whether it takes losses of the caller's.
    """

    paint: Paint
    scales: Callable[[int, int, Settings, float], list[Scale]]
    network: Callable[[Models, torch.device, Settings], VGG19]
    ignores: tuple[str, ...] = ()
    spreads: bool = True
    losses: bool = False

    def without_part(self, settings: Settings) -> tuple[str, ...]:
        """Settings that change nothing: those it ignores, and the seed where nothing is drawn by chance."""
        drawn = settings.init == "noise" and "init" not in self.ignores
        return self.ignores if drawn or "seed" in self.ignores else (*self.ignores, "seed")

    def ignored(self, settings: Settings) -> list[str]:
        """Which settings were changed in vain."""
        return [f.name for f in fields(settings) if f.name in self.ignores and getattr(settings, f.name) != f.default]


def _bleeding(height: int, width: int, settings: Settings, budget: float) -> list[Scale]:
    return schedule(height, width, settings, budget, bleeds=True)


def _none(height: int, width: int, settings: Settings, budget: float) -> list[Scale]:
    check_side(height, width)
    return []


_OBJECTIVE = (
    "method",
    "keep_lines",
    "style_loss",
    "smoothness",
    "content_layers",
    "style_layers",
    "padding",
    "optimizer",
)

COARSE_TO_FINE = Method(coarse_to_fine.paint, _bleeding, coarse_to_fine.network, losses=True)

METHODS = {
    "instant": Method(instant.paint, _none, instant.network, (*_OBJECTIVE, "init", "evaluations"), spreads=False),
    "draft": COARSE_TO_FINE,
    "good": COARSE_TO_FINE,
    "best": COARSE_TO_FINE,
    "reference": Method(
        reference.paint,
        reference.scales,
        reference.network,
        (*(name for name in _OBJECTIVE if not name.endswith("_layers")), "strength", "precision"),
        spreads=False,
        losses=True,
    ),
}
"""By quality."""

LEARNT = Method(learnt.paint, _none, learnt.network, learnt.IGNORED, spreads=False)


def method_for(style: Any, settings: Settings, guidance: Mapping[str, Any] | None = None) -> Method:
    """The method that paints a style: that of the quality, or the network's that has learnt it.

    Raises:
        SettingsError: a network is asked for what it cannot do.
    """
    if learnt_style(style) is None:
        return METHODS[settings.quality]
    learnt.refuse(settings, guidance or {})
    return LEARNT


def in_vain(style: Any, settings: Settings) -> tuple[str, ...]:
    """Sentences about settings that were changed and change nothing, for who would look for what they do."""
    learnt = learnt_style(style) is not None
    method = LEARNT if learnt else METHODS[settings.quality]
    notes = []
    if ignored := method.ignored(settings):
        whose = "a network" if learnt else f"quality={settings.quality}"
        notes.append(f"{whose} leaves out: {', '.join(ignored)}")
    if settings.seed and "seed" in method.without_part(settings) and "seed" not in method.ignores:
        notes.append(f"seed={settings.seed} changes nothing: only a start from noise (init) has random numbers")
    alone = not learnt and not (isinstance(style, list | tuple) and len(style) > 1)
    if alone and settings.style_weight not in (1.0, (1.0,)):
        notes.append(
            "style_weight changes nothing: it is each painting's share among several; strength is how strongly "
            "one is painted"
        )
    return tuple(notes)
