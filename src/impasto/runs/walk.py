"""The state of a painting as checkpoints store it: checked part by part before a painting goes on from it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NotRequired, TypedDict

import torch
from torch import Tensor

from impasto.errors import CheckpointError
from impasto.painting import Position
from impasto.runs.stored import decoded
from impasto.settings import Settings


class Looked(TypedDict):
    """An evaluation (`impasto.objective.optimize.Step`)."""

    image: Tensor  # (1, 3, height, width), as gradients are
    loss: Tensor  # (), as terms are
    gradient: Tensor
    terms: dict[str, Tensor]


class LBFGSMemory(TypedDict):
    """Of `impasto.objective.optimize.LBFGS`."""

    first_step: float
    pairs: list[tuple[Tensor, Tensor, Tensor]]
    scale: Tensor
    last: tuple[Tensor, Tensor] | None


class AdamMemory(TypedDict):
    """Of `impasto.objective.optimize.Adam`."""

    rate: float
    count: int
    mean: Tensor | None
    square: Tensor | None


class TorchWalk(TypedDict):
    """Of `torch.optim.LBFGS`; what has no shape here is one number for each pixel and channel."""

    func_evals: int
    n_iter: int
    d: Tensor
    t: float | Tensor
    old_dirs: list[Tensor]
    old_stps: list[Tensor]
    ro: list[Tensor]  # ()
    H_diag: float | Tensor
    prev_flat_grad: Tensor
    prev_loss: float
    al: NotRequired[list[Tensor | None]]  # ()


class PaperMemory(TypedDict):
    """Of `impasto.objective.optimize.PaperLBFGS`."""

    pixels: Tensor
    walk: TorchWalk | None


class Walk(TypedDict):
    """What `impasto.objective.optimize.minimise` goes on from, and the method beside it."""

    now: Looked
    best: Looked | None
    optimizer: LBFGSMemory | AdamMemory | PaperMemory
    proposal: Tensor
    losses: list[float]
    count: int
    since_best: int
    retreats: int
    matches: NotRequired[Tensor]  # (rows, columns) of cells


MEMORIES: dict[str, Any] = {"lbfgs": LBFGSMemory, "adam": AdamMemory, "paper": PaperMemory}


def checked_walk(position: Position) -> Position:
    """A position of a painting, if it can be one.

    Raises:
        TypeError, ValueError: it cannot; says which part.
    """
    state: Walk = decoded(Walk, position.state, "state")
    now, best = state["now"], state["best"] or state["now"]
    image = now["image"]
    if image.ndim != 4 or image.shape[:2] != (1, 3) or not image.is_floating_point() or not image.isfinite().all():
        raise ValueError("state.now.image is no image")
    alike, numbers, flat = _parts(state["optimizer"])
    for looked in (now, best):
        alike += [looked["image"], looked["gradient"]]
        numbers += [looked["loss"], *looked["terms"].values()]
    for x in [*alike, state["proposal"]]:
        if x.shape != image.shape or x.dtype != image.dtype:
            raise ValueError(f"state holds an image of {tuple(x.shape)} {x.dtype} beside one of {tuple(image.shape)}")
    if any(x.shape != (image.numel(),) or x.dtype != image.dtype for x in flat):
        raise ValueError("state.optimizer.walk is of another image")
    if any(x.shape != () or not x.is_floating_point() for x in numbers):
        raise ValueError("state holds a picture where a number is wanted")
    if not state["losses"] or min(state["count"], state["since_best"] + 1, state["retreats"] + 1) < 1:
        raise ValueError("state has no evaluation")
    matches = state.get("matches")
    if matches is not None and matches.dtype != torch.int64:  # which they may be, the method knows
        raise ValueError("state.matches are no cells")
    return position


def check_fits(position: Position, settings: Settings) -> None:
    """Refuse a position of other settings.

    Raises:
        CheckpointError: it is one.
    """
    name = "paper" if settings.quality == "reference" else settings.optimizer
    if position.state["optimizer"].keys() != MEMORIES[name].__annotations__.keys():
        raise CheckpointError(
            f"the checkpoint holds what another optimizer than {name} remembers; it is damaged: paint from the start"
        )


def _parts(memory: Any) -> tuple[list[Tensor], list[Tensor], list[Tensor]]:
    """Of what an optimiser remembers: what is like the image, what is a number, what is a flat image."""
    if "pairs" in memory:
        pairs = memory["pairs"]
        images = [x for s, y, _ in pairs for x in (s, y)] + list(memory["last"] or ())
        return images, [memory["scale"], *(rho for *_, rho in pairs)], []
    if "rate" in memory:
        if (memory["mean"] is None) != (memory["square"] is None) or memory["count"] < 0:
            raise ValueError("state.optimizer has one of two moments")
        return [x for x in (memory["mean"], memory["square"]) if x is not None], [], []
    walk: Mapping[str, Any] | None = memory["walk"]
    if walk is None:
        return [], [], []
    directions, steps, ratios = walk["old_dirs"], walk["old_stps"], walk["ro"]
    if not len(directions) == len(steps) == len(ratios) <= len(walk.get("al", directions)) or walk["n_iter"] < 1:
        raise ValueError("state.optimizer.walk has lists of different lengths")
    numbers = [*ratios, *walk.get("al", ()), walk["t"], walk["H_diag"]]
    flat = [walk["d"], walk["prev_flat_grad"], *directions, *steps]
    return [memory["pixels"]], [x for x in numbers if isinstance(x, Tensor)], flat
