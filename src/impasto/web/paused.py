"""Stopped pictures on disk: they go on after a stop, after the server's end, and after a crash.

One is a checkpoint, as those of the command line are (`runs.checkpoint`): the state of the painting, the job as plain
data, and what the studio knows of it. What its visitor brought lies beside it, so that nothing else is needed.
"""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
import shutil
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, TypedDict, get_type_hints

from impasto.errors import CheckpointError, ImpastoError
from impasto.images.gallery import sample_path, style_path
from impasto.painting import Position, Progress
from impasto.runs import checkpoint as checkpoints
from impasto.runs.checkpoint import EVERY, KEPT, KEPT_BYTES, Checkpoint
from impasto.runs.job import Job
from impasto.runs.stored import decoded
from impasto.runs.walk import check_fits
from impasto.web.jobs import NO_IMAGE, Shown, State
from impasto.web.kinds import PictureJob
from impasto.web.work import Guides, PaintingWork, Paints, PictureFile

PICTURE = "picture.png"  # as far as it was painted

log = logging.getLogger(__name__)


KINDS = get_type_hints(PictureFile)


class Numbers(TypedDict):
    """Of the last step, as of `Progress`."""

    scale: int
    scales: int
    step: int
    steps: int
    losses: dict[str, float]
    seconds_left: float | None


class Known(TypedDict):
    """What the studio knows of a job beside what the command line would; files are `PictureFile`, as JSON."""

    id: str
    visitor: str
    attended: bool
    photograph: dict[str, Any]
    paintings: list[dict[str, Any]]
    mask: str | dict[str, Any] | None
    style_mask: list[str | dict[str, Any]]
    protect: str | dict[str, Any] | None
    progress: Numbers
    size: tuple[int, int]
    curve: list[tuple[int, float, int]]
    notes: list[str]
    seconds: float


@dataclass(frozen=True)
class Found:
    """A stopped picture of a server that is not there any more.

    Attributes:
        visitor: whose it is.
        files: what the visitor brought for it.
    """

    visitor: str
    job: PictureJob
    files: tuple[PictureFile, ...]


class PausedPictures:
    """Where stopped pictures stand until they go on.

    Args:
        root: folder of the checkpoints, for this user only.
        keep, keep_bytes: how many, and how much they take; the oldest cannot go on any more.
    """

    def __init__(self, root: Path, *, keep: int = KEPT, keep_bytes: int = KEPT_BYTES) -> None:
        self.root, self.keep, self.keep_bytes = root, keep, keep_bytes
        self._held: dict[str, tuple[PictureJob, Checkpoint]] = {}  # the oldest first; locked against other servers
        self._lock = threading.RLock()

    def put(self, job: PictureJob, frame: Shown) -> bool:
        """Put aside where a job stands; whether it can go on.

        Args:
            frame: the step at which it was stopped.
        """
        position, work = frame.progress.position, job.work
        if position is None or not isinstance(work, PaintingWork):
            return frame.preview  # nothing is lost by beginning again
        try:
            with self._lock:
                _, checkpoint = self._held.pop(job.id, (None, None))
                checkpoint = checkpoint or Checkpoint(self.root / secrets.token_hex(12))
                self._held[job.id] = job, checkpoint
            plain = _plain(work, checkpoint.folder)
            checkpoint.save(position, {**plain.to_json(), "studio": _known(job, frame)})
            _link(work.output, checkpoint.folder / PICTURE)
            self._drop_oldest()
        except (CheckpointError, OSError) as error:
            log.warning("a stopped picture cannot go on: %s", error)
            self.remove(job)
            return False
        return True

    def passing(self, job: PictureJob, frame: Shown) -> None:
        """Put aside a step of a long painting now and then, in case the server is killed."""
        if frame.progress.position is None:
            return
        _, checkpoint = self._held.get(job.id, (None, None))
        if checkpoint.due if checkpoint else time.monotonic() - job.begun > EVERY:
            self.put(job, frame)

    def take(self, job: PictureJob) -> Position | None:
        """From where a job goes on; None from its beginning.

        Raises:
            ImpastoError: it cannot be read.
        """
        _, checkpoint = self._held.get(job.id, (None, None))
        if checkpoint is None:
            return None
        try:
            return checkpoints.load(checkpoint.folder).position
        except CheckpointError as error:
            log.warning("a stopped picture cannot go on: %s", error)
            raise ImpastoError("where this picture stood cannot be read any more; paint it again") from None

    def remove(self, job: PictureJob) -> None:
        """Forget where a job stood: it is done, or nobody wants it."""
        with self._lock:
            _, checkpoint = self._held.pop(job.id, (None, None))
        if checkpoint is not None:
            checkpoint.remove()
            shutil.rmtree(checkpoint.folder, ignore_errors=True)

    def close(self) -> None:
        """Leave them to the next server."""
        with self._lock:
            for _, checkpoint in self._held.values():
                checkpoint.close()
            self._held.clear()

    def found(self, painter: Paints, folder_of: Any, oldest: float) -> Iterator[Found]:
        """What other servers left; it is held from now on.

        Args:
            painter: paints them.
            folder_of: by a visitor's id, the folder of what they have here.
            oldest: seconds since 1970; what was put aside before is removed.
        """
        left = 0
        for folder in reversed(checkpoints.checkpoints(self.root)):
            with contextlib.suppress(CheckpointError):  # in use by a server that runs
                if checkpoints.changed(folder) < oldest:
                    checkpoints.forget(folder)
                    shutil.rmtree(folder, ignore_errors=True)
                    continue
                checkpoint = Checkpoint(folder)
                try:
                    found = _found(checkpoint, painter, folder_of)
                except (ImpastoError, LookupError, TypeError, ValueError, OSError) as error:
                    log.info("%s cannot go on: %s", folder, error)  # another version may know how
                    checkpoint.close()
                    left += 1
                    continue
                self._held[found.job.id] = found.job, checkpoint
                yield found
        if left:
            what = "1 stopped picture" if left == 1 else f"{left} stopped pictures"
            log.warning(
                "%s in %s cannot go on with this version, or its files have changed; all else works, and after a while "
                "what is too old is removed",
                what,
                self.root,
            )

    def _drop_oldest(self) -> None:
        with self._lock:
            sizes = {id: checkpoints.size(checkpoint.folder) for id, (_, checkpoint) in self._held.items()}
            for id in list(self._held)[:-1]:
                if len(sizes) <= self.keep and sum(sizes.values()) <= self.keep_bytes:
                    return
                del sizes[id]
                job, _ = self._held[id]
                self.remove(job)
                job.paused = False
                job.changed()


