"""The pixels are what is optimised. Any callable that evaluates an image will do; networks are not known here."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Protocol

import torch
from torch import Tensor


@dataclass(frozen=True)
class Evaluation:
    """An objective at one image. Numbers stay on the device: reading them waits for it."""

    loss: Tensor  # ()
    gradient: Tensor  # like the image
    terms: dict[str, Tensor]  # of the loss, by name; they add up to it


Evaluate = Callable[[Tensor], Evaluation]


@dataclass(frozen=True)
class Step:
    """One evaluation of the objective, and where."""

    image: Tensor  # (1, 3, height, width)
    evaluation: Evaluation
    note: str | None = None  # what the user should know, if anything


class Optimizer(Protocol):
    """Walks from image to image; remembers what it needs of the way."""

    def step(self, image: Tensor, evaluation: Evaluation) -> Tensor:
        """Where to evaluate next, a new tensor."""
        ...

    def restart(self) -> None:
        """Forget the way, and walk on more carefully."""
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
        sums = self.total(torch.stack([x.abs().sum(), x.new_tensor(float(x.numel()))]))
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
        self.mean.lerp_(gradient, 1 - first)
        self.square.lerp_(gradient.square(), 1 - second)
        mean, square = self.mean / (1 - first**self.count), self.square / (1 - second**self.count)
        # the loss's scale cancels, so the usual epsilon would tie the step to it
        direction = mean / square.sqrt_().clamp_(min=1e-30)
        return (image - self.rate * direction).clamp_(0, 1)

    def restart(self) -> None:
        """Forget the moments; steps are a quarter as long."""
        self.count, self.mean, self.square = 0, None, None
        self.rate /= 4


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
            self.pixels = image * 255
            # one iteration a call is the same walk as twenty: the state is kept between calls
            self.optimizer = torch.optim.LBFGS([self.pixels], max_iter=1)
        self.pixels.grad = evaluation.gradient * (self.FACTOR / 255)
        self.optimizer.step(lambda: float(evaluation.loss) * self.FACTOR)  # type: ignore[no-untyped-call]
        return self.pixels / 255

    def restart(self) -> None:
        """Start again from the image of the next step."""
        self.optimizer = None


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

    Yields:
        Each evaluation, and at the end the best again if it was not the last.
    """
    now = best = Step(image.clone(), evaluate(image))
    losses = [float(now.evaluation.loss)]
    yield now
    retreats = since_best = 0
    proposal = optimizer.step(now.image, now.evaluation)
    for _ in range(evaluations - 1):
        evaluation = evaluate(proposal)
        loss = float(evaluation.loss)
        since_best += 1
        if loss <= explosion * min(losses):  # false when it is not a number
            now, retreats, note = Step(proposal, evaluation), 0, None
            if loss < min(losses):
                best, since_best = now, 0
            losses.append(loss)
            proposal = optimizer.step(now.image, now.evaluation)
        elif retreats < RETREATS:
            retreats, note = retreats + 1, None if math.isfinite(loss) else f"the loss was {loss}: stepped back"
            proposal = now.image + (proposal - now.image) / 4
        else:
            now, retreats, note = best, 0, "steps of every length made it worse: went on from the best image"
            optimizer.restart()
            proposal = optimizer.step(now.image, now.evaluation)
        if since_best >= PATIENCE:
            note = f"{PATIENCE} evaluations brought nothing better: ended with the best image"
        yield replace(now, note=note)
        gained = losses[-1 - window] - min(losses[-window:]) if len(losses) > window else math.inf
        if since_best >= PATIENCE or gained < tolerance * losses[-1 - window :][0]:
            break
    if now is not best:
        yield best
