"""The HTTP API: submit, status, result, cancel, with the words of the command line.

Everything goes through `Workshop`, as the page does. A job's id is its key: there is no list of jobs to read.
"""

from __future__ import annotations

import asyncio
import inspect
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Annotated, Any, TypeVar
from urllib.parse import quote

from fastapi import APIRouter, Depends, FastAPI, File, Form, Query, Request, Response, UploadFile
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, JSONResponse
from fastapi.sse import EventSourceResponse
from starlette.background import BackgroundTask
from starlette.exceptions import HTTPException

from impasto.errors import ImpastoError
from impasto.images.formats import format_for_writing
from impasto.images.gallery import SAMPLES, style_facts, style_names
from impasto.images.reading import read_image, write_image
from impasto.web.form import controls
from impasto.web.jobs import FINAL, State
from impasto.web.status import Status, command_line, python_lines, status
from impasto.web.work import Guides, PictureFile, PictureJob
from impasto.web.workshop import PREVIEW, BusyError, GoneError, Visitor, Workshop

Found = TypeVar("Found")
COOKIE = "impasto_visitor"
BEAT = 0.1  # seconds between looks at a job that is watched
BLOCK = 1 << 20  # bytes

Photo = Annotated[UploadFile | str, File(description="the photograph: a file, or the name of a sample")]
Styles = Annotated[
    list[UploadFile | str], File(description="the painting: a file, or a name of GET /api/styles; several are blended")
]
Mask = Annotated[UploadFile | str | None, File(description="regions of the photograph by colour: a file")]
StyleMasks = Annotated[
    list[UploadFile | str] | None,
    File(description="for each painting where in it those regions are: a file, a colour's name, or all"),
]
Protection = Annotated[
    UploadFile | str | None,
    File(description="what stays as photographed: a file, white where it does, or a box: left,top,right,bottom"),
]
PRIVATE = {"Cache-Control": "private, max-age=3600", "X-Content-Type-Options": "nosniff"}


def workshop_of(request: Request) -> Workshop:
    workshop: Workshop = request.app.state.workshop
    return workshop


def visitor_of(request: Request, response: Response) -> Visitor:
    """Who asks: the cookie says it; without one, somebody new, who gets one."""
    workshop = workshop_of(request)
    given = request.cookies.get(COOKIE)
    visitor = workshop.visitor(given)
    if visitor.id != given:
        set_cookie(response, visitor)
    return visitor


def set_cookie(response: Response, visitor: Visitor) -> None:
    response.set_cookie(COOKIE, visitor.id, httponly=True, samesite="strict")


def job_of(request: Request, id: str) -> PictureJob:
    return workshop_of(request).job(id)


TheWorkshop = Annotated[Workshop, Depends(workshop_of)]
TheVisitor = Annotated[Visitor, Depends(visitor_of)]
TheJob = Annotated[PictureJob, Depends(job_of)]
router = APIRouter(prefix="/api", tags=["impasto"])


def with_settings(endpoint: Callable[..., Any]) -> Callable[..., Any]:
    """Give an endpoint one form field per setting, in place of its last parameter `**given`."""
    signature = inspect.signature(endpoint, eval_str=True)
    own = [p for p in signature.parameters.values() if p.kind is not p.VAR_KEYWORD]
    options = [
        inspect.Parameter(
            control.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=None,
            annotation=Annotated[str | None, Form(description=f"{control.allowed} (default: {control.default})")],
        )
        for control in controls()
    ]
    endpoint.__signature__ = signature.replace(parameters=[*own, *options])  # type: ignore[attr-defined]
    return endpoint


@router.post("/jobs", status_code=202)
@with_settings
def submit(
    workshop: TheWorkshop,
    visitor: TheVisitor,
    response: Response,
    photo: Photo,
    style: Styles,
    mask: Mask = None,
    style_mask: StyleMasks = None,
    protect: Protection = None,
    **given: str | None,
) -> Status:
    """Ask for a picture: answers at once with its id; it is painted when its turn comes."""
    photograph = _picture(photo, workshop.photograph, workshop, visitor)
    paintings = [_picture(one, workshop.painting, workshop, visitor) for one in style]
    guides = Guides(
        mask=_picture(mask, workshop.brought, workshop, visitor) if mask else None,
        style_mask=tuple(_picture(one, workshop.style_mask, workshop, visitor) for one in style_mask or []),
        protect=_picture(protect, workshop.protection, workshop, visitor) if protect else None,
    )
    return _submitted(workshop, workshop.paint(visitor, photograph, paintings, given, guides=guides), response)


@router.post("/sheets", status_code=202)
@with_settings
def submit_sheet(
    workshop: TheWorkshop, visitor: TheVisitor, response: Response, photo: Photo, **given: str | None
) -> Status:
    """Ask for one sheet with the photograph in the style of every painting that ships, painted instantly."""
    photograph = _picture(photo, workshop.photograph, workshop, visitor)
    return _submitted(workshop, workshop.sheet(visitor, photograph, given), response)


