"""The commands for many pictures: `impasto batch` and `impasto grid`."""

from __future__ import annotations

import contextlib
import glob
import json as to_text
import math
import os
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import App, Parameter
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, SpinnerColumn, TextColumn
from rich.progress import Progress as Bar
from rich.table import Table

from impasto.cli.config import with_defaults
from impasto.cli.one import planned
from impasto.cli.options import FILES, OTHER, PAINTING, Files, between, with_settings
from impasto.cli.painters import Painters, installed
from impasto.cli.pipes import PIPE, refuse_addresses
from impasto.cli.terminal import Interruption, Terminal, duration, progress_console
from impasto.errors import ImpastoError, SettingsError
from impasto.images.areas import only_area
from impasto.images.gallery import find_style, style_names, style_path, style_pictures
from impasto.settings import PRESETS, Settings, parse, preset

if TYPE_CHECKING:
    from impasto.painting import Painter
    from impasto.runs.batch import Result, Task

DONE, FAILED, INTERRUPTED = 0, 1, 130
EVERY = "all"  # every painting that ships
MANIFEST = "batch.jsonl"  # beside the pictures

Weights = Annotated[Path | None, Parameter(group=FILES, help="file of VGG-19's weights; also from $IMPASTO_WEIGHTS")]
Preset = Annotated[
    str | None,
    Parameter(
        name="--preset",
        group=PAINTING,
        metavar="WORD",
        help="settings for a kind of picture; impasto presets lists them",
    ),
]
DryRun = Annotated[
    bool, Parameter(group=OTHER, help="paint nothing; say what would be painted, how long it takes, how much memory")
]
Quiet = Annotated[bool, Parameter(alias="-q", group=OTHER, help="no progress, no notes")]


def add_to(app: App) -> None:
    """Give the command line these commands."""
    app.command(batch, sort_key=3, usage="impasto batch [OPTIONS] PHOTOGRAPHS... --style FILE... --output DIR")
    app.command(grid, sort_key=3)


@with_settings
def batch(
    *photographs: Annotated[str, Parameter(help="files, folders, or patterns as 'holiday/*.jpg'")],
    style: Annotated[
        tuple[str, ...],
        Parameter(
            group=FILES,
            metavar="FILE...",
            consume_multiple=True,
            help="paintings: files, folders, patterns, names from impasto styles, or all of those",
        ),
    ] = (),
    output: Annotated[Path, Parameter(alias="-o", group=FILES, metavar="DIR", help="the folder of the pictures")],
    manifest: Annotated[
        Path | None,
        Parameter(group=FILES, help="which photograph in which style, with settings of each: .csv or .jsonl"),
    ] = None,
    form: Annotated[
        Literal["png", "jpg", "tif", "webp", "avif"],
        Parameter(name="--format", group=FILES, metavar="WORD", help="of the pictures: png, jpg, tif, webp, avif"),
    ] = "png",
    sheet: Annotated[
        Path | None,
        Parameter(group=FILES, metavar="FILE", help="photographs and pictures, small, on one sheet to choose from"),
    ] = None,
    keep_metadata: Annotated[
        bool, Parameter(group=FILES, help="keep the photographs' metadata (never their location)")
    ] = False,
    keep_location: Annotated[bool, Parameter(group=FILES, help="keep the photographs' metadata and location")] = False,
    protect: Annotated[
        str | None,
        Parameter(
            group=PAINTING,
            metavar="WORD",
            help="what is found in each photograph and stays as photographed: faces or subject (extra people)",
        ),
    ] = None,
    weights: Weights = None,
    kind: Preset = None,
    jobs: Annotated[
        int, Parameter(group=OTHER, metavar="N", validator=between(1, 64), help="processes that share the work")
    ] = 1,
    dry_run: DryRun = False,
    json: Annotated[bool, Parameter(group=OTHER, help="print a JSON object for each picture as it is done")] = False,
    quiet: Quiet = False,
    painter: Painters = installed,
    **given: Any,
) -> int:
    """Paint every photograph in the style of every painting; what is there already is left."""
    refuse_addresses([*photographs, *style])
    settings = _settings(given, kind)
    if settings.cluster != "none" and jobs > 1:
        raise SettingsError("--jobs are processes of this machine, --cluster is many machines; give one of them")
    if protect is not None:
        only_area(protect)
    cluster, settings = settings.cluster, replace(settings, cluster="none")  # whole pictures, not parts of each
    if bool(manifest) == bool(photographs or style) or bool(photographs) != bool(style):
        raise ImpastoError("give photographs and --style, or --manifest instead of both")
    if output.exists() and not output.is_dir():
        raise ImpastoError(f"--output {output} is a file; give the name of a folder")

    from impasto.network.finders import check_finder
    from impasto.runs.batch import paint_all, plan
    from impasto.runs.manifest import read_manifest

    if manifest:
        tasks = read_manifest(manifest, settings, output, f".{form}")
    else:
        paintings = _pictures(style, "--style")
        tasks = plan(_pictures(photographs, "the photographs"), paintings, settings, output, f".{form}")
    alike = partial(replace, keep_metadata=keep_metadata, keep_location=keep_location)
    tasks = [alike(task, protect=task.protect or protect) for task in tasks]
    _check(tasks)
    if sheet is not None:
        _check_sheet(sheet, tasks)
    console = progress_console(quiet=quiet)
    _note_in_vain(dict.fromkeys((task.style, task.settings) for task in tasks), console)
    worker = painter(weights)
    if dry_run:
        return _dry_run(worker, tasks, jobs, json=json)
    _ = worker.models.weights  # missing ones are no fault of each picture
    for name in sorted({only_area(task.protect).name for task in tasks if task.protect}):
        check_finder(name)
    paint: Any = partial(paint_all, worker, tasks, jobs=jobs)
    if cluster != "none":
        from impasto.runs.cluster import paint_tasks

        def paint(watch: Any) -> Any:
            return paint_tasks(tasks, cluster, worker.models.source)

    results: list[Result] = []
    status = _painted(results, tasks, paint, output, console, jobs, json)
    if sheet is not None and status in (DONE, FAILED):
        _draw_sheet(sheet, tasks, results, console)
    return status


