"""How long each quality takes and how good it is, against the field's reference procedure.

Every row is the whole command `impasto paint`, its start included, in a process of its own, so that its time and its
peak memory are what a user sees; rows of one pair follow one another, so that a machine that drifts drifts for all.
The pictures are then judged by one measure for all rows: the paper's objective, and the held-out distances of
`impasto.score`, which nothing here minimises.

    python benchmarks/speed.py photo.jpg:painting.jpg ... --out out/speed
    python benchmarks/speed.py photo.jpg:painting.jpg --quick      # 256 px, a minute or two
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections import defaultdict
from dataclasses import asdict
from pathlib import Path

import torch
from PIL import Image

from impasto.image import read_image, resize
from impasto.objective import Objective, style_moments
from impasto.painting import at_scale
from impasto.schedule import PAPER
from impasto.score import score
from impasto.vgg import VGG19
from impasto.weights import load_vgg

QUALITIES = ("instant", "draft", "good", "best", "reference")
COLUMNS = ("pair", "quality", "seconds", "faster", "evaluations", "s/eval", "MB", "objective", "style", "content")


def run(photo: Path, painting: Path, quality: str, size: int, out: Path) -> dict[str, object]:
    """Paint in a fresh process: its report, wall seconds and peak memory."""
    command = [sys.executable, "-m", "impasto", "paint", str(photo), str(painting), "-o", str(out), "--json"]
    command += ["--quality", quality, "--size", str(size), "--quiet"]
    reading, writing = os.pipe()
    begun = time.perf_counter()
    child = os.posix_spawn(command[0], command, os.environ, file_actions=[(os.POSIX_SPAWN_DUP2, writing, 1)])
    os.close(writing)
    with os.fdopen(reading) as pipe:
        report = json.load(pipe)
    _, status, usage = os.wait4(child, 0)
    if status:
        raise SystemExit(f"impasto paint --quality {quality} ended with status {status}")
    return {**report, "wall": time.perf_counter() - begun, "memory": usage.ru_maxrss / 1024}


def judge(network: VGG19, picture: Path, photo: Path, painting: Path) -> dict[str, float]:
    """The paper's objective and the held-out distances of a picture."""
    image = read_image(picture).image
    content = resize(read_image(photo).image, image.shape[-2], image.shape[-1])
    style = at_scale(read_image(painting).image, content, 1.0)
    objective = Objective(network, content, style_moments(network, style, list(PAPER.style_layers)), PAPER)
    return {"objective": float(objective(image).loss), **asdict(score(network, image, content, style))}


def side_by_side(rows: list[list[Path]], path: Path) -> None:
    """One picture of several, a row for each pair."""
    pictures = [[Image.open(p).convert("RGB") for p in row] for row in rows]
    widths = [max(row[i].width for row in pictures) for i in range(len(pictures[0]))]
    heights = [max(p.height for p in row) for row in pictures]
    sheet = Image.new("RGB", (sum(widths), sum(heights)), "white")
    for y, row in enumerate(pictures):
        for x, picture in enumerate(row):
            sheet.paste(picture, (sum(widths[:x]), sum(heights[:y])))
    sheet.save(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("pairs", nargs="+", help="photo:painting")
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--quick", action="store_true", help="256 px and the first pair only")
    parser.add_argument("--qualities", nargs="+", default=QUALITIES, choices=QUALITIES)
    parser.add_argument("--out", type=Path, default=Path("out/speed"))
    arguments = parser.parse_args()
    size = 256 if arguments.quick else arguments.size
    pairs = [(Path(photo), Path(painting)) for photo, painting in (pair.split(":") for pair in arguments.pairs)]
    pairs = pairs[:1] if arguments.quick else pairs
    arguments.out.mkdir(parents=True, exist_ok=True)
    outputs = {
        pair: {q: arguments.out / f"{pair[0].stem}-{pair[1].stem}-{size}-{q}.png" for q in arguments.qualities}
        for pair in pairs
    }
    # all runs come before any judging: the peak memory of a child counts that of its parent when it was started
    reports = {(*pair, q): run(*pair, q, size, outputs[pair][q]) for pair in pairs for q in arguments.qualities}
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, {size} px\n")
    print("| " + " | ".join(COLUMNS) + " |\n|" + " --- |" * len(COLUMNS), flush=True)

    network = VGG19(load_vgg())
    results: dict[str, list[dict[str, float]]] = defaultdict(list)
    for pair in pairs:
        slowest = float(reports[(*pair, arguments.qualities[-1])]["wall"])  # type: ignore[arg-type]
        for quality, output in outputs[pair].items():
            report = reports[(*pair, quality)]
            wall, memory = float(report["wall"]), float(report["memory"])  # type: ignore[arg-type]
            evaluations: list[int] = report["evaluations"]  # type: ignore[assignment]
            found = judge(network, output, *pair)
            results[quality].append({**found, "wall": wall, "faster": slowest / wall, "memory": memory})
            cells = (f"{pair[0].stem}-{pair[1].stem}", quality, f"{wall:.1f}", f"{slowest / wall:.1f}")
            cells += ("+".join(map(str, evaluations)), f"{wall / sum(evaluations):.2f}", f"{memory:.0f}")
            cells += (f"{found['objective']:.2f}", f"{found['style']:.3f}", f"{found['content']:.3f}")
            print("| " + " | ".join(cells) + " |", flush=True)
    for quality, found_all in results.items():
        mean = {k: sum(f[k] for f in found_all) / len(found_all) for k in found_all[0]}
        cells = ("mean", quality, f"{mean['wall']:.1f}", f"{mean['faster']:.1f}", "", "", f"{mean['memory']:.0f}")
        cells += (f"{mean['objective']:.2f}", f"{mean['style']:.3f}", f"{mean['content']:.3f}")
        print("| " + " | ".join(cells) + " |")
    (arguments.out / "results.json").write_text(json.dumps(results, indent=1))
    side_by_side([list(row.values()) for row in outputs.values()], arguments.out / "side-by-side.png")


if __name__ == "__main__":
    main()
