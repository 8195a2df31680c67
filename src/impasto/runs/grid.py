"""A sheet of the same photograph painted in several ways: one or two things varied, each picture above its label."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw, ImageFont, ImageOps

from impasto.errors import SettingsError
from impasto.images.reading import Picture, dimensions, read_image
from impasto.images.writing import to_pil
from impasto.methods.qualities import method_for
from impasto.painting import Painter
from impasto.settings import Settings

PAPER, INK = "#f4f1ea", "#2b2a28"
SMALL = 384  # px of the longer side of a picture on a sheet of files
SMALLEST_TEXT = 9.0  # pixels: smaller cannot be read


@dataclass(frozen=True)
class Cell:
    """One way to paint: in which style, how, and what of it is written below."""

    style: Path
    settings: Settings
    label: str


def cells(
    paintings: Sequence[Path], settings: Settings, vary: Mapping[str, Sequence[Any]] | None = None
) -> tuple[list[Cell], int]:
    """The cells of a grid, row by row, and how many a row has.

    Args:
        paintings: one, or several, which count as something varied.
        settings: what is not varied.
        vary: values by the name of a setting.

    Raises:
        SettingsError: more than two things are varied, a value is not allowed, or has no part in the quality.
    """
    axes: list[list[tuple[str, Any]]] = [[("style", painting) for painting in paintings]] if len(paintings) > 1 else []
    axes += [[(name, value) for value in values] for name, values in (vary or {}).items()]
    if not 1 <= len(axes) <= 2:
        raise SettingsError(
            f"a grid varies one or two things, not {len(axes)}: settings, or the style by giving several paintings"
        )
    found = []
    for chosen in itertools.product(*axes):
        ways = dict(chosen)
        style = ways.pop("style", paintings[0])
        words = [style.stem] if len(paintings) > 1 else []
        words += [f"{name.replace('_', ' ')} {_text(value)}" for name, value in ways.items()]
        changed = replace(settings, **Settings.known(ways))
        in_vain = [name for name in ways if name in method_for(style, changed).ignores]
        if in_vain:
            raise SettingsError(f"quality={changed.quality} leaves out {in_vain[0]}: vary another, or choose a quality")
        found.append(Cell(style, changed, ", ".join(words)))
    # one thing alone is wrapped like the words of a text
    return found, len(axes[1]) if len(axes) == 2 else math.ceil(math.sqrt(len(found)))


def paint_cells(painter: Painter, content: Path | Picture, these: Sequence[Cell]) -> Iterator[Image.Image]:
    """Each cell's picture, in their order."""
    for cell in these:
        for progress in painter.steps(content, cell.style, cell.settings):
            image = progress.picture
        yield image


def sheet(pictures: Sequence[Image.Image], texts: Sequence[str], columns: int) -> Image.Image:
    """Pictures in rows, each above its label, in letters that fit and can be read at any size."""
    width, height = (max(picture.size[i] for picture in pictures) for i in (0, 1))
    margin = max(4, width // 40)
    font = _font(texts, width)
    line = math.ceil(1.8 * font.size)
    rows = -(-len(pictures) // columns)
    paper = Image.new("RGB", (columns * (width + margin) + margin, rows * (height + line + margin) + margin), PAPER)
    draw = ImageDraw.Draw(paper)
    for i, (picture, text) in enumerate(zip(pictures, texts, strict=True)):
        left = margin + i % columns * (width + margin)
        top = margin + i // columns * (height + line + margin)
        paper.paste(ImageOps.pad(picture, (width, height), color=PAPER), (left, top))
        draw.text((left + width / 2, top + height + line / 2), _cut(text, font, width), INK, font, anchor="mm")
    return paper


def sheet_of(files: Sequence[Path], columns: int) -> Image.Image:
    """Pictures that are there, small, each above its file's name.

    Raises:
        ImageError: one cannot be read.
    """
    pictures = []
    for file in files:
        height, width = dimensions(file)
        pictures.append(to_pil(read_image(file, min(SMALL, max(height, width))).image))
    return sheet(pictures, [file.stem for file in files], columns)


def _font(texts: Sequence[str], width: int) -> ImageFont.FreeTypeFont:
    """As large as the longest label allows, a twelfth of the width at most."""
    size = max(SMALLEST_TEXT, width / 12)
    font = _letters(size)
    longest = max(font.getlength(text) for text in texts)
    return _letters(max(SMALLEST_TEXT, size * min(1.0, width / max(longest, 1.0)) * 0.98))


def _letters(size: float) -> ImageFont.FreeTypeFont:
    font = ImageFont.load_default(size)
    assert isinstance(font, ImageFont.FreeTypeFont)  # of a given size it is always one
    return font


def _cut(text: str, font: ImageFont.FreeTypeFont, width: int) -> str:
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(text + "...") > width:
        text = text[:-1]
    return text + "..."


def _text(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
