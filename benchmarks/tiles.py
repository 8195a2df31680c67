"""What an evaluation in tiles costs: time per pixel and peak memory, against the whole image at 1024 x 1024.

Every row is a process of its own: it evaluates the objective twice (the first warms up) and reports the second's time
and the peak memory of the process, the interpreter included. The objective is that of the finest scale of `good`.

    python benchmarks/tiles.py                                  # 16 and 64 megapixels: some twenty minutes on two cores
    python benchmarks/tiles.py --rows 1024:0 2048:512 8192:640:1280

A row is the side of the image, the side of a tile (0 is whole), and perhaps how many of the image's rows are evaluated:
everything is in memory as for all of them, and the time is that of those rows.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time

ROWS = ("1024:0", "4096:640", "8192:640", "1024:0")
ALL = "all"  # the layers of the coarse scales, down to relu5_1


def evaluate(size: int, side: int | None, rows: int, layers: str, method: str) -> dict[str, float]:
    """Seconds, peak MB and loss of one evaluation."""
    import resource

    import torch

    from impasto.methods.matched import bank, targets_of
    from impasto.methods.schedule import weights_for, with_matches
    from impasto.methods.styles import StyleImage
    from impasto.network.vgg import VGG19
    from impasto.network.weights import load_vgg
    from impasto.objective.columns import CELL, are_whole
    from impasto.objective.objective import Objective, style_moments
    from impasto.settings import QUALITIES, Settings

    network = VGG19(load_vgg())
    weights = weights_for(Settings(), 1.0, fine=layers != ALL)
    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand(1, 3, 64, 64, generator=generator)
    content = torch.nn.functional.interpolate(coarse, (size, size), mode="bilinear")
    image = content.clone().add_(0.1)
    style = style_moments(network, coarse.repeat(1, 1, 4, 4), list(weights.style_layers))
    targets = None
    if (
        method == "matched"
    ):  # with other pieces for all cells, in no order, as if the painting were as large as the image
        weights = with_matches(weights, QUALITIES["good"].held_colors[-1], fine=layers != ALL)
        whole = are_whole(size * size // CELL**2, weights.matched_layers)
        pieces = bank(network, [StyleImage(content)], weights.matched_layers, whole=whole)
        targets = targets_of(pieces, torch.randperm(len(pieces), generator=generator).view(size // CELL, size // CELL))
        del pieces
    started = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    objective = Objective(network, content, style, weights, targets=targets, side=side, remember=False, rows=(0, rows))
    if size <= 2048:
        objective(image)
    begun = time.perf_counter()
    evaluation = objective(image)
    seconds = time.perf_counter() - begun
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    largest = max(tile.pixels for tile in objective.tiles)
    return {"seconds": seconds, "peak": peak, "before": started, "tile": largest, "loss": float(evaluation.loss)}


def parse(row: str) -> tuple[int, int | None, int]:
    """Side of the image, side of a tile, and how many rows are evaluated."""
    size, side, *rows = map(int, row.split(":"))
    return size, side or None, rows[0] if rows else size


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", nargs="+", default=ROWS, help="side of the image : side of a tile, 0 for whole")
    parser.add_argument("--layers", default="fine", choices=("fine", ALL))
    parser.add_argument("--method", default="moments", choices=("moments", "matched"))
    parser.add_argument("--child", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        print(json.dumps(evaluate(*parse(arguments.child), arguments.layers, arguments.method)))
        return
    print("| image | tile | seconds | µs per pixel | of the first row | peak MB | bytes per tile pixel |")
    print("|" + " --- |" * 7, flush=True)
    first = None
    for row in arguments.rows:
        size, side, rows = parse(row)
        command = [sys.executable, __file__, "--child", row]
        command += ["--layers", arguments.layers, "--method", arguments.method]
        found = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        each = found["seconds"] / (size * rows) * 1e6
        first = first or each
        cells = [
            f"{size}²" if rows == size else f"{size}², {rows} rows",
            f"{side}²" if side else "whole",
            f"{found['seconds']:.1f}",
            f"{each:.2f}",
        ]
        cells += [f"{each / first:.2f}", f"{found['peak']:.0f}"]
        cells += [f"{(found['peak'] - found['before']) * 2**20 / found['tile']:.0f}"]
        print("| " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
