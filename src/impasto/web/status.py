"""A job in words and numbers: what the API answers and the page shows, and how to have it again elsewhere."""

from __future__ import annotations

import json
import math
import shlex
from collections.abc import Iterator
from dataclasses import fields
from typing import Any

from pydantic import BaseModel, Field

from impasto.images.gallery import SAMPLES
from impasto.settings import Settings
from impasto.web.films import FilmWork
from impasto.web.jobs import Jobs
from impasto.web.kinds import PictureJob, PictureWork
from impasto.web.work import LookWork, PaintingWork, PictureFile, SheetWork, TextureWork


class Status(BaseModel):
    """A picture being made, or made."""

    id: str = Field(description="its key: whoever knows it may see, stop and remove the picture")
    kind: str = Field(
        description="painting, look (small, at once), sheet (one photograph in many small paintings), texture or film"
    )
    name: str = Field(description="of the picture, without extension")
    state: str = Field(description="waiting, painting, stopped, done or failed")
    position: int = Field(description="how many pictures are painted before this one")
    preview: bool = Field(description="the instant preview is being shown, what was asked for has not begun")
    scale: int = Field(description="of the scales, 1 is the coarsest")
    scales: int
    height: int = Field(description="of the picture so far, in pixels; it grows from scale to scale")
    width: int
    step: int = Field(description="evaluations so far; of a sheet pictures, of a film frames")
    steps: int = Field(description="evaluations at most; pictures; frames")
    losses: dict[str, float] = Field(description="weighted terms of the objective")
    curve: list[tuple[int, float, int]] = Field(description="(step, total loss, scale) so far, thinned")
    seconds: float = Field(description="of painting so far")
    seconds_left: float | None = Field(description="an estimate")
    notes: list[str]
    error: str | None = Field(description="why it failed, one sentence")
    can_continue: bool = Field(description="it was stopped and can go on where it was")
    version: int = Field(description="counts the changes")
    photo: str
    styles: list[str]
    settings: dict[str, Any]
    cells: list[dict[str, Any]] = Field(description="of a sheet, from left to right and down: label, style, settings")
    columns: int = Field(description="of a sheet")
    seamless: bool = Field(description="of a texture: it may be repeated without a seam")
    chosen: dict[str, Any] = Field(
        description="ids of photo, styles, mask, style_mask and protect: to ask for it again"
    )


def status(job: PictureJob, jobs: Jobs[Any]) -> Status:
    """What there is to know about a job now."""
    work, frame = job.work, job.frame
    progress = frame.progress if frame else None
    losses = progress.losses if progress else {}
    return Status(
        id=job.id,
        kind=work.kind,
        name=work.name,
        state=job.state,
        position=jobs.position(job),
        preview=bool(frame and frame.preview),
        scale=progress.scale if progress else 0,
        scales=progress.scales if progress else 0,
        height=job.size[0],
        width=job.size[1],
        step=progress.step if progress else 0,
        steps=progress.steps if progress else 0,
        losses={name: value for name, value in losses.items() if math.isfinite(value)},
        curve=[point for point in list(job.curve) if math.isfinite(point[1])],
        seconds=round(job.seconds, 1),
        seconds_left=progress.seconds_left if progress else None,
        notes=list(job.notes),
        error=job.error,
        can_continue=job.can_continue,
        version=job.version,
        photo=work.photograph.name if work.photograph else "",
        styles=[painting.name for painting in work.paintings],
        settings=json.loads(work.settings.to_json()),
        cells=_cells(work) if isinstance(work, SheetWork) else [],
        columns=work.columns if isinstance(work, SheetWork) else 0,
        seamless=isinstance(work, TextureWork) and work.seamless,
        chosen=_chosen(work),
    )


def described(picture: PictureFile) -> dict[str, Any]:
    """A picture that a visitor brought, or that ships.

    `seconds` are those of a film, 0 of a picture; `learnt` is the strength that a network has learnt, 0 of a picture.
    """
    known = {"id": picture.id, "name": picture.name, "height": picture.height, "width": picture.width}
    return {**known, "seconds": round(picture.seconds, 1), "learnt": picture.learnt}


def _cells(work: SheetWork) -> list[dict[str, Any]]:
    return [{"label": c.label, "style": described(c.painting), "settings": c.changes} for c in work.cells]


