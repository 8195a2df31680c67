"""What the page asks for beside the API: its scripts, its pictures, what was brought, and news of this visit."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, FastAPI, File, Query, Response, UploadFile
from fastapi.sse import EventSourceResponse, ServerSentEvent
from starlette.staticfiles import StaticFiles

from impasto.images.gallery import SAMPLES
from impasto.web.api import BEAT, PRIVATE, TheJob, TheVisitor, TheWorkshop, blocks_of
from impasto.web.status import status
from impasto.web.work import PictureFile
from impasto.web.workshop import PREVIEW

STATIC = Path(__file__).parent / "static"

router = APIRouter(prefix="/studio", include_in_schema=False)


def mount_static(app: FastAPI) -> None:
    app.mount("/studio/static", StaticFiles(directory=STATIC))


@router.post("/pictures")
def bring(workshop: TheWorkshop, visitor: TheVisitor, file: Annotated[UploadFile, File()]) -> dict[str, Any]:
    """Keep a photograph or a painting that the visitor brought."""
    return described(workshop.keep_upload(visitor, file.filename or "", blocks_of(file)))


@router.get("/pictures/{id}")
def show(
    workshop: TheWorkshop, visitor: TheVisitor, id: str, size: Annotated[int, Query(ge=16, le=PREVIEW)] = PREVIEW
) -> Response:
    """A picture that the visitor brought, or one that ships, as a small JPEG."""
    picture = workshop.photograph(visitor, id) if id in SAMPLES else workshop.painting(visitor, id)
    return Response(workshop.preview_of(picture, size), media_type="image/jpeg", headers=PRIVATE)


@router.get("/jobs/{id}/photograph")
def photograph(workshop: TheWorkshop, job: TheJob) -> Response:
    """What a job paints, as a small JPEG."""
    return Response(workshop.preview_of(job.work.photograph), media_type="image/jpeg", headers=PRIVATE)


@router.get("/events", response_class=EventSourceResponse)
async def news(workshop: TheWorkshop, visitor: TheVisitor) -> AsyncIterator[ServerSentEvent]:
    """Every change of the visitor's jobs; while it is open, the visitor is here."""
    seen: dict[str, int] = {}
    with workshop.present(visitor):
        yield ServerSentEvent(event="all", data=[job.id for job in workshop.jobs.of(visitor.id)])
        while True:
            jobs = workshop.jobs.of(visitor.id)
            for id in seen.keys() - {job.id for job in jobs}:
                del seen[id]
                yield ServerSentEvent(event="gone", data=id)
            for job in jobs:
                if seen.get(job.id) != job.version:
                    seen[job.id] = job.version
                    yield ServerSentEvent(event="job", data=status(job, workshop.jobs))
            await asyncio.sleep(BEAT)


def described(picture: PictureFile) -> dict[str, Any]:
    """A picture as the page's scripts know it."""
    return {
        "id": picture.id,
        "name": picture.name,
        "height": picture.height,
        "width": picture.width,
        "url": f"/studio/pictures/{picture.id}",
    }
