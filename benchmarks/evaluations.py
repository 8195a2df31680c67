"""How many evaluations scales take before they end early, and how well that is foretold while they run, as a table.

python benchmarks/evaluations.py photo.jpg:painting.jpg ... --size 192 --qualities good best

Foretold: from the losses so far (`impasto.methods.time_left`); its peer: the most that a scale may take. "Within
1.5" is the share of evaluations after which the end of the scale was foretold within a factor of 1.5.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from impasto import Settings
from impasto.images.reading import read_image
from impasto.methods.schedule import Scale, schedule
from impasto.methods.time_left import scale_end
from impasto.painting import paint_steps


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("pairs", nargs="+", help="photo:painting")
    parser.add_argument("--size", type=int, default=192)
    parser.add_argument("--qualities", nargs="+", default=["good", "best"])
    arguments = parser.parse_args()
    print("| pair | quality | evaluations | foretold within 1.5 | the most allowed within 1.5 |")
    print("| --- | --- | --- | --- | --- |", flush=True)
    for quality in arguments.qualities:
        for pair in arguments.pairs:
            photo, painting = pair.split(":")
            settings = Settings(size=arguments.size, quality=quality)
            picture = read_image(photo, arguments.size)
            losses: dict[int, list[float]] = {}
            for now in paint_steps(picture, painting, settings):
                losses.setdefault(now.scale, []).append(now.losses["total"])
            scales = schedule(*picture.image.shape[-2:], settings, bleeds=True)
            ours, peer = judged(scales, losses)
            counts = ", ".join(str(len(seen)) for seen in losses.values())
            print(f"| {pair} | {quality} | {counts} | {ours:.0%} | {peer:.0%} |", flush=True)


def judged(scales: Sequence[Scale], losses: dict[int, list[float]]) -> tuple[float, float]:
    """Shares of evaluations after which the end is foretold within a factor of 1.5, by the losses and by the most."""
    ours, peer = [], []
    for number, seen in losses.items():
        scale, count = scales[number - 1], len(seen)
        for n in range(1, count + 1):
            ours.append(1 / 1.5 <= scale_end(scale, n, seen[:n]) / count <= 1.5)
            peer.append(scale.evaluations / count <= 1.5)
    return sum(ours) / len(ours), sum(peer) / len(peer)


if __name__ == "__main__":
    main()
