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

from impasto.cli.commands import main
from impasto.methods.film import Frame
from impasto.painting import Painter, Progress

NAME, STEP = sys.argv[1], int(sys.argv[2])


class Killed(Painter):
    def steps(self, *arguments: Any, **named: Any) -> Iterator[Progress]:
        for progress in super().steps(*arguments, **named):
            if progress.step == STEP:
                os.kill(os.getpid(), getattr(signal, NAME))
            yield progress

    def film_steps(self, *arguments: Any, **named: Any) -> Iterator[Frame]:
        for number, frame in enumerate(super().film_steps(*arguments, **named), start=1):
            if number == STEP:
                os.kill(os.getpid(), getattr(signal, NAME))
            yield frame


TINY = Killed(weights=tiny_weights(dtype=torch.float32))
sys.exit(main(sys.argv[3:], painter=lambda weights: TINY))
