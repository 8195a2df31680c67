"""The HTTP API: submit, status, result, cancel, with the words of the command line.

The page is a client of it like any other. A job's id is its key; a visitor, known by a cookie, sees their own.
"""

from __future__ import annotations

import asyncio
import difflib
import inspect
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Annotated, Any, TypeVar
from urllib.parse import quote

from fastapi import APIRouter, Depends, FastAPI, File, Form, Query, Request, Response, UploadFile
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, JSONResponse
from fastapi.sse import EventSourceResponse, ServerSentEvent
from starlette.background import BackgroundTask
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection

from impasto.errors import ImpastoError
from impasto.images.formats import EXTENSIONS
from impasto.images.gallery import SAMPLES, sample_names, style_facts, style_names
from impasto.web.fair import FewThreads, network_of
from impasto.web.films import FilmWork
from impasto.web.form import areas, controls, presets, qualities
from impasto.web.jobs import FINAL
from impasto.web.kinds import PictureJob
from impasto.web.status import Status, command_line, described, python_lines, status
from impasto.web.studio import PREVIEW, BusyError, GoneError, Studio, Visitor
from impasto.web.work import Guides, PaintingWork, PictureFile

Found = TypeVar("Found")
COOKIE = "impasto_visitor"
STAY = 7 * 24 * 3600  # seconds that a browser keeps it: whoever comes back finds their stopped pictures
BEAT = 0.1  # seconds between looks at a job that is watched
BLOCK = 1 << 20  # bytes
READING, CONVERTING, SHOWING = (2, 1), (2, 1), (8, 4)
"""Threads for uploads that are read, pictures that are written in another format, and previews that are made; and how
many of them one address has at once. What is slow holds up nobody but who asks for it."""
FORMATS = {extension.removeprefix("."): form for extension, form in EXTENSIONS.items()}  # of pictures to take along
DEEP = tuple(name for name, form in FORMATS.items() if 16 in form.bits)  # bits per sample

Photo = Annotated[UploadFile | str, File(description="the photograph: a file, or the name of a sample")]
Styles = Annotated[
    list[UploadFile | str],
    File(
        description="the painting: a file, or a name of GET /api/styles or /api/networks; several paintings are blended"
    ),
]
OptionalStyles = Annotated[
    list[UploadFile | str] | None, File(description="as for a picture; none: every painting that ships")
]
Attended = Annotated[bool, Form(description="stop the picture when GET /api/visit/events is not listened to any more")]
Mask = Annotated[
    UploadFile | str | None, File(description="regions of the photograph by colour: a file, subject or faces")
]
StyleMasks = Annotated[
    list[UploadFile | str] | None,
    File(description="for each painting where in it those regions are: a file, a colour's name, or all"),
]
Protection = Annotated[
    UploadFile | str | None,
    File(
        description="what stays as photographed: faces, subject, a file, white where it does, or a box: "
        "left,top,right,bottom"
    ),
]
PRIVATE = {"Cache-Control": "private, max-age=3600", "X-Content-Type-Options": "nosniff"}


# What computes next to nothing is done in the server's loop: in threads, of which there are few, it would wait behind
# everybody who has just come.


async def studio_of(request: Request) -> Studio:
    studio: Studio = request.app.state.studio
    return studio


async def visitor_of(request: Request, response: Response) -> Visitor:
    """Who asks: the cookie says it; without one, somebody new, who gets one."""
    studio = await studio_of(request)
    given = request.cookies.get(COOKIE)
    visitor = studio.visitor(given, address_of(request))
    if visitor.id != given:
        set_cookie(response, visitor)
    return visitor


def address_of(request: HTTPConnection) -> str:
    """From where somebody asks; behind a proxy that is trusted (uvicorn's forwarded_allow_ips), what that says."""
    return network_of(request.client.host if request.client else None)


def set_cookie(response: Response, visitor: Visitor) -> None:
    response.set_cookie(COOKIE, visitor.id, max_age=STAY, httponly=True, samesite="strict")


async def job_of(request: Request, id: str) -> PictureJob:
    return (await studio_of(request)).job(id)


TheStudio = Annotated[Studio, Depends(studio_of)]
TheVisitor = Annotated[Visitor, Depends(visitor_of)]
TheJob = Annotated[PictureJob, Depends(job_of)]


async def listener(request: Request, studio: TheStudio) -> AsyncIterator[None]:
    """Somebody who is told what happens until all is answered; refused before the answer begins if too many are."""
    with studio.listening(address_of(request)):
        yield


