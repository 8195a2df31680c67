"""Sizes on paper: how many pixels a print takes."""

from __future__ import annotations

import re

from impasto.errors import SettingsError

DENSITY = 300.0  # dots per inch of a good print, held in the hand
MILLIMETRES = {"mm": 1.0, "cm": 10.0, "in": 25.4}
PAPERS = {
    f"a{n}": size for n, size in enumerate([(841, 1189), (594, 841), (420, 594), (297, 420), (210, 297), (148, 210)])
}
"""ISO 216, in millimetres."""


def paper(text: str) -> tuple[float, float]:
    """Shorter and longer side of a print in millimetres: "30x40cm", "8x10in", "A3".

    Raises:
        SettingsError: it is no size.
    """
    word = text.strip().lower().replace(" ", "").replace("×", "x")
    if word in PAPERS:
        return PAPERS[word]
    found = re.fullmatch(r"(\d{1,6}(?:\.\d{1,6})?)x(\d{1,6}(?:\.\d{1,6})?)(mm|cm|in)", word)
    sides = [float(side) * MILLIMETRES[found[3]] for side in (found[1], found[2])] if found else [0.0]
    if not min(sides) > 0:
        raise SettingsError(f"print={text[:60]!r} is no size of a print: write for example 30x40cm, 8x10in or A3")
    return min(sides), max(sides)


def longer_side(text: str, dpi: float, height: int, width: int) -> int:
    """Pixels of the longer side of a picture that just fits on a print, turned as the picture is.

    Args:
        text: the print's size, as of `paper`.
        dpi: dots per inch.
        height, width: of the photograph, whose shape stays.

    Raises:
        SettingsError: it is no size.
    """
    short, long = paper(text)
    shape = max(height, width) / min(height, width)
    return round(min(long, short * shape) / 25.4 * dpi)


def on_paper(height: int, width: int, dpi: float) -> str:
    """How large a picture is printed: "40.0 × 26.7 cm at 300 dpi"."""
    across, down = (side / dpi * 2.54 for side in (width, height))
    return f"{across:.1f} × {down:.1f} cm at {dpi:g} dpi"
