"""One giant picture on many machines: strips of it on Ray workers, each with its own pixels, features and optimiser.

Every worker runs the same `minimise` on its strip of rows, with the same `Objective` and the same optimiser as one
machine does. What they exchange, over torch.distributed: at each evaluation the sums over positions (moments, local
terms), and with the neighbours the margins of pixels and of gradients; within the optimiser, its scalar products. So
all of them see the same numbers, take the same decisions, and paint the picture that one machine would.

When a worker is lost, the scale under way is painted again from where it began, by the machines that are there then.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from impasto.errors import ImpastoError, SettingsError
from impasto.images.reading import resize
from impasto.methods.schedule import Scale, histories
from impasto.network.device import pick_device
from impasto.network.layers import reach
from impasto.network.models import Models
from impasto.network.weights import VGGWeights
from impasto.objective.memory import memory_budget, plan
from impasto.objective.moments import Moments
from impasto.objective.objective import Objective, used
from impasto.objective.optimize import LBFGS, Adam, Evaluation, Step, minimise
from impasto.objective.tiles import ALIGNMENT, margin_for
from impasto.settings import Settings

SMALLEST_STRIP = 2**18  # pixels: less is painted faster on one machine
ATTEMPTS = 5  # at a scale: so often may workers be lost in it
SHOWN = 512  # px: the longer side of the pictures that are shown while workers hold the real one
ENVIRONMENT = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_worker_niceness": "0"}  # no reports; as fast as any program
ANSWER = 20.0  # seconds in which a cluster answers at its address
WAIT = timedelta(hours=2)  # for a neighbour's slowest evaluation; a neighbour that is gone is noticed at once


@dataclass(frozen=True)
class Strip:
    """Some rows of a picture, and where they lie.

    Attributes:
        rank, count: of the strips, from the top.
        height, width: of the strip.
        above, below: rows of margin that its neighbours send; 0 at the picture's ends.
    """

    rank: int
    count: int
    height: int
    width: int
    above: int
    below: int


def strips(height: int, width: int, count: int, margin: int) -> list[Strip]:
    """A picture cut into at most `count` strips of about equal height, none lower than the margin."""
    rows = -(-height // ALIGNMENT)
    count = max(1, min(count, height // max(margin, ALIGNMENT)))
    cuts = [min(height, round(i * rows / count) * ALIGNMENT) for i in range(count)] + [height]
    return [
        Strip(i, count, cuts[i + 1] - cuts[i], width, margin if i else 0, margin if i < count - 1 else 0)
        for i in range(count)
    ]


class Exchange:
    """What a strip exchanges with the others, by torch.distributed."""

    def __init__(self, strip: Strip) -> None:
        self.strip = strip

    def total(self, part: Tensor) -> Tensor:
        """A sum over a strip, added to those of all strips: the same bits everywhere."""
        whole = part.detach().to("cpu", copy=True).contiguous()
        dist.all_reduce(whole)
        return whole.to(part.device)

    def extend(self, image: Tensor) -> Tensor:
        """A strip (1, channels, height, width) with its neighbours' rows above and below."""
        s = self.strip
        above, below = self._swap(image[..., : s.above, :], image[..., s.height - s.below :, :])
        return torch.cat([above, image, below], dim=-2)

    def fold(self, gradient: Tensor) -> Tensor:
        """The inverse for gradients: what flowed into the margins is added where those rows are at home."""
        s = self.strip
        own = gradient[..., s.above : s.above + s.height, :].clone()
        above, below = self._swap(gradient[..., : s.above, :], gradient[..., s.above + s.height :, :])
        own[..., : s.above, :] += above
        own[..., s.height - s.below :, :] += below
        return own

    def _swap(self, upward: Tensor, downward: Tensor) -> tuple[Tensor, Tensor]:
        """Send rows to the strips above and below; what they sent, of the same shapes."""
        sent, received, under_way = [], [], list[Any]()
        for rows, peer in ((upward, self.strip.rank - 1), (downward, self.strip.rank + 1)):
            sent.append(rows.detach().to("cpu", copy=True).contiguous())
            received.append(torch.empty_like(sent[-1]))
            if rows.numel():
                under_way += [dist.isend(sent[-1], peer), dist.irecv(received[-1], peer)]
        for each in under_way:
            each.wait()
        above, below = (rows.to(upward.device) for rows in received)
        return above, below


class StripObjective:
    """`Objective` for one strip: its neighbours' margins are fetched before and given back after."""

    def __init__(self, exchange: Exchange, content: Tensor, guidance: Mapping[str, Tensor], objective: Any) -> None:
        self.exchange = exchange
        strip = exchange.strip
        rows = (strip.above, strip.above + strip.height)
        wider = {name: exchange.extend(maps) for name, maps in guidance.items()}
        self.objective: Objective = objective(exchange.extend(content), rows=rows, total=exchange.total, **wider)

    def __call__(self, image: Tensor) -> Evaluation:
        evaluation = self.objective(self.exchange.extend(image))
        return Evaluation(evaluation.loss, self.exchange.fold(evaluation.gradient), evaluation.terms)


