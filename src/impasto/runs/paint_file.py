"""From picture files to a picture file: what `impasto paint`, `impasto resume` and `impasto texture` do."""

from __future__ import annotations

import contextlib
import math
import secrets
import tempfile
import time
from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from impasto.errors import ImageError, ImpastoError
from impasto.images.areas import with_words
from impasto.images.gallery import style_pictures
from impasto.images.origin import Origin
from impasto.images.reading import Picture, read_image, resize
from impasto.images.writing import check_writable, write_image
from impasto.network.device import pick_device
from impasto.painting import Painter, Progress
from impasto.runs.autosave import Autosave, Saving
from impasto.runs.job import Job
from impasto.runs.loss_table import LossTable, check_losses
from impasto.runs.reporter import Next, Reporter
from impasto.runs.timelapse import Timelapse, check_timelapse
from impasto.settings import Settings

Painters: TypeAlias = Callable[[Path | None], Painter]
"""Who paints, by the file of the network's weights; None for the installed ones. `impasto.painting.painter` is one."""


@dataclass(frozen=True)
class Outcome:
    """What became of a job.

    Attributes:
        job: what was painted.
        output: the picture; None where it was not written, since a checkpoint was.
        height, width: of it, in pixels.
        seconds: of painting.
        step, steps: evaluations of the objective done, with those before a stop, and planned.
        evaluations: done, by scale.
        losses: as of `Progress`; None where one is not a number.
        device: where it was computed.
        stopped: before its end.
        seconds_left: that it would have taken to its end, about; None where that is not known.
        checkpoint: from where it can go on; None where it cannot, or need not.
    """

    job: Job
    output: Path | None
    height: int
    width: int
    seconds: float
    step: int
    steps: int
    evaluations: tuple[int, ...]
    losses: dict[str, float | None]
    device: str
    stopped: bool
    seconds_left: float | None
    checkpoint: Path | None


def paint_file(job: Job, painter: Painters, reporter: Reporter, saving: Saving) -> Outcome:
    """Paint a job and write its picture; what prevents either loses neither.

    Args:
        job: everything in it is checked before any work.
        painter: gives who paints, by the file of its network's weights.
        reporter: sees every step, and may stop it.
        saving: whether, where and how often its state is saved.

    Raises:
        ImpastoError: something that the user can mend.
    """
    check_job(job)
    with Autosave.begin(job, reporter, saving) as autosave:
        return _run(autosave, painter, reporter)


def resume_file(folder: Path | None, painter: Painters, reporter: Reporter, *, output: Path | None = None) -> Outcome:
    """Go on with a job that was stopped, to the same picture.

    Args:
        folder, output: as of `Autosave.resume`.
        painter, reporter: as of `paint_file`.

    Raises:
        ImpastoError: as `paint_file`; or there is nothing to go on with.
    """
    with Autosave.resume(reporter, folder, output=output) as autosave:
        check_job(autosave.job)
        return _run(autosave, painter, reporter)


def texture_file(
    paintings: Sequence[Path],
    output: Path,
    settings: Settings,
    painter: Painters,
    reporter: Reporter,
    *,
    seamless: bool = False,
) -> None:
    """Make a painting's texture into a file; everything is checked before any work, and a stop keeps it so far.

    Args:
        paintings: files, or folders of pictures that are one painting together.
        output: the picture.
        settings: how.
        painter, reporter: as of `paint_file`.
        seamless: as of `impasto.texture`.

    Raises:
        ImpastoError: something that the user can mend.
    """
    check_writable(output)
    check_overwrites(f"output={output}", output, [one for painting in paintings for one in style_pictures(painting)])
    for now in painter(None).texture_steps(paintings, settings, seamless=seamless):
        if stopped := reporter.step(now) is not Next.STEP:
            break
    side = settings.longer_side or now.image.shape[-1]
    origin = Origin.of(None, paintings, now.step, now.steps, stopped=stopped).to_json()
    write_image(output, resize(now.image, side, side), settings=settings.to_json(), origin=origin)


def check_job(job: Job) -> None:
    """What is written must be allowed, and be nothing that is read.

    Raises:
        ImpastoError: it is not; says what.
    """
    check_writable(job.output, bits=job.bits)
    check_overwrites(f"output={job.output}", job.output, job.inputs)
    for name, path, check in (("timelapse", job.timelapse, check_timelapse), ("losses", job.losses, check_losses)):
        if path:
            check(path)
            check_overwrites(f"{name}={path}", path, [*job.inputs, job.output])
            if path.absolute() == job.output.absolute():
                raise ImpastoError(f"{name}={path} is the picture as well; give it another name")
    if job.preview_every:
        check_overwrites(f"the preview {job.preview}", job.preview, job.inputs)


def check_overwrites(what: str, output: Path, inputs: Iterable[Path]) -> None:
    """Refuse to write over what is read.

    Args:
        what: is written, in words.
        output: its file.
        inputs: files that are read.

    Raises:
        ImpastoError: it would.
    """
    if any(_same(output, path) for path in inputs):
        raise ImpastoError(f"{what} would overwrite a file that is read; give the output another name")


