"""Seams: the step from pixel to pixel across the lines between tiles, relative to the steps everywhere else.

Three pictures of one photograph: painted whole; in tiles that impasto cuts itself, because memory is scarce; and in
tiles cut by hand, each painted alone and laid side by side, as users of other tools do. A picture has structure of its
own where the lines happen to be, so read the ratios against that of the whole picture, which has no seams.

    python benchmarks/seams.py photo.jpg painting.jpg
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor

from impasto.images.reading import read_image
from impasto.images.writing import write_image
from impasto.methods.schedule import schedule
from impasto.objective.memory import in_use
from impasto.objective.tiles import Tile, tiles
from impasto.painting import paint_steps
from impasto.settings import Settings

SCARCE = 950_000_000  # bytes beyond what is in use: tiles of about 256 px


def painted(photograph: Tensor, painting: Path, settings: Settings) -> Tensor:
    *_, last = paint_steps(photograph, painting, settings)
    return last.image


def by_hand(photograph: Tensor, painting: Path, settings: Settings, parts: list[Tile]) -> Tensor:
    """Every tile painted alone, with strokes as broad as in the whole picture."""
    whole = max(photograph.shape[-2:])
    picture = torch.empty_like(photograph)
    for part in parts:
        crop = photograph[..., part.top : part.bottom, part.left : part.right]
        longer = max(crop.shape[-2:])
        alone = Settings(size=longer, quality=settings.quality, style_scale=whole / longer)
        picture[..., part.top : part.bottom, part.left : part.right] = painted(crop, painting, alone)
    return picture


def steps_across(image: Tensor, parts: list[Tile], bleed: int) -> float:
    """The mean step between neighbours on both sides of a line, over that between all other neighbours."""
    across, elsewhere = [], []
    for axis, edges in ((-2, {part.top for part in parts}), (-1, {part.left for part in parts})):
        lines = [edge - bleed for edge in edges]
        steps = image.diff(dim=axis).abs().mean(dim=[d for d in range(4) if d != axis % 4])  # step i: from i to i + 1
        at_line = torch.zeros(len(steps), dtype=torch.bool)
        at_line[[line - 1 for line in lines if 0 < line <= len(steps)]] = True
        across.append(steps[at_line])
        elsewhere.append(steps[~at_line])
    return float(torch.cat(across).mean() / torch.cat(elsewhere).mean())


def pictures(photograph: Tensor, painting: Path, settings: Settings) -> Iterator[tuple[str, Tensor, list[Tile], int]]:
    height, width = photograph.shape[-2:]
    scale = schedule(height, width, settings, SCARCE, bleeds=True)[-1]
    side = scale.plan.side
    parts = tiles(scale.height, scale.width, side, 0)
    yield "whole", painted(photograph, painting, settings), parts, scale.bleed
    memory = f"{in_use(torch.device('cpu')) + SCARCE}B"
    yield (
        f"in tiles of {side} px",
        painted(photograph, painting, Settings(**vars(settings) | {"memory": memory})),
        parts,
        scale.bleed,
    )
    parts = tiles(height, width, side, 0)
    yield "cut by hand", by_hand(photograph, painting, settings, parts), parts, 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photo", type=Path)
    parser.add_argument("painting", type=Path)
    parser.add_argument("--size", type=int, default=768)
    parser.add_argument("--quality", default="draft")
    parser.add_argument("--out", type=Path, default=Path("out/seams"))
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    settings = Settings(size=arguments.size, quality=arguments.quality)
    photograph = read_image(arguments.photo, arguments.size).image
    print("| picture | steps across the lines, of those elsewhere |\n| --- | --- |")
    for number, (name, image, parts, bleed) in enumerate(pictures(photograph, arguments.painting, settings)):
        print(f"| {name} | {steps_across(image, parts, bleed):.3f} |", flush=True)
        write_image(arguments.out / f"{number}.png", image)


if __name__ == "__main__":
    main()
