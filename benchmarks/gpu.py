"""Is a graphics card right, and how fast is it: everything that is to be known of one, in one command.

First the card against the processor, which is the reference: the losses of the first evaluation must agree, and where
an optimisation ends must be as good. Then the speed, per quality, size and precision, with the networks read before.

    python benchmarks/gpu.py                       # the card that `auto` takes: ten minutes or so
    python benchmarks/gpu.py --suite               # and the test suite first
    python benchmarks/gpu.py --device cpu --sizes 64 --qualities draft --precisions float32    # a rehearsal

The exit status is 1 if the card is wrong. Its name is above the table, which is written for docs/speed.md.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import torch

import impasto
from impasto.images.gallery import style_path
from impasto.network.device import pick_device
from impasto.settings import QUALITIES, Settings

FIRST = 2e-3  # relative difference of the first losses; TF32 and other orders of summing stay within
LAST = 0.1  # of the last: small differences lead L-BFGS on other ways to as good a picture
PRECISIONS = ("float32", "bfloat16")


def name_of(device: torch.device) -> str:
    """The card's name, or what there is instead."""
    return (
        torch.cuda.get_device_name(device)
        if device.type == "cuda"
        else f"{device.type}, {torch.get_num_threads()} threads"
    )


def losses(painter: impasto.Painter, photo: Path, painting: Path, settings: Settings) -> tuple[float, float]:
    """The total loss at the first and the last evaluation."""
    totals = [now.losses["total"] for now in painter.steps(photo, painting, settings) if "total" in now.losses]
    return totals[0], totals[-1]


def check(
    painter: impasto.Painter,
    photo: Path,
    painting: Path,
    device: str,
    size: int,
    precisions: Sequence[str] = PRECISIONS,
) -> bool:
    """Compare a device with the processor; prints a row for each quality and precision."""
    print("| quality | precision | first loss, CPU | first loss | last loss, CPU | last loss | right |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    right = True
    for quality in ("draft", "good"):
        here = losses(painter, photo, painting, Settings(size=size, quality=quality, device="cpu"))
        for precision in precisions:
            there = losses(
                painter, photo, painting, Settings(size=size, quality=quality, device=device, precision=precision)
            )
            allowed = FIRST if precision == "float32" else 10 * FIRST
            agree = abs(there[0] / here[0] - 1) <= allowed and there[1] <= here[1] * (1 + LAST)
            right &= agree
            numbers = " | ".join(f"{value:.5g}" for pair in zip(here, there, strict=True) for value in pair)
            print(f"| {quality} | {precision} | {numbers} | {'yes' if agree else 'NO'} |", flush=True)
    return right


def speed(
    painter: impasto.Painter,
    photo: Path,
    painting: Path,
    device: torch.device,
    sizes: Sequence[int],
    qualities: Sequence[str],
    precisions: Sequence[str] = PRECISIONS,
) -> None:
    """Print a row for each size, quality and precision."""
    print("\n| size | quality | precision | seconds | evaluations | evaluations per second | peak MB |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for size in sizes:
        for quality in qualities:
            for precision in precisions:
                settings = Settings(size=size, quality=quality, device=device.type, precision=precision)
                next(iter(painter.steps(photo, painting, settings)))  # kernels are chosen and compiled here
                if device.type == "cuda":
                    torch.cuda.reset_peak_memory_stats()
                begun = time.perf_counter()
                for number, now in enumerate(painter.steps(photo, painting, settings), start=1):
                    steps, image = number, now.image
                image.cpu()  # waits for the card
                took = time.perf_counter() - begun
                peak = f"{torch.cuda.max_memory_allocated() / 1e6:.0f}" if device.type == "cuda" else ""
                row = (size, quality, precision, f"{took:.2f}", steps, f"{steps / took:.1f}", peak)
                print("| " + " | ".join(map(str, row)) + " |", flush=True)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photo", type=Path, default=style_path("meadow"), help="a painting that ships, unless given")
    parser.add_argument("--painting", type=Path, default=style_path("nocturne"))
    parser.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda", "mps"))
    parser.add_argument("--sizes", type=int, nargs="+", default=[512, 1024, 2048, 4096])
    parser.add_argument("--qualities", nargs="+", default=["draft", "good", "best"], choices=list(QUALITIES))
    parser.add_argument("--precisions", nargs="+", default=list(PRECISIONS), choices=PRECISIONS)
    parser.add_argument("--check-size", type=int, default=256, help="of the comparison with the processor")
    parser.add_argument("--suite", action="store_true", help="run the tests first")
    given = parser.parse_args(arguments)
    if given.suite and subprocess.run([sys.executable, "-m", "pytest"], cwd=Path(__file__).parent.parent).returncode:
        return 1
    device, painter = pick_device(given.device), impasto.Painter()
    print(f"impasto {impasto.__version__}, torch {torch.__version__}, {name_of(device)}\n")
    right = check(
        painter, given.photo, given.painting, device.type, min(given.check_size, *given.sizes), given.precisions
    )
    speed(painter, given.photo, given.painting, device, given.sizes, given.qualities, given.precisions)
    return 0 if right else 1


if __name__ == "__main__":
    sys.exit(main())
