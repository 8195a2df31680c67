"""Teach a network (`impasto.network.transform`) to paint in one pass, on the losses that `paint` minimises.

Each step paints a few pieces of photographs after one of the paintings each, measures content and style as the fine
scale and the next coarser one of `paint` do (`schedule.weights_for`), and moves the filters (Adam, Kingma and Ba
2015). What a step sees depends on the seed and the step's number alone, so a training that goes on is the same, bit
for bit, as one that never stopped.

Differs from Johnson et al. (2016): the losses' weights and sizes are those of `paint`, so one strength means the same;
strokes and figures need not all be in each piece, but in those painted lately together (`Memory`), as they are in one
picture together; what is judged lies within a larger piece that is painted, since instance normalisation
takes its statistics of the whole picture when it is used, and no frame is learnt from the edges that VGG-19 sees;
style is judged half by Gram matrices, half by means and deviations (`BESIDE`); some pieces are to come back as
photographs, or painted more weakly, which makes the strength a matter of shares; what is kept is the moving average of
the filters (Polyak and Juditsky 1992).
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import NamedTuple, TypedDict

import torch
import torch.nn.functional as F
from torch import Tensor

from impasto.methods.crops import Crops, Order, ahead, random_numbers
from impasto.methods.schedule import SMALLEST, STEEPNESS, weights_for
from impasto.methods.team import Team
from impasto.network.layers import LAYERS
from impasto.network.transform import PHOTOGRAPH, Transform
from impasto.network.vgg import VGG19
from impasto.objective.losses import STYLE_LOSSES, total_variation
from impasto.objective.moments import Moments, blend, moments
from impasto.objective.objective import TermWeights, style_moments, used
from impasto.settings import Settings

PADDING = "replicate"  # of VGG-19: with zeros, pieces would be painted for the dark around them
MARGIN = 16  # px around what is judged of a piece, at least
AROUND = 1 / 2  # of that side, by which a piece is larger besides: its statistics are to be like a whole picture's
RATE = 2e-3  # of Adam, reached at the `WARM`th step; from there it falls, to nothing at the end
WARM = 30
DECAY = 0.995  # of the moving average
PIXELS = 10.0  # weight of the squared distance to the photograph, where that is what is wanted
PLAIN, PARTLY = 1 / 16, 1 / 8  # shares of the pieces that are not painted, or more weakly
POOLED = "relu3_1"  # from here on, pieces are judged together: what comes before is mostly colour, which each must have
BESIDE = "deviation"  # style loss that is measured besides that of the settings, each with half of the weight
LATELY = 8  # pieces that are judged together, about
STYLE_SHARES = (1.0, 0.8)  # of the style's weight at full size and at half, as in `schedule.COARSE_STYLE`
STYLE_TILE = 1024  # px
ALONE = Team()
GAIN = 2e-3  # of the validation, relative, that counts as one
VALIDATED = 8  # pieces, or one for each painting
KEPT_BYTES = 512 * 2**20  # of features of pieces that are held


@dataclass(frozen=True)
class Recipe:
    """How a network is taught.

    Attributes:
        settings: their strength, layers, style loss, smoothness; `size` is that of the pictures that pieces are of.
        crop: side of what is judged of a piece, in pixels, a multiple of 32.
        batch: pieces a step.
        seed: of everything random.
        validations: steps between two validations.
        patience: validations without a gain after which it ends; 0 never ends early.
    """

    settings: Settings = field(default_factory=Settings)
    crop: int = 192
    batch: int = 2
    seed: int = 0
    validations: int = 100
    patience: int = 12


@dataclass(frozen=True)
class Taught:
    """One step, as `Teaching.steps` yields it.

    Attributes:
        step: how many were made.
        losses: of the step's pieces: "content", "style", "photograph", "total".
        validation: the total over the pieces kept for it, painted by the average; None between validations.
        best: the least validation so far; None before the first.
        done: whether nothing was gained for so long that this is the last step.
    """

    step: int
    losses: dict[str, float]
    validation: float | None
    best: float | None
    done: bool = False


class Numbers(TypedDict):
    """What a training stands at, besides its tensors; as attributes of `Teaching`."""

    step: int
    best: float | None
    best_step: int


class Target(NamedTuple):
    """What pieces are compared with at one size."""

    weights: TermWeights  # at the recipe's strength
    style: dict[str, Moments]  # by layer, with a row for each painting
    style_size: dict[str, list[Tensor]]  # (paintings,), what each of the style losses is divided by
    content_size: dict[str, Tensor]  # what content losses are divided by


class Memory:
    """Moments of the pieces that were painted lately after each painting, at the recipe's own strength.

    In a picture the painting's strokes must be somewhere, not everywhere. Were each piece to have them all, there would
    be no room for a face. So what is compared with the painting are the moments of a piece and of those before it, the
    earlier the less; to a piece's own features the gradient is as if it were the mean piece.

    Args:
        widths: of each size, the channels of each layer that is pooled.
        paintings: how many.
        device: where they are.

    Attributes:
        kept: by size and layer, with a row for each painting: sums over pieces of their moments for one position.
    """

    def __init__(self, widths: Sequence[Mapping[str, int]], paintings: int, device: torch.device | str) -> None:
        self.paintings = paintings
        self.kept = [
            {
                k: Moments(*(torch.zeros(paintings, *(width,) * order, device=device) for order in range(3)))
                for k, width in each.items()
            }
            for each in widths
        ]
        self.new = [{k: [torch.zeros_like(part) for part in _parts(m)] for k, m in each.items()} for each in self.kept]

    def beside(self, level: int, layer: str, own: Moments, paintings: Tensor) -> Moments:
        """Moments of each piece and those before it, (B,), for one position; the pieces are noted for `take`."""
        alone = Moments(torch.ones_like(own.count), own.mean, own.gram)
        detached = alone.map(Tensor.detach)
        for total, part in zip(self.new[level][layer], _parts(detached), strict=True):
            total.index_add_(0, paintings, part)
        together = self.kept[level][layer].map(lambda part: (1 - 1 / LATELY) * part[paintings]) + detached
        mean, gram = together.mean - detached.mean + alone.mean, together.gram - detached.gram + alone.gram
        return Moments(alone.count, mean, gram)

    def take(self, team: Team) -> None:
        """Keep what was noted by all processes, before the next step."""
        new = [part for each in self.new for parts in each.values() for part in parts]
        totals = iter(team.total(new))
        for kept, each in zip(self.kept, self.new, strict=True):
            for layer, parts in each.items():
                count, first, second = (next(totals) for _ in parts)
                left = (1 - 1 / LATELY) ** count
                before = kept[layer]
                kept[layer] = Moments(
                    left * before.count + count,
                    left[:, None] * before.first + first,
                    left[:, None, None] * before.second + second,
                )
        for part in new:
            part.zero_()

    def state(self) -> dict[str, Tensor]:
        """All that `restore` needs, between two steps."""
        return {
            f"{level}.{layer}.{name}": part
            for level, each in enumerate(self.kept)
            for layer, m in each.items()
            for name, part in zip(("count", "first", "second"), _parts(m), strict=True)
        }

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Go on from a state, of the same shapes."""
        for name, part in self.state().items():
            part.copy_(tensors[name])


