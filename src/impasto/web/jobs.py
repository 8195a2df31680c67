"""Pictures being made: a queue, and one worker per device.

A job is an iterator of frames and what became of it. How a picture is painted, and who asks over which wire, is not
known here.
"""

from __future__ import annotations

import logging
import secrets
import threading
import time
from collections import Counter
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

import torch
from torch import Tensor

from impasto.errors import ImpastoError, is_out_of_memory
from impasto.painting import Position, Progress

CURVE_POINTS = 120  # of the loss plot; a longer run is thinned

NO_IMAGE = torch.empty(1, 3, 0, 0)

log = logging.getLogger(__name__)


class State(StrEnum):
    """Where a job is; only the first two change by themselves."""

    WAITING = "waiting"
    PAINTING = "painting"
    STOPPED = "stopped"
    DONE = "done"
    FAILED = "failed"


FINAL = (State.STOPPED, State.DONE, State.FAILED)


@dataclass(frozen=True)
class Shown:
    """A step of the work as its visitor sees it; `preview` until what was asked for begins."""

    progress: Progress
    preview: bool = False


class Work(Protocol):
    """What a job does; `output` is the file of its picture, `name` what to call it. A worker calls the methods."""

    @property
    def name(self) -> str: ...

    @property
    def output(self) -> Path: ...

    def frames(self, resume: Position | None = None) -> Generator[Shown]:
        """The steps; from that of a position, which comes again, or from the beginning."""
        ...

    def in_its_words(self, message: str) -> str:
        """An error's message, for whoever asked: pictures have their visitor's names, not the server's paths."""
        ...

    def keep(self, frame: Shown, *, stopped: bool) -> None:
        """Write the picture of the last frame: the final one, or one that the visitor `stopped` at."""
        ...

    def discard(self) -> None:
        """Remove what `keep` wrote, if anything."""
        ...


W = TypeVar("W", bound=Work)


class Shelf(Protocol):
    """Where stopped jobs stand until they go on. Workers call it."""

    def put(self, job: Any, frame: Shown) -> bool:
        """Put aside where a job stands, at this step; whether it can go on."""
        ...

    def passing(self, job: Any, frame: Shown) -> None:
        """Look at a step of a job that goes on."""
        ...

    def take(self, job: Any) -> Position | None:
        """From where a job goes on; None from its beginning."""
        ...

    def remove(self, job: Any) -> None:
        """Forget where a job stood."""
        ...


class NoShelf:
    """Stopped jobs begin again, where no step of them is lost by it."""

    def put(self, job: Any, frame: Shown) -> bool:
        return frame.preview

    def passing(self, job: Any, frame: Shown) -> None:
        pass

    def take(self, job: Any) -> Position | None:
        return None

    def remove(self, job: Any) -> None:
        pass


class QueuedJob(Generic[W]):
    """One picture being made. Whoever knows `id` may see, stop and remove it: it cannot be guessed.

    Attributes:
        visitor: whose it is.
        address: from where the visitor asked.
        attended: it is stopped when the visitor's page is closed.
        version: counts what changed; a watcher compares it with the one it saw.
        frame: the latest, without its image.
        image: the latest picture, (1, 3, height, width); None before the first, and once it is kept in a file.
        size: its height and width.
        curve: (step, total loss, scale) of the evaluations so far.
    """

    def __init__(self, visitor: str, work: W, *, address: str = "", attended: bool = False) -> None:
        self.id = secrets.token_urlsafe(18)
        self.visitor = visitor
        self.address = address
        self.work = work
        self.attended = attended
        self.state = State.WAITING
        self.version = 0
        self.frame: Shown | None = None
        self.image: Tensor | None = None
        self.size = (0, 0)
        self.curve: list[tuple[int, float, int]] = []
        self.notes: list[str] = []
        self.error: str | None = None
        self.seconds = 0.0
        self.created = self.touched = self.begun = time.monotonic()
        self.queued = 0  # counts those that came to wait before it
        self.stop_asked = False
        self.removed = False
        self.paused = False  # where it stands was put aside

    @property
    def over(self) -> bool:
        return self.state in FINAL

    @property
    def can_continue(self) -> bool:
        return self.state is State.STOPPED and (self.paused or self.frame is None)

    @property
    def ended_for_good(self) -> bool:
        return self.over and not self.can_continue

    def changed(self) -> None:
        self.version += 1

    def show(self, frame: Shown) -> None:
        """Make a frame the latest."""
        progress = frame.progress
        self.image, self.size = progress.image, (progress.image.shape[-2], progress.image.shape[-1])
        # Jobs are kept for long: the picture goes to a file, and what the optimiser remembers stays with the iterator.
        self.frame = replace(frame, progress=replace(progress, image=NO_IMAGE, position=None))
        self.notes += [note for note in progress.notes if note not in self.notes]
        if "total" in progress.losses and progress.step not in [step for step, *_ in self.curve[-1:]]:
            self.curve.append((progress.step, progress.losses["total"], progress.scale))
            if len(self.curve) > CURVE_POINTS:
                del self.curve[1:-1:2]
        self.changed()


