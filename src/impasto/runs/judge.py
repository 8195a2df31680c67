"""Pictures of any tool judged: distances to the photograph and the painting, and artefacts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from impasto.errors import ImpastoError
from impasto.images.artefacts import Artefacts, artefacts
from impasto.images.reading import read_image, resize
from impasto.methods.styles import at_scale
from impasto.network.lpips import LPIPS
from impasto.network.models import Models
from impasto.score import Score, score

ASPECT = 0.03  # by which a result's may differ from the photograph's: tools round sizes


@dataclass(frozen=True)
class Judgement:
    """What was measured of a picture.

    Attributes:
        result: its file.
        height, width: of it, in pixels.
        score: distances, at the size at which all results of a photograph are compared.
        artefacts: at its own size.
        lpips: distance to the photograph, at the size of the score, where weights were given.
    """

    result: Path
    height: int
    width: int
    score: Score
    artefacts: Artefacts
    lpips: float | None = None

    def row(self) -> dict[str, Any]:
        """All numbers by name."""
        size = {"width": self.width, "height": self.height}
        known = {} if self.lpips is None else {"lpips": self.lpips}
        return {"result": str(self.result), **size, **asdict(self.score), **known, **asdict(self.artefacts)}


def judge(
    models: Models,
    photograph: Path,
    painting: Path,
    results: Sequence[Path],
    *,
    size: int = 512,
    device: str = "cpu",
    lpips: LPIPS | None = None,
) -> Iterator[Judgement]:
    """Judge pictures that were painted from one photograph and one painting.

    Args:
        models: hold the network.
        photograph, painting, results: files.
        size: longer side, in pixels, at which distances are taken: only those of one size compare.
        device: where to compute.
        lpips: of `load_lpips`, where that distance is wanted too.

    Raises:
        ImpastoError: a file cannot be read, or a result has another shape than the photograph.
    """
    network = models.vgg(device)
    content = read_image(photograph, size).image.to(device)
    style = at_scale(read_image(painting).image, content, 1.0).to(device)
    height, width = content.shape[-2:]
    for result in results:
        image = read_image(result).image.to(device)
        h, w = image.shape[-2:]
        if abs(w * height / (h * width) - 1) > ASPECT:
            raise ImpastoError(
                f"{result} has {w} × {h} pixels, and {photograph} another shape ({width} × {height}); "
                "give a result of this photograph, not cropped"
            )
        resized = resize(image, height, width)
        learned = lpips(resized, content) if lpips else None
        yield Judgement(result, h, w, score(network, resized, content, style), artefacts(image), learned)