class Worker:
    """One process of the cluster; Ray makes it an actor. Its methods are called on all workers alike."""

    def __init__(self, settings: Settings, weights: str | Path | VGGWeights | None, threads: int) -> None:
        if threads:
            torch.set_num_threads(threads)
        self.settings = settings
        self.network = Models(weights).vgg(
            pick_device(settings.device),
            pooling=settings.pooling,
            padding=settings.padding,
            precision=settings.precision,
        )

    def meeting_point(self) -> str:
        """Where the workers meet, if this is the first of them."""
        import ray

        with socket.socket() as free:
            free.bind((ray.util.get_node_ip_address(), 0))  # type: ignore[no-untyped-call]
            host, port = free.getsockname()
        return f"tcp://{host}:{port}"

    def join(self, rank: int, count: int, meeting_point: str) -> None:
        """Meet the others."""
        dist.init_process_group("gloo", init_method=meeting_point, rank=rank, world_size=count, timeout=WAIT)

    def begin(
        self,
        strip: Strip,
        scale: Scale,
        content: Tensor,
        style: Mapping[str, Moments],
        image: Tensor,
        guidance: Mapping[str, Tensor],
    ) -> None:
        """Take over a strip of a scale."""
        exchange = Exchange(strip)
        device = self.network.device
        budget = memory_budget(self.settings.memory, device)
        layers = scale.weights.layers
        content_layers = used(scale.weights.content_layers, scale.weights.content)
        rows = strip.above + strip.height + strip.below
        way = plan(rows, strip.width, layers, content_layers, budget, histories(self.settings))
        # all must remember equally long, or their sums would no longer meet
        shortest = torch.tensor(way.history)
        dist.all_reduce(shortest, op=dist.ReduceOp.MIN)
        history = int(shortest)

        def objective(content: Tensor, **part: Any) -> Objective:
            ours = {k: m.map(lambda sums: sums.to(device)) for k, m in style.items()}
            return Objective(self.network, content, ours, scale.weights, side=way.side, remember=way.remember, **part)

        adam = self.settings.optimizer == "adam"
        self.steps = minimise(
            StripObjective(
                exchange, content.to(device), {name: maps.to(device) for name, maps in guidance.items()}, objective
            ),
            image.to(device),
            Adam() if adam else LBFGS(history=history, total=exchange.total),
            scale.evaluations,
            tolerance=scale.tolerance,
        )

    def step(self) -> tuple[Evaluation, str | None] | None:
        """One evaluation: its numbers, without the gradient; None when there are no more."""
        now = next(self.steps, None)
        if now is None:
            return None
        self.image = now.image
        found = now.evaluation
        terms = {name: term.cpu() for name, term in found.terms.items()}
        return Evaluation(found.loss.cpu(), torch.empty(0), terms), now.note

    def process(self) -> int:
        """Its number, for whoever must end it."""
        return os.getpid()

    def painted(self, height: int | None = None, width: int | None = None) -> Tensor:
        """The strip, or a smaller picture of it."""
        image = self.image if height is None or width is None else resize(self.image, height, width)
        return image.cpu()


