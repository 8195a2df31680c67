"""How a picture is evaluated within the memory that it may use: whole or in tiles, and how much L-BFGS remembers."""

from __future__ import annotations

import contextlib
import ctypes
import math
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path, PurePosixPath

import psutil
import torch

from impasto.errors import SettingsError
from impasto.network.layers import LAYERS, channels, reach, stride
from impasto.objective.columns import CELL, DIRECTIONS, are_whole, sees
from impasto.objective.tiles import ALIGNMENT, LARGEST, SMALLEST, tiles
from impasto.settings import bytes_of

SHARE = 0.6  # of the free memory that is used unless asked otherwise: other programs grow, and so do estimates' errors
UNLIMITED = 2**62  # bytes
IMAGE = 3 * 4  # bytes per pixel of an image in float32
IMAGES = 10  # held besides L-BFGS's history: photograph, content, current, best, next, shown, gradients, scratch
ACTIVATION = 6.4  # bytes per activation of the layers that are computed, forward and backward; benchmarks/tiles.py
COMPARED = 12.0  # bytes per number of a column while it is compared with its target
TARGET = 2.0  # bytes per number of a target
NETWORK = 600e6  # bytes: weights, their transforms, and what the allocator holds back
RESERVE = 0.1  # of what may be used, that plans leave where they can: allocators hold back more, the longer it goes on
HISTORIES = (10, 5, 2)  # pairs that L-BFGS may remember


@dataclass(frozen=True)
class Plan:
    """How one scale is evaluated.

    Attributes:
        side: of a tile in pixels; None is whole.
        remember: keep the photograph's features between evaluations.
        history: pairs that L-BFGS remembers.
        memory: bytes, an estimate of what is used beyond what is in use already.
        work: of an evaluation, relative to the whole image's at once.
    """

    side: int | None
    remember: bool
    history: int
    memory: float
    work: float

    @property
    def effort(self) -> float:
        """What is made least: a shorter history costs evaluations, but not as many as tiles of mere margin cost."""
        return self.work * (1 + 0.05 * (HISTORIES[0] - self.history))


def memory_budget(text: str, device: torch.device) -> int:
    """Bytes that painting may use beyond what is in use already.

    Args:
        text: "4GB", "800 MiB", or "auto" for a safe share of what is free.
        device: whose memory is meant.

    Raises:
        SettingsError: a text that is no amount of memory.
    """
    total = bytes_of(text)
    return int(SHARE * free_memory(device)) if total is None else max(0, total - in_use(device))


def free_memory(device: torch.device) -> int:
    """Bytes that are free on a device; what torch's allocator keeps for its next tensors is free."""
    if device.type == "cuda":
        cached = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return int(torch.cuda.mem_get_info(device)[0] + cached)
    if device.type == "mps":
        return int(torch.mps.recommended_max_memory() - torch.mps.current_allocated_memory())
    return min(int(psutil.virtual_memory().available), free_in_container())


def in_use(device: torch.device) -> int:
    """Bytes that this process uses on a device."""
    if device.type == "cuda":
        return int(torch.cuda.memory_allocated(device))
    if device.type == "mps":
        return int(torch.mps.current_allocated_memory())
    return int(psutil.Process().memory_info().rss)


