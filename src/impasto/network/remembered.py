"""What was computed of a painting, kept for the next picture in its style: the very same tensors come out."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any, TypeVar

import torch
from torch import Tensor

T = TypeVar("T")

MOST = 128 * 10**6  # bytes: all of three paintings at 512 px, statistics of some twenty, of sixty for `instant`


class Remembered:
    """Results by what they were computed from; the least recently used go first. Threads may share it.

    Args:
        most: bytes that are kept at most.
    """

    def __init__(self, most: int = MOST) -> None:
        self.most = most
        self._kept: OrderedDict[Hashable, tuple[Any, int]] = OrderedDict()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._kept)

    @property
    def size(self) -> int:
        """Bytes that are kept."""
        return sum(size for _, size in self._kept.values())

    def get(self, key: Hashable, compute: Callable[[], T], size: Callable[[T], int]) -> T:
        """What was computed for a key before, or else is now; it must not be changed.

        Args:
            key: all that decides about the result.
            compute: makes it; two threads may both, at the same time.
            size: of a result, in bytes; one larger than all that may be kept is not, and takes nobody's place.
        """
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                found: T = self._kept[key][0]
                return found
        result = compute()
        if size(result) > self.most:
            return result
        with self._lock:
            self._kept[key] = result, size(result)
            self._kept.move_to_end(key)
            while self._kept and self.size > self.most:
                self._kept.popitem(last=False)
        return result


def digest(*tensors: Tensor | None) -> str:
    """A hash of the values and shapes of tensors, the device and what the last bit of sums rests on: threads."""
    found = hashlib.sha256(str(torch.get_num_threads()).encode())
    for tensor in tensors:
        if tensor is None:
            found.update(b"none")
        else:
            found.update(f"{tuple(tensor.shape)} {tensor.dtype} {tensor.device}".encode())
            found.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
    return found.hexdigest()
