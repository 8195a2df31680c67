"""A sheet of the same photograph painted in several ways: one or two things varied, each picture above its label."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias

from PIL import Image, ImageDraw, ImageFont, ImageOps

from impasto.errors import SettingsError
from impasto.images.reading import Picture
from impasto.methods.qualities import method_for
from impasto.painting import Painter
from impasto.settings import Settings

PAPER, INK = "#f4f1ea", "#2b2a28"
MOST_CELLS = 1000  # of a sheet: two lists of values make many soon
SMALLEST_TEXT = 9.0  # pixels: smaller cannot be read


@dataclass(frozen=True)
class Cell:
    """One way to paint: in which style, how, and what of it is written below."""

    style: Path
    settings: Settings
    label: str


Watch: TypeAlias = Callable[[Cell, float], None]
"""Is told after each step which cell it is of, and how much of it is done, from 0 to 1."""


def cells(
    paintings: Sequence[Path], settings: Settings, vary: Mapping[str, Sequence[Any]] | None = None
) -> tuple[list[Cell], int]:
    """The cells of a grid, row by row, and how many a row has.

    Args:
        paintings: one, or several, which count as something varied.
        settings: what is not varied.
        vary: values by the name of a setting.

    Raises:
        SettingsError: more than two things are varied, or very many values; a value is not allowed, or has no part in
            the quality.
    """
    axes: list[list[tuple[str, Any]]] = [[("style", painting) for painting in paintings]] if len(paintings) > 1 else []
    axes += [[(name, value) for value in values] for name, values in (vary or {}).items()]
    if not 1 <= len(axes) <= 2:
        raise SettingsError(
            f"a grid varies one or two things, not {len(axes)}: settings, or the style by giving several paintings"
        )
    if (count := math.prod(map(len, axes))) > MOST_CELLS:
        raise SettingsError(
            f"a grid of {count:,} pictures is too large: vary fewer values, {MOST_CELLS:,} pictures at most"
        )
    found = []
    for chosen in itertools.product(*axes):
        ways = dict(chosen)
        style = ways.pop("style", paintings[0])
        words = [style.stem] if len(paintings) > 1 else []
        words += [f"{name.replace('_', ' ')} {_text(value)}" for name, value in ways.items()]
        changed = replace(settings, **Settings.known(ways))
        method = method_for(style, changed)
        for name in ways:
            if name in method.without_part(changed):
                hint = (
                    "vary another, or choose a quality"
                    if name in method.ignores
                    else "give init=noise, or vary another"
                )
                raise SettingsError(f"quality={changed.quality} leaves out {name}: {hint}")
        found.append(Cell(style, changed, ", ".join(words)))
    # one thing alone is wrapped like the words of a text
    return found, len(axes[1]) if len(axes) == 2 else math.ceil(math.sqrt(len(found)))


def paint_cells(
    painter: Painter, content: Path | Picture, these: Sequence[Cell], *, watch: Watch | None = None
) -> Iterator[Image.Image]:
    """Each cell's picture, in their order; `watch` is told every step."""
    for cell in these:
        for progress in painter.steps(content, cell.style, cell.settings):
            if watch:
                watch(cell, progress.done)
        yield progress.picture


def sheet(pictures: Sequence[Image.Image], texts: Sequence[str], columns: int) -> Image.Image:
    """Pictures in rows, each above its label, in letters that fit and can be read at any size."""
    width, height = (max(picture.size[i] for picture in pictures) for i in (0, 1))
    margin = max(4, width // 40)
    font = font_for(texts, width)
    line = math.ceil(1.8 * font.size)
    rows = -(-len(pictures) // columns)
    paper = Image.new("RGB", (columns * (width + margin) + margin, rows * (height + line + margin) + margin), PAPER)
    draw = ImageDraw.Draw(paper)
    for i, (picture, text) in enumerate(zip(pictures, texts, strict=True)):
        left = margin + i % columns * (width + margin)
        top = margin + i // columns * (height + line + margin)
        paper.paste(ImageOps.pad(picture, (width, height), color=PAPER), (left, top))
        draw.text((left + width / 2, top + height + line / 2), shortened(text, font, width), INK, font, anchor="mm")
    return paper


def font_for(texts: Sequence[str], width: int) -> ImageFont.FreeTypeFont:
    """As large as the longest label allows, a twelfth of the width at most."""
    size = max(SMALLEST_TEXT, width / 12)
    font = _letters(size)
    longest = max(font.getlength(text) for text in texts)
    return _letters(max(SMALLEST_TEXT, size * min(1.0, width / max(longest, 1.0)) * 0.98))


def _letters(size: float) -> ImageFont.FreeTypeFont:
    font = ImageFont.load_default(size)
    assert isinstance(font, ImageFont.FreeTypeFont)  # of a given size it is always one
    return font


def shortened(text: str, font: ImageFont.FreeTypeFont, width: int) -> str:
    """A label that fits: its beginning, and dots."""
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(text + "...") > width:
        text = text[:-1]
    return text + "..."


def _text(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