async def present_visitor(studio: TheStudio, visitor: TheVisitor) -> AsyncIterator[Visitor]:
    """Who asks, and has the page open until all is answered; refused before the answer begins if too many are open."""
    with studio.present(visitor):
        yield visitor


router = APIRouter(prefix="/api", tags=["impasto"])


def with_settings(endpoint: Callable[..., Any], kind: str = "painting") -> Callable[..., Any]:
    """Give an endpoint one form field per setting of what it paints, in place of its last parameter `**given`."""
    signature = inspect.signature(endpoint, eval_str=True)
    own = [p for p in signature.parameters.values() if p.kind is not p.VAR_KEYWORD]
    options = [
        inspect.Parameter(
            control.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=None,
            annotation=Annotated[str | None, Form(description=f"{control.allowed} (default: {control.default})")],
        )
        for control in controls(kind)
    ]
    endpoint.__signature__ = signature.replace(parameters=[*own, *options])  # type: ignore[attr-defined]
    return endpoint


class Threads:
    """For what takes long, of each kind few; all else finds its thread at once."""

    def __init__(self) -> None:
        self.reading, self.converting, self.showing = (
            FewThreads(*READING),
            FewThreads(*CONVERTING),
            FewThreads(*SHOWING),
        )


async def threads_of(request: Request) -> Threads:
    threads: Threads = request.app.state.threads
    return threads


TheThreads = Annotated[Threads, Depends(threads_of)]


async def refuse_unknown_fields(request: Request) -> None:
    """A field that means nothing is a mistake in its name.

    Raises:
        ImpastoError: there is one, with what it may have meant.
    """
    known = inspect.signature(request.scope["route"].endpoint).parameters
    for name in await request.form():
        if name not in known:
            close = difflib.get_close_matches(name, known, n=1)
            raise ImpastoError(
                f"there is no field {name!r}; "
                + (f"did you mean {close[0]}?" if close else "GET /api/settings and the documentation name them")
            )


@router.post("/jobs", status_code=202)
@with_settings
async def submit(
    request: Request,
    studio: TheStudio,
    visitor: TheVisitor,
    response: Response,
    photo: Photo,
    style: Styles,
    mask: Mask = None,
    style_mask: StyleMasks = None,
    protect: Protection = None,
    attended: Attended = False,
    **given: str | None,
) -> Status:
    """Ask for a picture: answers at once with its id; it is painted when its turn comes."""

    def job() -> PictureJob:
        photograph, paintings, guides = _sent(studio, visitor, photo, style, mask, style_mask, protect)
        return studio.paint(visitor, photograph, paintings, given, guides=guides, attended=attended)

    return await _submitted(request, studio, visitor, response, job)


@router.post("/looks", status_code=202)
@with_settings
async def submit_look(
    request: Request,
    studio: TheStudio,
    visitor: TheVisitor,
    response: Response,
    photo: Photo,
    style: Styles,
    mask: Mask = None,
    style_mask: StyleMasks = None,
    protect: Protection = None,
    **given: str | None,
) -> Status:
    """Ask what settings would do: a small instant picture, which ends the visitor's last look.

    It is stopped when GET /api/visit/events is not listened to any more.
    """

    def job() -> PictureJob:
        photograph, paintings, guides = _sent(studio, visitor, photo, style, mask, style_mask, protect)
        return studio.look(visitor, photograph, paintings, given, guides=guides)

    return await _submitted(request, studio, visitor, response, job)


@router.post("/sheets", status_code=202)
@with_settings
async def submit_sheet(
    request: Request,
    studio: TheStudio,
    visitor: TheVisitor,
    response: Response,
    photo: Photo,
    style: OptionalStyles = None,
    attended: Attended = False,
    **given: str | None,
) -> Status:
    """Ask for a sheet of small instant pictures: of one style in several strengths and stroke sizes, or of several.

    Without a style, of every painting that ships.
    """

    def job() -> PictureJob:
        photograph = _picture(photo, studio.photograph, studio, visitor)
        paintings = [_picture(one, studio.painting, studio, visitor) for one in style or []]
        return studio.sheet(visitor, photograph, paintings, given, attended=attended)

    return await _submitted(request, studio, visitor, response, job)


@router.post("/textures", status_code=202)
@partial(with_settings, kind="texture")
async def submit_texture(
    request: Request,
    studio: TheStudio,
    visitor: TheVisitor,
    response: Response,
    style: Styles,
    seamless: Annotated[bool, Form(description="its edges go on from each other")] = True,
    attended: Attended = False,
    **given: str | None,
) -> Status:
    """Ask for a square of a painting's texture."""

    def job() -> PictureJob:
        paintings = [_picture(one, studio.painting, studio, visitor) for one in style]
        return studio.texture(visitor, paintings, given, seamless=seamless, attended=attended)

    return await _submitted(request, studio, visitor, response, job)


