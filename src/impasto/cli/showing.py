"""A finished picture, shown: in the desktop's own program, or in the terminal."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from impasto.errors import ImpastoError

if TYPE_CHECKING:
    from PIL import Image as PillowImage

COLUMNS, ROWS_LEFT = 80, 3  # the widest picture in a terminal; rows for the prompt below it
PIXELS = 1280  # px, the longer side of what a terminal is sent


def open_file(path: Path) -> None:
    """Open a picture in the program that the desktop has for it; a missing one is no fault of the picture's."""
    if sys.platform == "win32":
        os.startfile(path)
        return
    opener = shutil.which("open" if sys.platform == "darwin" else "xdg-open")
    if opener is None:
        print(f"note: there is no xdg-open here to show {path}", file=sys.stderr)
        return
    # a desktop's opener may stay until the window is closed
    subprocess.Popen([opener, str(path)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)


def refuse_what_cannot_be_shown() -> None:
    """Before the work, not after it.

    Raises:
        ImpastoError: the extra is not installed, or standard input and output are no terminal.
    """
    if find_spec("textual_image") is None:
        raise ImpastoError("--show needs an extra: pip install 'impasto[terminal]'; --open shows pictures without it")
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise ImpastoError("--show prints the picture in a terminal, and there is none; --open shows it on the desktop")


def show_in_terminal(path: Path) -> None:
    """Print a picture as sixels, by kitty's protocol, or, where the terminal knows neither, as coloured half cells."""
    from impasto.images.reading import read_image
    from impasto.images.writing import to_pil

    picture = to_pil(read_image(path, PIXELS).image)
    try:
        _print(picture)
    except Exception as error:  # the picture is painted and kept, whatever a terminal answers
        print(f"note: this terminal could not show {path} ({type(error).__name__}: {error})", file=sys.stderr)


def _print(picture: PillowImage.Image) -> None:
    from rich.console import Console
    from textual_image.renderable import Image  # asks the terminal what it can

    console = Console()
    width = min(COLUMNS, console.width)
    # cells are about twice as high as wide
    height = max(1, min(round(width * picture.height / picture.width / 2), console.height - ROWS_LEFT))
    width = max(1, min(width, round(height * 2 * picture.width / picture.height)))
    console.print(Image(picture, width=width, height=height))
