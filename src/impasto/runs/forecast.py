"""What a picture will take, said before it is painted: size, evaluations, seconds, bytes."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from impasto.images.reading import fit, read_image, resize
from impasto.methods.qualities import method_for
from impasto.methods.time_left import expected_work, seconds_per_pixel
from impasto.network.device import pick_device
from impasto.objective.memory import memory_budget
from impasto.painting import Painter
from impasto.settings import Settings

TRIAL = 256  # px of the longer side of a picture that is painted to see how long it takes


@dataclass(frozen=True)
class Forecast:
    """What a picture will take.

    Attributes:
        height, width: of the picture.
        evaluations: of the objective, at most.
        seconds: about, on this machine as busy as it is now.
        memory: bytes that the largest scale is planned to take; None where nothing is optimised.
    """

    height: int
    width: int
    evaluations: int
    seconds: float
    memory: int | None


class Forecaster:
    """Foretells pictures; what is measured once holds for all that are painted alike."""

    def __init__(self, painter: Painter) -> None:
        self.painter = painter
        self._measured: dict[tuple[str, ...], float] = {}  # seconds for a pixel

    def __call__(self, content: Path, style: list[Path], settings: Settings) -> Forecast:
        """Foretell one picture.

        Raises:
            ImpastoError: it cannot be painted.
        """
        method = method_for(style, settings)
        device = pick_device(settings.device)
        photograph = read_image(content, settings.longer_side)
        height, width = photograph.image.shape[-2:]
        scales = method.scales(height, width, settings, memory_budget(settings.memory, device))
        alike = (settings.quality, str(device), settings.precision, settings.pooling)
        if scales:
            if alike not in self._measured:
                self._measured[alike] = seconds_per_pixel(method.network(self.painter.models, device, settings))
            work = expected_work(scales)
            memory: int | None = round(max(scale.plan.memory for scale in scales))
        else:
            if alike not in self._measured:
                self._measured[alike] = self._tried(photograph.image, style, settings)
            work, memory = height * width, None
        evaluations = sum(scale.evaluations for scale in scales)
        return Forecast(height, width, evaluations, self._measured[alike] * work, memory)

    def _tried(self, image: torch.Tensor, style: list[Path], settings: Settings) -> float:
        """Seconds for a pixel of a small picture, painted twice: the first one warms up."""
        height, width = image.shape[-2:]
        height, width = fit(height, width, min(TRIAL, max(height, width)))
        small = resize(image, height, width)
        for _ in range(2):
            begun = time.monotonic()
            for _step in self.painter.steps(small, style, replace(settings, size=max(height, width))):
                pass
            seconds = time.monotonic() - begun
        return seconds / (height * width)