class Jobs(Generic[W]):
    """All jobs of a server. Those that wait take turns: by address, then by visitor, then as they came.

    Args:
        workers: what each worker thread calls first, to choose its device.
        shelf: where stopped jobs stand.
        done: told of each job that was painted to its end, by the worker.
    """

    def __init__(
        self,
        workers: Sequence[Callable[[], None]] = (lambda: None,),
        shelf: Shelf | None = None,
        done: Callable[[Any], None] = lambda job: None,
    ) -> None:
        self._shelf, self._done = shelf or NoShelf(), done
        self._jobs: dict[str, QueuedJob[W]] = {}
        self._waiting: list[QueuedJob[W]] = []  # in the order in which they will be painted
        self._turns: dict[str, int] = {}  # when an address was last served
        self._turn = self._came = 0
        self._changed = threading.Condition()
        self._closing = False
        self._threads = [
            threading.Thread(target=self._run, args=(prepare,), name=f"painter-{number}", daemon=True)
            for number, prepare in enumerate(workers)
        ]
        for thread in self._threads:
            thread.start()

    def submit(self, job: QueuedJob[W]) -> QueuedJob[W]:
        with self._changed:
            self._jobs[job.id] = job
            self._wait(job)
            self._announce_positions()
        return job

    def put_back(self, job: QueuedJob[W]) -> None:
        """Take in a stopped job of an earlier server."""
        with self._changed:
            self._jobs[job.id] = job

    def get(self, id: str) -> QueuedJob[W] | None:
        return self._jobs.get(id)

    def of(self, visitor: str) -> list[QueuedJob[W]]:
        """A visitor's jobs, oldest first."""
        with self._changed:
            return [job for job in self._jobs.values() if job.visitor == visitor]

    def all(self) -> list[QueuedJob[W]]:
        with self._changed:
            return list(self._jobs.values())

    def position(self, job: QueuedJob[W]) -> int:
        """How many jobs are waited for: 0 is being painted, or over."""
        with self._changed:
            if job.state is not State.WAITING:
                return 0
            painting = sum(other.state is State.PAINTING for other in self._jobs.values())
            ahead = self._waiting.index(job) if job in self._waiting else 0
            return max(1, ahead + painting - len(self._threads) + 1)

    def stop(self, job: QueuedJob[W]) -> None:
        """End after the step under way and keep the picture so far."""
        with self._changed:
            if job.state is State.PAINTING:
                job.stop_asked = True
            elif job.state is State.WAITING:
                self._waiting.remove(job)
                job.state = State.STOPPED
                self._announce_positions()
            job.changed()

    def resume(self, job: QueuedJob[W]) -> None:
        """Go on where the job was stopped, behind those that wait.

        Raises:
            ImpastoError: where it stood was not kept, or it is not stopped.
        """
        with self._changed:
            if not job.can_continue:
                raise ImpastoError("this picture cannot go on; paint it again")
            job.state, job.stop_asked = State.WAITING, False
            self._wait(job)
            self._announce_positions()

    def remove(self, job: QueuedJob[W]) -> None:
        """Forget a job; if it is being painted, that ends after the step under way."""
        with self._changed:
            job.removed = job.stop_asked = True
            self._jobs.pop(job.id, None)
            if job in self._waiting:
                self._waiting.remove(job)
                self._announce_positions()
            if job.state is not State.PAINTING:
                self._discard(job)
            job.changed()

    def close(self) -> None:
        """Stop everything; returns when the workers have ended the step under way."""
        with self._changed:
            self._closing = True
            for job in self._jobs.values():
                job.stop_asked = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join(timeout=60)

    def _wait(self, job: QueuedJob[W]) -> None:
        self._came += 1
        job.queued = self._came
        self._waiting.append(job)

    def _announce_positions(self) -> None:
        self._waiting = in_turns(self._waiting, self._turns)
        for job in self._waiting:
            job.changed()
        self._changed.notify_all()

    def _run(self, prepare: Callable[[], None]) -> None:
        try:
            prepare()
        except Exception:  # the queue goes on; what cannot be painted fails by itself, with a sentence
            log.exception("a worker could not choose its device")
        while (job := self._next()) is not None:
            self._paint(job)
            with self._changed:
                if job.removed:
                    self._discard(job)
                self._announce_positions()

    def _next(self) -> QueuedJob[W] | None:
        """The first job that waits; None when the server ends."""
        with self._changed:
            while not self._closing:
                if self._waiting:
                    job = self._waiting.pop(0)
                    job.state = State.PAINTING
                    self._turn += 1
                    here = {other.address for other in self._jobs.values()}
                    self._turns = {one: turn for one, turn in self._turns.items() if one in here}
                    self._turns[job.address] = self._turn
                    self._announce_positions()
                    job.changed()
                    return job
                self._changed.wait()
            return None

    def _paint(self, job: QueuedJob[W]) -> None:
        job.begun = time.monotonic()
        job.paused = False
        try:
            end = self._walk(job)
        except ImpastoError as error:
            end, job.error = State.FAILED, job.work.in_its_words(str(error))
        except Exception as error:
            log.exception("job failed")
            memory = "not enough memory for this size; choose a smaller one"
            job.error = memory if is_out_of_memory(error) else "a fault of impasto; see its log"
            end = State.FAILED
        job.seconds += time.monotonic() - job.begun
        if end is not State.STOPPED:
            self._shelf.remove(job)
        if end is State.DONE:
            self._done(job)
        job.state, job.image = end, None
        job.changed()

    def _walk(self, job: QueuedJob[W]) -> State:
        """Paint until the end or a stop, and keep the picture; where it was stopped is put aside."""
        frame, stopped = None, False
        with closing(job.work.frames(self._shelf.take(job))) as frames:
            for frame in frames:
                job.show(frame)
                if stopped := job.stop_asked:
                    break
                self._shelf.passing(job, frame)
            if frame is not None and not job.removed:
                job.work.keep(frame, stopped=stopped)
                if stopped:
                    job.paused = self._shelf.put(job, frame)
        return State.STOPPED if stopped else State.DONE

    def _discard(self, job: QueuedJob[W]) -> None:
        job.image = None
        try:
            self._shelf.remove(job)
            job.work.discard()
        except Exception:  # a worker must outlive it
            log.exception("a removed picture could not be cleaned up")


def in_turns(waiting: Sequence[QueuedJob[W]], turns: Mapping[str, int]) -> list[QueuedJob[W]]:
    """The jobs in the order in which they are fairly painted.

    The first picture of every address comes before the second of any, and among those of one address, the first of
    every visitor before the second of any.

    Args:
        waiting: in the order they came, or as this function left them.
        turns: when an address was served last; who waited longer comes first.
    """

    def ranked(jobs: Sequence[QueuedJob[W]], who: Callable[[QueuedJob[W]], str]) -> list[tuple[int, QueuedJob[W]]]:
        """Each job with how many of the same one come before it."""
        seen: Counter[str] = Counter()
        ranks = []
        for job in jobs:
            ranks.append((seen[who(job)], job))
            seen[who(job)] += 1
        return ranks

    order = sorted(waiting, key=lambda job: job.queued)
    by_visitor = [job for _, job in sorted(ranked(order, lambda job: job.visitor), key=lambda pair: pair[0])]
    by_address = ranked(by_visitor, lambda job: job.address)
    return [job for _, job in sorted(by_address, key=lambda pair: (pair[0], turns.get(pair[1].address, 0)))]