@router.get("/jobs/{id}")
def job_status(workshop: TheWorkshop, job: TheJob) -> Status:
    """How far a picture is."""
    return status(job, workshop.jobs)


@router.get("/jobs/{id}/events", response_class=EventSourceResponse)
async def events(workshop: TheWorkshop, job: TheJob) -> AsyncIterator[Status]:
    """The status, whenever it changes, as server-sent events; ends when the picture is done, stopped or failed."""
    seen = -1
    while True:
        if job.version != seen:
            seen = job.version
            now = status(job, workshop.jobs)
            yield now
            if now.state in FINAL or job.removed:  # what was told, not what it has become meanwhile
                return
        await asyncio.sleep(BEAT)


@router.get("/jobs/{id}/preview", response_class=Response, responses={200: {"content": {"image/jpeg": {}}}})
def preview(workshop: TheWorkshop, job: TheJob, size: Annotated[int, Query(ge=16, le=PREVIEW)] = PREVIEW) -> Response:
    """The picture so far, as a small JPEG."""
    return Response(workshop.picture_of(job, size), media_type="image/jpeg", headers=PRIVATE)


@router.get("/jobs/{id}/picture", response_class=FileResponse, responses={200: {"content": {"image/png": {}}}})
def picture(
    job: TheJob, format: Annotated[str, Query(description="png, jpg, tif, webp or avif")] = "png"
) -> FileResponse:
    """The finished or stopped picture at its full size, with the settings inside."""
    output = job.work.output
    if job.state not in (State.DONE, State.STOPPED) or not output.exists():
        raise GoneError("the picture is not finished; ask for its status, or stop it and keep what there is")
    name = f"{job.work.name}.{format.lower()}"
    form = format_for_writing(Path(name))
    if form.codec == "png":
        return _download(output, name, "image/png")
    painted = read_image(output)
    with tempfile.NamedTemporaryFile(dir=output.parent, suffix=f".{format.lower()}", delete=False) as file:
        converted = Path(file.name)
    write_image(converted, painted.image, alpha=painted.alpha, settings=painted.settings)
    return _download(converted, name, f"image/{form.codec}", BackgroundTask(converted.unlink, missing_ok=True))


@router.post("/jobs/{id}/stop")
def stop(workshop: TheWorkshop, job: TheJob) -> Status:
    """Stop after the step under way, and keep the picture so far."""
    workshop.jobs.stop(job)
    return status(job, workshop.jobs)


@router.post("/jobs/{id}/continue")
def resume(workshop: TheWorkshop, job: TheJob) -> Status:
    """Go on with a stopped picture where it was."""
    workshop.jobs.resume(job)
    return status(job, workshop.jobs)


@router.delete("/jobs/{id}", status_code=204)
def cancel(workshop: TheWorkshop, job: TheJob) -> None:
    """Stop if need be, and remove the picture."""
    workshop.jobs.remove(job)


@router.get("/jobs/{id}/recipe")
def recipe(job: TheJob) -> dict[str, str]:
    """The same picture on the command line and in Python."""
    return {"command": command_line(job), "python": python_lines(job)}


@router.get("/styles")
def styles() -> dict[str, str]:
    """The paintings that ship: their names, and what they are."""
    return {name: style_facts(name).title for name in style_names()}


@router.get("/samples")
def samples() -> list[str]:
    """The sample photographs, by name."""
    return list(SAMPLES)


@router.get("/settings")
def settings() -> list[dict[str, Any]]:
    """What may be set: names, what they do, ranges, choices and defaults."""
    return [
        {"name": c.name, "help": c.help, "default": c.default, "allowed": c.allowed, "choices": c.choices}
        for c in controls()
    ]


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


def blocks_of(upload: UploadFile) -> Iterator[bytes]:
    return iter(lambda: upload.file.read(BLOCK), b"")


def _picture(
    given: UploadFile | str, find: Callable[[Visitor, str], Found], workshop: Workshop, visitor: Visitor
) -> Found | PictureFile:
    """A file that came with the request, or a picture by its name or id."""
    if isinstance(given, str):
        return find(visitor, given)
    return workshop.keep_upload(visitor, given.filename or "", blocks_of(given))


def _submitted(workshop: Workshop, job: PictureJob, response: Response) -> Status:
    response.headers["Location"] = f"/api/jobs/{job.id}"
    return status(job, workshop.jobs)


def _download(path: Path, name: str, kind: str, task: BackgroundTask | None = None) -> FileResponse:
    headers = {**PRIVATE, "Content-Disposition": f"attachment; filename*=UTF-8''{quote(name)}"}
    return FileResponse(path, media_type=kind, headers=headers, background=task)
