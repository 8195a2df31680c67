"""Films in the studio: what may be brought, and painting one frame after the other while its visitor looks on."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Generator, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from impasto.errors import ImageError, SettingsError
from impasto.images.formats import sniff
from impasto.images.reading import Picture, read_image, to_image, write_image
from impasto.painting import Position, Progress
from impasto.runs.film import Clip, film_file
from impasto.settings import Settings
from impasto.web.jobs import Shown
from impasto.web.work import PREVIEW_SIZE, Paints, PictureFile, named, origin_of

# What is read as a film. FFmpeg reads much more, playlists among it, which name other files and addresses.
CONTAINERS = {"an MP4 or QuickTime video": ".mp4", "a WebM or Matroska video": ".mkv"}
MOST_PIXELS = 4096 * 2304  # of a frame
WAIT = 0.2  # seconds between looks at whether the other thread has ended


@dataclass(frozen=True)
class FilmFacts:
    """What a film's file says, and its first frame."""

    first: Picture
    seconds: float


def film_container(head: bytes) -> str | None:
    """The extension of a film that begins so; None for anything else."""
    return CONTAINERS.get(sniff(head))


def read_film(path: Path, name: str, longest: float) -> FilmFacts:
    """Look at a film that a visitor brought.

    Args:
        name: what the visitor calls it.
        longest: seconds that it may take.

    Raises:
        ImageError: it cannot be read, or is too long or too large.
    """
    try:
        clip = Clip(path)
    except ImageError as error:
        raise ImageError(str(error).replace(str(path), name)) from None
    try:
        context = clip.video.codec_context
        if context.width * context.height > MOST_PIXELS:
            raise ImageError(f"{name} has {context.width} × {context.height} pixels; convert it to 4K or less first")
        seconds = float(clip.container.duration or 0) / 1e6
        if not 0 < seconds <= longest:
            raise ImageError(
                f"{name} takes {seconds:.0f} s; this studio paints films of up to {longest:g} s: cut it first"
            )
        still = next(clip.stills(), None)
        if still is None:
            raise ImageError(f"{name} has no frame that can be read; give a film")
        return FilmFacts(to_image(still.picture), seconds)
    finally:
        clip.close()


@dataclass(frozen=True)
class FilmWork:
    """A film painted in the style of paintings; its first frame comes first, instantly.

    It is painted in a thread of its own, since `film_file` reads, paints and writes in one go; a step of this work is a
    frame of the film. Ending early closes the film so far, which plays.

    Attributes:
        photograph: the film, and its first frame.
        output: a PNG file to be, of the last frame painted; the film lies beside it.
    """

    photograph: PictureFile
    paintings: tuple[PictureFile, ...]
    settings: Settings
    output: Path
    painter: Paints = field(compare=False, repr=False)
    boil: float = 20.0
    protect: str | None = None

    kind = "film"

    @property
    def name(self) -> str:
        return "-".join(Path(file.name).stem for file in (self.photograph, *self.paintings))[:100]

    @property
    def film(self) -> Path:
        """The painted film."""
        return self.output.with_suffix(".mp4")

    @property
    def files(self) -> tuple[PictureFile, ...]:
        return (self.photograph, *self.paintings)

    def in_its_words(self, message: str) -> str:
        source = self.photograph
        return named(message.replace(str(source.film), source.name), self.files, self.output)

    def frames(self, resume: Position | None = None) -> Generator[Shown]:
        yield from self._preview()
        begun = time.monotonic()
        film = FilmThread(self)
        try:
            for number, count, image in film.frames():
                left = (time.monotonic() - begun) / number * max(0, count - number)
                yield Shown(Progress(1, 1, number, max(count, number), {}, image, left))
        finally:
            film.end()

    def _preview(self) -> Iterator[Shown]:
        if self.settings.quality == "instant":
            return
        size = min(PREVIEW_SIZE, self.settings.longer_side or PREVIEW_SIZE)
        small = replace(Settings(), quality="instant", size=size, strength=self.settings.strength)
        first = read_image(self.photograph.path, size)
        with suppress(SettingsError):  # the network's weights do not allow it
            for progress in self.painter.steps(first, [file.style for file in self.paintings], small):
                yield Shown(progress, preview=True)

    def keep(self, frame: Shown, *, stopped: bool) -> None:
        origin = origin_of(self.photograph, self.paintings, None, stopped=stopped)
        write_image(self.output, frame.progress.image.cpu(), settings=self.settings.to_json(), origin=origin)

    def discard(self) -> None:
        self.output.unlink(missing_ok=True)
        self.film.unlink(missing_ok=True)


class FilmThread:
    """The thread that paints a film, told after each frame whether to go on."""

    def __init__(self, work: FilmWork) -> None:
        self.work = work
        self._shown: queue.Queue[tuple[int, int, Tensor]] = queue.Queue(maxsize=1)
        self._latest: Tensor | None = None
        self._ending = False
        self._failure: BaseException | None = None
        self._card = torch.cuda.current_device() if torch.cuda.is_available() else None
        self._thread = threading.Thread(target=self._run, name="film", daemon=True)

    def frames(self) -> Iterator[tuple[int, int, Tensor]]:
        """Number, how many there are as the file has it, and the picture, of each frame that is painted.

        Raises:
            ImpastoError: what `film_file` raises.
        """
        self._thread.start()
        while self._thread.is_alive() or not self._shown.empty():
            with suppress(queue.Empty):
                yield self._shown.get(timeout=WAIT)
        if self._failure is not None:
            raise self._failure

    def end(self) -> None:
        """Close the film so far; returns when it can be played."""
        self._ending = True
        while self._thread.is_alive():
            with suppress(queue.Empty):
                self._shown.get_nowait()
            self._thread.join(WAIT)

    def film(self, frames: Iterable[Any], *given: Any, **named: Any) -> Iterator[Tensor]:
        """As `Painter.film`; the latest picture is kept to be shown."""
        for image in self.work.painter.film(frames, *given, **named):
            self._latest = image
            yield image

    def _run(self) -> None:
        if self._card is not None:
            torch.cuda.set_device(self._card)  # of the worker: a thread begins with the first
        work = self.work
        try:
            assert work.photograph.film is not None
            styles = [str(file.style) for file in work.paintings]
            how: Any = {"boil": work.boil, "protect": work.protect, "every": self._seen}
            film_file(work.photograph.film, styles, work.film, work.settings, self, **how)  # type: ignore[arg-type]
        except BaseException as error:
            self._failure = error

    def _seen(self, number: int, count: int) -> bool:
        if not self._ending and self._latest is not None:
            self._shown.put((number, count, self._latest.cpu()))
        return not self._ending
