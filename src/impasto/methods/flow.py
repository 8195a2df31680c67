"""Where each pixel of a frame was in another one, and where that can be trusted (Ruder et al. 2016)."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from impasto.errors import ImpastoError

CHANGED = 0.08  # mean difference of pixel values around a place, from which it has changed: its light, a shadow
AROUND = 5  # px


@dataclass(frozen=True)
class Flow:
    """Where each pixel of a frame was in another one.

    Attributes:
        vectors: (1, 2, height, width), x and y, in pixels.
        reliable: (1, 1, height, width), 1 where it can be trusted, 0 at occlusions, motion boundaries and outside.
    """

    vectors: Tensor
    reliable: Tensor

    def carry(self, other: Tensor) -> Tensor:
        """Maps (1, C, height, width) of the other frame, as this frame sees them."""
        return carry(self.vectors, other)


def carry(vectors: Tensor, other: Tensor) -> Tensor:
    """Maps (1, C, height, width), each place from where vectors (1, 2, height, width) point to."""
    height, width = other.shape[-2:]
    x, y = _places(vectors)
    grid = torch.stack([x * (2 / (width - 1)) - 1, y * (2 / (height - 1)) - 1], dim=-1)[None]
    return F.grid_sample(other, grid.to(other), "bicubic", "border", align_corners=True)


def chained(vectors: Tensor, further: Tensor) -> Tensor:
    """The vectors through two links: to another frame, and from there to a third."""
    return vectors + carry(vectors, further)


def optical_flow(
    frame: Tensor, other: Tensor, guess: Tensor | None = None, guess_back: Tensor | None = None
) -> tuple[Flow, Flow]:
    """Flow from each of two frames (1, 3, height, width) to the other, by dense inverse search (Kroeger et al. 2016).

    Args:
        frame, other: in [0, 1].
        guess: (1, 2, height, width), of the vectors from `frame` to `other`, where they are further apart than a search
            alone would find.
        guess_back: of those from `other` to `frame`.

    Raises:
        ImpastoError: opencv-python-headless is not installed.
    """
    there, back = _vectors(frame, other, guess), _vectors(other, frame, guess_back)
    return judged(frame, other, there, back), judged(other, frame, back, there)


def judged(frame: Tensor, other: Tensor, there: Tensor, back: Tensor) -> Flow:
    """The vectors from a frame to another, and where they can be trusted: `reliability`, and the light is the same."""
    flow = Flow(there, reliability(there, back))
    difference = (flow.carry(other) - frame).abs().mean(1, keepdim=True)
    around = F.avg_pool2d(difference, AROUND, 1, AROUND // 2, count_include_pad=False)
    return Flow(there, flow.reliable * (around < CHANGED))


def _vectors(frame: Tensor, other: Tensor, guess: Tensor | None) -> Tensor:
    try:
        cv2: Any = importlib.import_module("cv2")
    except ImportError:
        raise ImpastoError("a film needs opencv-python-headless: pip install 'impasto[video]'") from None
    grey = [(image[0].mean(0) * 255).round().to("cpu", torch.uint8).contiguous().numpy() for image in (frame, other)]
    begun = None if guess is None else guess[0].permute(1, 2, 0).to("cpu", torch.float32).contiguous().numpy().copy()
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)  # it searches in a stripe for each, and the vectors depend on where these end
    try:
        found = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM).calc(*grey, begun)
    finally:
        cv2.setNumThreads(threads)
    return torch.from_numpy(found).permute(2, 0, 1)[None].to(frame)


def reliability(there: Tensor, back: Tensor) -> Tensor:
    """Where a flow can be trusted: both conditions of Ruder et al. (2016, section 4.2).

    Args:
        there: (1, 2, height, width), to the other frame.
        back: like it, from the other frame.

    Returns:
        (1, 1, height, width), 0 where |w̃ + ŵ|² > 0.01 (|w̃|² + |ŵ|²) + 0.5, where |∇u|² + |∇v|² > 0.01 |w|² + 0.002, and
        where it leaves the frame.
    """
    height, width = there.shape[-2:]
    returned = carry(there, back)
    squared = there.square().sum(1, keepdim=True)
    gap = (there + returned).square().sum(1, keepdim=True)
    occluded = gap > 0.01 * (squared + returned.square().sum(1, keepdim=True)) + 0.5
    across = F.pad(there, (1, 1, 0, 0), "replicate")
    down = F.pad(there, (0, 0, 1, 1), "replicate")
    slopes = [(across[..., 2:] - across[..., :-2]) / 2, (down[..., 2:, :] - down[..., :-2, :]) / 2]
    boundary = sum(slope.square().sum(1, keepdim=True) for slope in slopes) > 0.01 * squared + 0.002
    x, y = _places(there)
    outside = (x < 0) | (x > width - 1) | (y < 0) | (y > height - 1)
    return (~(occluded | boundary | outside)).to(there)


def _places(vectors: Tensor) -> tuple[Tensor, Tensor]:
    """Where vectors (1, 2, height, width) point to: x and y, (height, width)."""
    y, x = torch.meshgrid(torch.arange(vectors.shape[-2]), torch.arange(vectors.shape[-1]), indexing="ij")
    return x.to(vectors) + vectors[0, 0], y.to(vectors) + vectors[0, 1]
