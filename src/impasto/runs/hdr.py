"""Frames in HDR (ITU-R BT.2100: PQ and HLG) as an ordinary screen shows them: white is white, highlights roll off.

Written from the standards. FFmpeg's own way (swscale's `intent`) darkens the middle of films that do not say how bright
their brightest light is, and takes seconds for a frame of 4K.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

NAMES = {16: "PQ", 18: "HLG"}
"""Of transfer characteristics (ITU-T H.273), those of HDR."""
WHITE = 203.0  # cd/m² of what is white in HDR (ITU-R BT.2408), and here the white of an ordinary screen
PEAK = 1000.0  # cd/m²: what is brighter is white as well
GAMMA = 2.4  # of an ordinary screen (ITU-R BT.1886)
STEPS = 4096  # of the table of what highlights lose
LUMINANCE = (0.2627, 0.6780, 0.0593)  # of red, green and blue (BT.2100)
TO_BT709 = ((1.6605, -0.5876, -0.0728), (-0.1246, 1.1329, -0.0083), (-0.0182, -0.1006, 1.1187))  # ITU-R BT.2087
AT_ONCE = 1 << 18  # pixels: what they take lies in the cache


def to_sdr(pixels: NDArray[np.uint16], transfer: int) -> NDArray[np.uint8]:
    """A frame in the colours of an ordinary film.

    Args:
        pixels: (height, width, 3), full range, with the primaries of BT.2020.
        transfer: of `NAMES`.
    """
    light, kept = _light(transfer), _kept()
    found = np.empty(pixels.shape, np.uint8)
    flat, out = pixels.reshape(-1, 3), found.reshape(-1, 3)
    matrix = torch.tensor(TO_BT709).T
    for first in range(0, len(flat), AT_ONCE):
        part = light[torch.from_numpy(flat[first : first + AT_ONCE].astype(np.int64))]
        if NAMES[transfer] == "HLG":  # is light of the scene; a screen of 1000 cd/m² shows it so (BT.2100, OOTF)
            part = PEAK * part * (part @ torch.tensor(LUMINANCE))[:, None].clamp(min=1e-9) ** 0.2
        brightest = part.amax(1, keepdim=True).clamp(max=PEAK)
        places = (brightest / PEAK).sqrt() * (STEPS - 1)
        shown = ((part * kept[places.round().long()]) @ matrix / WHITE).clamp(0, 1) ** (1 / GAMMA)
        out[first : first + AT_ONCE] = (shown * 255).round().byte().numpy()
    return found


@cache
def _light(transfer: int) -> Tensor:
    """The light of each of 65536 values: of a screen, in cd/m² (PQ), or of the scene, to 1 (HLG)."""
    value = torch.linspace(0, 1, 65536, dtype=torch.float64)
    if NAMES[transfer] == "PQ":
        return _of_pq(value).float()
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    return torch.where(value <= 0.5, value**2 / 3, (((value - c) / a).exp() + b) / 12).float()


@cache
def _kept() -> Tensor:
    """Of light whose brightest channel has (i / (STEPS - 1))² `PEAK` cd/m², the share that is left of `PEAK` in
    `WHITE`: all of it in the shadows, a knee, and less above (ITU-R BT.2390, 5.4.1)."""
    light = PEAK * torch.linspace(0, 1, STEPS, dtype=torch.float64) ** 2
    most = _to_pq(torch.tensor(PEAK, dtype=torch.float64))
    white = _to_pq(torch.tensor(WHITE, dtype=torch.float64)) / most
    value, knee = _to_pq(light) / most, 1.5 * white - 0.5
    t = ((value - knee) / (1 - knee)).clamp(0, 1)
    bent = (2 * t**3 - 3 * t**2 + 1) * knee + (t**3 - 2 * t**2 + t) * (1 - knee) + (3 * t**2 - 2 * t**3) * white
    left = torch.where(value < knee, light, _of_pq(bent * most))
    return torch.where(light > 0, left / light.clamp(min=1e-9), 1.0).float()


M1, M2 = 2610 / 16384, 2523 / 4096 * 128
C1, C2, C3 = 3424 / 4096, 2413 / 4096 * 32, 2392 / 4096 * 32


def _of_pq(value: Tensor) -> Tensor:
    """Light in cd/m² of values in [0, 1] (SMPTE ST 2084)."""
    root = value ** (1 / M2)
    return 10000 * ((root - C1).clamp(min=0) / (C2 - C3 * root)) ** (1 / M1)


def _to_pq(light: Tensor) -> Tensor:
    """Inverse of `_of_pq`."""
    root = (light / 10000) ** M1
    return ((C1 + C2 * root) / (1 + C3 * root)) ** M2