class Judge:
    """The losses of pieces, as VGG-19 sees them at two sizes.

    Args:
        network: with `PADDING`.
        recipe: how.
        paintings: of each its pictures, (1, 3, height, width) in [0, 1], at the size at which their strokes are wanted.
        sample: `views` of pieces of photographs. Content losses are divided by the mean square of their
            features, where `paint` takes that of its one picture: a piece of mere sky has hardly any, and would count
            for more than a face.
    """

    def __init__(
        self, network: VGG19, recipe: Recipe, paintings: Sequence[Sequence[Tensor]], sample: Sequence[Tensor]
    ) -> None:
        self.network = network
        self.smoothness = recipe.settings.smoothness
        self.style_losses = [STYLE_LOSSES[name] for name in sorted({recipe.settings.style_loss, BESIDE})]
        self.strength = recipe.settings.strength / 100
        self.targets = [self._target(level, recipe.settings, paintings, sample) for level in range(len(STYLE_SHARES))]

    def _target(
        self, level: int, settings: Settings, paintings: Sequence[Sequence[Tensor]], sample: Sequence[Tensor]
    ) -> Target:
        weights = weights_for(settings, STYLE_SHARES[level], fine=not level)
        layers = used(weights.style_layers, 1.0)
        each = [
            [style_moments(self.network, _at(image, level), layers, STYLE_TILE) for image in pictures]
            for pictures in paintings
        ]
        style = {k: _rows([blend([one[k] for one in those], [1.0] * len(those)) for those in each]) for k in layers}
        style_size = {k: [one.size(m).clamp(min=1e-12) for one in self.style_losses] for k, m in style.items()}
        parts = [self._content(weights, sample[level][number, None]) for number in range(len(sample[0]))]
        content_size = {
            k: torch.stack([part[k].square().mean() for part in parts]).mean().clamp(min=1e-12) for k in parts[0]
        }
        return Target(weights, style, style_size, content_size)

    def _content(self, weights: TermWeights, images: Tensor) -> dict[str, Tensor]:
        with torch.no_grad():
            return self.network(images, used(weights.content_layers, 1.0))

    def features(self, photographs: Sequence[Tensor]) -> list[dict[str, Tensor]]:
        """What is to be kept of photographs, of which `views` are given, by size and layer, in half precision."""
        return [
            {k: f.half() for k, f in self._content(target.weights, images).items()}
            for target, images in zip(self.targets, photographs, strict=True)
        ]

    def memory(self) -> Memory:
        """An empty one, of the paintings."""
        first = LAYERS.index(POOLED)
        widths = [
            {k: m.first.shape[1] for k, m in target.style.items() if LAYERS.index(k) >= first}
            for target in self.targets
        ]
        return Memory(widths, len(next(iter(self.targets[0].style.values())).count), self.network.device)

    def losses(
        self,
        painted: Sequence[Tensor],
        kept: Sequence[Mapping[str, Tensor]],
        paintings: Tensor,
        strengths: Tensor,
        memory: Memory,
    ) -> dict[str, Tensor]:
        """Weighted terms of each piece, (B,).

        Args:
            painted: `views` of what was painted.
            kept: `features` of their photographs.
            paintings: (B,), which painting each is after.
            strengths: (B,), how strongly, relative to the recipe's strength.
            memory: of the pieces before; those painted at the recipe's strength are noted in it.
        """
        full = (strengths == 1).nonzero()[:, 0]
        t = strengths * self.strength
        ratios = ((t / (1 - t)) / (self.strength / (1 - self.strength))) ** STEEPNESS
        content, style = torch.zeros_like(ratios), torch.zeros_like(ratios)
        for level, target in enumerate(self.targets):
            ratio = target.weights.style / target.weights.content * ratios
            share = ratio / (1 + ratio)
            for layer, features in self.network.walk(painted[level], target.weights.layers):
                if layer in kept[level]:
                    gap = (features - kept[level][layer].float()).square().mean((1, 2, 3))
                    weight = target.weights.content_layers[layer] / target.content_size[layer]
                    content = content + (1 - share) * weight * gap
                if layer in target.style:
                    own = _rows([moments(one[None]) for one in features])
                    if layer in memory.kept[level] and len(full):
                        own = _with(own, full, memory.beside(level, layer, _row(own, full), paintings[full]))
                    wanted = target.style[layer].map(lambda part: part[paintings])
                    for one, size in zip(self.style_losses, target.style_size[layer], strict=True):
                        factor = target.weights.style_layers[layer] * one.balance / len(self.style_losses)
                        style = style + share * factor * one.distance(own, wanted) / size[paintings]
        terms = {"content": content / len(self.targets), "style": style / len(self.targets)}
        if self.smoothness:
            rough = torch.stack([part.sum((1, 2, 3)) for part in total_variation(painted[0])]).sum(0)
            terms["smoothness"] = self.smoothness * rough / painted[0][0, 0].numel()
        return terms


