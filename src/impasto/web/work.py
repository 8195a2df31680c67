"""What jobs do: paint a picture, with an instant preview first, a look at what settings do, or a sheet of many."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from impasto.errors import SettingsError
from impasto.images.areas import with_words
from impasto.images.origin import Origin
from impasto.images.reading import Picture, read_image, resize, to_image, write_image
from impasto.images.writing import to_pil
from impasto.methods.qualities import METHODS
from impasto.painting import Position, Progress
from impasto.settings import Settings
from impasto.web.jobs import Shown

PREVIEW_SIZE = 512  # px, of the longer side of the instant preview
LOOK_SIZE = 320  # px, of the longer side of what is painted while settings move: soon rather than sharp
PREVIEWS_KEPT = 32  # of all visitors: some 3 MB each
SHEET_CELL = 256  # px, of the longer side of a picture on the contact sheet


@dataclass(frozen=True)
class PictureFile:
    """A picture on the server's disk and what its visitor calls it; of a film its first frame.

    Attributes:
        id: unguessable if a visitor uploaded it, else a name that ships.
        film, seconds: of a film its own file, and how long it takes.
        network, learnt: the file of a network that paints instead of this picture, and the strength that it has learnt.
    """

    id: str
    name: str
    path: Path
    height: int
    width: int
    bytes: int = 0
    film: Path | None = None
    seconds: float = 0.0
    network: Path | None = None
    learnt: float = 0.0

    @property
    def style(self) -> Path:
        """What is painted after."""
        return self.network or self.path


class Paints(Protocol):
    """Whoever paints: `impasto.Painter`, or what tests put in its place."""

    @property
    def steps(self) -> Callable[..., Iterator[Progress]]:
        """As `impasto.paint_steps`."""
        ...

    @property
    def texture_steps(self) -> Callable[..., Iterator[Progress]]:
        """As `impasto.Painter.texture_steps`."""
        ...

    @property
    def film(self) -> Callable[..., Iterator[Tensor]]:
        """As `impasto.Painter.film`."""
        ...


@dataclass(frozen=True)
class Guides:
    """Where what is painted, as `impasto.paint_steps` has it; a text is the name of a colour or an area, or a box."""

    mask: PictureFile | str | None = None
    style_mask: tuple[PictureFile | str, ...] = ()
    protect: PictureFile | str | None = None

    @property
    def files(self) -> tuple[PictureFile, ...]:
        every = (self.mask, *self.style_mask, self.protect)
        return tuple(one for one in every if isinstance(one, PictureFile))

    def by_name(self) -> dict[str, PictureFile]:
        """The files, by the names of the options that took them; of style masks the first."""
        first = next((one for one in self.style_mask if isinstance(one, PictureFile)), None)
        given = {"mask": self.mask, "style_mask": first, "protect": self.protect}
        return {name: one for name, one in given.items() if isinstance(one, PictureFile)}

    def arguments(self) -> dict[str, Any]:
        """For `paint_steps`."""
        style_mask = [_source(one) for one in self.style_mask] or None
        return {"mask": _source(self.mask), "style_mask": style_mask, "protect": _source(self.protect)}


def named(message: str, files: Iterable[PictureFile], output: Path | None = None) -> str:
    """A message in which files have their visitor's names, and others none."""
    here = [] if output is None else [(output, "the picture"), (output.parent, "the studio's folder")]
    message = message.split("; did you mean ")[0]
    for path, name in [
        *((file.network, file.name) for file in files if file.network),
        *((file.path, file.name) for file in files),
        *here,
    ]:
        message = message.replace(str(path), name)
    return message


def origin_of(
    photograph: PictureFile | None, paintings: Iterable[PictureFile], now: Progress | None, *, stopped: bool
) -> str:
    """From what a picture was painted, to keep inside it: the names that its visitor gave, as JSON.

    Args:
        photograph: None of a texture.
        paintings: in their order.
        now: the last evaluation; None where none was made.
        stopped: before its end.
    """
    named = Path(photograph.name) if photograph else None
    done = (now.step, now.steps) if now else (0, 0)
    return Origin.of(named, [Path(one.name) for one in paintings], *done, stopped=stopped).to_json()


def instantly(settings: Settings, size: int) -> Settings:
    """Of the settings those that an instant picture knows."""
    no_part = {name: getattr(Settings(), name) for name in (*METHODS["instant"].ignores, "seed")}
    return replace(settings, quality="instant", size=size, **no_part)


