"""How soon something is seen: the first preview of a run, and `--quality instant` against its bare convolutions.

The first table runs whole commands and looks for their first file. The second times, in one process and in turns, an
instant picture and nothing but its convolutions: those of the encoder and of the decoder, on zeros of the same shapes.

    python benchmarks/instant.py photo.jpg painting.jpg
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch
import torch.nn.functional as F

from impasto.images.reading import read_image
from impasto.methods.adain import LAYER
from impasto.methods.instant import SCALES
from impasto.methods.styles import at_scale
from impasto.network.decoder import UPSAMPLE_AFTER
from impasto.network.layers import LAYERS
from impasto.network.weights import load_decoder, load_vgg
from impasto.painting import paint_steps
from impasto.settings import Settings

SIZES = (512, 1024)


def first_file(photo: Path, painting: Path, size: int, *options: str) -> float:
    """Seconds from the command's start to its first picture."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "impasto", "paint", str(photo), str(painting), "--size", str(size), "--quiet"]
        begun = time.perf_counter()
        child = subprocess.Popen([*command, "-o", f"{folder}/out.png", *options], stdout=subprocess.DEVNULL)
        while not list(Path(folder).glob("out*.png")) and child.poll() is None:
            time.sleep(0.01)
        seconds = time.perf_counter() - begun
        child.terminate()
        child.wait()
    return seconds


def convolutions(height: int, width: int, style: torch.Size | None) -> float:
    """Seconds that the convolutions of an instant picture take, and nothing else; without a style, with one known."""
    encoder, decoder = load_vgg().convolutions, load_decoder()
    total = 0.0
    for factor in SCALES:
        passes = [(round(height * factor), round(width * factor))]
        if style:
            passes.append((round(style[-2] * factor), round(style[-1] * factor)))
        for h, w in passes:
            total += _encoding(encoder, h, w)
        total += _decoding(decoder, -(-passes[0][0] // 8), -(-passes[0][1] // 8))
    return total


def _encoding(filters: dict[str, tuple[torch.Tensor, torch.Tensor]], h: int, w: int) -> float:
    total = 0.0
    for name in LAYERS[: LAYERS.index(LAYER)]:
        if name.startswith("pool"):
            h, w = h // 2, w // 2
        elif name.startswith("conv"):
            total += _convolution(*filters[name], h, w)
    return total


def _decoding(filters: list[tuple[torch.Tensor, torch.Tensor]], h: int, w: int) -> float:
    total = 0.0
    for number, (weight, bias) in enumerate(filters):
        total += _convolution(weight, bias, h, w)
        if number in UPSAMPLE_AFTER:
            h, w = 2 * h, 2 * w
    return total


@torch.no_grad()
def _convolution(weight: torch.Tensor, bias: torch.Tensor, h: int, w: int) -> float:
    x = torch.zeros(1, weight.shape[1], h, w).contiguous(memory_format=torch.channels_last)
    weight = weight.contiguous(memory_format=torch.channels_last)
    begun = time.perf_counter()
    F.conv2d(x, weight, bias, padding=1)
    return time.perf_counter() - begun


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photo", type=Path)
    parser.add_argument("painting", type=Path)
    parser.add_argument("--turns", type=int, default=3)
    arguments = parser.parse_args()
    photo, painting = arguments.photo, arguments.painting
    print("| size | first preview, seconds | instant picture, seconds |\n| --- | --- | --- |", flush=True)
    for size in SIZES:
        preview = statistics.median(
            first_file(photo, painting, size, "--preview-every", "1") for _ in range(arguments.turns)
        )
        instant = statistics.median(
            first_file(photo, painting, size, "--quality", "instant") for _ in range(arguments.turns)
        )
        print(f"| {size} | {preview:.1f} | {instant:.1f} |", flush=True)
    print("\n| size | instant, seconds | its convolutions | ratio |\n| --- | --- | --- | --- |", flush=True)
    for size in SIZES:
        image = read_image(photo, size).image
        style = at_scale(read_image(painting).image, image, 1.0)
        whole, bare = [], []
        for _ in range(arguments.turns):
            begun = time.perf_counter()
            list(paint_steps(image, style, Settings(quality="instant", size=size)))
            whole.append(time.perf_counter() - begun)
            bare.append(convolutions(image.shape[-2], image.shape[-1], style.shape))
        ours, theirs = statistics.median(whole), statistics.median(bare)
        print(f"| {size} | {ours:.2f} | {theirs:.2f} | {ours / theirs:.2f} |", flush=True)


if __name__ == "__main__":
    main()
