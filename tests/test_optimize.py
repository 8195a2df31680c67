import itertools
from collections.abc import Callable

import pytest
import torch
from conftest import random_image
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from impasto.errors import ImpastoError
from impasto.network.vgg import VGG19
from impasto.objective.objective import Objective, TermWeights, style_moments
from impasto.objective.optimize import LBFGS, Adam, Evaluation, PaperLBFGS, Step, minimise

TARGET = torch.linspace(0.1, 0.9, 3 * 5 * 7).view(1, 3, 5, 7)
START = torch.full_like(TARGET, 0.5)


def quadratic(target: Tensor = TARGET, scale: float = 1.0) -> Callable[[Tensor], Evaluation]:
    """Badly conditioned, its minimum at `target`."""
    weights = torch.logspace(0, 2, target.numel()).view_as(target) * scale

    def evaluate(image: Tensor) -> Evaluation:
        gap = image - target
        loss = (weights * gap.square()).sum() / 2
        return Evaluation(loss, weights * gap, {"gap": loss})

    return evaluate


def last(steps: object) -> Step:
    return list(steps)[-1]  # type: ignore[call-overload]


def test_lbfgs_finds_the_minimum_of_a_quadratic():
    step = last(minimise(quadratic(), START, LBFGS(), 80))
    torch.testing.assert_close(step.image, TARGET, atol=2e-3, rtol=0)


@pytest.mark.parametrize("optimizer", [LBFGS, Adam])
def test_the_walk_does_not_depend_on_the_losss_scale(optimizer: type[LBFGS] | type[Adam]):
    """torch's L-BFGS stalls when the loss is small (DESIGN.md)."""
    one, tiny = (last(minimise(quadratic(scale=s), START, optimizer(), 15)).image for s in (1.0, 2.0**-40))
    torch.testing.assert_close(one, tiny)
    assert (one - TARGET).norm() < (START - TARGET).norm() / 1.1


def test_lbfgs_is_much_faster_than_adam():
    lbfgs, adam = (float(last(minimise(quadratic(), START, o, 40)).evaluation.loss) for o in (LBFGS(), Adam()))
    assert lbfgs < adam / 10


@pytest.mark.parametrize("optimizer", [LBFGS, Adam])
def test_the_box_is_never_left_and_its_corners_are_found(optimizer: type[LBFGS] | type[Adam]):
    target = TARGET * 3 - 1  # partly outside [0, 1]
    steps = list(minimise(quadratic(target), START, optimizer(), 120))
    assert all(float(s.image.min()) >= 0 and float(s.image.max()) <= 1 for s in steps)
    torch.testing.assert_close(steps[-1].image, target.clamp(0, 1), atol=0.02, rtol=0)


def test_the_papers_lbfgs_is_torchs():
    """One iteration a call walks as the default twenty do."""
    pixels = (START * 255).requires_grad_()
    optimizer = torch.optim.LBFGS([pixels])
    walked = []

    def closure() -> Tensor:
        evaluation = quadratic(scale=1e-5)(pixels.detach() / 255)
        walked.append(pixels.detach() / 255)
        pixels.grad = evaluation.gradient * 1e5 / 255
        return evaluation.loss * 1e5

    optimizer.step(closure)
    steps = list(minimise(quadratic(scale=1e-5), START, PaperLBFGS(), 12, explosion=float("inf")))
    for step, image in zip(steps[:12], walked[:12], strict=True):
        torch.testing.assert_close(step.image, image, rtol=0, atol=1e-3)  # rounding grows along the walk


def test_the_image_given_is_not_changed():
    start = START.clone()
    last(minimise(quadratic(), start, LBFGS(), 5))
    assert start.equal(START)


def test_a_loss_that_is_not_finite_is_noticed_and_survived():
    calls = 0

    def evaluate(image: Tensor) -> Evaluation:
        nonlocal calls
        calls += 1
        evaluation = quadratic()(image)
        return Evaluation(evaluation.loss * (float("nan") if calls == 4 else 1), evaluation.gradient, {})

    steps = list(minimise(evaluate, START, LBFGS(), 30))
    assert "nan" in str(steps[3].note)
    assert all(s.evaluation.loss.isfinite() for s in steps)
    assert steps[-1].evaluation.loss < steps[0].evaluation.loss / 100


def test_a_walk_that_only_gets_worse_ends_and_says_so():
    class Wrong(Adam):
        def step(self, image: Tensor, evaluation: Evaluation) -> Tensor:
            return image + evaluation.gradient

    steps = list(minimise(quadratic(), START, Wrong(), 500))
    assert len(steps) < 30
    assert "worse" in " ".join(s.note or "" for s in steps)
    assert "nothing better" in str(steps[-1].note)
    assert steps[-1].image.equal(START)


