"""The losses of every evaluation as a table for a spreadsheet: a CSV file beside the picture."""

from __future__ import annotations

import csv
import io
import time
from pathlib import Path

from impasto.errors import ImpastoError
from impasto.images.writing import check_folder, replacing
from impasto.painting import Progress

EXTENSION = ".csv"
FIRST = ("step", "scale", "width", "height", "seconds", "total")  # columns; then one for each term of the loss


class LossTable:
    """A row for each step, until they are written.

    Args:
        path: the file.

    Raises:
        ImpastoError: it could not be written; found out before any work.
    """

    def __init__(self, path: Path) -> None:
        check_losses(path)
        self.path = path
        self.rows: list[dict[str, str | float]] = []
        self._begun = time.monotonic()

    def add(self, now: Progress) -> None:
        """A step; of a painting that goes on, the rows of those before are those that are in the file."""
        if not self.rows and now.step > 1:
            self.rows = _rows_before(self.path, now.step)
        height, width = now.image.shape[-2:]
        seconds = round(time.monotonic() - self._begun, 3)
        place = {"step": now.step, "scale": now.scale, "width": width, "height": height, "seconds": seconds}
        self.rows.append({**place, **now.losses})

    def write(self) -> None:
        """Write the file; it is replaced at once or not at all.

        Raises:
            ImpastoError: it cannot be written.
        """
        terms = {name: None for row in self.rows for name in row if name not in FIRST}
        text = io.StringIO(newline="")
        table = csv.DictWriter(text, [*FIRST, *terms])
        table.writeheader()
        table.writerows(self.rows)
        with replacing(self.path) as file:
            file.write(text.getvalue().encode())


def check_losses(path: Path) -> None:
    """Find out before the work that a table can be written.

    Raises:
        ImpastoError: it has another extension, or its folder is not there.
    """
    if path.suffix.lower() != EXTENSION:
        raise ImpastoError(f"cannot write {path}: losses are a table; give a name that ends in {EXTENSION}")
    check_folder(path)


def _rows_before(path: Path, step: int) -> list[dict[str, str | float]]:
    """What an earlier part of the same painting has written; nothing where that is not there."""
    try:
        with path.open(newline="") as file:
            found = [{name: text for name, text in row.items() if name and text} for row in csv.DictReader(file)]
        return [row for row in found if int(row["step"]) < step]
    except (OSError, ValueError, LookupError, TypeError, csv.Error):
        return []
