"""The commands for films and cameras: `impasto video` and `impasto live`."""

from __future__ import annotations

import contextlib
import time
from dataclasses import fields, replace
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import App, Parameter
from rich.progress import BarColumn, MofNCompleteColumn, SpinnerColumn, TextColumn
from rich.progress import Progress as Bar

from impasto.cli.config import with_defaults
from impasto.cli.options import FILES, PAINTING, PICTURES, with_settings
from impasto.cli.painters import Painters, installed
from impasto.cli.pipes import refuse_addresses
from impasto.cli.terminal import Interruption, duration, progress_console
from impasto.errors import ImpastoError
from impasto.settings import Settings

if TYPE_CHECKING:
    from torch import Tensor

FILM_SETTINGS = tuple(f.name for f in fields(Settings) if f.name not in ("init", "seed", "evaluations"))
LIVE_SETTINGS = ("size", "strength", "color", "device")
DONE, STOPPED = 0, 128  # and the number of the signal


def add_to(app: App) -> None:
    """Give the command line these commands."""
    app.command(video, sort_key=4)
    app.command(live, sort_key=4)


@partial(with_settings, names=FILM_SETTINGS)
def video(
    clip: Annotated[Path, Parameter(help="the film: a file, a GIF or animated WebP, or a folder of numbered frames")],
    /,
    *style: Annotated[
        str, Parameter(required=True, help="the painting: a file, a folder of them, or a name from impasto styles")
    ],
    output: Annotated[
        Path,
        Parameter(
            alias="-o",
            group=FILES,
            help="the painted film: .mp4, .mov, .mkv, .webm, .gif, .webp, or a folder of frames",
        ),
    ],
    boil: Annotated[
        float, Parameter(group=PICTURES, metavar="X", help="how much the paint may live: 0 frozen, 100 each by itself")
    ] = 20.0,
    keyframes: Annotated[
        int, Parameter(group=PICTURES, metavar="N", help="paint every Nth frame, carry those between along the flow")
    ] = 1,
    loop: Annotated[bool, Parameter(group=PICTURES, help="the last frames lead back to the first")] = False,
    protect: Annotated[
        str | None,
        Parameter(
            group=PAINTING,
            metavar="FILE",
            help="what stays as photographed: faces or subject, found in every frame (extra people); a picture, white "
            "where it stays; or a box, left,top,right,bottom, as 10%,20%,50%,60%",
        ),
    ] = None,
    start: Annotated[str, Parameter(group=PICTURES, metavar="TIME", help="from there on, in seconds or as 1:30")] = "0",
    end: Annotated[str | None, Parameter(group=PICTURES, metavar="TIME", help="up to there")] = None,
    every: Annotated[int, Parameter(group=PICTURES, metavar="N", help="only every Nth frame")] = 1,
    rate: Annotated[
        str | None, Parameter(group=FILES, metavar="N", help="frames a second of a folder; 25 unless given")
    ] = None,
    codec: Annotated[str | None, Parameter(group=FILES, metavar="WORD", help="of FFmpeg, as libx265")] = None,
    crf: Annotated[int, Parameter(group=FILES, metavar="N", help="quality of the codec; less is better")] = 18,
    keep_every: Annotated[
        float,
        Parameter(group=FILES, metavar="X", help="seconds between two states from which a stopped film can go on"),
    ] = 30.0,
    preview: Annotated[
        Path | None, Parameter(group=FILES, metavar="OUT.png", help="a picture that always shows the latest frame")
    ] = None,
    weights: Annotated[
        Path | None, Parameter(group=FILES, help="file of VGG-19's weights; also from $IMPASTO_WEIGHTS")
    ] = None,
    quiet: Annotated[bool, Parameter(alias="-q", help="no progress, no notes")] = False,
    painter: Painters = installed,
    **given: Any,
) -> int:
    """Paint a film, steadily, with its sound (extra video); after a stop the same command goes on."""
    refuse_addresses([clip, *style])
    from impasto.images.writing import check_writable
    from impasto.runs.clip import Part, seconds
    from impasto.runs.film import film_file

    given = with_defaults(given, names=FILM_SETTINGS)
    settings = replace(Settings(), **{name: value for name, value in given.items() if value is not None})
    part = Part(seconds(start), None if end is None else seconds(end), every)
    if preview is not None:
        check_writable(preview)
    with Screen(preview, quiet=quiet) as screen:
        film_file(
            clip,
            style,
            output,
            settings,
            painter(weights),
            boil=boil,
            keyframes=keyframes,
            loop=loop,
            protect=protect,
            part=part,
            rate=None if rate is None else _rate(rate),
            codec=codec,
            crf=crf,
            keep=True,
            keep_every=keep_every,
            every=screen.seen,
            show=screen.show,
            note=screen.note,
        )
    print(output)
    return STOPPED + screen.interruption.signal if screen.interruption.signal else DONE


