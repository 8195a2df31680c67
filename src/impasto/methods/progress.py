"""What every method yields, step by step."""

from __future__ import annotations

import io
from dataclasses import dataclass

from PIL.Image import Image
from torch import Tensor

from impasto.images.writing import to_pil
from impasto.objective.optimize import State, Step


@dataclass(frozen=True)
class Position:
    """Where a painting stands: what `paint_steps` needs to go on to the same picture.

    Attributes:
        scale, step: as in `Progress`.
        memory: bytes that the painting was planned to use; decides about tiles and L-BFGS's history.
        state: that of the optimisation at this scale (`impasto.objective.optimize.State`).
    """

    scale: int
    step: int
    memory: int
    state: State


@dataclass(frozen=True)
class Progress:
    """One step of the optimisation, as `paint_steps` yields it.

    Attributes:
        scale, scales: of the pyramid; 1 is the coarsest, and a size may come more than once.
        step, steps: evaluations of the objective so far, and planned, over all scales; it may end earlier.
        losses: weighted terms of the objective, "content", "style", ..., and their sum, "total".
        image: (1, 3, height, width) in [0, 1], at this scale; on a cluster a smaller one until its last step.
        seconds_left: an estimate; None before anything is known.
        share: of the work that is done, an estimate from 0 to 1 that never falls; None where nothing is optimised.
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
    notes: tuple[str, ...] = ()
    position: Position | None = None
    share: float | None = None

    @property
    def done(self) -> float:
        """How much is done, from 0 to 1: the share, or where there is none that of the steps."""
        return self.step / max(self.steps, 1) if self.share is None else self.share

    @property
    def picture(self) -> Image:
        """The image so far, for Pillow."""
        return to_pil(self.image)

    def __repr__(self) -> str:
        height, width = self.image.shape[-2:]
        losses = ", ".join(f"{name} {loss:.3g}" for name, loss in self.losses.items())
        return f"<Progress: step {self.step} of {self.steps}, {width} × {height} pixels{', ' * bool(losses)}{losses}>"

    def _repr_png_(self) -> bytes:
        """As notebooks show it."""
        buffer = io.BytesIO()
        self.picture.save(buffer, "PNG")
        return buffer.getvalue()


def losses_of(step: Step) -> dict[str, float]:
    """The terms of the objective and their sum, as numbers."""
    losses = {name: float(term) for name, term in step.evaluation.terms.items()}
    return {**losses, "total": float(step.evaluation.loss)}


def notes_of(step: Step) -> tuple[str, ...]:
    """What an optimiser had to say."""
    return () if step.note is None else (step.note,)