class Cluster:
    """Ray workers that paint large scales together.

    Args:
        address: "local" for this machine, "auto" for the cluster that it belongs to, or "HOST:PORT".
        settings: how to paint.
        weights: VGG-19's, or their file, at the same place on every machine; None for the installed ones.
        smallest: pixels of a strip; a smaller scale is painted here.

    Raises:
        SettingsError: Ray is not installed, or there is no cluster.
    """

    def __init__(
        self,
        address: str,
        settings: Settings,
        weights: str | Path | VGGWeights | None = None,
        *,
        smallest: int | None = None,
    ) -> None:
        self.ray = connect(address)
        self.settings, self.weights, self.smallest = settings, weights, smallest or SMALLEST_STRIP
        self.workers: list[Any] = []

    def wants(self, scale: Scale) -> bool:
        """Whether a scale is large enough to be spread."""
        return scale.height * scale.width >= 2 * self.smallest

    def minimise(
        self,
        scale: Scale,
        content: Tensor,
        style: Mapping[str, Moments],
        image: Tensor,
        guidance: Mapping[str, Tensor] | None = None,
    ) -> Iterator[Step]:
        """As `impasto.objective.optimize.minimise`, on the workers.

        Args:
            guidance: maps (..., height, width), arguments of `Objective`.

        Yields:
            Each evaluation with a picture of at most `SHOWN` px and no gradient; the last one with the whole image.
        """
        for attempt in range(1, ATTEMPTS + 1):
            try:
                yield from self._attempt(scale, content, style, image, guidance or {}, again=attempt > 1)
                return
            except self.ray.exceptions.RayError as error:
                cause = getattr(error, "cause", None)
                if isinstance(cause, ImpastoError):
                    raise cause from None
                if attempt == ATTEMPTS:
                    raise
            finally:
                self._release()

    def _attempt(
        self,
        scale: Scale,
        content: Tensor,
        style: Mapping[str, Moments],
        image: Tensor,
        guidance: Mapping[str, Tensor],
        *,
        again: bool,
    ) -> Iterator[Step]:
        margin = margin_for(reach(scale.weights.layers))
        places = self._places()
        count = min(len(places), max(1, scale.height * scale.width // self.smallest))
        parts = strips(scale.height, scale.width, count, margin)
        self._hire(places[: len(parts)])
        shared = self.ray.put({k: m.map(lambda sums: sums.cpu()) for k, m in style.items()})
        top = 0
        begun = []
        for worker, part in zip(self.workers, parts, strict=True):
            rows = slice(top, top + part.height)
            top += part.height
            pixels = [x[..., rows, :].cpu().clone() for x in (content, image)]
            maps = {name: each[..., rows, :].cpu().clone() for name, each in guidance.items()}
            begun.append(worker.begin.remote(part, scale, pixels[0], shared, pixels[1], maps))
        self._all(begun)
        note = "a worker was lost: this scale is painted again" if again else None
        factor = min(1.0, SHOWN / max(scale.height, scale.width))
        sizes = [(max(1, round(part.height * factor)), max(1, round(part.width * factor))) for part in parts]
        while (found := self._all([worker.step.remote() for worker in self.workers])[0]) is not None:
            evaluation, said = found
            preview = [worker.painted.remote(*size) for worker, size in zip(self.workers, sizes, strict=True)]
            shown = torch.cat(self._all(preview), dim=-2)
            yield Step(shown.to(image.device), evaluation, said or note)
        whole = torch.cat(self._all([worker.painted.remote() for worker in self.workers]), dim=-2)
        yield Step(whole.to(image.device), evaluation, None)

    def _places(self) -> list[dict[str, Any]]:
        """Where workers can live now: one per graphics card, else one per machine with all its cores."""
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        places = []
        for node in self.ray.nodes():
            if node["Alive"]:
                here = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
                cards, cores = (int(node["Resources"].get(kind, 0)) for kind in ("GPU", "CPU"))
                use = [{"num_gpus": 1, "num_cpus": 0}] * cards or [{"num_cpus": cores}] * (cores > 0)
                places += [{**each, "scheduling_strategy": here} for each in use]
        if not places:
            raise SettingsError("the cluster has no machine with cores or graphics cards; add one with `ray start`")
        return places

    def _hire(self, places: Sequence[Mapping[str, Any]]) -> None:
        actor = self.ray.remote(Worker)
        self.workers = [
            actor.options(**place).remote(self.settings, self.weights, place["num_cpus"]) for place in places
        ]
        (meeting_point,) = self._all([self.workers[0].meeting_point.remote()])
        count = len(self.workers)
        self._all([worker.join.remote(rank, count, meeting_point) for rank, worker in enumerate(self.workers)])

    def _all(self, answers: Sequence[Any]) -> list[Any]:
        """All answers; the first failure at once, not when the others have waited long for the one that failed."""
        waiting = list(answers)
        while waiting:
            done, waiting = self.ray.wait(waiting, num_returns=1)
            self.ray.get(done)
        return list(self.ray.get(list(answers)))

    def _release(self) -> None:
        for worker in self.workers:
            self.ray.kill(worker)
        self.workers = []


def check_answers(address: str) -> None:
    """See to it that something listens where a cluster should be; Ray would look for it for minutes.

    Raises:
        SettingsError: nothing does.
    """
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if not colon:  # a word
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=ANSWER).close()
    except OSError as error:
        raise SettingsError(
            f"cluster={address!r} cannot be reached: {error.strerror or error}; "
            "start one with `ray start --head`, or give local"
        ) from None


_joined: dict[str, str] = {}  # clusters that `connect` has joined: where they are, and how that was said


def connect(address: str) -> Any:
    """Ray, connected to a cluster; nothing is sent to its makers.

    Raises:
        SettingsError: Ray is not installed, there is no such cluster, or this process belongs to another one.
    """
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    try:
        import ray
    except ImportError:
        raise SettingsError(f"cluster={address!r} needs Ray: pip install 'impasto[cluster]'") from None
    if ray.is_initialized():
        here = ray.get_runtime_context().gcs_address
        if address in ("auto", here, _joined.get(here)):
            return ray
        if here not in _joined:  # whoever began it may still need it
            raise SettingsError(
                f"cluster={address!r}: this process is connected to the Ray cluster {here} already; "
                "give auto, or call ray.shutdown() first"
            )
        ray.shutdown()
    check_answers(address)
    where: dict[str, Any] = {"address": address}
    if address == "local":
        where = {"address": "local", "include_dashboard": False, "_node_ip_address": "127.0.0.1"}
    try:
        ray.init(**where, log_to_driver=False, configure_logging=False)
    except (ConnectionError, ValueError) as error:
        raise SettingsError(
            f"cluster={address!r} cannot be reached: {str(error).splitlines()[0]}; "
            "start one with `ray start --head`, or give local"
        ) from None
    _joined[ray.get_runtime_context().gcs_address] = address
    return ray
