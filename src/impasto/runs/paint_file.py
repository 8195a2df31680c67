"""From picture files to a picture file: what `impasto paint` and `impasto resume` do."""

from __future__ import annotations

import contextlib
import json
import math
import os
import signal
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from impasto.cli.options import Files
from impasto.cli.terminal import progress_console
from impasto.errors import ImageError, ImpastoError
from impasto.runs.job import Job
from impasto.settings import INITS, PRESETS, Settings, preset

if TYPE_CHECKING:
    from torch import Tensor

    from impasto.images.reading import Picture
    from impasto.painting import Progress
    from impasto.runs.keeper import Keeper


def paint_file(content: Path, style: Sequence[str], files: Files, given: Mapping[str, Any]) -> dict[str, Any]:
    """Paint a photograph into a file; everything is checked before any work.

    Args:
        content: the photograph.
        style: files, folders, or names of paintings that ship.
        files: where the picture goes and what goes with it.
        given: settings that the user gave, by name; None is not given.

    Returns:
        What `--json` prints.

    Raises:
        ImpastoError: something that the user can mend.
    """
    from impasto.images.gallery import find_style

    console = progress_console(quiet=files.quiet)
    settings = settings_for(files, given, console)
    paintings = [find_style(text) for text in style]
    output = files.output or _free_name(content, paintings)
    for name in ("style_weight", "style_scale", "strokes"):  # before anything is read
        settings.for_each(name, len(paintings))
    job = Job(content, paintings, settings, output, files.located())
    _check_output(job)

    from impasto.runs.keeper import Keeper

    with Keeper.for_new(job, console) as keeper:
        return _run(keeper, console)


def resume_file(folder: Path | None, **changes: Any) -> dict[str, Any]:
    """Go on with a picture that was stopped, to the same end.

    Args:
        folder: its checkpoint; None for the newest in the cache.
        changes: of `Files`: `output`, `json`, `quiet`.

    Returns, raises:
        As `paint_file`.
    """
    from impasto.runs.keeper import Keeper

    console = progress_console(quiet=changes["quiet"])
    with Keeper.for_old(folder, changes, console) as keeper:
        _check_output(keeper.job)
        return _run(keeper, console)


def texture_file(
    style: Sequence[str], output: Path, given: Mapping[str, Any], *, seamless: bool, quiet: bool
) -> int | None:
    """Make a painting's texture into a file; everything is checked before any work.

    Args:
        style: files, folders, or names of paintings that ship.
        output: the picture.
        given: settings that the user gave, by name; None is not given.
        seamless: as of `impasto.texture`.
        quiet: say nothing.

    Returns:
        The number of the signal that ended it, if one did; the picture so far is kept.

    Raises:
        ImpastoError: something that the user can mend.
    """
    from impasto.images.gallery import find_style, style_pictures

    settings = replace(Settings(), **{name: value for name, value in given.items() if value is not None})
    paintings = [find_style(text) for text in style]

    from impasto.cli.terminal import Interruption, shown
    from impasto.images.reading import resize
    from impasto.images.writing import check_writable, write_image
    from impasto.painting import texture_steps

    check_writable(output)
    if any(_same(output, picture) for painting in paintings for picture in style_pictures(painting)):
        raise ImpastoError(f"--output {output} would overwrite a file that is read; give another name")
    console = progress_console(quiet=quiet)
    with (
        Interruption(console) as interruption,
        contextlib.closing(shown(texture_steps(paintings, settings, seamless=seamless), console)) as steps,
    ):
        for now in steps:
            image, interruption.armed = now.image, True
            if interruption.signal:
                break
    side = settings.longer_side or image.shape[-1]
    write_image(output, resize(image, side, side), settings=settings.to_json())
    return interruption.signal


def _run(keeper: Keeper, console: Console) -> dict[str, Any]:
    """Paint and write the picture; what prevents either loses neither."""
    from impasto.cli.terminal import Interruption
    from impasto.images.reading import read_image, resize
    from impasto.images.writing import check_writable, write_image
    from impasto.network.device import pick_device
    from impasto.network.weights import find_weights
    from impasto.runs.keeper import say, write_somewhere

    job, files = keeper.job, keeper.job.files
    device = pick_device(job.settings.device)
    find_weights(files.weights)
    memory = job.settings.memory if device.type == "cpu" else "auto"
    photograph = read_image(job.content, job.settings.longer_side, memory=memory)
    height, width = photograph.image.shape[-2:]
    check_writable(job.output, bits=files.bits, longer_side=max(height, width))  # formats have limits

    def write(image: Tensor) -> None:
        write_somewhere(
            lambda path: write_image(
                path,
                # Stopped at a coarse scale, the picture is enlarged to the size that was asked for.
                resize(image, height, width),
                alpha=photograph.alpha,
                settings=job.settings.to_json(),
                metadata=photograph.metadata if files.keep_metadata or files.keep_location else None,
                keep_location=files.keep_location,
                bits=files.bits,
            ),
            job.output,
        )

    begun = time.monotonic()
    last: Progress | None = None
    with Interruption(console) as interruption:
        try:
            with contextlib.closing(_steps(photograph, keeper, console)) as steps:
                for now in steps:
                    last, interruption.armed = now, True
                    if interruption.signal:
                        break
            stopped = interruption.signal
            assert last is not None
            kept = stopped is not None and keeper.save(last)
            # whoever sends SIGTERM or hangs up wants an end, and goes on later
            written = stopped in (None, signal.SIGINT) or not kept
            if written:
                write(last.image)
        except Exception as error:  # out of memory, a lost graphics card, a full disk
            _rescue(last, keeper, write, error)
            raise
        if stopped is None:
            keeper.done()
    if stopped:
        words = f"stopped at evaluation {last.step} of {last.steps}"
        words += "; the picture so far is kept" if written else ""
        say(console, words + (f"; go on with: {keeper.how_to_go_on}" if kept else ""))
    evaluations = keeper.evaluations
    return {
        "output": str(job.output) if written else None,
        "size": [width, height],
        "seconds": round(time.monotonic() - begun, 3),
        "evaluations": [evaluations[scale] for scale in sorted(evaluations)],
        "losses": {name: value if math.isfinite(value) else None for name, value in last.losses.items()},
        "device": str(device),
        "seed": job.settings.seed,
        "settings": asdict(job.settings),
        "interrupted": stopped is not None,
        "signal": stopped.name if stopped else None,
        "checkpoint": str(keeper.checkpoint.folder) if kept and keeper.checkpoint else None,
    }


