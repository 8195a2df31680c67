"""How long each quality takes and how good it is, against the field's reference procedure.

Every row is the whole command `impasto paint`, its start included, in a process of its own, so that its time and its
peak memory are what a user sees; rows of one pair follow one another, so that a machine that drifts drifts for all.
The pictures are then judged by one measure for all rows: the paper's objective, and the held-out distances of
`impasto.score`, which nothing here minimises.

    python benchmarks/speed.py photo.jpg:painting.jpg ... --out out/speed
    python benchmarks/speed.py photo.jpg:painting.jpg --quick      # 256 px, a minute or two
    python benchmarks/speed.py photo.jpg:painting.jpg --pace 60    # the reference's first minute; then reckoned

With `--pace` the reference is stopped by Ctrl-C after so many seconds, and its time is its start and 500 times what an
evaluation took until then (later ones are a little dearer: its memory of 100 pairs fills). Its picture is not judged.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import signal
import sys
import time
from collections import defaultdict
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from impasto.images.reading import read_image, resize
from impasto.methods.reference import PAPER
from impasto.methods.styles import at_scale
from impasto.network.vgg import VGG19
from impasto.network.weights import load_vgg
from impasto.objective.objective import Objective, style_moments
from impasto.score import score
from impasto.settings import QUALITIES

COLUMNS = ("pair", "quality", "seconds", "faster", "evaluations", "s/eval", "MB", "objective", "style", "content")


def run(photo: Path, painting: Path, quality: str, size: int, out: Path, pace: float = 0) -> dict[str, Any]:
    """Paint in a fresh process: its report, wall seconds and peak memory."""
    command = [sys.executable, "-m", "impasto", "paint", str(photo), str(painting), "-o", str(out), "--json"]
    command += ["--quality", quality, "--size", str(size), "--quiet"]
    stopped = bool(pace) and quality == "reference"
    reading, writing = os.pipe()
    begun = time.perf_counter()
    onto = [(os.POSIX_SPAWN_DUP2, writing, 1)]
    # what runs in the background ignores SIGINT, and so would the child
    child = os.posix_spawn(command[0], command, os.environ, file_actions=onto, setsigdef=[signal.SIGINT])
    os.close(writing)
    if stopped:
        time.sleep(pace)
        os.kill(child, signal.SIGINT)
    with os.fdopen(reading) as pipe:
        report = json.load(pipe)
    _, status, usage = os.wait4(child, 0)
    wall = time.perf_counter() - begun
    if os.waitstatus_to_exitcode(status) not in ((130,) if stopped else (0,)):
        raise SystemExit(f"impasto paint --quality {quality} ended with status {status}")
    if stopped:
        (done,) = report["evaluations"]
        wall += report["seconds"] / done * (QUALITIES["reference"].evaluations[0] - done)
        report["evaluations"] = [QUALITIES["reference"].evaluations[0]]
        out.unlink()
    return {**report, "wall": wall, "memory": usage.ru_maxrss / 1024}


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
    parser.add_argument("--qualities", nargs="+", default=list(QUALITIES), choices=list(QUALITIES))
    parser.add_argument("--pace", type=float, default=0, metavar="SECONDS", help="stop the reference after so long")
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
    reports = {
        (*pair, q): run(*pair, q, size, outputs[pair][q], arguments.pace) for pair in pairs for q in arguments.qualities
    }
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, {size} px\n")
    print("| " + " | ".join(COLUMNS) + " |\n|" + " --- |" * len(COLUMNS), flush=True)

    network = VGG19(load_vgg())
    results: dict[str, list[dict[str, float]]] = defaultdict(list)
    for pair in pairs:
        slowest = reports[(*pair, arguments.qualities[-1])]["wall"]
        for quality, output in outputs[pair].items():
            report = reports[(*pair, quality)]
            wall, memory, evaluations = report["wall"], report["memory"], report["evaluations"]
            unknown = dict.fromkeys(("objective", "style", "content"), math.nan)
            found = judge(network, output, *pair) if output.exists() else unknown
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
    side_by_side(
        [[picture for picture in row.values() if picture.exists()] for row in outputs.values()],
        arguments.out / "side-by-side.png",
    )


if __name__ == "__main__":
    main()