@router.post("/films", status_code=202)
@partial(with_settings, kind="film")
async def submit_film(
    request: Request,
    studio: TheStudio,
    visitor: TheVisitor,
    response: Response,
    film: Annotated[UploadFile | str, File(description="a clip: .mp4, .mov, .mkv or .webm")],
    style: Styles,
    boil: Annotated[float, Form(ge=0, le=100, description="how much the paint may live: 0 frozen, 100 lively")] = 20.0,
    protect: Annotated[
        str | None,
        Form(description="what stays as photographed in every frame: faces, subject, or a box: left,top,right,bottom"),
    ] = None,
    attended: Attended = False,
    **given: str | None,
) -> Status:
    """Ask for a film; a step is a frame. What was painted before a stop is a film as well."""

    def job() -> PictureJob:
        clip = _picture(film, studio.brought, studio, visitor)
        paintings = [_picture(one, studio.painting, studio, visitor) for one in style]
        return studio.film(visitor, clip, paintings, given, boil=boil, protect=protect, attended=attended)

    return await _submitted(request, studio, visitor, response, job)


@router.post("/pictures", status_code=201)
async def bring(
    threads: TheThreads, studio: TheStudio, visitor: TheVisitor, file: Annotated[UploadFile, File()]
) -> dict[str, Any]:
    """Keep a photograph, a painting or a film, to be named by its id later; nobody but its visitor finds it."""
    kept = await threads.reading.run(
        visitor.address, lambda: studio.keep_upload(visitor, file.filename or "", blocks_of(file))
    )
    studio.forget_old_uploads(visitor)
    return described(kept)


@router.get("/pictures/{id}", response_class=Response, responses={200: {"content": {"image/jpeg": {}}}})
async def show(
    threads: TheThreads,
    studio: TheStudio,
    visitor: TheVisitor,
    id: str,
    size: Annotated[int, Query(ge=16, le=PREVIEW)] = PREVIEW,
) -> Response:
    """A picture that the visitor brought, or one that ships, as a small JPEG."""

    def shown() -> bytes:
        picture = studio.photograph(visitor, id) if id in SAMPLES else studio.painting(visitor, id)
        return studio.preview_of(picture, size)

    return _shown(await threads.showing.run(visitor.address, shown))


@router.get("/visit")
async def visit(studio: TheStudio, visitor: TheVisitor) -> dict[str, Any]:
    """What the visitor has here: the pictures they brought, and those that were painted for them."""
    return {
        "pictures": [described(picture) for picture in list(visitor.uploads.values())],
        "jobs": [status(job, studio.jobs) for job in studio.jobs.of(visitor.id)],
    }


@router.get("/visit/events", response_class=EventSourceResponse)
async def news(
    studio: TheStudio, visitor: Annotated[Visitor, Depends(present_visitor)]
) -> AsyncIterator[ServerSentEvent]:
    """Every change of the visitor's pictures, as server-sent events; while it is open, the visitor is here.

    `all` first: the ids of all pictures; then `job`: the status of one that changed; `gone`: the id of one removed.
    """
    seen: dict[str, int] = {}
    yield ServerSentEvent(event="all", data=[job.id for job in studio.jobs.of(visitor.id)])
    while True:
        jobs = studio.jobs.of(visitor.id)
        for id in seen.keys() - {job.id for job in jobs}:
            del seen[id]
            yield ServerSentEvent(event="gone", data=id)
        for job in jobs:
            if seen.get(job.id) != job.version:
                seen[job.id] = job.version
                yield ServerSentEvent(event="job", data=status(job, studio.jobs))
        await asyncio.sleep(BEAT)


@router.get("/jobs/{id}")
async def job_status(studio: TheStudio, job: TheJob) -> Status:
    """How far a picture is."""
    return status(job, studio.jobs)


@router.get("/jobs/{id}/events", response_class=EventSourceResponse, dependencies=[Depends(listener)])
async def events(studio: TheStudio, job: TheJob) -> AsyncIterator[Status]:
    """The status, whenever it changes, as server-sent events; ends when the picture is done, stopped or failed."""
    seen = -1
    while True:
        if job.version != seen:
            seen = job.version
            now = status(job, studio.jobs)
            yield now
            if now.state in FINAL or job.removed:  # what was told, not what it has become meanwhile
                return
        await asyncio.sleep(BEAT)