def _settings(given: dict[str, Any], kind: str | None, **otherwise: Any) -> Settings:
    """Those of the command that differ from the usual, then a preset's, then one's own defaults and the options."""
    if kind is not None:
        preset(kind)  # which refuses an unknown name
    known = with_defaults(given, preset=kind)
    known = {name: value for name, value in known.items() if value is not None}
    return replace(Settings(), **{**otherwise, **(PRESETS[kind].settings if kind else {}), **known})


def _pictures(texts: Sequence[str], what: str) -> list[Path]:
    """The files that are meant by names, folders, patterns; the styles' names only where styles are meant."""
    found: list[Path] = []
    for text in texts:
        path = Path(text)
        if path.is_dir():
            found += style_pictures(path)
        elif not path.exists() and glob.has_magic(text):
            matching = [Path(one) for one in sorted(glob.glob(text, recursive=True))]  # noqa: PTH207 of any root
            if not matching:
                raise ImpastoError(f"{what}: no file matches {text}")
            found += [one for one in matching if one.is_file()]
        elif what == "--style":
            found += [style_path(name) for name in style_names()] if text == EVERY else [find_style(text)]
        elif path.exists():
            found.append(path)
        else:
            raise ImpastoError(f"{path} does not exist; give a photograph, a folder of them, or a pattern")
    return found


def _check(tasks: Sequence[Task]) -> None:
    """Refuse before any work what would destroy a picture that is read, or be read again as a photograph."""
    inputs = {os.path.realpath(path) for task in tasks for path in (task.content, *task.style)}
    for task in tasks:
        task.settings.for_each("style_scale", len(task.style))
        if os.path.realpath(task.output) in inputs:
            raise ImpastoError(f"--output: {task.output} would overwrite a file that is read; give another folder")
    read = {os.path.dirname(path) for path in inputs}  # noqa: PTH120 of real paths
    for folder in {task.output.parent for task in tasks}:
        if os.path.realpath(folder) in read:
            raise ImpastoError(f"--output {folder} is a folder that pictures are read from; give another")


def _check_sheet(sheet: Path, tasks: Sequence[Task]) -> None:
    """Find out before the work that a sheet can be written, and is nothing else.

    Raises:
        ImpastoError: it cannot, or is.
    """
    from impasto.images.writing import check_writable

    check_writable(sheet)
    files = {path for task in tasks for path in (task.content, *task.style, task.output)}
    if os.path.realpath(sheet) in map(os.path.realpath, files):
        raise ImpastoError(f"--sheet {sheet} is a picture of the batch as well; give another name")


def _draw_sheet(sheet: Path, tasks: Sequence[Task], results: Sequence[Result], console: Console) -> None:
    """Lay the photographs and what was painted of them on one sheet."""
    from impasto.images.reading import to_image
    from impasto.images.writing import write_image
    from impasto.runs.overview import overview

    there = {result.task.output for result in results if result.status != "failed"}
    if there:
        write_image(sheet, to_image(overview(tasks, there)).image)
        console.print(f"sheet: {sheet}", markup=False, soft_wrap=True)