def _source(given: PictureFile | str | None) -> Path | str | None:
    return given.path if isinstance(given, PictureFile) else given


@dataclass(frozen=True)
class PaintingWork:
    """A photograph painted in the style of paintings.

    Attributes:
        output: a PNG file of 16 bits to be, with the settings inside.
        previews: the last ones, by what they depend on; None keeps none.
    """

    photograph: PictureFile
    paintings: tuple[PictureFile, ...]
    settings: Settings
    output: Path
    painter: Paints = field(compare=False, repr=False)
    guides: Guides = Guides()
    previews: dict[Any, Progress] | None = field(default=None, compare=False, repr=False)

    kind = "painting"

    @property
    def name(self) -> str:
        return "-".join(Path(file.name).stem for file in (self.photograph, *self.paintings))[:100]

    @property
    def files(self) -> tuple[PictureFile, ...]:
        return (self.photograph, *self.paintings, *self.guides.files)

    def in_its_words(self, message: str) -> str:
        return named(message, self.files, self.output)

    def frames(self, resume: Position | None = None) -> Generator[Shown]:
        photograph = read_image(self.photograph.path, self.settings.longer_side)
        at_once = self.settings.quality == "instant" or any(file.network for file in self.paintings)
        if not at_once and resume is None:
            for progress in self._preview(photograph):
                yield Shown(progress, preview=True)
        for progress in self._steps(photograph, self.settings, resume):
            yield Shown(progress)

    def _steps(self, photograph: Picture, settings: Settings, resume: Position | None = None) -> Iterator[Progress]:
        paintings = [file.style for file in self.paintings]
        return self.painter.steps(photograph, paintings, settings, resume=resume, **self.guides.arguments())

    def _preview(self, photograph: Picture) -> Iterator[Progress]:
        """The photograph painted instantly and small; nothing where the network's weights do not allow it."""
        size = min(max(photograph.image.shape[-2:]), PREVIEW_SIZE)
        small = instantly(self.settings, size)
        order = self.photograph, self.paintings, self.guides, small
        known = {} if self.previews is None else self.previews
        if order in known:
            yield known[order]
            return
        with suppress(SettingsError):
            for progress in self._steps(to_image(photograph, size), small):
                yield progress
            known[order] = replace(progress, image=progress.image.cpu())
            for old in list(known)[:-PREVIEWS_KEPT]:
                known.pop(old, None)

    def keep(self, frame: Shown, *, stopped: bool) -> None:
        photograph = read_image(self.photograph.path, self.settings.longer_side)
        now = None if frame.preview else frame.progress
        write_image(
            self.output,
            # Stopped at a coarse scale, the picture is enlarged to the size that was asked for.
            resize(frame.progress.image.cpu(), *photograph.image.shape[-2:]),
            alpha=photograph.alpha,
            settings=with_words(self.settings.to_json(), self.guides.arguments()),
            origin=origin_of(self.photograph, self.paintings, now, stopped=stopped),
            bits=16,
            density=photograph.density,
        )

    def discard(self) -> None:
        self.output.unlink(missing_ok=True)


@dataclass(frozen=True)
class LookWork:
    """What settings would do: the photograph painted small and instantly, until the next look."""

    photograph: PictureFile
    paintings: tuple[PictureFile, ...]
    settings: Settings
    output: Path
    painter: Paints = field(compare=False, repr=False)
    guides: Guides = Guides()

    kind = "look"

    @property
    def name(self) -> str:
        return f"{Path(self.photograph.name).stem}-look"[:100]

    @property
    def files(self) -> tuple[PictureFile, ...]:
        return (self.photograph, *self.paintings, *self.guides.files)

    def in_its_words(self, message: str) -> str:
        return named(message, self.files, self.output)

    def frames(self, resume: Position | None = None) -> Generator[Shown]:
        photograph = read_image(self.photograph.path, LOOK_SIZE)
        paintings = [file.style for file in self.paintings]
        for progress in self.painter.steps(photograph, paintings, self.settings, **self.guides.arguments()):
            yield Shown(progress)

    def keep(self, frame: Shown, *, stopped: bool) -> None:
        write_image(self.output, frame.progress.image)

    def discard(self) -> None:
        self.output.unlink(missing_ok=True)