def _run(autosave: Autosave, painter: Painters, reporter: Reporter) -> Outcome:
    job = autosave.job
    device = pick_device(job.settings.device)
    worker = painter(job.weights)
    memory = job.settings.memory if device.type == "cpu" else "auto"
    photograph = read_image(job.content, job.settings.longer_side, memory=memory)
    height, width = photograph.image.shape[-2:]
    check_writable(job.output, bits=job.bits, longer_side=max(height, width))  # formats have limits

    timelapse = Timelapse(job.timelapse, height, width) if job.timelapse else None
    losses = LossTable(job.losses) if job.losses else None
    begun = time.monotonic()
    last: Progress | None = None
    then = Next.STEP
    try:
        with contextlib.closing(_steps(photograph, autosave, worker)) as steps:
            for last in steps:
                if timelapse:
                    timelapse.add(last.image)
                if losses:
                    losses.add(last)
                then = reporter.step(last)
                if then is not Next.STEP:
                    break
        assert last is not None
        checkpoint = autosave.save(last) if then is not Next.STEP else None
        written = then is not Next.SUSPEND or checkpoint is None
        if written:
            _write(last, photograph, job, stopped=then is not Next.STEP)
        for beside in (timelapse, losses):
            if beside:
                with autosave.noting():
                    beside.write()
    except Exception as error:  # out of memory, a lost graphics card, a full disk
        _rescue(last, photograph, autosave, reporter, error)
        raise
    if then is Next.STEP:
        autosave.done()
    return Outcome(
        job=job,
        output=job.output if written else None,
        height=height,
        width=width,
        seconds=time.monotonic() - begun,
        step=last.step,
        steps=last.steps,
        evaluations=tuple(autosave.evaluations[scale] for scale in sorted(autosave.evaluations)),
        losses={name: value if math.isfinite(value) else None for name, value in last.losses.items()},
        device=str(device),
        stopped=then is not Next.STEP,
        seconds_left=last.seconds_left,
        checkpoint=checkpoint,
    )


def _steps(photograph: Picture, autosave: Autosave, painter: Painter) -> Generator[Progress, None, None]:
    """Every step of the painting, counted, previewed and saved as it passes."""
    job = autosave.job
    steps = painter.steps(
        photograph, list(job.paintings), job.settings, resume=autosave.take_position(), **job.guidance
    )
    for now in steps:
        if job.preview_every and now.step % job.preview_every == 0:
            with autosave.noting():
                origin = _origin(job, now, stopped=True)
                write_image(
                    job.preview, now.image, settings=with_words(job.settings.to_json(), job.guidance), origin=origin
                )
        autosave.step(now)
        yield now


def _origin(job: Job, now: Progress, *, stopped: bool) -> str:
    return Origin.of(job.content, job.paintings, now.step, now.steps, stopped=stopped).to_json()


def _write(last: Progress, photograph: Picture, job: Job, *, stopped: bool) -> None:
    """Write a picture where it should go; if that fails, as a PNG beside it, here, or among temporary files.

    Raises:
        ImageError: it is not where it should be; says where it is.
    """

    def write(path: Path) -> None:
        write_image(
            path,
            # Stopped at a coarse scale, the picture is enlarged to the size that was asked for.
            resize(last.image, *photograph.image.shape[-2:]),
            alpha=photograph.alpha,
            settings=with_words(job.settings.to_json(), job.guidance),
            origin=_origin(job, last, stopped=stopped),
            metadata=photograph.metadata if job.has_metadata else None,
            catalogue=photograph.catalogue if job.has_metadata else None,
            keep_location=job.keep_location,
            bits=job.bits,
            density=job.density or photograph.density,
            quality=job.jpeg_quality,
        )

    try:
        write(job.output)
    except ImageError as error:
        for folder in (job.output.parent, Path.cwd(), Path(tempfile.gettempdir())):
            beside = folder / f"{job.output.stem}-{secrets.token_hex(4)}.png"
            try:
                write(beside)
            except ImageError:
                continue
            raise ImageError(f"{error}; the picture is kept in {beside}") from error
        raise


def _rescue(
    last: Progress | None, photograph: Picture, autosave: Autosave, reporter: Reporter, error: Exception
) -> None:
    """Keep what there is of a picture, and add to the error where."""
    if last is None:
        return
    if not isinstance(error, ImageError):  # which says itself where the picture is
        try:
            _write(last, photograph, autosave.job, stopped=True)
            error.add_note(f"the picture at evaluation {last.step} of {last.steps} is kept in {autosave.job.output}")
        except ImpastoError as second:
            error.add_note(str(second))
    if folder := autosave.save(last):
        error.add_note(reporter.how_to_resume(folder))


def _same(one: Path, other: Path) -> bool:
    try:
        return one.samefile(other)
    except (OSError, ValueError):  # one is not there
        return False
