"""Many pictures on many machines, one at a time on each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from impasto.errors import ImpastoError
from impasto.methods.cluster import ATTEMPTS, connect
from impasto.network.weights import VGGWeights
from impasto.painting import Painter, painter
from impasto.runs.batch import Result, Task, TaskPainter
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


_paint: TaskPainter | None = None  # of this process


def _paint_task(task: Task, source: str | Path | VGGWeights | None, patient: bool, threads: int) -> Result | None:
    global _paint
    torch.set_num_threads(threads)
    if _paint is None or _paint.painter.models.source != source:
        _paint = TaskPainter(Painter(weights=source))
    return _paint(task, patient=patient)


def _places(address: str, paint: Any) -> tuple[Any, Any, int, int]:
    """Ray, a task of it, how many of those may be under way and wait, and the cores of each."""
    ray = connect(address)
    resources = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    cards = sum(each.get("GPU", 0) for each in resources)
    cores = int(min((each["CPU"] for each in resources if each.get("CPU")), default=1))
    use = {"num_gpus": 1} if cards else {"num_cpus": cores}
    room = 2 * int(cards or len(resources))  # as many wait as are painted: the rest need not be in memory
    return ray, ray.remote(paint).options(**use, max_retries=ATTEMPTS), room, cores


def _paint_one(content: Any, style: Any, settings: Settings, weights: str | Path | None, threads: int) -> Any:
    torch.set_num_threads(threads)
    return painter(weights).paint(content, style, settings)


def _first_done(ray: Any, waiting: dict[Any, int]) -> tuple[int, Any]:
    (done,), _ = ray.wait(list(waiting), num_returns=1)
    try:
        return waiting.pop(done), ray.get(done)
    except ray.exceptions.RayTaskError as error:
        if isinstance(error.cause, ImpastoError):
            raise error.cause from None
        raise