def _painted(
    results: list[Result], tasks: Sequence[Task], paint: Any, output: Path, console: Console, jobs: int, json: bool
) -> int:
    """Paint, show, note, add to the results; returns the exit status."""
    from impasto.runs.manifest import append, row

    begun = time.monotonic()
    try:
        with Interruption(console), _overall(console, len(tasks), jobs) as overall:
            for result in paint(watch=lambda task, share: overall.watch(task.output, share)):
                results.append(result)
                picture = result.task.output
                if result.note:
                    console.print(f"note: {picture.name}: {result.note}", markup=False, soft_wrap=True)
                overall.done(picture, result.status, picture.name, seconds=result.seconds, error=result.error)
                if result.status != "there":
                    append(output / MANIFEST, result)
                if json:
                    print(to_text.dumps(row(result), ensure_ascii=False), flush=True)
                elif result.status != "failed":
                    print(result.task.output, flush=True)
    except (KeyboardInterrupt, SystemExit) as error:
        _report(console, results, len(tasks), time.monotonic() - begun)
        console.print("stopped; the same command goes on", style="dim")
        return INTERRUPTED if isinstance(error, KeyboardInterrupt) else int(error.code or 0)
    _report(console, results, len(tasks), time.monotonic() - begun)
    return FAILED if any(result.status == "failed" for result in results) else DONE


def _note_in_vain(ways: Iterable[tuple[Any, Settings]], console: Console) -> None:
    """Say, once each, which settings change nothing of pictures that will be painted after styles in some ways."""
    from impasto.methods.qualities import in_vain

    for note in dict.fromkeys(note for style, settings in ways for note in in_vain(style, settings)):
        console.print(f"note: {note}", markup=False, highlight=False, soft_wrap=True)


class _Overall:
    """One bar over all pictures, with the time left; without a terminal a line for each picture that is done.

    Args:
        bar: shown.
        console: behind it.
        total: pictures.
        jobs: that share the work.
    """

    def __init__(self, bar: Bar, console: Console, total: int, jobs: int) -> None:
        self._bar, self._console, self._total, self._jobs = bar, console, total, jobs
        self._task = bar.add_task(f"0 of {total}", total=total, left="")
        self._count, self._spent, self._painted = 0, 0.0, 0
        self._begun: dict[Any, float] = {}  # shares of the pictures under way

    def watch(self, what: Any, share: float) -> None:
        """A step of a picture was made."""
        self._begun[what] = share
        self._bar.update(self._task, completed=self._count + sum(self._begun.values()))

    def done(self, what: Any, status: str, name: str, *, seconds: float = 0.0, error: str | None = None) -> None:
        """A picture is done, or failed."""
        self._count += 1
        self._begun.pop(what, None)
        if status == "painted":
            self._spent, self._painted = self._spent + seconds, self._painted + 1
        each = self._spent / self._painted if self._painted else 0.0
        left = f"{duration(each * (self._total - self._count) / self._jobs)} left" if each else ""
        where = f"{self._count} of {self._total}"
        self._bar.update(self._task, description=where, completed=self._count + sum(self._begun.values()), left=left)
        if error is not None:
            self._say(f"failed: {name}: {error}")
        elif not self._console.is_terminal:
            self._say(f"{where} {status}: {name}")

    def _say(self, words: str) -> None:
        self._console.print(words, markup=False, highlight=False, soft_wrap=True)