def _steps(photograph: Picture, keeper: Keeper, console: Console) -> Generator[Progress, None, None]:
    """Every step of the painting, shown, counted, previewed and kept as it passes."""
    from impasto.cli.terminal import shown
    from impasto.images.writing import write_image
    from impasto.painting import paint_steps

    job, files = keeper.job, keeper.job.files
    steps = paint_steps(
        photograph,
        job.paintings,
        job.settings,
        weights=files.weights,
        resume=keeper.take_position(),
        **files.guides,
    )
    try:
        with contextlib.closing(shown(steps, console)) as seen:
            for now in seen:
                keeper.evaluations[now.scale] += 1
                if files.preview_every and now.step % files.preview_every == 0:
                    with keeper.noting():
                        write_image(job.preview, now.image)
                keeper.watch(now)
                yield now
    finally:
        if files.preview_every:
            with contextlib.suppress(OSError):
                job.preview.unlink(missing_ok=True)


def _rescue(last: Progress | None, keeper: Keeper, write: Callable[[Tensor], None], error: Exception) -> None:
    """Keep what there is of a picture, and add to the error where."""
    if last is None:
        return
    if not isinstance(error, ImageError):  # which says itself where the picture is
        try:
            write(last.image)
            error.add_note(f"the picture at evaluation {last.step} of {last.steps} is kept in {keeper.job.output}")
        except ImpastoError as second:
            error.add_note(str(second))
    if keeper.save(last):
        error.add_note(f"go on with: {keeper.how_to_go_on}")


def settings_for(files: Files, given: Mapping[str, Any], console: Console) -> Settings:
    """The defaults, or those of a painted picture, then those of a preset, then the options that were given."""
    base, ignored = (Settings(), ()) if files.like is None else _settings_in(files.like)
    if ignored:
        words = f"note: --like {files.like}: ignored its {', '.join(ignored)}, which a picture may not decide"
        console.print(words, markup=False, highlight=False, soft_wrap=True)
    if files.preset is not None:
        preset(files.preset)  # which refuses an unknown name
        base = replace(base, **PRESETS[files.preset].settings)
    return replace(base, **{name: value for name, value in given.items() if value is not None})


def _settings_in(path: Path) -> tuple[Settings, tuple[str, ...]]:
    """The settings that a picture was painted with, and the names of those that are ignored."""
    from impasto.images.reading import read_settings

    text = read_settings(path)
    if text is None:
        raise ImpastoError(f"--like {path} does not say how it was painted; give a picture that impasto painted")
    try:
        found = json.loads(text)
        if not isinstance(found, dict):
            raise ValueError(f"{text[:40]} is no object")
        # What comes from a picture is data: it decides nothing about this machine, and names none of its files.
        ignored = [f.name for f in fields(Settings) if f.metadata["machine"] and f.name in found]
        if found.get("init", INITS[0]) not in INITS:
            ignored.append("init")
        kept = {name: value for name, value in found.items() if name not in ignored}
        return Settings(**Settings.known(kept)), tuple(ignored)
    except (ValueError, TypeError, RecursionError) as error:  # of JSON, or of a setting that this version does not have
        raise ImpastoError(f"--like {path} holds settings that this version cannot use: {error}") from error


def _free_name(content: Path, paintings: Sequence[Path]) -> Path:
    """CONTENT-STYLE.png in the working directory, numbered if there is one: nothing is overwritten unasked."""
    stem = "-".join([content.stem, *(painting.resolve().stem for painting in paintings)])
    stem = os.fsencode(stem)[:200].decode(errors="ignore")  # a name has at most 255 bytes
    path, number = Path(f"{stem}.png"), 1
    while path.exists():
        number += 1
        path = Path(f"{stem}-{number}.png")
    return path


def _check_output(job: Job) -> None:
    """What is written must be allowed, and be nothing that is read."""
    from impasto.images.writing import check_writable

    check_writable(job.output, bits=job.files.bits)
    for path in [*job.inputs, *([job.files.like] if job.files.like else [])]:
        if _same(job.output, path):
            raise ImpastoError(f"--output {job.output} would overwrite a file that is read; give another name")
        if job.files.preview_every and _same(job.preview, path):
            raise ImpastoError(f"the preview {job.preview} would overwrite a file that is read; give another --output")


def _same(one: Path, other: Path) -> bool:
    try:
        return one.samefile(other)
    except (OSError, ValueError):  # one is not there
        return False
