"""Paint the pictures that the studio's page begins with: one on the card of each preset, and the example on the canvas.

python benchmarks/studio_pictures.py --only portrait --folder new

Photographs are scikit-image's (extra `samples`), paintings those that ship, settings the presets' own, but the size: a
card is small. Without --folder they replace those in src/impasto/web/static/presets.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, replace
from pathlib import Path

from PIL import Image

from impasto import Painter, Settings
from impasto.images.gallery import sample_path
from impasto.settings import PRESETS, preset

FOLDER = Path(__file__).parent.parent / "src" / "impasto" / "web" / "static" / "presets"
CARD = 204, 120  # px, width and height: three of the screen's for each that a card has on a desktop
QUALITY = {"card": 84, "example": 85}  # of the JPEG files


@dataclass(frozen=True)
class Sample:
    """What is painted after what.

    Attributes:
        part: of the photograph, left, top, right, bottom, as shares of its width and height.
        painted: px of the longer side; strokes are to be seen when a card is made smaller.
    """

    photograph: str
    painting: str
    part: tuple[float, float, float, float] = (0, 0, 1, 1)
    painted: int = 2 * CARD[0]


SAMPLES = {
    "example": Sample("coffee", "nocturne", painted=640),
    "portrait": Sample("astronaut", "autumn", (0.15, 0.03, 0.75, 0.383)),
    "landscape": Sample("rocket", "nocturne", (0, 0.115, 1, 1)),
    "sketch": Sample("chelsea", "wave", (0.15, 0.1, 0.9, 0.763)),
    "poster": Sample("astronaut", "cubist", (0.2, 0.03, 0.7, 0.324)),
    "print": Sample("coffee", "pointillism", (0.05, 0, 0.95, 0.794)),
}


def photograph(sample: Sample) -> Image.Image:
    whole = Image.open(sample_path(sample.photograph)).convert("RGB")
    sides = (whole.width, whole.height) * 2
    return whole.crop(tuple(round(share * side) for share, side in zip(sample.part, sides, strict=True)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", choices=SAMPLES, action="append", help="one of them; may be repeated")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where they are written")
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    painter = Painter()
    for name in arguments.only or SAMPLES:
        sample = SAMPLES[name]
        settings = replace(preset(name) if name in PRESETS else Settings(), size=sample.painted)
        painted = painter.paint(photograph(sample), sample.painting, settings)
        kind = "card" if name in PRESETS else "example"
        if kind == "card":
            painted = painted.resize(CARD, Image.Resampling.LANCZOS)
        path = arguments.folder / f"{name}.jpg"
        painted.save(path, quality=QUALITY[kind], optimize=True, progressive=True)
        print(f"{path}: {painted.width} × {painted.height}, {path.stat().st_size / 1000:.1f} kB", flush=True)


if __name__ == "__main__":
    main()
