"""Lists of pictures as files: which photograph in which style with which settings, read; what became of each, kept."""

from __future__ import annotations

import contextlib
import csv
import json
import os
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from impasto.errors import ImpastoError
from impasto.images.areas import only_area
from impasto.images.gallery import find_style
from impasto.runs.batch import Result, Task
from impasto.settings import Settings, parse

MOST_BYTES = 64 * 2**20  # of a list,
MOST_ROWS = 100_000  # of its pictures,
MOST_PAINTINGS = 1000  # and of the paintings that are blended in one
NOT_SETTINGS = ("content", "style", "output", "settings", "protect", "status", "seconds", "error", "note")


def read_manifest(path: Path, settings: Settings, folder: Path, extension: str = ".png") -> list[Task]:
    """The pictures of a list: a CSV file with a line of titles, or JSON lines.

    Each has a `content`, a `style` (several are blended: in CSV apart by ";"), perhaps an `output` (a name in the
    folder) and `protect` (the name of an area that is found), and settings by name. Files are found from where the list
    lies.

    Args:
        path: the list.
        settings: what a line does not say.
        folder: of the pictures.
        extension: of those whose name the list does not give.

    Raises:
        ImpastoError: the list cannot be read; says in which line and why.
    """
    tasks: dict[Path, Task] = {}
    for count, (number, found) in enumerate(_rows(path), start=1):
        if count > MOST_ROWS:
            raise ImpastoError(f"--manifest {path} lists more than {MOST_ROWS:,} pictures; split it")
        try:
            task = _task(found, path.parent, settings, folder, extension)
        except ImpastoError as error:
            raise ImpastoError(f"--manifest {path}, line {number}: {error}") from error
        if tasks.setdefault(task.output, task) != task:
            raise ImpastoError(
                f"--manifest {path}, line {number}: {task.output.name} is the name of another line's picture too; "
                "give it an output of its own"
            )
    if not tasks:
        raise ImpastoError(f"--manifest {path} lists no pictures; give each a content and a style")
    return list(tasks.values())


def row(result: Result) -> dict[str, Any]:
    """What became of a picture, as a line of a list that `read_manifest` reads."""
    task = result.task
    default = Settings()
    changed = {name: value for name, value in asdict(task.settings).items() if value != getattr(default, name)}
    return {
        "content": str(task.content.absolute()),
        "style": [str(painting.absolute()) for painting in task.style],
        "output": str(task.output.absolute()),
        "settings": changed,
        **({"protect": task.protect} if task.protect else {}),
        "status": result.status,
        "seconds": round(result.seconds, 3),
        "error": result.error,
        **({"note": result.note} if result.note else {}),
    }


def append(path: Path, result: Result) -> None:
    """Note what became of a picture, on disk when this returns; several processes may note at once.

    A line that a killed process has left half written is ended first.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(row(result), ensure_ascii=True) + "\n"
    with path.open("ab+", buffering=0) as file:
        if file.tell():
            file.seek(-1, os.SEEK_END)
            text = text if file.read(1) == b"\n" else "\n" + text
        file.write(text.encode())
        os.fsync(file.fileno())


def _rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Line numbers and what the lines say."""
    try:
        if path.exists() and not path.is_file():
            raise ValueError("it is no file")
        if (size := path.stat().st_size) > MOST_BYTES:
            raise ValueError(f"it has {size:,} bytes, and {MOST_BYTES:,} at most are read")
        with path.open(encoding="utf-8-sig", newline="") as file:
            if path.suffix.lower() == ".csv":
                reader = csv.DictReader(file)
                for found in reader:
                    yield reader.line_num, {k: v for k, v in found.items() if v}
                return
            for number, line in enumerate(file, start=1):
                if line.strip():
                    found = json.loads(line)
                    if not isinstance(found, dict):
                        raise ValueError(f"line {number} is no JSON object")
                    yield number, found
    except (OSError, ValueError, RecursionError, csv.Error) as error:
        words = error.strerror if isinstance(error, OSError) else error
        raise ImpastoError(f"--manifest {path} cannot be read: {words}; give a CSV file or JSON lines") from None


def _task(found: dict[str, Any], beside: Path, settings: Settings, folder: Path, extension: str) -> Task:
    for name in ("content", "style"):
        if not found.get(name):
            raise ImpastoError(f"{name} is missing")
    styles = found["style"] if isinstance(found["style"], list) else str(found["style"]).split(";")
    if len(styles) > MOST_PAINTINGS:
        raise ImpastoError(f"style names {len(styles):,} paintings; at most {MOST_PAINTINGS:,} are blended")
    paintings = [_painting(_path("style", text).strip(), beside) for text in styles]
    content = beside / _path("content", found["content"])
    settings_given = found.get("settings") or {}
    if not isinstance(settings_given, dict):
        raise ImpastoError('settings are an object, as {"size": 1024}')
    given = {**settings_given, **{k: v for k, v in found.items() if k not in NOT_SETTINGS}}
    if "cluster" in given:  # a list from elsewhere must not make anybody connect
        raise ImpastoError("cluster is not for a list to say: leave it out, and give --cluster")
    values = {str(k): parse(str(k), v) if isinstance(v, str) else v for k, v in given.items()}
    settings = replace(settings, **Settings.known(values))
    protect = None if not found.get("protect") else _path("protect", found["protect"])
    if protect is not None:
        only_area(protect)
    names = [painting.resolve().stem for painting in paintings]
    named = found.get("output") or f"{'-'.join([content.stem, *names])}{extension}"
    output = _output(_path("output", named), folder)
    return Task(content, tuple(paintings), settings, output, protect=protect)


def _path(name: str, given: Any) -> str:
    """A text that can be a path.

    Raises:
        ImpastoError: it cannot.
    """
    text = str(given)
    with contextlib.suppress(UnicodeEncodeError):
        if b"\0" not in os.fsencode(text):
            return text
    raise ImpastoError(f"{name} {ascii(text)[:60]} is no path: it holds what no name of a file does")


def _output(text: str, folder: Path) -> Path:
    """A picture to be, in the folder; lists come from elsewhere, and must not overwrite what lies around it.

    Raises:
        ImpastoError: it would lie elsewhere.
    """
    output = folder / text
    if not Path(os.path.abspath(output)).is_relative_to(os.path.abspath(folder)):  # noqa: PTH100 which keeps no ".."
        raise ImpastoError(f"output {ascii(text)[:200]} lies outside of --output {folder}; give a name in that folder")
    return output


def _painting(text: str, beside: Path) -> Path:
    return beside / text if (beside / text).exists() else find_style(text)