def give_back() -> None:
    """Hand memory that is free in this process to the system, where the C library would hold it (GNU's)."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):  # another C library
            ctypes.CDLL(None).malloc_trim(0)


def free_in_container(groups: Path = Path("/sys/fs/cgroup"), own: Path = Path("/proc/self/cgroup")) -> int:
    """What control groups leave to this process (Linux containers), in bytes; very much where there are none.

    What they count as used holds the files that were read lately, which give way when memory is wanted.

    Args:
        groups: where the system shows them, of version 2 or 1.
        own: the file that says which of them this process is in.
    """
    free = UNLIMITED
    for folder, names in _groups(groups, own):
        with contextlib.suppress(OSError, ValueError, LookupError):
            limit, used = ((folder / name).read_text().strip() for name in names)
            numbers = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())
            total = "total_" if "total_cache" in numbers else ""  # version 1 has those of the groups within beside them
            files = sum(int(numbers[f"{total}{age}_file"]) for age in ("active", "inactive"))
            if limit != "max":
                free = min(free, max(0, int(limit) - int(used) + files))
    return free


def _groups(root: Path, own: Path) -> Iterator[tuple[Path, tuple[str, str]]]:
    """The control groups of memory that this process is in, the innermost first, and their files of limit and use."""
    with contextlib.suppress(OSError):
        for line in own.read_text().splitlines():
            _, kinds, path = line.split(":", 2)
            if kinds == "":
                folder, names = root, ("memory.max", "memory.current")
            elif "memory" in kinds.split(","):
                folder, names = root / "memory", ("memory.limit_in_bytes", "memory.usage_in_bytes")
            else:
                continue
            inner = PurePosixPath(path.strip("/"))
            yield from ((folder / part, names) for part in (inner, *inner.parents))


def plan(
    height: int,
    width: int,
    layers: Sequence[str],
    content_layers: Sequence[str],
    budget: float,
    histories: Sequence[int] = HISTORIES,
    matched_layers: Sequence[str] = (),
) -> Plan:
    """The cheapest way to evaluate an image of a size within a budget.

    Args:
        height, width: of the image.
        layers: all that are computed.
        content_layers: those of them whose features can be kept.
        budget: bytes.
        histories: pairs that L-BFGS may remember, longest first.
        matched_layers: of the columns that are matched (`impasto.objective.columns`), where there are any.

    Raises:
        SettingsError: even the smallest tiles need more.
    """
    pixels = height * width
    kept = 4.0 * pixels * sum(channels(layer) / stride(layer) ** 2 for layer in content_layers)
    whole = are_whole(pixels // CELL**2, matched_layers)
    column = (sum(map(channels, matched_layers)) if whole else DIRECTIONS) / CELL**2  # numbers per pixel
    per_pixel = ACTIVATION * activations(layers) + COMPARED * column
    held = NETWORK + pixels * TARGET * column
    images = {history: held + pixels * IMAGE * (IMAGES + 2.0 * history) for history in histories}
    beyond = max(reach(layers), sees(matched_layers))
    whole_way = {history: held + pixels * per_pixel + kept for history, held in images.items()}
    smallest = max(tile.pixels for tile in tiles(height, width, SMALLEST, beyond))
    in_tiles = images[histories[-1]] + per_pixel * smallest if max(height, width) > SMALLEST else math.inf
    least = min(whole_way[histories[-1]], in_tiles)
    if least > budget:
        raise SettingsError(
            f"the picture needs {least / 1e9:.2f} GB besides what is in use, and {budget / 1e9:.2f} GB may be used: "
            "raise memory, close other programs, or lower size"
        )
    aim = max(least + 1, (1 - RESERVE) * budget)  # one byte, for rounding
    for history, memory in whole_way.items():
        if memory <= aim:
            return Plan(None, True, history, memory, 1.0)
    choices = []
    for remember, history in product((True, False), histories):
        held = images[history] + kept * remember
        side = _largest_tile(height, width, beyond, (aim - held) / per_pixel)
        if side is None:
            continue
        parts = tiles(height, width, side, beyond)
        # two passes forward and one back, instead of one and one; and the photograph's features anew
        passes = 1.5 if remember else 1.5 + 0.5 * activations(content_layers) / activations(layers)
        work = passes * sum(tile.pixels for tile in parts) / pixels
        choices.append(Plan(side, remember, history, held + per_pixel * max(t.pixels for t in parts), work))
    return min(choices, key=lambda way: way.effort)


def activations(layers: Sequence[str]) -> float:
    """Numbers per pixel in the maps of all convolutions up to the deepest of some layers."""
    deepest = max((LAYERS.index(layer) for layer in layers), default=0)
    return sum(channels(k) / stride(k) ** 2 for k in LAYERS[: deepest + 1] if k.startswith("conv"))


def _largest_tile(height: int, width: int, beyond: int, pixels: float) -> int | None:
    """The largest side of which no tile has more pixels than given, with what it must see beyond its own."""
    for side in range(LARGEST, SMALLEST - 1, -ALIGNMENT):
        if side < max(height, width) and max(t.pixels for t in tiles(height, width, side, beyond)) <= pixels:
            return side
    return None
