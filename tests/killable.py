"""impasto with a tiny random network that sends itself a signal at a step, for tests that need a process of its own.

python tests/killable.py SIGKILL 7 paint photo.png painting.png ...
"""

import os
import signal
import sys
from collections.abc import Iterator
from typing import Any

import torch
from conftest import tiny_weights

import impasto.painting
from impasto.cli.commands import main
from impasto.painting import Progress

PAINT_STEPS = impasto.painting.paint_steps
NAME, STEP = sys.argv[1], int(sys.argv[2])


def paint_steps(*arguments: Any, **named: Any) -> Iterator[Progress]:
    for progress in PAINT_STEPS(*arguments, **named):
        if progress.step == STEP:
            os.kill(os.getpid(), getattr(signal, NAME))
        yield progress


TINY = impasto.painting.Painter(weights=tiny_weights(dtype=torch.float32))
impasto.painting.painter = lambda weights=None: TINY
impasto.painting.paint_steps = paint_steps
sys.exit(main(sys.argv[3:]))
