"""The method, coarse to fine: what happens between two pictures going in and one coming out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from impasto.settings import Settings


@dataclass(frozen=True)
class Progress:
    """One step of the optimisation, as `paint_steps` yields it."""

    scale: int  # of the pyramid, 1 is the coarsest
    scales: int
    step: int  # evaluations of the objective so far, all scales
    steps: int  # evaluations planned, all scales (it may end earlier)
    losses: dict[str, float]  # weighted terms of the objective: "content", "style", ..., and their sum "total"
    image: Tensor  # (1, 3, height, width) in [0, 1], at this scale's size; overwritten by the next step
    seconds_left: float | None  # estimate; None before anything is known
    notes: tuple[str, ...] = field(default=())  # what the user should know: a stall, a non-finite loss, ...


def paint_steps(
    content: Any, style: Any | Sequence[Any], settings: Settings | None = None, *, weights: Path | None = None
) -> Iterator[Progress]:
    """Paint step by step; stop by leaving the loop. The last `Progress.image` is the picture."""
    raise NotImplementedError


def paint(content: Any, style: Any | Sequence[Any], settings: Settings | None = None, **changes: Any) -> Any:
    """Paint a photograph in the style of a painting: a Pillow image (a tensor when given a tensor)."""
    raise NotImplementedError
