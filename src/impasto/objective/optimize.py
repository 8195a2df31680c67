"""The pixels are what is optimised. Any callable that evaluates an image will do; networks are not known here."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor

from impasto.errors import ImpastoError


@dataclass(frozen=True)
class Evaluation:
    """An objective at one image. The numbers of a `Step` are there to be read; before, reading waits for the device."""

    loss: Tensor  # ()
    gradient: Tensor  # like the image
    terms: dict[str, Tensor]  # of the loss, by name; they add up to it

    def on_its_way(self) -> tuple[Evaluation, Callable[[], object]]:
        """It with its numbers on their way to the CPU, and what waits for them, but not for what is queued later."""
        if not self.loss.is_cuda:
            return self, lambda: None
        loss, *terms = (x.to("cpu", non_blocking=True) for x in (self.loss, *self.terms.values()))
        there = torch.cuda.current_stream(self.loss.device).record_event()
        named = dict(zip(self.terms, terms, strict=True))
        return Evaluation(loss, self.gradient, named), there.synchronize


Evaluate = Callable[[Tensor], Evaluation]
State = dict[str, Any]
"""Where something stands: tensors, numbers, words and None, in dictionaries and lists. Its tensors are not copies;
`PaperLBFGS` overwrites some at the next step, the others leave them alone."""


@dataclass(frozen=True)
class Step:
    """One evaluation of the objective, and where."""

    image: Tensor  # (1, 3, height, width)
    evaluation: Evaluation
    note: str | None = None  # what the user should know, if anything
    state: State = field(default_factory=dict)  # from which `minimise` goes on


class Optimizer(Protocol):
    """Walks from image to image; remembers what it needs of the way."""

    def step(self, image: Tensor, evaluation: Evaluation) -> Tensor:
        """Where to evaluate next, a new tensor."""
        ...

    def restart(self) -> None:
        """Forget the way, and walk on more carefully."""
        ...

    def state_dict(self) -> State:
        """What it remembers."""
        ...

    def load_state_dict(self, state: State) -> None:
        """Remember what another one did: the same steps follow, bit for bit."""
        ...


class LBFGS:
    """Limited-memory BFGS within the box [0, 1] (Nocedal and Wright 2006, algorithm 7.4; Byrd et al. 1995).

    Unlike `torch.optim.LBFGS`, nothing depends on the scale of the loss: the first step has a given length in pixel
    values, and a pair counts when its curvature is positive relative to its lengths. Pixels on the border of the box
    whose gradient points outward are held there, so that none runs hot. Nothing here waits for the device.

    Args:
        history: how many pairs of steps and gradient changes are remembered.
        first_step: mean length of the first step, in pixel values.
        longest_step: of any other; curvature seen on a short way says little about a long one.
        total: adds a sum over an image's pixels to those of the other parts of a picture spread over machines.
    """

    def __init__(
        self,
        *,
        history: int = 10,
        first_step: float = 0.02,
        longest_step: float = 0.05,
        total: Callable[[Tensor], Tensor] = lambda part: part,
    ) -> None:
        self.first_step, self.longest_step = first_step, longest_step
        self.total = total
        self.pairs: deque[tuple[Tensor, Tensor, Tensor]] = deque(maxlen=history)  # s, y, 1 / sᵀy (0: does not count)
        self.scale = torch.tensor(0.0)  # of the Hessian's inverse: sᵀy / yᵀy, at first a guess from `first_step`
        self.last: tuple[Tensor, Tensor] | None = None  # image and gradient

    def step(self, image: Tensor, evaluation: Evaluation) -> Tensor:
        """The next image, in [0, 1]."""
        gradient = evaluation.gradient
        held = ((image <= 0) & (gradient > 0)) | ((image >= 1) & (gradient < 0))
        if self.last is None:
            self.scale = self.first_step / self._mean_size(gradient).clamp(min=1e-30)
        else:
            self._learn(image - self.last[0], (gradient - self.last[1]).masked_fill_(held, 0))
        self.last = (image, gradient)
        direction = self._direction(gradient.masked_fill(held, 0))
        return direction.masked_fill_(held, 0).add_(image).clamp_(0, 1)

    def restart(self) -> None:
        """Forget the curvature; the next step is a quarter as long as the first one was."""
        self.pairs.clear()
        self.last = None
        self.first_step /= 4

    def state_dict(self) -> State:
        """What it remembers."""
        return {
            "first_step": self.first_step,
            "pairs": [list(pair) for pair in self.pairs],
            "scale": self.scale,
            "last": self.last and list(self.last),
        }

    def load_state_dict(self, state: State) -> None:
        """Remember what another one did."""
        self.first_step, self.scale = state["first_step"], state["scale"]
        self.pairs = deque(map(tuple, state["pairs"]), maxlen=self.pairs.maxlen)
        self.last = state["last"] and tuple(state["last"])

    def _learn(self, s: Tensor, y: Tensor) -> None:
        curvature, squared = self._dot(s, y), self._dot(y, y)
        counts = curvature > 1e-6 * self._dot(s, s).sqrt() * squared.sqrt()
        self.pairs.append((s, y, torch.where(counts, 1 / curvature, 0)))
        self.scale = torch.where(counts, curvature / squared, self.scale)

    def _direction(self, gradient: Tensor) -> Tensor:
        """-H g by the two-loop recursion."""
        q = gradient.clone()
        alphas = []
        for s, y, rho in reversed(self.pairs):
            alpha = rho * self._dot(s, q)
            q.sub_(y * alpha)
            alphas.append(alpha)
        q.mul_(self.scale)
        for (s, y, rho), alpha in zip(self.pairs, reversed(alphas), strict=True):
            q.add_(s * (alpha - rho * self._dot(y, q)))
        return q.mul_(-(self.longest_step / self._mean_size(q).clamp(min=1e-30)).clamp(max=1.0))

    def _dot(self, a: Tensor, b: Tensor) -> Tensor:
        return self.total(torch.sum(a * b))

    def _mean_size(self, x: Tensor) -> Tensor:
        sums = self.total(torch.stack([x.abs().sum(), x.new_full((), float(x.numel()))]))
        return sums[0] / sums[1]


class Adam:
    """Adam within the box [0, 1] (Kingma and Ba 2015, algorithm 1). Half the memory of L-BFGS, slower.

    Args:
        rate: learning rate, in pixel values.
    """

    def __init__(self, *, rate: float = 0.01, betas: tuple[float, float] = (0.9, 0.99)) -> None:
        self.rate, self.betas = rate, betas
        self.count = 0
        self.mean: Tensor | None = None
        self.square: Tensor | None = None

    def step(self, image: Tensor, evaluation: Evaluation) -> Tensor:
        """The next image, in [0, 1]."""
        gradient = evaluation.gradient
        if self.mean is None or self.square is None:
            self.mean, self.square = torch.zeros_like(gradient), torch.zeros_like(gradient)
        self.count += 1
        first, second = self.betas
        self.mean = torch.lerp(self.mean, gradient, 1 - first)  # not in place: a state may hold what was
        self.square = torch.lerp(self.square, gradient.square(), 1 - second)
        mean, square = self.mean / (1 - first**self.count), self.square / (1 - second**self.count)
        # the loss's scale cancels, so the usual epsilon would tie the step to it
        direction = mean / square.sqrt_().clamp_(min=1e-30)
        return (image - self.rate * direction).clamp_(0, 1)

    def restart(self) -> None:
        """Forget the moments; steps are a quarter as long."""
        self.count, self.mean, self.square = 0, None, None
        self.rate /= 4

    def state_dict(self) -> State:
        """What it remembers."""
        return {name: getattr(self, name) for name in ("rate", "count", "mean", "square")}

    def load_state_dict(self, state: State) -> None:
        """Remember what another one did."""
        self.rate, self.count, self.mean, self.square = (state[k] for k in ("rate", "count", "mean", "square"))


class PaperLBFGS:
    """`torch.optim.LBFGS` with its defaults on unbounded pixels of 0 to 255, as in Gatys's own PyTorch notebook.

    Differs from it: the loss is multiplied by 10⁵, without which this optimiser stalls on losses of our network's
    size (its first step and its test of curvature are absolute). The minimum is the same.
    """

    FACTOR = 1e5

    def __init__(self) -> None:
        self.pixels = torch.empty(0)
        self.optimizer: torch.optim.LBFGS | None = None

    def step(self, image: Tensor, evaluation: Evaluation) -> Tensor:
        """The next image, unbounded."""
        if self.optimizer is None:
            self._begin(image * 255)
        assert self.optimizer is not None
        self.pixels.grad = evaluation.gradient * (self.FACTOR / 255)
        self.optimizer.step(lambda: float(evaluation.loss) * self.FACTOR)  # type: ignore[no-untyped-call]
        return self.pixels / 255

    def restart(self) -> None:
        """Start again from the image of the next step."""
        self.optimizer = None

    def state_dict(self) -> State:
        """What it remembers."""
        return {"pixels": self.pixels, "walk": self.optimizer and dict(self.optimizer.state[self.pixels])}

    def load_state_dict(self, state: State) -> None:
        """Remember what another one did."""
        if state["walk"] is not None:
            self._begin(state["pixels"].clone()).state[self.pixels].update(state["walk"])

    def _begin(self, pixels: Tensor) -> torch.optim.LBFGS:
        self.pixels = pixels
        # one iteration a call is the same walk as twenty: the state is kept between calls
        self.optimizer = torch.optim.LBFGS([pixels], max_iter=1)
        return self.optimizer


EXPLOSION = 1.5  # a loss so many times the best one is a step too far
RETREATS = 2  # shorter steps that are tried before the optimiser starts again
PATIENCE = 20  # evaluations without a better image, after which no more are tried


def minimise(
    evaluate: Evaluate,
    image: Tensor,
    optimizer: Optimizer,
    evaluations: int,
    *,
    tolerance: float = 0.0,
    window: int = 5,
    explosion: float = EXPLOSION,
    state: State | None = None,
    ahead: bool = False,
) -> Iterator[Step]:
    """Minimise over the pixels of a copy of `image`, one evaluation per iteration.

    When the loss is not finite, or exceeds `explosion` times the best one, a quarter of the step is tried, then a
    quarter of that; and then the optimiser starts again from the best image. When nothing gets better any more, it
    ends. Both are said in a note. The last step is the best one.

    Args:
        evaluate: the objective.
        image: (1, 3, height, width), where to start.
        optimizer: fresh.
        evaluations: at most so many.
        tolerance: end when the loss has fallen by less than this share over the last `window` evaluations.
        window: see `tolerance`.
        explosion: see above; infinity lets the optimiser wander.
        state: of a `Step` of an earlier call with the same arguments: goes on from there instead of from `image`, and
            yields that step again first.
        ahead: have the next image evaluated while the numbers of this one are on their way, so that a graphics card
            need not wait until Python has read them. The steps are the same; when it ends early or steps back, one
            evaluation was in vain. Not with `PaperLBFGS`, whose steps cannot be taken back; and no use with a loss
            that waits itself ("wasserstein").

    Yields:
        Each evaluation, and at the end the best again if it was not the last.

    Raises:
        ImpastoError: the loss is not a number at the first evaluation.
    """
    descent = _Descent.begun(evaluate, image, optimizer) if state is None else _Descent.from_state(state, optimizer)
    state = None  # what it remembers is replaced as the descent goes on
    yield descent.step()
    while descent.count < evaluations and descent.gains(tolerance, window):
        yield descent.on(evaluate, explosion, ahead=ahead and descent.count + 1 < evaluations)
    if descent.now is not descent.best:
        descent.now = descent.best
        yield descent.step()


@dataclass
class _Descent:
    """A minimisation under way: everything that decides how it goes on."""

    optimizer: Optimizer
    now: Step
    best: Step
    proposal: Tensor  # where to evaluate next
    losses: list[float]  # of the steps that were taken
    count: int = 1  # of evaluations
    since_best: int = 0
    retreats: int = 0
    ahead: tuple[Step, Callable[[], object]] | None = None  # the proposal, if it was evaluated already

    @classmethod
    def begun(cls, evaluate: Evaluate, image: Tensor, optimizer: Optimizer) -> _Descent:
        start, arrive = _look(evaluate, image.clone())
        arrive()
        _check_finite(start.evaluation)
        proposal = optimizer.step(start.image, start.evaluation)
        return cls(optimizer, start, start, proposal, [float(start.evaluation.loss)])

    @classmethod
    def from_state(cls, state: State, optimizer: Optimizer) -> _Descent:
        optimizer.load_state_dict(state["optimizer"])
        now = _unpacked(state["now"])
        best = now if state["best"] is None else _unpacked(state["best"])
        return cls(optimizer, now, best, **{name: state[name] for name in cls.PLAIN})

    PLAIN = ("proposal", "losses", "count", "since_best", "retreats")

    def step(self, note: str | None = None) -> Step:
        """Where it stands."""
        state = {
            "now": _packed(self.now),
            "best": None if self.best is self.now else _packed(self.best),
            "optimizer": self.optimizer.state_dict(),
            **{name: getattr(self, name) for name in self.PLAIN},
            "losses": list(self.losses),
        }
        return Step(self.now.image, self.now.evaluation, note, state)

    def on(self, evaluate: Evaluate, explosion: float, *, ahead: bool) -> Step:
        """Evaluate the proposal; take the step, or step back."""
        found, arrive = self.ahead or _look(evaluate, self.proposal)
        self.ahead = None
        if ahead:
            before = self.optimizer.state_dict()
            following = self.optimizer.step(found.image, found.evaluation)
            self.ahead = _look(evaluate, following)
        arrive()
        loss, best = float(found.evaluation.loss), min(self.losses)
        self.count, self.since_best = self.count + 1, self.since_best + 1
        note = None
        if loss <= explosion * best:  # false when it is not a number
            self.now, self.retreats = found, 0
            if loss < best:
                self.best, self.since_best = found, 0
            self.losses.append(loss)
            self.proposal = following if ahead else self.optimizer.step(found.image, found.evaluation)
        else:
            if ahead:
                self.ahead = None
                self.optimizer.load_state_dict(before)
            note = self._step_back(loss)
        if self.since_best >= PATIENCE:
            note = f"{PATIENCE} evaluations brought nothing better: ended with the best image"
        return self.step(note)

    def _step_back(self, loss: float) -> str | None:
        """Propose a shorter step, or start again from the best image."""
        if self.retreats < RETREATS:
            self.retreats += 1
            self.proposal = self.now.image + (self.proposal - self.now.image) / 4
            return None if math.isfinite(loss) else f"the loss was {loss}: stepped back"
        self.now, self.retreats = self.best, 0
        self.optimizer.restart()
        self.proposal = self.optimizer.step(self.now.image, self.now.evaluation)
        return "steps of every length made it worse: went on from the best image"

    def gains(self, tolerance: float, window: int) -> bool:
        """Whether it still pays to go on."""
        if len(self.losses) <= window:
            return self.since_best < PATIENCE
        before = self.losses[-1 - window]
        return self.since_best < PATIENCE and before - min(self.losses[-window:]) >= tolerance * before


def _check_finite(evaluation: Evaluation) -> None:
    """Refuse to walk from where there is no slope: every step would lead nowhere."""
    if math.isfinite(float(evaluation.loss)):
        return
    wrong = ", ".join(name for name, term in evaluation.terms.items() if not math.isfinite(float(term)))
    raise ImpastoError(
        f"the objective is {float(evaluation.loss):g} where painting starts"
        + (f" (its terms {wrong})" if wrong else "")
        + ": lower the weights of layers, choose precision float32, or another style_loss or painting"
    )


def _look(evaluate: Evaluate, image: Tensor) -> tuple[Step, Callable[[], object]]:
    """An evaluation, and what waits until its numbers can be read."""
    evaluation, arrive = evaluate(image).on_its_way()
    return Step(image, evaluation), arrive


def _packed(step: Step) -> State:
    evaluation = step.evaluation
    return {"image": step.image, "loss": evaluation.loss, "gradient": evaluation.gradient, "terms": evaluation.terms}


def _unpacked(state: Mapping[str, Any]) -> Step:
    return Step(state["image"], Evaluation(state["loss"], state["gradient"], state["terms"]))
