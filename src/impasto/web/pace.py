"""How long pictures take on this machine, as those that it painted took."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Mapping
from pathlib import Path
from statistics import median

from impasto.settings import QUALITIES

KEPT = 7  # pictures of each quality whose median counts: what else the machine did is forgotten with them
LEAST = 100_000  # pixels of a picture that counts: what is done once would weigh too much in a smaller one
MOST = 1e7  # seconds: a file that says more is damaged
COMMON = 512 * 384  # pixels of a picture whose longer side is 512

TWO_CORES = {"instant": 3.1, "draft": 7.5, "good": 19.0, "best": 51.5, "reference": 537.0}
"""Seconds of 512 px on two processor cores, by statistics: the means of docs/speed.md."""
MATCHED = 1.22  # times as long with matched pieces: the middle of 36.5 / 31.7 and 34.2 / 26.3 seconds, in docs/speed.md

log = logging.getLogger(__name__)


class Pace:
    """Seconds that a picture takes about, by quality.

    Args:
        file: where what was measured outlives the server; None for nowhere.
    """

    def __init__(self, file: Path | None = None) -> None:
        self._file = file
        self._lock = threading.Lock()
        self._measured = _read(file)  # seconds for a picture of `COMMON` pixels, the last ones

    def add(self, quality: str, pixels: int, seconds: float) -> None:
        """Take in a picture that was painted from its beginning to its end."""
        if pixels < LEAST or seconds <= 0:
            return
        with self._lock:
            earlier = self._measured.get(quality, ())
            self._measured[quality] = (*earlier, seconds * COMMON / pixels)[-KEPT:]
            try:
                if self._file is not None:
                    self._file.parent.mkdir(parents=True, exist_ok=True)
                    part = self._file.with_suffix(".part")
                    part.write_text(json.dumps(self._measured))
                    part.replace(self._file)
            except OSError as error:
                log.warning("what pictures take is not kept: %s", error)

    @property
    def measured(self) -> bool:
        """Whether this machine painted any."""
        return bool(self._measured)

    def seconds(self) -> dict[str, float]:
        """Of a picture of 512 px, by quality.

        Where none was painted, those of two processor cores, as much faster or slower as the others were.
        """
        usual = {name: TWO_CORES[name] * (MATCHED if QUALITIES[name].matched else 1) for name in QUALITIES}
        with self._lock:
            known = {name: median(times) for name, times in self._measured.items()}
        slower = median(known[name] / usual[name] for name in known) if known else 1.0
        return {name: known.get(name, usual[name] * slower) for name in usual}


def _read(file: Path | None) -> dict[str, tuple[float, ...]]:
    """What a file holds; nothing where it is not there, or not what `Pace` wrote."""
    try:
        found = json.loads(file.read_text()) if file is not None else {}
        if not isinstance(found, Mapping):
            return {}
        times = {name: [float(one) for one in found.get(name, ())] for name in QUALITIES}
        good = {name: tuple(one for one in each if 0 < one < MOST)[-KEPT:] for name, each in times.items()}
        return {name: each for name, each in good.items() if each}
    except (OSError, ValueError, TypeError):
        return {}