class Teaching:
    """A network being taught.

    Args:
        network: is changed in place.
        judge: of the recipe's paintings, as many as the network's.
        learnt: pieces of `piece_side` that it learns from.
        validated: pieces that it is judged by.
        recipe: how.
        team: the processes that teach it together, of which this is one.

    Attributes:
        step: how many were made.
        average: the network that is kept.
        best: the least validation, at `best_step`.
        over: how much of the training lies behind, from 0 to 1, said by whoever ends it: the rate falls with it.
    """

    def __init__(
        self,
        network: Transform,
        judge: Judge,
        learnt: Crops,
        validated: Crops,
        recipe: Recipe,
        team: Team = ALONE,
    ) -> None:
        self.team = team
        self.network, self.judge, self.recipe = network, judge, recipe
        self.learnt, self.validated = learnt, validated
        self.average = copy.deepcopy(network).requires_grad_(False)
        self.optimiser = torch.optim.Adam(network.parameters(), lr=RATE)
        self.step = 0
        self.best: float | None = None
        self.best_step = 0
        self.over = 0.0
        self.memory = judge.memory()
        self._kept: dict[int, list[dict[str, Tensor]]] = {}
        self._bytes = 0

    @property
    def paintings(self) -> int:
        return self.network.shape.paintings

    @property
    def device(self) -> torch.device:
        return next(self.network.parameters()).device

    def steps(self) -> Iterator[Taught]:
        """Learn without end; who has enough leaves the loop. Between two steps, `state` says all."""
        orders = (self.part(self.order(step)) for step in count(self.step + 1))
        for order, pieces in ahead(self.learnt, orders):
            losses = self._learn(order, pieces.to(self.device))
            self.step = order.step
            validation = None
            if self.step % self.recipe.validations == 0:
                validation = self.team.agreed(self.validate() if self.team.rank == 0 else 0.0)
            if validation is not None and (self.best is None or validation < (1 - GAIN) * self.best):
                self.best, self.best_step = validation, self.step
            late = self.step - self.best_step >= self.recipe.patience * self.recipe.validations
            done = validation is not None and self.recipe.patience > 0 and late
            yield Taught(self.step, losses, validation, self.best, done)
            if done:
                return

    def order(self, step: int) -> Order:
        """What a step sees."""
        recipe, random = self.recipe, random_numbers(self.recipe.seed, step)
        numbers = torch.randint(len(self.learnt), (recipe.batch,), generator=random).tolist()
        first = (step - 1) * recipe.batch
        kinds, parts = torch.rand(2, recipe.batch, generator=random).tolist()
        strengths = [
            0.0 if kind < PLAIN else part if kind < PLAIN + PARTLY else 1.0
            for kind, part in zip(kinds, parts, strict=True)
        ]
        paintings = [(first + i) % self.paintings for i in range(recipe.batch)]
        return Order(step, numbers, paintings, strengths, [corner(recipe, number) for number in numbers])

    def part(self, order: Order) -> Order:
        """This process's pieces of a step."""
        mine = slice(self.team.rank, None, self.team.count)
        _, numbers, paintings, strengths, corners = order
        return Order(order.step, numbers[mine], paintings[mine], strengths[mine], corners[mine])

    def _learn(self, order: Order, pieces: Tensor) -> dict[str, float]:
        for group in self.optimiser.param_groups:
            group["lr"] = RATE * min(1.0, order.step / WARM) * (1 - self.over)
        terms = self._terms(self.network, order, pieces, self.memory)
        total = torch.stack(list(terms.values())).sum()
        self.optimiser.zero_grad()
        share = total * (len(pieces) / self.recipe.batch)  # of the mean over all processes' pieces
        share.backward()  # type: ignore[no-untyped-call]
        self.team.add_gradients(self.network.parameters())
        self.memory.take(self.team)
        self.optimiser.step()
        decay = min(DECAY, (1 + order.step) / (10 + order.step))
        with torch.no_grad():
            for kept, now in zip(self.average.parameters(), self.network.parameters(), strict=True):
                kept.lerp_(now, 1 - decay)
        return {name: float(term.detach()) for name, term in {**terms, "total": total}.items()}

    def _terms(self, network: Transform, order: Order, pieces: Tensor, memory: Memory) -> dict[str, Tensor]:
        """Terms of the loss, means over the pieces."""
        strengths = torch.tensor(order.strengths, device=pieces.device)
        paintings = torch.tensor(order.paintings, device=pieces.device)
        shares = F.one_hot(1 + paintings, 1 + self.paintings) * strengths[:, None]
        shares[:, PHOTOGRAPH] = 1 - strengths
        painted = views(network(pieces, shares), order.corners, self.recipe)
        photographs = views(pieces, order.corners, self.recipe)
        terms = {}
        if len(plain := (strengths == 0).nonzero()[:, 0]):
            gap = painted[0][plain] - photographs[0][plain]
            terms["photograph"] = PIXELS * gap.square().mean((1, 2, 3)).sum()
        if len(rest := (strengths > 0).nonzero()[:, 0]):
            kept = self._features([order.numbers[i] for i in rest.tolist()], [view[rest] for view in photographs])
            each = self.judge.losses([view[rest] for view in painted], kept, paintings[rest], strengths[rest], memory)
            terms |= {name: term.sum() for name, term in each.items()}
        return {name: term / len(pieces) for name, term in terms.items()}

    def _features(self, numbers: Sequence[int], photographs: Sequence[Tensor]) -> list[dict[str, Tensor]]:
        """Those of the photographs, from those that are kept; they are, as long as they fit."""
        each = []
        for i, number in enumerate(numbers):
            features = self._kept.get(number) or self.judge.features([view[i, None] for view in photographs])
            size = sum(f.numel() * f.element_size() for level in features for f in level.values())
            if number >= 0 and number not in self._kept and self._bytes + size <= KEPT_BYTES:
                self._kept[number] = features
                self._bytes += size
            each.append(features)
        return [
            {k: torch.cat([one[level][k] for one in each]) for k in each[0][level]} for level in range(len(each[0]))
        ]

    @torch.no_grad()
    def validate(self) -> float:
        """The total loss of the average over pieces that it has not learnt from, each after the next painting."""
        total, memory = 0.0, self.judge.memory()
        pieces = max(VALIDATED, self.paintings)
        for number in range(pieces):
            # negative: their features are others' than those of the pieces that are learnt from
            order = Order(self.step, [-1], [number % self.paintings], [1.0], [corner(self.recipe, number)])
            piece = self.validated[number % len(self.validated)].to(self.device)
            total += float(torch.stack(list(self._terms(self.average, order, piece, memory).values())).sum())
            memory.take(ALONE)
        return total / pieces

    def state(self) -> tuple[dict[str, Tensor], Numbers]:
        """All that `restore` needs to go on to the same network: tensors, and numbers."""
        tensors = {f"network.{k}": v for k, v in self.network.state_dict().items()}
        tensors |= {f"average.{k}": v for k, v in self.average.state_dict().items()}
        for number, moment in self.optimiser.state_dict()["state"].items():
            tensors |= {f"adam.{number}.{k}": v for k, v in moment.items()}
        tensors |= {f"memory.{name}": part for name, part in self.memory.state().items()}
        return tensors, {"step": self.step, "best": self.best, "best_step": self.best_step}

    def restore(self, tensors: Mapping[str, Tensor], numbers: Numbers) -> None:
        """Go on from a state.

        Raises:
            ValueError: it is another network's, or none; says which part. Nothing has changed then.
        """
        self._check(tensors, numbers)
        for name, network in (("network", self.network), ("average", self.average)):
            network.load_state_dict(_within(tensors, name))
        self.memory.restore(_within(tensors, "memory"))
        adam = self.optimiser.state_dict()
        moments_of = _within(tensors, "adam")
        adam["state"] = {
            i: {k: moments_of[f"{i}.{k}"] for k in ("step", "exp_avg", "exp_avg_sq")}
            for i in range(len(adam["param_groups"][0]["params"]))
            if f"{i}.step" in moments_of
        }
        self.optimiser.load_state_dict(adam)
        for parameter, moment in self.optimiser.state.items():
            for k in ("exp_avg", "exp_avg_sq"):  # in the parameter's order in memory, as if it had never been away
                moment[k] = torch.empty_like(parameter, requires_grad=False).copy_(moment[k])
        self.step, self.best, self.best_step = numbers["step"], numbers["best"], numbers["best_step"]

    def _check(self, tensors: Mapping[str, Tensor], numbers: Numbers) -> None:
        step, best_step = numbers["step"], numbers["best_step"]
        if not 0 <= best_step <= step:
            raise ValueError(f"step {step} with the best at step {best_step}")
        shapes = {f"{kept}.{k}": v.shape for kept in ("network", "average") for k, v in self.network.named_parameters()}
        for number, parameter in enumerate(self.network.parameters()) if step else ():
            one = parameter.shape
            shapes |= {f"adam.{number}.{k}": v for k, v in (("step", one[:0]), ("exp_avg", one), ("exp_avg_sq", one))}
        shapes |= {f"memory.{name}": part.shape for name, part in self.memory.state().items()}
        if tensors.keys() != shapes.keys():
            raise ValueError(f"it holds {min(tensors.keys() ^ shapes.keys()):.60}, or does not")
        for name, shape in shapes.items():
            tensor = tensors[name]
            if tensor.shape != shape or tensor.dtype != torch.float32:
                raise ValueError(f"{name} has the shape {tuple(tensor.shape)} and the type {tensor.dtype}")