def test_a_wild_walk_ends_with_its_best_image():
    class Wild(Adam):
        def step(self, image: Tensor, evaluation: Evaluation) -> Tensor:
            return 1 - image

    steps = list(minimise(quadratic(TARGET.sqrt()), TARGET, Wild(), 4, explosion=float("inf")))
    losses = [float(s.evaluation.loss) for s in steps]
    assert len(steps) == 5  # four evaluations, and the best again
    assert losses[-1] == min(losses)


def test_it_ends_when_nothing_is_gained():
    floor = 1.0  # a quadratic's loss falls by the same share for ever; the objective's does not

    def evaluate(image: Tensor) -> Evaluation:
        evaluation = quadratic()(image)
        return Evaluation(evaluation.loss + floor, evaluation.gradient, {})

    ended = list(minimise(evaluate, START, LBFGS(), 500, tolerance=0.01))
    assert len(ended) < 100
    assert ended[-1].evaluation.loss < 1.1 * floor, float(ended[-1].evaluation.loss)
    assert len(list(minimise(evaluate, TARGET, LBFGS(), 500, tolerance=0.01))) < 10


def rough(image: Tensor) -> Evaluation:
    """A loss that jumps, so that steps of any length may fail."""
    hills = torch.rand(40, generator=torch.Generator().manual_seed(0)).tolist()
    return Evaluation(image.square().sum() * (1 + 3 * hills[int(image.mean() * 1e7) % 40]), 2 * image, {})


@pytest.mark.parametrize("optimizer", [LBFGS, Adam])
@pytest.mark.parametrize("evaluate", [rough, quadratic()])
def test_evaluated_ahead_the_steps_are_the_same(evaluate: Callable[[Tensor], Evaluation], optimizer: type[LBFGS]):
    plain = list(minimise(evaluate, START, optimizer(), 30, tolerance=0.001))
    seen = 0

    def counted(image: Tensor) -> Evaluation:
        nonlocal seen
        seen += 1
        return evaluate(image)

    ahead = []
    for step in minimise(counted, START, optimizer(), 30, tolerance=0.001, ahead=True):
        ahead.append((step, seen))
    assert [s.note for s, _ in ahead] == [s.note for s in plain]
    assert all(torch.equal(one.image, other.image) for (one, _), other in zip(ahead, plain, strict=True))
    if evaluate is rough:
        assert any(s.note for s, _ in ahead) or optimizer is LBFGS  # started again
        assert any(torch.equal(s.image, t.image) for (s, _), (t, _) in itertools.pairwise(ahead))  # stepped back
    assert ahead[1][1] == 3  # the second numbers were read with the third evaluation queued


class Waits(TorchDispatchMode):
    """Counts what would make Python wait for a graphics card: numbers that are read, or sent there one by one."""

    READ = ("aten._local_scalar_dense", "aten.lift_fresh", "aten.nonzero", "aten.masked_select", "aten._to_copy")

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def __torch_dispatch__(self, function, types, arguments=(), keywords=None):
        name = str(function).rsplit(".", 1)[0]
        if name in self.READ and not (name == "aten._to_copy" and "device" not in (keywords or {})):
            self.found.append(name)
        return function(*arguments, **(keywords or {}))


@pytest.mark.parametrize("optimizer", [LBFGS, Adam])
@pytest.mark.parametrize("style_loss", ["gram", "deviation"])
def test_between_two_readings_nothing_waits_for_the_device(
    tiny_network: VGG19, optimizer: type[LBFGS] | type[Adam], style_loss: str
):
    content, image = (random_image(40, 56, seed, torch.float64) for seed in range(2))
    weights = TermWeights(
        {"relu2_1": 1.0}, {"relu1_1": 1.0, "relu3_1": 1.0}, style_loss=style_loss, smoothness=0.1, lines=0.1
    )
    masks = torch.rand(2, 40, 56, dtype=torch.float64)
    style = style_moments(tiny_network, content, list(weights.style_layers))
    objective = Objective(tiny_network, content, style, weights, masks=masks, protected=masks[None, :1])
    walk = optimizer()
    with Waits() as waits:
        for _ in range(3):
            image = walk.step(image, objective(image))
    assert not waits.found
    with Waits() as waits:
        float(image.sum())
    assert waits.found == ["aten._local_scalar_dense"]


def test_a_loss_that_is_no_number_at_the_start_ends_it_at_once():
    calls = []

    def evaluate(image: torch.Tensor) -> Evaluation:
        calls.append(1)
        nan = torch.tensor(float("nan"))
        return Evaluation(nan, torch.zeros_like(image), {"style": nan, "content": torch.tensor(1.0)})

    with pytest.raises(ImpastoError, match=r"the objective is nan where painting starts \(its terms style\)"):
        list(minimise(evaluate, START, LBFGS(), 30))
    assert len(calls) == 1