@router.get("/jobs/{id}/preview", response_class=Response, responses={200: {"content": {"image/jpeg": {}}}})
async def preview(
    request: Request,
    threads: TheThreads,
    studio: TheStudio,
    job: TheJob,
    size: Annotated[int, Query(ge=16, le=PREVIEW)] = PREVIEW,
) -> Response:
    """The picture so far, as a small JPEG."""
    return _shown(await threads.showing.run(address_of(request), lambda: studio.picture_of(job, size)))


@router.get("/jobs/{id}/photograph", response_class=Response, responses={200: {"content": {"image/jpeg": {}}}})
async def photograph(request: Request, threads: TheThreads, studio: TheStudio, job: TheJob) -> Response:
    """What a job paints, as a small JPEG; of a film its first frame."""
    painted = job.work.photograph
    if painted is None:
        raise GoneError("a texture has no photograph")
    return _shown(await threads.showing.run(address_of(request), lambda: studio.preview_of(painted)))


@router.get("/jobs/{id}/guides/{name}", response_class=FileResponse, responses={200: {"content": {"image/png": {}}}})
def guide(job: TheJob, name: str) -> FileResponse:
    """A mask that the recipe names, as it was given: `mask`, `protect`, or `style_mask` of the first painting."""
    files = job.work.guides.by_name() if isinstance(job.work, PaintingWork) else {}
    if name not in files:
        raise GoneError(f"this picture was painted without a file for {name!r}; it has: {', '.join(files) or 'none'}")
    return _download(files[name].path, files[name].name, "application/octet-stream")


@router.get("/jobs/{id}/picture", response_class=FileResponse, responses={200: {"content": {"image/png": {}}}})
async def picture(
    request: Request,
    threads: TheThreads,
    studio: TheStudio,
    job: TheJob,
    format: Annotated[str, Query(description="png, jpg, tif, webp or avif")] = "png",
    bits: Annotated[int, Query(description="per sample: 8, or 16 for png and tif")] = 8,
) -> FileResponse:
    """The finished or stopped picture at its full size."""
    extension = format.lower()
    if extension not in FORMATS:
        raise ImpastoError(f"format={format!r} is not allowed: choose from: {', '.join(FORMATS)}")
    if bits not in (8, 16) or (bits == 16 and extension not in DEEP):
        raise ImpastoError(f"bits={bits} is not allowed: choose 8, or 16 for {', '.join(DEEP)}")
    converted = await threads.converting.run(address_of(request), lambda: studio.converted(job, extension, bits))
    task = BackgroundTask(converted.unlink, missing_ok=True)
    return _download(converted, f"{job.work.name}.{extension}", FORMATS[extension].media_type, task)


@router.get("/jobs/{id}/film", response_class=FileResponse, responses={200: {"content": {"video/mp4": {}}}})
def film(job: TheJob) -> FileResponse:
    """A finished or stopped film; what a browser plays may be asked for in parts."""
    work = job.work
    if not isinstance(work, FilmWork):
        raise GoneError("this is a picture, not a film; ask for /picture")
    if not job.over or not work.film.exists():
        raise GoneError("the film is not finished; ask for its status, or stop it and keep what there is")
    return _download(work.film, f"{work.name}.mp4", "video/mp4")


@router.post("/jobs/{id}/stop")
async def stop(studio: TheStudio, job: TheJob) -> Status:
    """Stop after the step under way, and keep the picture so far."""
    studio.jobs.stop(job)
    return status(job, studio.jobs)


@router.post("/jobs/{id}/continue")
def resume(studio: TheStudio, job: TheJob) -> Status:
    """Go on with a stopped picture where it was."""
    studio.jobs.resume(job)
    return status(job, studio.jobs)


@router.delete("/jobs/{id}", status_code=204)
def cancel(studio: TheStudio, job: TheJob) -> None:
    """Stop if need be, and remove the picture."""
    studio.jobs.remove(job)


@router.get("/jobs/{id}/recipe")
async def recipe(job: TheJob) -> dict[str, str]:
    """The same picture on the command line and in Python."""
    return {"command": command_line(job), "python": python_lines(job)}


@router.get("/styles")
def styles() -> dict[str, str]:
    """The paintings that ship: their names, and what they are."""
    return {name: style_facts(name).title for name in style_names()}


