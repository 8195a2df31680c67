"""Winograd's convolutions against the library's, layer by layer of VGG-19, as a table.

python benchmarks/convolution.py --height 384 --width 512
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import torch

from impasto.network.convolution import DirectConvolution, WinogradConvolution
from impasto.network.vgg import WINOGRAD
from impasto.network.weights import load_vgg

REPEATS = 7


def best_of(run: Callable[[], object]) -> float:
    """Milliseconds of the fastest of several runs; the first one, which transforms filters, does not count."""
    run()
    seconds = []
    for _ in range(REPEATS):
        begun = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - begun)
    return 1000 * min(seconds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--height", type=int, default=384)
    parser.add_argument("--width", type=int, default=512)
    arguments = parser.parse_args()
    weights = load_vgg()
    print(f"{torch.get_num_threads()} threads, image {arguments.height}×{arguments.width}; milliseconds, both ways\n")
    print("| layer | channels | library | Winograd | ratio | error |\n| --- | --- | --- | --- | --- | --- |")
    for name in WINOGRAD:
        weight, bias = weights.convolutions[name]
        stride = 2 ** (int(name[4]) - 1)
        x = torch.rand(1, weight.shape[1], arguments.height // stride, arguments.width // stride)
        x = x.contiguous(memory_format=torch.channels_last).requires_grad_()
        ours, theirs = WinogradConvolution(weight, bias), DirectConvolution(weight, bias)
        upstream = torch.rand_like(theirs(x, 1))
        direct = best_of(lambda f=theirs, x=x, g=upstream: torch.autograd.grad(f(x, 1), x, g))  # type: ignore[misc]
        winograd = best_of(lambda f=ours, x=x, g=upstream: torch.autograd.grad(f(x, 1), x, g))  # type: ignore[misc]
        error = float((ours(x, 1) - theirs(x, 1)).norm().detach() / theirs(x, 1).norm().detach())
        channels = f"{weight.shape[1]} → {weight.shape[0]}"
        print(f"| {name} | {channels} | {direct:.1f} | {winograd:.1f} | {direct / winograd:.2f} | {error:.0e} |")


if __name__ == "__main__":
    main()
