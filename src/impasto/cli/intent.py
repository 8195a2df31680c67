"""What a command line probably means: a question before work that nobody wants."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from impasto.errors import ImpastoError

SHOWN = 3  # names in a question


def check_paintings(content: Path, style: Sequence[str], *, meant: bool) -> None:
    """Ask whether photographs beside the photograph are meant as paintings: `*.jpg nocturne` gives them so.

    At a terminal it is a question; elsewhere an error.

    Args:
        content: the photograph.
        style: paintings, as they were given.
        meant: what is unusual is wanted (`--yes`, or options that say something of several paintings).

    Raises:
        ImpastoError: they are not.
    """
    beside = [] if meant else siblings(content, style)
    if not beside:
        return
    names = ", ".join(beside[:SHOWN]) + (f" and {len(beside) - SHOWN} more" if len(beside) > SHOWN else "")
    one = len(beside) == 1
    what = f"{names} {'looks like a photograph' if one else 'look like photographs'} beside {content}, and would be "
    what += f"taken for {'a painting' if one else 'paintings'}, blended with the others"
    if sys.stdin is not None and sys.stdin.isatty() and sys.stderr is not None and sys.stderr.isatty():
        print(f"{what}.\nBlend them? [y/N] ", end="", file=sys.stderr, flush=True)
        if sys.stdin.readline().strip().lower() in ("y", "yes"):
            return
        what = "nothing was painted"
    others = [text for text in style if text not in beside] or ["PAINTING"]
    every = shlex.join([str(content), *beside][:SHOWN]) + (" ..." if len(beside) >= SHOWN else "")
    raise ImpastoError(
        f"{what}; to paint each photograph: impasto batch {every} --style {shlex.join(others)} -o painted; "
        "to blend them all the same: --yes"
    )


def siblings(content: Path, style: Sequence[str]) -> list[str]:
    """Those of several paintings that look like photographs of the photograph's series.

    They lie beside it and are numbered like it (IMG_01.jpg, IMG_02.jpg), or they are two and more of its kind of file
    beside it, before a last painting that is none: what a shell makes of `*.jpg nocturne`.
    """
    if len(style) < 2:  # one painting in the photograph's folder is usual
        return []
    beside = [text for text in style if _is_beside(content, Path(text))]
    series = [text for text in beside if _series(Path(text)) == _series(content) != ""]
    spread = beside if len(beside) >= 2 and [*style[: len(beside)]] == beside and len(style) == len(beside) + 1 else []
    return series or spread


def _is_beside(content: Path, other: Path) -> bool:
    same = other.suffix.lower() == content.suffix.lower() and other.parent == content.parent
    return same and other.is_file()


def _series(path: Path) -> str:
    """A camera's name for its pictures, without their numbers; empty without a number."""
    return re.sub(r"\d+", "#", path.stem) if re.search(r"\d{2}", path.stem) else ""
