"""Matched targets beside moments: the judge's distances and seconds of processor time as a table, and the pictures.

python benchmarks/matched.py photo.jpg:painting.jpg ... --size 256 --out out/matched
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from impasto import Painter, Settings
from impasto.images.reading import read_image
from impasto.images.writing import write_image
from impasto.methods.styles import at_scale
from impasto.network.models import Models
from impasto.score import score

DISTANCES = ("style", "content", "coherence", "completeness", "patches", "filters", "forms")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("pairs", nargs="+", help="photo:painting")
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--strength", type=float, default=50)
    parser.add_argument("--also", type=float, help="moments at this strength too, to compare at equal content")
    parser.add_argument("--quality", default="good")
    parser.add_argument("--out", type=Path, default=Path("out/matched"))
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    network, painter = Models().vgg(), Painter()
    print("| pair | method | strength | seconds | " + " | ".join(DISTANCES) + " |")
    print("|" + " --- |" * (4 + len(DISTANCES)), flush=True)
    for photo, painting in (tuple(map(Path, pair.split(":"))) for pair in arguments.pairs):
        content = read_image(photo, arguments.size).image
        style = at_scale(read_image(painting).image, content, 1.0)
        ways = [(method, arguments.strength) for method in ("moments", "matched")]
        for method, strength in ways + [("moments", arguments.also)] * (arguments.also is not None):
            begun = time.process_time()
            settings = Settings(size=arguments.size, strength=strength, quality=arguments.quality, method=method)
            image = painter.paint(content, painting, settings)
            seconds = time.process_time() - begun
            write_image(
                arguments.out / f"{photo.stem}-{painting.stem}-{arguments.size}-{method}-{strength:g}.png", image
            )
            found = score(network, image, content, style)
            cells = " | ".join(f"{getattr(found, name):.3f}" for name in DISTANCES)
            print(f"| {photo.stem} × {painting.stem} | {method} | {strength:g} | {seconds:.0f} | {cells} |", flush=True)


if __name__ == "__main__":
    main()
