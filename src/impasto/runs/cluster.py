"""Many pictures on many machines, one at a time on each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from impasto.errors import ImpastoError
from impasto.methods.cluster import ATTEMPTS, connect
from impasto.painting import painter
from impasto.settings import Settings


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
    ray = connect(address)
    resources = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    cards = sum(each.get("GPU", 0) for each in resources)
    cores = int(min((each["CPU"] for each in resources if each.get("CPU")), default=1))
    use = {"num_gpus": 1} if cards else {"num_cpus": cores}
    task = ray.remote(_paint_one).options(**use, max_retries=ATTEMPTS)
    room = 2 * int(cards or len(resources))  # as many wait as are painted: the rest need not be in memory
    waiting: dict[Any, int] = {}
    for number, (content, style) in enumerate(pictures):
        if len(waiting) == room:
            yield _first_done(ray, waiting)
        waiting[task.remote(content, style, replace(settings, cluster="none"), weights, cores)] = number
    while waiting:
        yield _first_done(ray, waiting)


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
