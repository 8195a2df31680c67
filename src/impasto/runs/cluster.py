"""Many pictures, or the shots of a film, on many machines, one at a time on each."""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from impasto.errors import ImpastoError
from impasto.images.reading import to_image
from impasto.methods.cluster import ATTEMPTS, connect
from impasto.methods.film import Frame, Memory, paint_film
from impasto.network.models import Models
from impasto.network.weights import VGGWeights
from impasto.painting import Painter, painter
from impasto.runs.batch import Result, Task, TaskPainter
from impasto.runs.clip import Part, open_source
from impasto.settings import INITS, Settings


def paint_many(
    pictures: Iterable[tuple[Any, Any]], settings: Settings, address: str = "auto", weights: str | Path | None = None
) -> Iterator[tuple[int, Any]]:
    """Paint many pictures, or frames, on a cluster: one at a time on each graphics card; without any, on each machine.

    Args:
        pictures: photographs, each with its painting, as for `impasto.paint`; paths must hold on every machine.
        settings: how to paint; `settings.cluster` does not count.
        address: as for `Cluster`.
        weights: file of VGG-19's weights, at the same place on every machine; None for the installed ones.

    Yields:
        The number of each picture, from 0, and what `impasto.paint` gives of it, as they are done. One whose machine
        is lost is painted again on another.

    Raises:
        ImpastoError: as `impasto.paint`, of the first picture that cannot be painted.
    """
    ray, task, room, cores = _places(address, _paint_one)
    waiting: dict[Any, int] = {}
    for number, (content, style) in enumerate(pictures):
        if len(waiting) == room:
            yield _first_done(ray, waiting)
        waiting[task.remote(content, style, replace(settings, cluster="none"), weights, cores)] = number
    while waiting:
        yield _first_done(ray, waiting)


def paint_tasks(tasks: Sequence[Task], address: str, source: str | Path | VGGWeights | None = None) -> Iterator[Result]:
    """The pictures of a batch on a cluster, as `paint_many`: each machine reads, claims, paints and writes its own.

    Args:
        tasks: whose files lie at the same place on every machine.
        address: as for `Cluster`.
        source: of the weights, likewise.

    Yields:
        A result for each, as they are done; those that another process is painting come last.
    """
    ray, paint, room, cores = _places(address, _paint_task)
    for patient in (False, True):
        waiting: dict[Any, Task] = {}
        postponed: list[Task] = []
        for number, task in enumerate(tasks, start=1):
            waiting[paint.remote(_absolute(task), source, patient, cores)] = task
            while len(waiting) >= room or (waiting and number == len(tasks)):
                (done,), _ = ray.wait(list(waiting), num_returns=1)
                task = waiting.pop(done)
                result = _result(ray, done)
                if result is None:
                    postponed.append(task)
                else:
                    yield replace(result, task=task)
        tasks = postponed


def _result(ray: Any, done: Any) -> Result | None:
    try:
        found: Result | None = ray.get(done)
        return found
    except ray.exceptions.RayError as error:
        raise ImpastoError(f"machines of the cluster were lost ({error}); the same command goes on") from None


def _absolute(task: Task) -> Task:
    """A task for a process that runs in another folder."""
    style = tuple(path.absolute() for path in task.style)
    init = task.settings.init
    settings = replace(task.settings, cluster="none", init=init if init in INITS else str(Path(init).absolute()))
    return replace(task, content=task.content.absolute(), style=style, settings=settings, output=task.output.absolute())


@dataclass(frozen=True)
class Shots:
    """A film whose shots are painted.

    Attributes:
        clip: its file or folder, at the same place on every machine.
        rate: frames a second of a folder.
        part: of the film.
        paintings: their files, likewise.
        settings, boil, keyframes, protect: as of `impasto.Painter.film`.
        opening: the first frame of the film, (1, 3, height, width).
    """

    clip: Path
    rate: Fraction | None
    part: Part
    paintings: tuple[Path, ...]
    settings: Settings
    boil: float
    keyframes: int
    protect: str | None
    opening: Tensor