@partial(with_settings, names=LIVE_SETTINGS)
def live(
    source: Annotated[str, Parameter(help="a film, played over and over, or the number of a camera, as 0")],
    style: Annotated[str, Parameter(help="a network: a file of impasto train, or a name from impasto styles")],
    /,
    *,
    port: Annotated[int, Parameter(metavar="N", help="0 takes a free one")] = 7861,
    open: Annotated[bool, Parameter(negative="--no-open", help="open the page in the browser")] = True,
    quiet: Annotated[bool, Parameter(alias="-q", help="no notes")] = False,
    painter: Painters = installed,
    **given: Any,
) -> int:
    """Show a camera or a film painted by a network, on a page of this machine (extra video)."""
    refuse_addresses([source, style])
    settings = replace(
        Settings(), **{n: v for n, v in with_defaults(given, names=LIVE_SETTINGS).items() if v is not None}
    )
    from impasto.web.live import Screen as Live
    from impasto.web.live import checked, frames_of, painted, serving
    from impasto.web.opening import has_browser, open_page

    checked(style, settings)
    screen = Live()
    pictures = painted(frames_of(source), style, settings, painter(None), screen)
    with contextlib.closing(pictures):  # type: ignore[type-var]
        next(pictures)  # what is wrong is said before there is a page
        with serving(screen, port, f"{source} after {style}, painted live") as url:
            print(f"impasto is live at {url} (Ctrl-C ends it)", flush=True)
            if open and has_browser():
                open_page(url)
            with contextlib.suppress(KeyboardInterrupt):
                for _ in pictures:
                    pass
    if not quiet:
        words = f"{screen.count} pictures, {screen.seconds / screen.count:.2g} s each"
        progress_console(quiet=False).print(words, highlight=False)
    return DONE


def _rate(text: str) -> Fraction:
    try:
        rate = Fraction(text)
    except (ValueError, ZeroDivisionError):
        rate = Fraction(0)
    if not 0 < rate <= 1000:
        raise ImpastoError(f"--rate {text[:40]} is no number of frames a second; give one, as 24, 29.97 or 30000/1001")
    return rate


class Screen:
    """What a person at a terminal sees of a film being painted: frames, time left, and the latest one as a picture."""

    def __init__(self, preview: Path | None, *, quiet: bool) -> None:
        self.preview, self.console = preview, progress_console(quiet=quiet)
        self.interruption = Interruption(self.console)
        columns = (
            SpinnerColumn("dots", finished_text=" "),
            TextColumn("frames"),
            BarColumn(bar_width=24, complete_style="cyan", finished_style="cyan", pulse_style="dim"),
            MofNCompleteColumn(),
            TextColumn("{task.fields[left]}", style="cyan"),
        )
        self.bar = Bar(*columns, console=self.console, transient=True, disable=not self.console.is_terminal)
        self.task = self.bar.add_task("frames", total=None, left="")
        self.first: tuple[int, float] | None = None  # a frame, and when it was done

    def __enter__(self) -> Screen:
        self.interruption.__enter__()
        self.bar.start()
        return self

    def __exit__(self, *error: Any) -> None:
        self.bar.stop()
        self.interruption.__exit__(*error)

    def seen(self, number: int, frames: int) -> bool:
        """A frame is done; whether to go on."""
        now = time.monotonic()
        self.first = self.first or (number, now)
        begun, since = self.first
        left = (now - since) / (number - begun) * max(0, frames - number) if number > begun and frames else 0
        words = f"{duration(left)} left" if left else ""
        self.bar.update(self.task, completed=number, total=max(frames, number) or None, left=words)
        self.interruption.armed = True
        return self.interruption.signal is None

    def show(self, image: Tensor) -> None:
        """Write a painted frame as the preview; a disk that is full is no reason to stop."""
        from impasto.errors import ImageError
        from impasto.images.writing import write_image

        if self.preview is not None:
            with contextlib.suppress(ImageError):
                write_image(self.preview, image.cpu())

    def note(self, words: str) -> None:
        with contextlib.suppress(OSError):
            self.console.print(f"note: {words}", markup=False, highlight=False, soft_wrap=True)
