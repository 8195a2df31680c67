"""Flow that also holds where there is nothing to follow: skies, walls, out of focus.

There a search finds what the sensor's noise suggests, which cannot be trusted, and the paint would flicker. But what
lies around it moves, and the camera does: where such a motion explains both frames, it is taken instead.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from impasto.methods.flow import Flow, judged, optical_flow

COARSE = 4  # px for each place of a smooth motion
NEAR = 1 / 24  # of the longer side: how far around a place its neighbours say how it moves
CAMERA = 0.02  # how much the camera's motion counts beside neighbours that can be trusted everywhere
FADE = 4  # px: half of the way from such a motion to the one that was found
ROUNDS = 4  # of the fit of the camera's motion, each leaving out more of what moves otherwise
OWN = 1.0  # px: what differs more from the camera's motion moves on its own
ALL = 0.999  # of the frame: where so much can be trusted nothing is filled
LEAST = 0.02  # of the frame: of less that can be trusted nothing is concluded


def steady_flow(
    frame: Tensor, other: Tensor, guess: Tensor | None = None, guess_back: Tensor | None = None
) -> tuple[Flow, Flow]:
    """As `optical_flow`, with motion in flat areas from what moves around them, where it can be trusted as well."""
    there, back = optical_flow(frame, other, guess, guess_back)
    if float(torch.minimum(there.reliable, back.reliable).mean()) > ALL:
        return there, back
    away, home = _filled(there), _filled(back)
    return _joined(there, judged(frame, other, away, home)), _joined(back, judged(other, frame, home, away))


def _joined(found: Flow, filled: Flow) -> Flow:
    """What was found where that can be trusted, and else what it was filled with."""
    vectors = torch.where(found.reliable > 0, found.vectors, filled.vectors)
    return Flow(vectors, torch.maximum(found.reliable, filled.reliable))


def _filled(flow: Flow) -> Tensor:
    """Its vectors, and where they are not reliable what its neighbours and the camera say; no step lies between."""
    height, width = flow.vectors.shape[-2:]
    # smooth motion needs no more places than that
    small = (max(1, height // COARSE), max(1, width // COARSE))
    known = F.adaptive_avg_pool2d(flow.reliable, small)
    vectors = F.adaptive_avg_pool2d(flow.reliable * flow.vectors, small) / known.clamp(min=1e-6)
    camera = _camera(vectors, known)
    reach = max(1, round(NEAR * max(small)))
    beside = _blurred(known * (vectors - camera), reach) / (_blurred(known, reach) + CAMERA)
    smooth = F.interpolate(camera + beside, (height, width), mode="bilinear", align_corners=False)
    share = _over(F.avg_pool2d, _over(F.max_pool2d, 1 - flow.reliable, FADE), FADE)  # 1 where it is not reliable
    return torch.lerp(flow.vectors, smooth, share)


def _over(pool: Any, maps: Tensor, reach: int) -> Tensor:
    """Maps pooled over the squares that reach so many pixels to each side."""
    down = pool(maps, (2 * reach + 1, 1), 1, (reach, 0))
    pooled: Tensor = pool(down, (1, 2 * reach + 1), 1, (0, reach))
    return pooled


def _blurred(maps: Tensor, reach: int) -> Tensor:
    """Means around each place, nearer ones counting more; beyond the frame is nothing."""
    return _over(F.avg_pool2d, _over(F.avg_pool2d, maps, reach), reach)


def _camera(vectors: Tensor, known: Tensor) -> Tensor:
    """The motion of most of the frame, as an affine map of places, (1, 2, height, width).

    Args:
        vectors: (1, 2, height, width).
        known: (1, 1, height, width) in [0, 1], how much each counts.
    """
    height, width = vectors.shape[-2:]
    y, x = torch.meshgrid(torch.linspace(-1, 1, height), torch.linspace(-1, 1, width), indexing="ij")
    places = torch.stack([torch.ones_like(x), x, y], -1).view(-1, 3).to(vectors).double()
    given, counts = vectors[0].flatten(1).T.double(), known.flatten().double()
    if float(counts.mean()) < LEAST:
        return torch.zeros_like(vectors)
    weights = counts
    for number in range(ROUNDS):
        weighted = places * weights[:, None]
        ridge = 1e-9 * torch.eye(3).to(places)
        found = torch.linalg.solve(weighted.T @ places + ridge, weighted.T @ given)
        gap = (given - places @ found).square().sum(1)
        own = (OWN * 4 ** (ROUNDS - 2 - number)) ** 2  # Geman and McClure's weights: what moves otherwise counts little
        weights = counts * (own / (own + gap)) ** 2
    motion: Tensor = places @ found
    return motion.T.view(1, 2, height, width).to(vectors)
