"""How the objective and the held-out distances fall with time, for several schedules, and the pictures at equal times.

    python benchmarks/convergence.py photo.jpg painting.jpg --out out/convergence

Times are seconds of painting in this process. The objective is the paper's for all rows (its terms and weights), so the
schedules that minimise another one are not flattered. Writes a plot and a picture of pictures. Needs the extra
`bench`.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from pathlib import Path

import matplotlib.pyplot as plt
from PIL import Image
from torch import Tensor

from impasto import Settings
from impasto.images.reading import read_image, resize
from impasto.images.writing import to_pil
from impasto.methods.reference import PAPER
from impasto.methods.styles import at_scale
from impasto.network.vgg import VGG19
from impasto.network.weights import load_vgg
from impasto.objective.objective import Objective, style_moments
from impasto.painting import paint_steps
from impasto.score import score

SCHEDULES = {
    "draft": Settings(quality="draft"),
    "good": Settings(quality="good"),
    "best": Settings(quality="best"),
    "best, Adam": Settings(quality="best", optimizer="adam"),
    "reference": Settings(quality="reference"),
}
TIMES = (2, 4, 8, 16, 32, 64)  # seconds


def snapshots(content: Tensor, painting: Path, settings: Settings) -> Iterator[tuple[float, Tensor]]:
    """The picture at each of `TIMES`, and the finished one if it comes before the last."""
    waiting, begun = list(TIMES), time.perf_counter()
    for progress in paint_steps(content, painting, settings):
        passed = time.perf_counter() - begun
        if waiting and passed >= waiting[0]:
            yield passed, progress.image
            waiting = [t for t in waiting if t > passed]
        if not waiting:
            return
    yield time.perf_counter() - begun, progress.image


def plot(rows: dict[str, list[tuple[float, ...]]], path: Path) -> None:
    """Three charts side by side, time to the right."""
    figure, charts = plt.subplots(1, 3, figsize=(12, 3.6), layout="constrained")
    for column, (chart, title) in enumerate(
        zip(charts, ("objective", "held-out style", "held-out content"), strict=True)
    ):
        for name, points in rows.items():
            chart.plot([p[0] for p in points], [p[1 + column] for p in points], marker="o", label=name)
        chart.set(title=title, xlabel="seconds", xscale="log", yscale="log" if column == 0 else "linear")
        chart.set_xticks(TIMES, [str(seconds) for seconds in TIMES])
        chart.set_xticks([], minor=True)
    charts[0].legend()
    figure.savefig(path, dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photo", type=Path)
    parser.add_argument("painting", type=Path)
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--out", type=Path, default=Path("out/convergence"))
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    content = read_image(arguments.photo, arguments.size).image
    height, width = content.shape[-2:]
    style = at_scale(read_image(arguments.painting).image, content, 1.0)
    network = VGG19(load_vgg())
    objective = Objective(network, content, style_moments(network, style, list(PAPER.style_layers)), PAPER)
    rows: dict[str, list[tuple[float, ...]]] = {}
    sheet = Image.new("RGB", (width * len(TIMES) // 2, height * len(SCHEDULES) // 2), "white")
    print("| schedule | seconds | objective | style | content |\n| --- | --- | --- | --- | --- |", flush=True)
    for line, (name, settings) in enumerate(SCHEDULES.items()):
        rows[name] = []
        taken = list(snapshots(content, arguments.painting, settings))  # judged afterwards: that takes time, too
        for column, (seconds, small) in enumerate(taken):
            image = resize(small, height, width)
            found = score(network, image, content, style)
            rows[name].append((seconds, float(objective(image).loss), found.style, found.content))
            cells = " | ".join(f"{value:.3f}" for value in rows[name][-1][1:])
            print(f"| {name} | {seconds:.1f} | {cells} |", flush=True)
            sheet.paste(to_pil(image).resize((width // 2, height // 2)), (column * width // 2, line * height // 2))
    plot(rows, arguments.out / "convergence.png")
    sheet.save(arguments.out / "convergence.jpg", quality=90)


if __name__ == "__main__":
    main()
