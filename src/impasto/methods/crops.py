"""Pieces of photographs for training: which one a number means, read ahead in a thread, kept where they fit.

A number always means the same piece: of which photograph, at which size, where in it, turned around or not. Numbers
end, so that pieces come again and what is known of them can be kept.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import torch
from torch import Tensor

from impasto.errors import ImageError
from impasto.images.reading import resize, to_image

SIZES = (0.75, 1.0, 1.5)  # of the picture that a crop is of, relative to the recipe's
EACH = 32  # pieces of every photograph
KEPT_BYTES = 256 * 2**20  # of photographs that are held, as bytes
FEWEST = 4  # photographs
HELD_OUT = 10  # every so many photographs one is kept for validation, if there are so many


def random_numbers(*seeds: int) -> torch.Generator:
    """A generator that depends on some whole numbers, in their order, and on nothing else."""
    mixed = 0
    for seed in seeds:  # a linear congruence (Knuth, MMIX) between them, or neighbours would be alike
        mixed = ((mixed ^ seed) * 6364136223846793005 + 1442695040888963407) % 2**63
    return torch.Generator().manual_seed(mixed)


class Order(NamedTuple):
    """What one step sees: of each of its pieces,"""

    step: int
    numbers: list[int]  # which it is
    paintings: list[int]  # after which painting it is painted, from 0
    strengths: list[float]  # how strongly, relative: from 0, not at all, to 1
    corners: list[tuple[int, int]]  # upper and left end of what is judged of it, in pixels


class Crops:
    """Square pieces of photographs.

    Args:
        photographs: whatever holds them, mostly paths; one that cannot be read is left out when its turn comes, and
            the next one is taken.
        side: of a piece, in pixels.
        size: longer side of the picture that a piece is of, at the middle one of `SIZES`.
        seed: of what the numbers mean.
    """

    def __init__(self, photographs: Sequence[Any], side: int, size: int, seed: int) -> None:
        self.photographs, self.side, self.size, self.seed = list(photographs), side, size, seed
        self.broken: dict[int, str] = {}
        self._held: OrderedDict[int, Tensor] = OrderedDict()
        self._bytes = 0

    def __len__(self) -> int:
        return EACH * len(self.photographs)

    def __getitem__(self, number: int) -> Tensor:
        """(1, 3, side, side) in [0, 1].

        Raises:
            ImageError: no photograph can be read any more.
        """
        random = random_numbers(self.seed, number)
        size, top, left, turned = torch.rand(4, generator=random).tolist()
        photograph = self._photograph(number % len(self.photographs))
        height, width = photograph.shape[-2:]
        scale = max(height, width) / (self.size * SIZES[int(size * len(SIZES))])  # its pixels for one of the piece
        span = min(max(1, round(self.side * scale)), height, width)
        y, x = round(top * (height - span)), round(left * (width - span))
        piece = photograph[None, :, y : y + span, x : x + span].float() / 255
        piece = resize(piece, self.side, self.side)
        return piece.flip(3) if turned < 0.5 else piece

    def several(self, numbers: Sequence[int]) -> Tensor:
        """(B, 3, side, side)."""
        return torch.cat([self[number] for number in numbers])

    def _photograph(self, index: int) -> Tensor:
        """(3, height, width), bytes, no larger than any piece needs it."""
        for turn in range(len(self.photographs)):
            number = (index + turn) % len(self.photographs)
            if number in self.broken:
                continue
            try:
                return self._read(number)
            except ImageError as error:
                self.broken[number] = str(error)
        raise ImageError(f"no photograph can be read any more: {next(iter(self.broken.values()))}")

    def _read(self, number: int) -> Tensor:
        if number in self._held:
            self._held.move_to_end(number)
            return self._held[number]
        picture = to_image(self.photographs[number], round(self.size * SIZES[-1]))
        if min(picture.full_height, picture.full_width) < self.side // 3:
            raise ImageError(
                f"{self.photographs[number]} has {picture.full_width} × {picture.full_height} pixels; "
                f"at least {self.side // 3} are needed on the shorter side to learn from"
            )
        photograph = (picture.image[0].clamp(0, 1) * 255).round().to(torch.uint8)
        self._held[number] = photograph
        self._bytes += photograph.numel()
        while self._bytes > KEPT_BYTES and len(self._held) > 1:
            self._bytes -= self._held.popitem(last=False)[1].numel()
        return photograph

    def check(self, most: int = 200) -> int:
        """Read some photographs, spread over all: how many can be used. What cannot is in `broken`."""
        numbers = range(0, len(self.photographs), -(-len(self.photographs) // most))
        for number in numbers:
            try:
                self._read(number)
            except ImageError as error:
                self.broken[number] = str(error)
        return len(self.photographs) - len(self.broken)


def ahead(crops: Crops, orders: Iterable[Order]) -> Iterator[tuple[Order, Tensor]]:
    """The pieces that each of some steps needs, read by a thread while the step before is computed."""
    orders = iter(orders)
    with ThreadPoolExecutor(1) as reader:
        waiting = []
        for order in orders:
            waiting.append((order, reader.submit(crops.several, order.numbers)))
            if len(waiting) > 2:
                ready, piece = waiting.pop(0)
                yield ready, piece.result()
        for ready, piece in waiting:
            yield ready, piece.result()