def _chosen(work: PictureWork) -> dict[str, Any]:
    chosen: dict[str, Any] = {
        "photo": described(work.photograph) if work.photograph else None,
        "styles": [described(painting) for painting in work.paintings],
    }
    if isinstance(work, PaintingWork | LookWork):
        guides = work.guides
        chosen |= {"mask": _id(guides.mask), "protect": _id(guides.protect)}
        chosen["style_mask"] = [_id(one) for one in guides.style_mask]
    if isinstance(work, FilmWork):
        chosen["protect"] = work.protect
    return chosen


def _id(given: PictureFile | str | None) -> str | None:
    return given.id if isinstance(given, PictureFile) else given


def command_line(job: PictureJob) -> str:
    """The same picture from a terminal."""
    work = job.work
    options = [f"--{name.replace('_', '-')}" if text is None else text for name, text in _options(work)]
    styles = [painting.name for painting in work.paintings]
    if isinstance(work, TextureWork):
        seamless = ["--seamless"] if work.seamless else []
        return shlex.join(["impasto", "texture", *styles, *seamless, *options, "-o", f"{work.name}.png"])
    if isinstance(work, FilmWork):
        boil = ["--boil", f"{work.boil:g}"]
        return shlex.join(
            ["impasto", "video", work.photograph.name, *styles, *boil, *options, "-o", f"{work.name}.mp4"]
        )
    if work.photograph.id in SAMPLES:
        return shlex.join(["impasto", "demo", *styles, "--photo", work.photograph.id, *options])
    return shlex.join(["impasto", "paint", work.photograph.name, *styles, *options])


def python_lines(job: PictureJob) -> str:
    """The same picture from Python."""
    work = job.work
    styles = [painting.name for painting in work.paintings]
    style = repr(styles[0] if len(styles) == 1 else styles)
    changed = [f"{name}={value!r}" for name, value in {**_changed(work.settings), **_guides(work)}.items()]
    if isinstance(work, TextureWork):
        arguments = ", ".join([style, f"seamless={work.seamless}", *changed])
        return f"import impasto\n\npicture = impasto.texture({arguments})\npicture.save({f'{work.name}.png'!r})"
    if isinstance(work, FilmWork):
        arguments = ", ".join(["frames", style, f"boil={work.boil:g}", *changed])
        return f"import impasto\n\nfor image in impasto.Painter().film({arguments}):\n    ..."
    sample = work.photograph.id in SAMPLES
    photograph = f"sample_path({work.photograph.id!r})" if sample else repr(work.photograph.name)
    head = "import impasto\n" + "from impasto.images.gallery import sample_path\n" * sample
    arguments = ", ".join([photograph, style, *changed])
    return f"{head}\npicture = impasto.paint({arguments})\npicture.save({f'{work.name}.png'!r})"


def _options(work: PictureWork) -> Iterator[tuple[str, str | None]]:
    """The words behind the pictures: a name and None for each option, and then its values."""
    for name, value in _changed(work.settings).items():
        yield name, None
        yield name, ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
    for name, value in _guides(work).items():
        for one in value if isinstance(value, list) else [value]:
            yield name, None
            yield name, one


def _changed(settings: Settings) -> dict[str, Any]:
    """The settings that are not the defaults, as one would write them; those of the machine are the server's."""
    return {
        f.name: _short(getattr(settings, f.name))
        for f in fields(settings)
        if getattr(settings, f.name) != f.default and not f.metadata["machine"]
    }


def _short(value: Any) -> Any:
    if isinstance(value, tuple):
        return tuple(_short(one) for one in value)
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _guides(work: PictureWork) -> dict[str, Any]:
    """Arguments that say where what is painted, with files by the names their visitor gave them."""
    if isinstance(work, FilmWork):
        return {"protect": work.protect} if work.protect else {}
    if not isinstance(work, PaintingWork):
        return {}
    guides = work.guides
    style_mask = [_name(one) for one in guides.style_mask]
    given = {"mask": _name(guides.mask), "style_mask": style_mask, "protect": _name(guides.protect)}
    return {name: value for name, value in given.items() if value}


def _name(given: PictureFile | str | None) -> str | None:
    return given.name if isinstance(given, PictureFile) else given