@router.get("/networks")
def networks(studio: TheStudio) -> dict[str, dict[str, Any]]:
    """The networks that ship or are this studio's, styles that are painted at once: what each has learnt, by name."""
    return {name: asdict(facts) for name, facts in studio.networks().items()}


@router.get("/samples")
def samples() -> list[str]:
    """The sample photographs, by name: one, or all where scikit-image is installed."""
    return sample_names()


@router.get("/settings")
async def settings() -> list[dict[str, Any]]:
    """What may be set: names, labels, what they do, ranges, choices and defaults."""
    return [asdict(control) for control in controls()]


@router.get("/qualities")
async def quality_list(studio: TheStudio) -> list[dict[str, Any]]:
    """The qualities, and the seconds that a picture of 512 px takes about: as the last ones took here.

    Before the first: as measured on two processor cores.
    """
    return qualities(studio.pace.seconds())


@router.get("/areas")
def area_list() -> dict[str, dict[str, str]]:
    """What is found in a photograph, to stay or to be painted apart, by name: its label, and what is missing here."""
    return areas()


@router.get("/presets")
async def preset_list() -> list[dict[str, Any]]:
    """Settings that suit a kind of picture: name, help, and the settings that differ from the defaults."""
    return presets()


@router.get("/limits")
async def limits(studio: TheStudio) -> dict[str, Any]:
    """What one visitor may ask for."""
    return asdict(studio.limits)


def answer_errors(app: FastAPI) -> None:
    """Errors are one sentence: {"error": "..."}."""

    @app.exception_handler(ImpastoError)
    def mendable(request: Request, error: ImpastoError) -> JSONResponse:
        code = 429 if isinstance(error, BusyError) else 404 if isinstance(error, GoneError) else 400
        return JSONResponse({"error": str(error)}, code)

    @app.exception_handler(RequestValidationError)
    def wrong_request(request: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        return JSONResponse({"error": f"{first['loc'][-1]}: {first['msg']}"}, 400)

    @app.exception_handler(HTTPException)
    def refused(request: Request, error: HTTPException) -> JSONResponse:
        return JSONResponse({"error": str(error.detail)}, error.status_code, headers=error.headers)

    @app.exception_handler(Exception)
    def fault(request: Request, error: Exception) -> JSONResponse:
        return JSONResponse({"error": "a fault of impasto; see its log"}, 500)


def blocks_of(upload: UploadFile) -> Iterator[bytes]:
    return iter(lambda: upload.file.read(BLOCK), b"")


def _picture(
    given: UploadFile | str, find: Callable[[Visitor, str], Found], studio: Studio, visitor: Visitor
) -> Found | PictureFile:
    """A file that came with the request, or a picture by its name or id."""
    if isinstance(given, str):
        return find(visitor, given)
    return studio.keep_upload(visitor, given.filename or "", blocks_of(given))


def _sent(
    studio: Studio,
    visitor: Visitor,
    photo: UploadFile | str,
    style: list[UploadFile | str],
    mask: UploadFile | str | None,
    style_mask: list[UploadFile | str] | None,
    protect: UploadFile | str | None,
) -> tuple[PictureFile, list[PictureFile], Guides]:
    """The photograph, the paintings, and where what is painted."""
    photograph = _picture(photo, studio.photograph, studio, visitor)
    paintings = [_picture(one, studio.painting, studio, visitor) for one in style]
    guides = Guides(
        mask=_picture(mask, studio.mask, studio, visitor) if mask else None,
        style_mask=tuple(_picture(one, studio.style_mask, studio, visitor) for one in style_mask or []),
        protect=_picture(protect, studio.protection, studio, visitor) if protect else None,
    )
    return photograph, paintings, guides


async def _submitted(
    request: Request, studio: Studio, visitor: Visitor, response: Response, make: Callable[[], PictureJob]
) -> Status:
    """Have a job made of what was sent, which reads files, and say where it is found."""
    await refuse_unknown_fields(request)

    def made() -> PictureJob:
        job = make()
        studio.forget_old_uploads(visitor)
        return job

    job = await (await threads_of(request)).reading.run(visitor.address, made)
    response.headers["Location"] = f"/api/jobs/{job.id}"
    return status(job, studio.jobs)


def _shown(jpeg: bytes) -> Response:
    return Response(jpeg, media_type="image/jpeg", headers=PRIVATE)


def _download(path: Path, name: str, kind: str, task: BackgroundTask | None = None) -> FileResponse:
    headers = {**PRIVATE, "Content-Disposition": f"attachment; filename*=UTF-8''{quote(name)}"}
    return FileResponse(path, media_type=kind, headers=headers, background=task)
