"""What the strength slider does: held-out distances at several strengths and sizes, as a table.

python benchmarks/strength.py photo.jpg:painting.jpg ... --sizes 256 512 --out out/strength
"""

from __future__ import annotations

import argparse
from pathlib import Path

from impasto import Settings
from impasto.images.reading import read_image
from impasto.images.writing import write_image
from impasto.methods.styles import at_scale
from impasto.network.vgg import VGG19
from impasto.network.weights import load_vgg
from impasto.painting import paint
from impasto.score import score

STRENGTHS = (10, 30, 50, 70, 90)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("pairs", nargs="+", help="photo:painting")
    parser.add_argument("--sizes", type=int, nargs="+", default=[256, 512])
    parser.add_argument("--out", type=Path, default=Path("out/strength"))
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    network = VGG19(load_vgg())
    print("| pair | size | distance | " + " | ".join(map(str, STRENGTHS)) + " |")
    print("|" + " --- |" * (3 + len(STRENGTHS)), flush=True)
    for photo, painting in (tuple(map(Path, pair.split(":"))) for pair in arguments.pairs):
        name = f"{photo.stem}-{painting.stem}"
        for size in arguments.sizes:
            content = read_image(photo, size)
            style = at_scale(read_image(painting).image, content.image, 1.0)
            scores = []
            for strength in STRENGTHS:
                image = paint(content.image, painting, Settings(size=size, strength=strength))
                write_image(arguments.out / f"{name}-{size}-{strength}.png", image)
                scores.append(score(network, image, content.image, style))
            for kind in ("content", "style"):
                cells = " | ".join(f"{getattr(s, kind):.3f}" for s in scores)
                print(f"| {name} | {size} | {kind} | {cells} |", flush=True)


if __name__ == "__main__":
    main()
