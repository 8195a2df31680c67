"""The sheet of a batch: each photograph beside what was painted of it, the paintings above, to choose from."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from impasto.errors import ImpastoError
from impasto.images.gallery import style_pictures
from impasto.images.reading import dimensions, read_image
from impasto.images.writing import to_pil
from impasto.runs.batch import Task
from impasto.runs.grid import INK, PAPER, font_for, shortened

SHAPE = 1.4  # width by height of a sheet, about
WIDEST = 4.0  # of a table; one of few photographs in very many styles is wrapped like the words of a text
WIDTH = 384  # px of a picture, at most
SMALLEST_WIDTH = 64
PIXELS = 24e6  # of a sheet, about: of many pictures each is smaller
SLIMMEST = 2.0  # height by width of a picture; what is slimmer is shown narrower
LABEL = 0.18  # widths of a picture, about, that a line of text and its margin take
MOST_COLUMNS = 40  # of photographs that stand beside each other with theirs


@dataclass(frozen=True)
class _Block:
    """A photograph and what was painted of it.

    Attributes:
        photograph: its file.
        pictures: their files, each with what is written below; None where there is none.
        slimness: height by width, of all of them.
    """

    photograph: Path
    pictures: tuple[tuple[str, Path | None], ...]
    slimness: float


@dataclass(frozen=True)
class _Layout:
    """How many pictures stand beside each other, and which blocks below each other, from left to right."""

    across: int
    columns: tuple[tuple[_Block, ...], ...]

    @property
    def width(self) -> int:
        """In pictures."""
        return self.across * len(self.columns)

    @property
    def height(self) -> float:
        """In widths of a picture."""
        return max(sum(_height(block, self.across) for block in column) for column in self.columns)


def overview(tasks: Sequence[Task], there: Collection[Path]) -> Image.Image:
    """All pictures of a batch, small, with the photographs they were painted from.

    A table with a row for a photograph, which comes first in it, and a column for a painting, which stands above; or,
    where photographs were painted in different ways, each picture with its painting's name below.

    Args:
        tasks: of the batch; at least one is there.
        there: the outputs that are.

    Raises:
        ImageError: one of the files cannot be read.
    """
    blocks, styles = _blocks(tasks, there)
    layout = _layout(blocks, None if styles is None else len(styles) + 1)
    if styles is not None and layout.width > WIDEST * layout.height:
        styles, layout = None, _layout(blocks, None)
    room = layout.width * layout.height
    most = max(dimensions(file)[1] for block in blocks for _, file in block.pictures if file is not None)
    width = min(most, round(max(SMALLEST_WIDTH, min(WIDTH, math.sqrt(PIXELS / room)))))
    return _drawn(layout, styles, width)


def _blocks(tasks: Sequence[Task], there: Collection[Path]) -> tuple[list[_Block], tuple[tuple[Path, ...], ...] | None]:
    """A block for each photograph of which there is a picture, and the styles that all of them have in common."""
    by_photograph: dict[Path, list[Task]] = {}
    for task in tasks:
        by_photograph.setdefault(task.content, []).append(task)
    by_photograph = {path: own for path, own in by_photograph.items() if any(task.output in there for task in own)}
    ways = {tuple(task.style for task in own) for own in by_photograph.values()}
    repeated = any(len({*way}) < len(way) for way in ways)  # one painting in several ways: files' names tell them apart
    blocks = []
    for path, own in by_photograph.items():
        labels = [task.output.stem if repeated else _name(task.style) for task in own]
        files = [task.output if task.output in there else None for task in own]
        height, width = dimensions(path)
        blocks.append(_Block(path, tuple(zip(labels, files, strict=True)), min(SLIMMEST, height / width)))
    return blocks, ways.pop() if len(ways) == 1 and not repeated else None


def _name(style: tuple[Path, ...]) -> str:
    return " + ".join(path.stem for path in style)


def _rows(block: _Block, across: int) -> int:
    return math.ceil((len(block.pictures) + 1) / across)


def _height(block: _Block, across: int) -> float:
    """In widths of a picture, with the labels."""
    return _rows(block, across) * (block.slimness + LABEL)


def _layout(blocks: Sequence[_Block], across: int | None) -> _Layout:
    """The one that is nearest to the usual shape; `across` pictures beside each other, or as many as suit."""
    most = max(len(block.pictures) for block in blocks) + 1
    layouts = [
        _Layout(wide, tuple(_split(blocks, wide, columns)))
        for wide in ([across] if across else range(min(2, most), most + 1))
        for columns in range(1, min(len(blocks), MOST_COLUMNS) + 1)
    ]
    return min(layouts, key=lambda layout: abs(math.log(layout.width / layout.height / SHAPE)))


def _split(blocks: Sequence[_Block], across: int, columns: int) -> Iterator[tuple[_Block, ...]]:
    """The blocks in columns that are about equally high, in their order."""
    heights = [_height(block, across) for block in blocks]
    column: list[_Block] = []
    done, number = 0.0, 1
    for block, height in zip(blocks, heights, strict=True):
        if column and done + height / 2 > sum(heights) * number / columns:
            yield tuple(column)
            column, number = [], number + 1
        column.append(block)
        done += height
    yield tuple(column)


def _drawn(layout: _Layout, styles: tuple[tuple[Path, ...], ...] | None, width: int) -> Image.Image:
    margin = max(4, width // 40)
    names = [block.photograph.stem for column in layout.columns for block in column]
    below = [label for column in layout.columns for block in column for label, _ in block.pictures]
    font = font_for([*names, *(map(_name, styles) if styles is not None else below)], width)
    line = math.ceil(1.8 * font.size)
    above = [] if styles is None else [_painting(style, width) for style in styles]
    top = max((picture.height for picture in above), default=0) + (line + 2 * margin if above else margin)
    heights = [
        sum(_rows(block, layout.across) * (round(block.slimness * width) + line + margin) for block in column)
        for column in layout.columns
    ]
    stride = width + margin
    gap = 2 * margin  # between photographs beside each other
    whole = layout.width * stride + (len(layout.columns) - 1) * gap + margin
    paper = Image.new("RGB", (whole, top + max(heights)), PAPER)
    for number, column in enumerate(layout.columns):
        left = margin + number * (layout.across * stride + gap)
        for i, picture in enumerate(above, start=1):
            at = left + i * stride
            paper.paste(picture, (at + (width - picture.width) // 2, top - line - margin - picture.height))
            _write(paper, _name((styles or ())[i - 1]), font, at, top - line - margin, width)
        y = top
        for block in column:
            height = round(block.slimness * width)
            cells = [(block.photograph.stem, block.photograph), *block.pictures]
            for i, (label, file) in enumerate(cells):
                at, down = left + i % layout.across * stride, y + i // layout.across * (height + line + margin)
                if file is not None:
                    picture = _small(file, width, height)
                    paper.paste(picture, (at + (width - picture.width) // 2, down + (height - picture.height) // 2))
                if styles is None or i == 0:
                    _write(paper, label, font, at, down + height, width)
            y += _rows(block, layout.across) * (height + line + margin)
    return paper


def _small(file: Path, width: int, height: int) -> Image.Image:
    """A picture that fits into a cell."""
    there = dimensions(file)
    scale = min(width / there[1], height / there[0])
    small = to_pil(read_image(file, min(max(there), max(1, math.ceil(scale * max(there))))).image)
    size = max(1, min(width, round(there[1] * scale))), max(1, min(height, round(there[0] * scale)))
    return small if small.size == size else small.resize(size, Image.Resampling.LANCZOS)


def _painting(style: tuple[Path, ...], width: int) -> Image.Image:
    """The paintings of a style beside each other, as wide as a picture; nothing to be seen of a network."""
    files = []
    for path in style:
        try:
            found = style_pictures(path)[0]
            dimensions(found)
        except ImpastoError:
            continue
        files.append(found)
    if not files:
        return Image.new("RGB", (width, 1), PAPER)
    each = width // len(files)
    pictures = [_small(file, each, width) for file in files]
    row = Image.new("RGB", (sum(p.width for p in pictures), max(p.height for p in pictures)), PAPER)
    left = 0
    for picture in pictures:
        row.paste(picture, (left, row.height - picture.height))
        left += picture.width
    return row


def _write(paper: Image.Image, text: str, font: ImageFont.FreeTypeFont, left: int, top: int, width: int) -> None:
    """Write a label below a picture."""
    draw = ImageDraw.Draw(paper)
    draw.text((left + width / 2, top + 0.9 * font.size), shortened(text, font, width), INK, font, anchor="mm")
