"""The kinds of work that the studio does, and a job of any of them."""

from __future__ import annotations

from impasto.web.films import FilmWork
from impasto.web.jobs import QueuedJob
from impasto.web.work import LookWork, PaintingWork, SheetWork, TextureWork

PictureWork = PaintingWork | LookWork | SheetWork | TextureWork | FilmWork
PictureJob = QueuedJob[PictureWork]