@contextlib.contextmanager
def _overall(console: Console, total: int, jobs: int = 1) -> Iterator[_Overall]:
    """What is told each step, and each picture."""
    columns = (
        SpinnerColumn("dots"),
        TextColumn("{task.description}"),
        BarColumn(24),
        TextColumn("{task.fields[left]}"),
    )
    with Bar(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        yield _Overall(bar, console, total, jobs)


def _report(console: Console, results: Sequence[Result], total: int, seconds: float) -> None:
    counts = Counter(result.status for result in results)
    spent = [result.seconds for result in results if result.status == "painted"]
    table = Table(box=None, pad_edge=False)
    for title in ("", "pictures", "seconds each"):
        table.add_column(title, justify="left" if not title else "right")
    table.add_row("painted", str(counts["painted"]), f"{sum(spent) / len(spent):.1f}" if spent else "")
    table.add_row("there already", str(counts["there"]))
    table.add_row("failed", str(counts["failed"]))
    if len(results) < total:
        table.add_row("not done", str(total - len(results)))
    console.print(table)
    for result in results:
        if result.status == "failed":
            console.print(escape(f"  {result.task.output.name}: {result.error}"), soft_wrap=True, highlight=False)
    console.print(f"in {duration(seconds)}", style="dim")


def _dry_run(worker: Painter, tasks: Sequence[Task], jobs: int, *, json: bool) -> int:
    """Say what would be painted; a picture that cannot be is one of the lines, and the exit status."""
    from impasto.runs.batch import is_there, key
    from impasto.runs.forecast import Forecaster

    foretell = Forecaster(worker)
    rows: list[dict[str, Any]] = []
    for task in tasks:
        line: dict[str, Any] = {"output": str(task.output), "status": "to paint"}
        try:
            if is_there(task.output, key(task, worker.models.source)):
                line["status"] = "there"
            else:
                line |= asdict(foretell(task.content, list(task.style), task.settings))
        except (ImpastoError, OSError) as error:
            line |= {"status": "cannot be painted", "error": str(error)}
        rows.append(line)
        if json:
            print(to_text.dumps(line, ensure_ascii=False), flush=True)
        else:
            print(f"{task.output}: {_foretold(line)}", flush=True)
    seconds = sum(line.get("seconds", 0.0) for line in rows)
    counts = Counter(line["status"] for line in rows)
    if not json:
        print(", ".join(f"{count} {status}" for status, count in counts.items()), end="")
        print(f"; about {duration(math.ceil(seconds / jobs))} in all" if seconds else "")
    return FAILED if counts["cannot be painted"] else DONE


def foretell_one(content: Path, style: Sequence[str], files: Files, given: dict[str, Any], painter: Painters) -> int:
    """What `impasto paint --dry-run` says of a picture."""
    if content == PIPE:
        raise ImpastoError("--dry-run needs the photograph in a file, not from standard input")
    given = with_defaults(given, preset=files.preset, like=files.like)
    settings, paintings, _ = planned(content, style, files, given, Terminal(quiet=files.quiet))

    from impasto.runs.forecast import Forecaster

    line = asdict(Forecaster(painter(files.weights))(content, paintings, settings))
    print(to_text.dumps(line) if files.json else _foretold(line))
    return DONE


def _foretold(line: dict[str, Any]) -> str:
    if "seconds" not in line:
        return str(line.get("error", line["status"]))
    words = f"{line['width']} × {line['height']}, about {duration(math.ceil(line['seconds']))}"
    return words + (f", {line['memory'] / 1e9:.1f} GB" if line["memory"] else "")


@with_settings
def grid(
    photograph: Annotated[Path, Parameter(help="the photograph")],
    /,
    *style: Annotated[
        str,
        Parameter(required=True, help="the painting, or several: files, folders, names from impasto styles, or all"),
    ],
    output: Annotated[Path, Parameter(alias="-o", group=FILES, help="the sheet")],
    vary: Annotated[
        tuple[str, ...],
        Parameter(
            group=PAINTING, metavar="NAME=VALUES", help="a setting and its values, as strength=20,50,80; twice at most"
        ),
    ] = (),
    weights: Weights = None,
    kind: Preset = None,
    quiet: Quiet = False,
    painter: Painters = installed,
    **given: Any,
) -> int:
    """Paint a sheet of one photograph with one or two things varied: settings, or the painting. At instant."""
    refuse_addresses([photograph, *style])
    settings = _settings(given, kind, quality="instant")
    varied = dict(map(_varied, vary))

    from impasto.images.reading import read_image, to_image
    from impasto.images.writing import check_writable, write_image
    from impasto.runs.grid import cells, paint_cells, sheet

    paintings = _pictures(style, "--style")
    these, columns = cells(paintings, settings, varied)
    check_writable(output)
    if any(os.path.realpath(output) == os.path.realpath(path) for path in (photograph, *paintings)):
        raise ImpastoError(f"--output {output} would overwrite a file that is read; give another name")
    content: Any = photograph if "size" in varied else read_image(photograph, settings.longer_side)
    console = progress_console(quiet=quiet)
    _note_in_vain(dict.fromkeys((cell.style, cell.settings) for cell in these), console)
    pictures = []
    begun = time.monotonic()
    with Interruption(console), _overall(console, len(these)) as overall:
        for cell, picture in zip(
            these, paint_cells(painter(weights), content, these, watch=overall.watch), strict=True
        ):
            pictures.append(picture)
            overall.done(cell, "painted", cell.label, seconds=time.monotonic() - begun)
            begun = time.monotonic()
    write_image(output, to_image(sheet(pictures, [cell.label for cell in these], columns)).image)
    print(output)
    return DONE


def _varied(text: str) -> tuple[str, list[Any]]:
    """'strength=20,50' is ("strength", [20.0, 50.0])."""
    name, equals, values = text.partition("=")
    name = name.strip().removeprefix("--").replace("-", "_")
    if not equals or not values.strip():
        raise SettingsError(f"--vary {text} is no setting with values; write for example strength=20,50,80")
    return name, [parse(name, value.strip()) for value in values.split(",")]
