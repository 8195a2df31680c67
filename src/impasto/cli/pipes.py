"""`-` for standard input and output, addresses refused, and a picture opened when it is done."""

from __future__ import annotations

import contextlib
import shutil
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path, PurePath
from tempfile import TemporaryDirectory

from impasto.cli.options import Files
from impasto.errors import ImpastoError

PIPE = Path("-")


def refuse_addresses(paths: Sequence[str | PurePath]) -> None:
    """Raise where a picture is an address: impasto asks nobody for pictures.

    Raises:
        ImpastoError: with what to do instead.
    """
    for path in paths:
        # a path has lost one of two slashes, and on Windows has others; a drive there has one letter
        scheme, colon, rest = (path.as_posix() if isinstance(path, PurePath) else path).partition(":/")
        if colon and len(scheme) > 1 and scheme.isalnum():
            raise ImpastoError(
                f"{scheme}://{rest.lstrip('/')} is an address, and impasto fetches nothing, so that nobody learns what "
                "you paint; download the picture and give the file"
            )


def as_paths(arguments: Sequence[str]) -> list[str]:
    """`-` as `./-`, which is the same path and is not taken for the beginning of an option."""
    return [f"./{PIPE}" if argument == str(PIPE) else argument for argument in arguments]


@contextlib.contextmanager
def piped(content: Path, files: Files) -> Iterator[tuple[Path, Files]]:
    """The photograph and the files with real files in place of `-`; what is written goes to standard output at the end.

    Raises:
        ImpastoError: the terminal stands where a picture should be.
    """
    if content != PIPE and files.output != PIPE:
        yield content, files
        return
    with TemporaryDirectory(prefix="impasto-") as folder:
        if content == PIPE:
            content = _from_stdin(Path(folder) / "stdin")
            # there is nothing to go on from once the photograph is gone
            files = replace(files, checkpoint=files.checkpoint or Path("none"))
        if files.output != PIPE:
            yield content, files
            return
        if sys.stdout.isatty():
            raise ImpastoError(
                "--output - writes a PNG to standard output, which is a terminal; redirect it into a file"
            )
        if files.json:
            raise ImpastoError("--output - and --json both want standard output; give --output a file")
        output = Path(folder) / "stdout.png"
        yield content, replace(files, output=output)
        if output.is_file():
            with output.open("rb") as picture:
                shutil.copyfileobj(picture, sys.stdout.buffer)


def _from_stdin(path: Path) -> Path:
    if sys.stdin.isatty():
        raise ImpastoError("the photograph is - (standard input), which is a terminal; give a file, or pipe one in")
    with path.open("xb") as file:
        shutil.copyfileobj(sys.stdin.buffer, file)
    if not path.stat().st_size:
        raise ImpastoError("the photograph is - (standard input), and nothing came; give a file, or pipe one in")
    return path
