"""What each style loss paints: held-out distances at several strengths, as a table.

python benchmarks/style_losses.py photo.jpg:painting.jpg ... --size 256 --out out/style-losses

A loss is better than another where it is closer to the painting at the same distance to the photograph: read rows of
about the same content distance.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from impasto import Settings
from impasto.images.reading import read_image
from impasto.images.writing import write_image
from impasto.methods.styles import at_scale
from impasto.network.vgg import VGG19
from impasto.network.weights import load_vgg
from impasto.painting import paint
from impasto.score import score
from impasto.settings import STYLE_LOSS_NAMES


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("pairs", nargs="+", help="photo:painting")
    parser.add_argument("--losses", nargs="+", default=STYLE_LOSS_NAMES, choices=STYLE_LOSS_NAMES)
    parser.add_argument("--strengths", type=float, nargs="+", default=(30, 50, 70))
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--out", type=Path, default=Path("out/style-losses"))
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    network = VGG19(load_vgg())
    print("| pair | loss | strength | content | style | of layers | of colour | s |\n|" + " --- |" * 8, flush=True)
    for photo, painting in (tuple(map(Path, pair.split(":"))) for pair in arguments.pairs):
        name = f"{photo.stem}-{painting.stem}"
        content = read_image(photo, arguments.size)
        style = at_scale(read_image(painting).image, content.image, 1.0)
        for loss in arguments.losses:
            for strength in arguments.strengths:
                begun = time.monotonic()
                settings = Settings(size=arguments.size, strength=strength, style_loss=loss)
                image = paint(content.image, painting, settings)
                seconds = time.monotonic() - begun
                write_image(arguments.out / f"{name}-{loss}-{strength:g}.png", image)
                s = score(network, image, content.image, style)
                cells = " | ".join(f"{x:.3f}" for x in (s.content, s.style, s.style_layers, s.color))
                print(f"| {name} | {loss} | {strength:g} | {cells} | {seconds:.1f} |", flush=True)


if __name__ == "__main__":
    main()
