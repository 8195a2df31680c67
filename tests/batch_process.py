"""A batch in a process of its own, to be killed: python batch_process.py FOLDER JOBS; prints each result's status."""

import sys
from pathlib import Path

import torch
from conftest import tiny_weights

from impasto.painting import Painter
from impasto.runs.batch import paint_all, plan
from impasto.settings import Settings


def main() -> None:
    folder = Path(sys.argv[1])
    torch.set_num_threads(1)  # the last bit of a picture depends on it
    painter = Painter(weights=tiny_weights(dtype=torch.float32))
    tasks = plan(sorted(folder.glob("photo*")), sorted(folder.glob("style*")), SETTINGS, folder / "out")
    for result in paint_all(painter, tasks, jobs=int(sys.argv[2])):
        print(result.status, result.task.output.name, result.error or "", flush=True)


SETTINGS = Settings(size=32, quality="draft", memory="8GB")  # with what the other tests of this process hold

if __name__ == "__main__":
    main()