def _plain(work: PaintingWork, folder: Path) -> Job:
    """The job as plain data, of files that lie in its own folder, or ship."""

    def kept(given: PictureFile | str | None) -> Any:
        if not isinstance(given, PictureFile):
            return given
        path = given.path
        if given.bytes:  # brought along
            path = folder / given.path.name
            _link(given.path, path)
        return path

    mask, protect = kept(work.guides.mask), kept(work.guides.protect)
    return Job(
        kept(work.photograph),
        tuple(kept(painting) for painting in work.paintings),
        work.settings,
        work.output,
        mask=None if mask is None else str(mask),
        style_mask=tuple(str(kept(one)) for one in work.guides.style_mask),
        protect=None if protect is None else str(protect),
        bits=16,
    )


def _known(job: PictureJob, frame: Shown) -> dict[str, Any]:
    """What the studio knows of a job, as JSON."""
    work, progress = job.work, frame.progress
    assert isinstance(work, PaintingWork)

    def told(given: PictureFile | str | None) -> Any:
        return {**asdict(given), "path": given.path.name, "film": None} if isinstance(given, PictureFile) else given

    return {
        "id": job.id,
        "visitor": job.visitor,
        "attended": job.attended,
        "photograph": told(work.photograph),
        "paintings": [told(painting) for painting in work.paintings],
        "mask": told(work.guides.mask),
        "style_mask": [told(one) for one in work.guides.style_mask],
        "protect": told(work.guides.protect),
        "progress": {name: getattr(progress, name) for name in Numbers.__annotations__},
        "size": job.size,
        "curve": job.curve,
        "notes": job.notes,
        "seconds": job.seconds + time.monotonic() - job.begun,
    }


def _found(checkpoint: Checkpoint, painter: Paints, folder_of: Any) -> Found:
    """A job as it was, with what its visitor brought in the visitor's folder."""
    saved, checkpoint.saved = checkpoint.saved, None  # its tensors are read again when it goes on
    assert saved is not None
    known: Known = decoded(Known, saved.job["studio"], "studio")
    plain = Job.from_json(saved.job)  # refuses inputs that have changed
    check_fits(saved.position, plain.settings)
    here: Path = folder_of(known["visitor"])
    files: list[PictureFile] = []

    def file(told: Any, ships: Any = None) -> Any:
        if not isinstance(told, dict):
            return told
        picture = PictureFile(**{name: decoded(kind, told[name], name) for name, kind in KINDS.items()})
        if not picture.bytes:
            return replace(picture, path=ships(picture.id))
        if picture.path.name != str(picture.path):
            raise ValueError(f"{picture.path} is not the name of a file")
        path = here / picture.path
        _link(checkpoint.folder / picture.path, path)
        files.append(replace(picture, path=path))
        return files[-1]

    guides = Guides(file(known["mask"]), tuple(map(file, known["style_mask"])), file(known["protect"]))
    output = here / plain.output.name
    work = PaintingWork(
        file(known["photograph"], sample_path),
        tuple(file(painting, style_path) for painting in known["paintings"]),
        plain.settings,
        output,
        painter,
        guides,
    )
    if (checkpoint.folder / PICTURE).exists():
        _link(checkpoint.folder / PICTURE, output)
    else:  # it was killed
        image = saved.position.state["now"]["image"].clamp(0, 1)
        work.keep(Shown(Progress(**known["progress"], image=image)), stopped=True)
    job = PictureJob(known["visitor"], work, attended=known["attended"])
    job.id, job.state, job.paused = known["id"], State.STOPPED, True
    job.frame = Shown(Progress(**known["progress"], image=NO_IMAGE))
    job.size, job.notes, job.seconds, job.curve = known["size"], known["notes"], known["seconds"], known["curve"]
    return Found(known["visitor"], job, tuple(files))


def _link(source: Path, target: Path) -> None:
    """The same file under another name; a copy where the disk is another one."""
    if not source.exists():
        return
    target.unlink(missing_ok=True)
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