@dataclass(frozen=True)
class SheetCell:
    """One picture of a sheet: what is written below it, and what choosing it means."""

    label: str
    painting: PictureFile
    changes: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class SheetWork:
    """A photograph painted instantly in many ways, on one sheet: cell after cell, from left to right and down."""

    photograph: PictureFile
    cells: tuple[SheetCell, ...]
    columns: int
    settings: Settings
    output: Path
    painter: Paints = field(compare=False, repr=False)

    kind = "sheet"

    @property
    def paintings(self) -> tuple[PictureFile, ...]:
        return tuple({cell.painting.id: cell.painting for cell in self.cells}.values())

    @property
    def files(self) -> tuple[PictureFile, ...]:
        return (self.photograph, *self.paintings)

    @property
    def name(self) -> str:
        return f"{Path(self.photograph.name).stem}-sheet"[:100]

    def in_its_words(self, message: str) -> str:
        return named(message, self.files, self.output)

    def frames(self, resume: Position | None = None) -> Generator[Shown]:
        photograph = read_image(self.photograph.path, SHEET_CELL)
        sheet = Sheet(photograph.image, [cell.label for cell in self.cells], self.columns)
        for number, cell in enumerate(self.cells):
            settings = replace(self.settings, quality="instant", size=SHEET_CELL, **cell.changes)
            for progress in self.painter.steps(photograph, cell.painting.style, settings):
                image = progress.image
            sheet.put(number, image)
            yield Shown(Progress(1, 1, number + 1, len(self.cells), {}, sheet.image.clone()))

    def keep(self, frame: Shown, *, stopped: bool) -> None:
        write_image(self.output, frame.progress.image)

    def discard(self) -> None:
        self.output.unlink(missing_ok=True)


@dataclass(frozen=True)
class TextureWork:
    """A square of a painting's texture.

    Attributes:
        output: a PNG file of 16 bits to be, with the settings inside.
        seamless: its edges go on from each other.
    """

    paintings: tuple[PictureFile, ...]
    settings: Settings
    output: Path
    painter: Paints = field(compare=False, repr=False)
    seamless: bool = False

    kind = "texture"
    photograph = None

    @property
    def name(self) -> str:
        return "-".join([*(Path(file.name).stem for file in self.paintings), "texture"])[:100]

    @property
    def files(self) -> tuple[PictureFile, ...]:
        return self.paintings

    def in_its_words(self, message: str) -> str:
        return named(message, self.files, self.output)

    def frames(self, resume: Position | None = None) -> Generator[Shown]:
        paths = [file.path for file in self.paintings]
        for progress in self.painter.texture_steps(paths, self.settings, seamless=self.seamless):
            yield Shown(progress)

    def keep(self, frame: Shown, *, stopped: bool) -> None:
        image = frame.progress.image
        side = self.settings.longer_side or image.shape[-1]
        origin = origin_of(None, self.paintings, frame.progress, stopped=stopped)
        write_image(
            self.output, resize(image.cpu(), side, side), settings=self.settings.to_json(), origin=origin, bits=16
        )

    def discard(self) -> None:
        self.output.unlink(missing_ok=True)


class Sheet:
    """Pictures of one size above their names, in rows; `image` is (1, 3, height, width)."""

    def __init__(self, photograph: Tensor, names: list[str], columns: int) -> None:
        self.columns = columns
        self.height, self.width = photograph.shape[-2:]
        self.margin, self.label = 8, 28
        self.cell_height = self.height + self.label + 2 * self.margin
        self.cell_width = self.width + 2 * self.margin
        rows = -(-len(names) // columns)
        paper = Image.new("RGB", (columns * self.cell_width, rows * self.cell_height), "#f4f1ea")
        draw, font = ImageDraw.Draw(paper), ImageFont.load_default(size=18)
        faint = to_pil(photograph.lerp(torch.full_like(photograph, 0.92), 0.75))
        for number, name in enumerate(names):
            left, top = self._corner(number)
            paper.paste(faint, (left, top))
            middle = left + self.width / 2, top + self.height + self.label / 2 + 2
            draw.text(middle, name, "#2b2a28", font, anchor="mm")
        self.image = to_image(paper).image

    def put(self, number: int, image: Tensor) -> None:
        left, top = self._corner(number)
        rows, columns = slice(top, top + self.height), slice(left, left + self.width)
        self.image[..., rows, columns] = resize(image.cpu(), self.height, self.width)

    def _corner(self, number: int) -> tuple[int, int]:
        row, column = divmod(number, self.columns)
        return column * self.cell_width + self.margin, row * self.cell_height + self.margin
