"""A batch at `instant`: each picture against its bare convolutions, the 32nd against the second, and memory.

Eight photographs (details of the samples) in the style of four paintings that ship. After each picture, in the same
process, nothing but its convolutions (encoder and decoder, on zeros) are timed: the two are paired. Those of a painting
count only where it is met for the first time at a size, since a batch measures it once.

    python benchmarks/batch.py --size 512
    python benchmarks/batch.py --size 64 --rounds 10    # 320 pictures, for memory
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from pathlib import Path

import psutil
import torch
from instant import convolutions

from impasto.images.gallery import SAMPLES, sample_path, style_names, style_path
from impasto.images.reading import read_image, write_image
from impasto.methods.styles import at_scale
from impasto.painting import Painter
from impasto.runs.batch import paint_all, plan
from impasto.settings import Settings


def photographs(folder: Path) -> list[Path]:
    """Each sample, and it mirrored: eight of about the same size."""
    found = []
    for name in SAMPLES:
        image = read_image(sample_path(name), 600).image
        for number, turned in enumerate((image, image.flip(3))):
            found.append(folder / f"{name}{number}.png")
            write_image(found[-1], turned)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--rounds", type=int, default=1, help="of the 32 pictures, into new folders, for memory")
    arguments = parser.parse_args()
    settings = Settings(quality="instant", size=arguments.size)
    process = psutil.Process()
    painter = Painter()
    whole, bare, memory = [], [], []
    measured: set[tuple[str, torch.Size]] = set()
    with tempfile.TemporaryDirectory() as folder:
        photos = photographs(Path(folder))
        styles = [style_path(name) for name in style_names()[:4]]
        for number in range(arguments.rounds):
            for result in paint_all(painter, plan(photos, styles, settings, Path(folder) / f"out{number}")):
                assert result.status == "painted", result.error
                whole.append(result.seconds)
                image = read_image(result.task.content, arguments.size).image
                style = at_scale(read_image(result.task.style[0]).image, image, 1.0)
                what = result.task.style[0].name, style.shape
                bare.append(convolutions(*image.shape[-2:], None if what in measured else style.shape))
                measured.add(what)
                memory.append(process.memory_info().rss / 1e6)
    later = range(1, len(whole))  # the first one reads the networks
    ratios = [whole[i] / bare[i] for i in later]
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, {arguments.size} px\n")
    print("| picture | seconds | its convolutions | MB in use after it |\n| --- | --- | --- | --- |")
    for number in (1, 2, 3, 8, 16, 31, 32, *range(64, len(whole) + 1, 32)):
        print(f"| {number} | {whole[number - 1]:.2f} | {bare[number - 1]:.2f} | {memory[number - 1]:.0f} |")
    total = sum(whole[i] for i in later) / sum(bare[i] for i in later)
    print(f"\nall but the first: {total:.2f} times their convolutions (median {statistics.median(ratios):.2f})")


if __name__ == "__main__":
    main()