def piece_side(recipe: Recipe) -> int:
    """Side of the pieces that are painted, in pixels."""
    return recipe.crop + 2 * MARGIN + int(AROUND * recipe.crop)


def corner(recipe: Recipe, number: int) -> tuple[int, int]:
    """Where in a piece of a number what is judged begins: from above, and from the left."""
    places = torch.rand(2, generator=random_numbers(recipe.seed, number, recipe.crop)).tolist()
    y, x = (MARGIN + round(place * int(AROUND * recipe.crop)) for place in places)
    return y, x


def views(pieces: Tensor, corners: Sequence[tuple[int, int]], recipe: Recipe) -> list[Tensor]:
    """What is judged of pieces (B, 3, side, side): (B, 3, crop, crop) from the corners on, and it at half the size."""
    crop = recipe.crop
    parts = [piece[:, y : y + crop, x : x + crop] for piece, (y, x) in zip(pieces, corners, strict=True)]
    fine = torch.stack(parts)
    return [fine, F.avg_pool2d(fine, 2)]


def _at(image: Tensor, level: int) -> Tensor:
    """A painting at full size or half, but no smaller than can be seen."""
    sides = [max(SMALLEST, side // 2**level) for side in image.shape[-2:]]
    return F.adaptive_avg_pool2d(image, (sides[0], sides[1])) if level else image


def _rows(each: Sequence[Moments]) -> Moments:
    """Moments of one region each as those of many regions."""
    return Moments(*(torch.cat(parts) for parts in zip(*((m.count, m.first, m.second) for m in each), strict=True)))


def _parts(m: Moments) -> tuple[Tensor, Tensor, Tensor]:
    return m.count, m.first, m.second


def _row(m: Moments, rows: Tensor) -> Moments:
    """Those of some regions."""
    return m.map(lambda part: part[rows])


def _with(m: Moments, rows: Tensor, others: Moments) -> Moments:
    """With others in place of some rows."""
    changed = [part.index_copy(0, rows, other) for part, other in zip(_parts(m), _parts(others), strict=True)]
    return Moments(*changed)


def _within(tensors: Mapping[str, Tensor], name: str) -> dict[str, Tensor]:
    return {key.removeprefix(f"{name}."): value for key, value in tensors.items() if key.startswith(f"{name}.")}