def paint_shots(
    work: Shots, first: int, counts: Iterable[int], address: str, source: str | Path | VGGWeights | None = None
) -> Iterator[Frame]:
    """The frames of a film in order, while machines paint several of its shots; each reads the film itself.

    Args:
        work: the film.
        first: number of the first frame of the first shot.
        counts: of the frames of each shot, taken as machines become free.
        address: as for `Cluster`.
        source: of the weights, at the same place on every machine.

    Yields:
        Frames of 8 bits a channel; the last one of a shot can be gone on from. A shot whose machine is lost is painted
        again on another.

    Raises:
        ImpastoError: as `Painter.film`.
    """
    ray, paint, room, cores = _places(address, _paint_shot, num_returns="streaming")
    shared = ray.put(work)
    waiting: deque[Any] = deque()
    coming = iter(counts)
    try:
        while True:
            while len(waiting) < room and (count := next(coming, 0)):
                waiting.append(paint.remote(shared, first, count, source, cores))
                first += count
            if not waiting:
                return
            for pixels, kept, memory in map(partial(_answer, ray), waiting[0]):
                image = torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None] / 255
                yield Frame(image, None if memory is None else Memory.of(*memory), kept=kept)
            waiting.popleft()
    finally:
        for shot in waiting:
            ray.cancel(shot, force=True)


def _paint_shot(
    work: Shots, first: int, count: int, source: str | Path | VGGWeights | None, threads: int
) -> Iterator[tuple[NDArray[np.uint8], float, tuple[dict[str, Tensor], int] | None]]:
    """The frames of a shot (height, width, 3), how much of each was kept, and with the last what is remembered."""
    torch.set_num_threads(threads)
    with contextlib.closing(open_source(work.clip, work.rate)) as film:
        stills = islice(work.part.of(film.stills()), first, first + count)
        how: dict[str, Any] = {"boil": work.boil, "keyframes": work.keyframes, "protect": work.protect}
        frames = (to_image(still.picture, work.settings.longer_side) for still in stills)
        painted = paint_film(frames, list(work.paintings), Models(source), work.settings, **how, first=work.opening)
        for number, frame in enumerate(painted, start=1):
            pixels = (frame.image[0].cpu().clamp(0, 1) * 255).round().byte().permute(1, 2, 0).numpy()
            ends = frame.memory if number == count else None
            yield pixels, frame.kept, None if ends is None else (ends.tensors, ends.budget)


_paint: TaskPainter | None = None  # of this process


def _paint_task(task: Task, source: str | Path | VGGWeights | None, patient: bool, threads: int) -> Result | None:
    global _paint
    torch.set_num_threads(threads)
    if _paint is None or _paint.painter.models.source != source:
        _paint = TaskPainter(Painter(weights=source))
    return _paint(task, patient=patient)


def _places(address: str, paint: Any, **options: Any) -> tuple[Any, Any, int, int]:
    """Ray, a task of it with Ray's options, how many of those may be under way and wait, and the cores of each."""
    ray = connect(address)
    resources = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    cards = sum(each.get("GPU", 0) for each in resources)
    cores = int(min((each["CPU"] for each in resources if each.get("CPU")), default=1))
    use = {"num_gpus": 1} if cards else {"num_cpus": cores}
    room = 2 * int(cards or len(resources))  # as many wait as are painted: the rest need not be in memory
    return ray, ray.remote(paint).options(**use, max_retries=ATTEMPTS, **options), room, cores


def _paint_one(content: Any, style: Any, settings: Settings, weights: str | Path | None, threads: int) -> Any:
    torch.set_num_threads(threads)
    return painter(weights).paint(content, style, settings)


def _first_done(ray: Any, waiting: dict[Any, int]) -> tuple[int, Any]:
    (done,), _ = ray.wait(list(waiting), num_returns=1)
    return waiting.pop(done), _answer(ray, done)


def _answer(ray: Any, done: Any) -> Any:
    """What a task has given; its own errors are raised as they are."""
    try:
        return ray.get(done)
    except ray.exceptions.RayTaskError as error:
        if isinstance(error.cause, ImpastoError):
            raise error.cause from None
        raise
