"""What a picture of 100 megapixels takes to read and to write: seconds and peak memory, beside its own floats.

python benchmarks/huge_files.py            # makes a TIFF of 10000 x 10000 pixels in a temporary folder
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pyvips
import torch

from impasto.images.reading import read_image, write_image

TASKS = ("nothing", "read it at 2048 px", "read it whole", "read and write it whole")


def work(task: str, path: Path) -> dict[str, float]:
    """Seconds and peak MB of one task, in a process of its own."""
    begun = time.perf_counter()
    if task != "nothing":
        picture = read_image(path, 2048 if "2048" in task else None)
        assert torch.isfinite(picture.image[0, 0, 0, 0])
    if "write" in task:
        write_image(path.with_name("out.tif"), picture.image)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"seconds": time.perf_counter() - begun, "peak": peak}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--side", type=int, default=10000)
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        print(json.dumps(work(arguments.child[0], Path(arguments.child[1]))))
        return
    side = arguments.side
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "huge.tif"
        waves = pyvips.Image.sines(side, side, hfreq=37, vfreq=53, uchar=True)
        waves.bandjoin([waves.rot90(), waves.fliphor()]).copy(interpretation="srgb").tiffsave(str(path))
        floats = side * side * 12 / 2**20
        print(f"{side} x {side} pixels: {floats:.0f} MB as floats\n\n| task | seconds | peak MB |\n| --- | --- | --- |")
        for task in TASKS:
            command = [sys.executable, __file__, "--child", task, str(path)]
            found = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
            print(f"| {task} | {found['seconds']:.1f} | {found['peak']:.0f} |", flush=True)


if __name__ == "__main__":
    main()
