"""Processes that teach one network together, each with its part of every step's pieces (started by torchrun)."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor


@dataclass(frozen=True)
class Team:
    """One of some processes.

    Attributes:
        rank: its number, from 0; that one validates, decides and writes.
        count: of them; 1 talks to nobody.
    """

    rank: int = 0
    count: int = 1

    def add_gradients(self, parameters: Iterable[Tensor]) -> None:
        """Give each process the sum of all processes' gradients, in one message."""
        if self.count == 1:
            return
        known = list(parameters)
        parts = self.total([torch.zeros_like(p) if p.grad is None else p.grad for p in known])
        for parameter, part in zip(known, parts, strict=True):
            parameter.grad = torch.empty_like(parameter).copy_(part)

    def total(self, parts: Sequence[Tensor]) -> Sequence[Tensor]:
        """Sums of all processes' tensors, in one message."""
        if self.count == 1 or not parts:
            return parts
        together = torch.cat([part.reshape(-1) for part in parts])
        dist.all_reduce(together)
        pieces = torch.split(together, [part.numel() for part in parts])
        return [piece.view(part.shape) for piece, part in zip(pieces, parts, strict=True)]

    def agreed(self, number: float) -> float:
        """The first process's number: whatever decides about the end must be the same everywhere."""
        if self.count == 1:
            return number
        told = torch.tensor([number], dtype=torch.float64)
        dist.broadcast(told, 0)
        return float(told)


@contextlib.contextmanager
def team() -> Iterator[Team]:
    """The processes that torchrun has started, by what it says in the environment; this one alone without it."""
    count = int(os.environ.get("WORLD_SIZE", "1"))
    if count == 1 or not dist.is_available():
        yield Team()
        return
    dist.init_process_group("gloo")
    try:
        yield Team(dist.get_rank(), count)
    finally:
        dist.destroy_process_group()
