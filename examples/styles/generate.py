"""Paint the style images anew: `python -m impasto.styles.generate [name ...]`, all of them without a name.

Everything is made by the code in this folder from a seed; no picture of anyone else is used.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Callable

import numpy as np
from PIL import Image

from impasto.images.gallery import style_facts, style_path

from . import cells, cubist, knife, paintings, prints, wash
from .fields import Array, Random

STYLES: dict[str, Callable[[int, int, Random], Array]] = {
    "nocturne": paintings.nocturne,
    "meadow": knife.meadow,
    "autumn": knife.autumn,
    "pointillism": paintings.pointillism,
    "cubist": cubist.cubist,
    "woodcut": prints.woodcut,
    "wave": prints.wave,
    "ink": wash.ink,
    "stained-glass": cells.stained_glass,
    "mosaic": cells.mosaic,
}
LARGEST_FILE = 350_000  # bytes: ten styles weigh less in the wheel than one photograph of a modern telephone


def render(name: str, scale: float = 1.0) -> Image.Image:
    """A style image as it ships, or the same composition at `scale` times its size."""
    facts = style_facts(name)
    height, width = round(facts.height * scale), round(facts.width * scale)
    # painted half as large again and reduced, which smooths the edges of the strokes
    painted = STYLES[name](height * 3 // 2, width * 3 // 2, np.random.default_rng(facts.seed))
    pixels = Image.fromarray((painted * 255 + 0.5).astype(np.uint8))
    return pixels.resize((width, height), Image.Resampling.LANCZOS)


def as_jpeg(image: Image.Image) -> bytes:
    """The best JPEG of at most `LARGEST_FILE` bytes, of quality 92 or less."""
    for quality in range(92, 60, -2):
        file = io.BytesIO()
        image.save(file, "JPEG", quality=quality, optimize=True, progressive=True)
        if file.tell() <= LARGEST_FILE:
            return file.getvalue()
    raise ValueError(f"a picture of {image.width} × {image.height} pixels does not fit into {LARGEST_FILE} bytes")


if __name__ == "__main__":
    for name in sys.argv[1:] or STYLES:
        style_path(name).write_bytes(as_jpeg(render(name)))
        print(f"{name}: {style_path(name).stat().st_size:,} bytes")
