"""A painted film: each frame starts from what is painted already, carried along the optical flow (Ruder et al. 2016).

What lies on the canvas stays as it is: a frame is carried from the one before, and from an older one (the anchor) as
long as that can be followed, so that nothing is sampled again and again and blurs, and nothing drifts. Each frame is
optimised from there, with a temporal loss that pulls towards what was carried. It is a sum over pixels that needs no
network, so it is added to whatever evaluates the objective, in tiles or whole. What is newly seen is painted at half
size first, as pictures are. Frames are taken and given one by one.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from impasto.errors import SettingsError
from impasto.images.areas import Area, protected_area
from impasto.images.color import finish, prepare
from impasto.images.found import find_area
from impasto.images.masks import read_protection
from impasto.images.reading import resize, to_image
from impasto.methods.adain import LAYER as ADAIN_LAYER
from impasto.methods.coarse_to_fine import spread, trimmed
from impasto.methods.flow import Flow, chained
from impasto.methods.matched import SHARED, Bank, bank, fits, matched, targets_of
from impasto.methods.motion import steady_flow
from impasto.methods.qualities import method_for
from impasto.methods.scene import Scene, kept
from impasto.methods.schedule import Scale
from impasto.methods.starts import in_colors_of, with_detail_of
from impasto.methods.styles import StyleImage, blended_moments, mix_strokes
from impasto.network.finders import check_finder
from impasto.network.models import Models
from impasto.objective.columns import CELL, are_whole
from impasto.objective.memory import memory_budget
from impasto.objective.moments import Moments
from impasto.objective.objective import Objective
from impasto.objective.optimize import LBFGS, Adam, Evaluate, Evaluation, minimise
from impasto.settings import Settings

EVALUATIONS = {"instant": (0, 0), "draft": (6, 8), "good": (10, 15), "best": (20, 30)}
"""Of the objective for each frame: at half size, where something new is seen, and at full size."""
BOTH_SIDES = {"best": 4}
"""Every so many frames is painted first, and those between from both sides."""
TEMPORAL = 60.0  # weight of the temporal loss, a mean over pixels, where content + style = 1, at boil 0
CUT = 0.12  # mean difference in pixel values between a frame and the last one carried to it, from which it is a cut
FOLLOWED = 0.5  # of the frame: when less of it can be followed to the anchor, the last frame becomes the anchor
MATURE = 4.0  # frames after which new paint is held as firmly as old
NEW = 0.005  # of the frame: less that is newly seen is not worth painting at half size
SOFT = 7  # px, of the edge between what is carried and what is new
STEADY = 0.7  # how much of the area that is looked for is that of the frame before, carried along the flow
LOOP = 12  # frames at the end that are led back to the first one


@dataclass(frozen=True)
class Memory:
    """All that the next frames rest on: enough to go on with a film, to the same pictures.

    Attributes:
        photograph: of the last frame; all are (1, channels, height, width).
        canvas: what is carried to the next one.
        shown: what was painted from it.
        age: for how many frames its paint has lain there.
        anchor, anchor_canvas: an older frame's.
        there, back: the flow from the last frame to the anchor, and from the anchor.
        opening, opening_shown: the first frame's of all.
        area: how much of each pixel of the last frame stays as photographed.
        budget: bytes that were planned with; decides about tiles and L-BFGS's history.
    """

    photograph: Tensor
    canvas: Tensor
    shown: Tensor
    age: Tensor
    anchor: Tensor
    anchor_canvas: Tensor
    there: Tensor
    back: Tensor
    opening: Tensor
    opening_shown: Tensor
    area: Tensor
    budget: int

    @property
    def tensors(self) -> dict[str, Tensor]:
        """All of it but the budget."""
        return {name: value for name, value in vars(self).items() if name != "budget"}

    @classmethod
    def of(cls, tensors: Mapping[str, Tensor], budget: int, device: torch.device | str = "cpu") -> Memory:
        """Inverse of `tensors`."""
        return cls(**{name: tensor.to(device) for name, tensor in tensors.items()}, budget=budget)


@dataclass(frozen=True)
class Frame:
    """A painted frame.

    Attributes:
        image: (1, 3, height, width) in [0, 1].
        memory: to go on after it; None where it lies between two that were painted together.
        cut: whether it begins a shot.
        kept: the share of it that stays as photographed.
    """

    image: Tensor
    memory: Memory | None
    cut: bool = False
    kept: float = 0.0


def with_temporal_loss(evaluate: Evaluate, carried: Tensor, firm: Tensor, weight: float) -> Evaluate:
    """An objective and the mean squared distance to the carried picture where it is reliable (eq. 7).

    Args:
        evaluate: the objective.
        carried: (1, 3, height, width).
        firm: (1, 1, height, width), how much each pixel counts.
        weight: of the term.
    """
    factor = weight / carried.numel()

    def evaluated(image: Tensor) -> Evaluation:
        found = evaluate(image)
        pull = factor * firm * (image - carried)
        term = (pull * (image - carried)).sum()
        return Evaluation(found.loss + term, found.gradient + 2 * pull, {**found.terms, "temporal": term})

    return evaluated


def steadied(area: Tensor, last: Tensor, back: Flow) -> Tensor:
    """An area (1, 1, height, width) that was found in a frame, with that of the one before: a face that is missed
    once hardly flickers."""
    return torch.lerp(area, back.carry(last).clamp(0, 1), STEADY * _soft(back.reliable))


def paint_film(
    frames: Iterable[Any],
    style: Any,
    models: Models,
    settings: Settings,
    *,
    boil: float = 20.0,
    keyframes: int = 1,
    loop: bool = False,
    protect: Any = None,
    resume: Memory | None = None,
    first: Any = None,
) -> Iterator[Frame]:
    """Paint the frames of a film; see `Painter.film_steps`, and:

    Args:
        first: the first frame of the film of which the frames are a later shot.
    """
    if settings.quality not in EVALUATIONS:
        raise SettingsError(f"quality={settings.quality!r} paints no films; choose from: {', '.join(EVALUATIONS)}")
    if settings.cluster != "none":
        raise SettingsError(
            f"cluster={settings.cluster!r} spreads films that are files: impasto video; leave it out here"
        )
    if not 0 <= boil <= 100:
        raise SettingsError(f"boil={boil} is out of range: choose a number from 0 to 100")
    if not 1 <= keyframes <= 1000:
        raise SettingsError(f"keyframes={keyframes} is out of range: choose a whole number from 1 to 1000")
    if settings.method == "auto":
        settings = replace(settings, method="moments")  # the passes over frames go by statistics
    area = protected_area(protect)
    if area is not None:
        check_finder(area.name)
    film = _Film(style, models, settings, boil / 100, keyframes, area or protect)
    if first is not None:
        film.begin(to_image(first, settings.longer_side).image)
    return film.painted(frames, loop, resume)


def shots(frames: Iterable[Any], settings: Settings) -> Iterator[int]:
    """How many frames each shot of a film has, as soon as that is known.

    Args:
        frames: pictures in order; where one has another size, which painting will refuse, a shot ends.
        settings: as the film is painted.
    """
    last, count = None, 0
    for frame in frames:
        photograph = to_image(frame, settings.longer_side).image
        if last is not None and (
            last.shape != photograph.shape or _is_cut(steady_flow(photograph, last)[0], photograph, last)
        ):
            yield count
            count = 0
        last, count = photograph, count + 1
    if count:
        yield count


@dataclass(frozen=True)
class _Link:
    """A frame, and the flows between it and the one before."""

    photograph: Tensor
    area: Tensor  # of it, that stays as photographed
    back: Flow  # to the one before
    forth: Flow
    cut: bool = False


class _Film:
    """What the frames have in common: paintings, their statistics, the scales."""

    def __init__(
        self, style: Any, models: Models, settings: Settings, boil: float, keyframes: int, protect: Any
    ) -> None:
        self.style, self.models, self.settings, self.boil = style, models, settings, boil
        self.protect = protect  # an area that is looked for in each frame, or what it is in all of them
        self.method = method_for(style, settings)
        self.together = keyframes if keyframes > 1 else BOTH_SIDES.get(settings.quality, 1)
        self.all_painted = keyframes == 1
        self.scene: Scene | None = None
        self.fixed: Tensor | None = None  # the area, where it is the same in all frames
        self.budget = 0  # bytes; 0 before it is known

    def painted(self, frames: Iterable[Any], loop: bool, resume: Memory | None) -> Iterator[Frame]:
        memory = None
        if resume is not None:
            self.budget = resume.budget
            self.begin(resume.opening)
            memory = Memory.of(resume.tensors, resume.budget, self._scene.device)
        waiting: list[_Link] = []  # frames that are painted together with the next ones
        ending: deque[Any] = deque()
        for source in frames:
            ending.append(source)
            if len(ending) > (LOOP if loop else 0):
                for frame in self._next(ending.popleft(), memory, waiting, self.together):
                    memory = frame.memory or memory
                    yield frame
        for source in ending:
            for frame in self._next(source, memory, waiting, self.together + LOOP):
                memory = frame.memory or memory
                yield frame
        if memory is None or not waiting:
            return
        final = self._link(memory.opening, waiting, memory)
        if loop and not final.cut:
            yield from self._between(memory, [*waiting, final], memory.opening_shown)
        else:
            yield from self._onward(memory, waiting)

    def _next(self, source: Any, memory: Memory | None, waiting: list[_Link], together: int) -> Iterator[Frame]:
        """What can be painted now that a frame has come; it waits if that must be painted together with later ones."""
        if memory is None:
            yield self._opened(*self._read(source), None)
            return
        link = self._link(source, waiting, memory)
        if link.cut:
            if waiting:
                yield from self._onward(memory, waiting)
                waiting.clear()
            yield self._opened(link.photograph, link.area, memory)
            return
        waiting.append(link)
        if len(waiting) == together:
            yield from self._onward(memory, waiting)
            waiting.clear()

    def _link(self, source: Any, waiting: Sequence[_Link], memory: Memory) -> _Link:
        last = waiting[-1] if waiting else memory
        photograph, area = self._read(source)
        back, forth = steady_flow(photograph, last.photograph)
        cut = _is_cut(back, photograph, last.photograph)
        if isinstance(self.protect, Area) and not cut:
            area = steadied(area, last.area, back)
        return _Link(photograph, area, back, forth, cut)

    def _read(self, source: Any) -> tuple[Tensor, Tensor]:
        """A frame, and how much of it stays as photographed."""
        picture = to_image(source, self.settings.longer_side)
        self.begin(picture.image)
        photograph = picture.image.to(self._scene.device)
        if self.protect is None:
            return photograph, torch.zeros_like(photograph[:, :1])
        if isinstance(self.protect, Area):
            return photograph, find_area(self.protect, picture)[0].to(photograph)
        if self.fixed is None:
            self.fixed = read_protection(self.protect, picture).to(photograph)
        return photograph, self.fixed

    def begin(self, photograph: Tensor) -> None:
        """Read the painting once, and take its statistics once: they are those of the whole film.

        Args:
            photograph: the first frame; of later ones only the size counts.
        """
        if self.scene is not None:
            if self.scene.photograph.shape != photograph.shape:
                raise SettingsError(
                    f"a frame of {tuple(photograph.shape[-2:])} pixels follows one of "
                    f"{tuple(self.scene.photograph.shape[-2:])}; give frames of one size"
                )
            return
        scene = Scene.prepared(photograph, self.style, self.settings)
        network = self.method.network(self.models, scene.device, self.settings)
        scene = replace(scene, paintings=mix_strokes(network, scene.paintings))
        self.budget = self.budget or memory_budget(self.settings.memory, scene.device)
        height, width = scene.photograph.shape[-2:]
        self.scales = self.method.scales(height, width, self.settings, self.budget)
        self.network, self.scene = network, scene
        self.styles = [painting.beside(scene.content) for painting in scene.paintings]
        sizes = {(scale.height, scale.width): scale for scale in self.scales}  # one may come more than once
        self.passes = [_Pass(network, scene, scale, self.settings) for scale in list(sizes.values())[-2:]]

    @property
    def _scene(self) -> Scene:
        assert self.scene is not None
        return self.scene

    def _content(self, photograph: Tensor) -> Tensor:
        return prepare(self._scene.color, photograph, [])[0]

    def _anew(self, photograph: Tensor) -> Tensor:
        """Painted as a picture is."""
        scene = replace(self._scene, photograph=photograph, content=self._content(photograph))
        *_, last = self.method.paint(scene, self.models, self.settings, self.scales, budget=self.budget)
        return last.image

    def _opened(self, photograph: Tensor, area: Tensor, before: Memory | None) -> Frame:
        """The first frame of a shot, which is its first anchor."""
        canvas = self._anew(photograph)
        old = torch.full_like(canvas[:, :1], MATURE)
        # from the canvas as later ones are, or the second frame would jump
        shown = self._painted(photograph, canvas, torch.ones_like(old)) if self.scales and self.boil < 1 else canvas
        still = torch.zeros_like(canvas[:, :2])
        opening = (self._scene.photograph, shown) if before is None else (before.opening, before.opening_shown)
        memory = Memory(photograph, canvas, shown, old, photograph, canvas, still, still, *opening, area, self.budget)
        return replace(self._frame(shown, memory), memory=memory, cut=True)

    def _onward(self, memory: Memory, links: Sequence[_Link]) -> Iterator[Frame]:
        """The frames up to the next key frame, and that."""
        following = self._followed(memory, links)
        yield from self._between(memory, links, following.shown)
        yield replace(self._frame(following.shown, following), memory=following)

    def _followed(self, memory: Memory, links: Sequence[_Link]) -> Memory:
        """The last of some frames, painted from what is known of those before the first."""
        photograph = links[-1].photograph
        if self.boil == 1:
            shown = self._anew(photograph)
            return replace(memory, photograph=photograph, area=links[-1].area, canvas=shown, shown=shown)
        back, _ = _through(memory.photograph, links)[-1]
        carried, age = back.carry(memory.canvas), back.carry(memory.age)
        anchored, anchored_back = self._anchored(memory, links)
        near, far = _soft(back.reliable), _soft(anchored.reliable)
        carried = torch.lerp(carried, anchored.carry(memory.anchor_canvas), far).clamp(0, 1)
        age = torch.maximum(near * (age + len(links)), far * MATURE).clamp(0, MATURE)
        known = torch.maximum(near, far)
        firm = known * (age / MATURE)
        shown = self._painted(photograph, carried, firm, known)
        canvas = torch.lerp(shown, carried, firm) if self.scales else shown
        found = replace(memory, photograph=photograph, area=links[-1].area, canvas=canvas, shown=shown, age=age)
        if float(anchored.reliable.mean()) < FOLLOWED:
            still = torch.zeros_like(memory.there)
            return replace(found, anchor=photograph, anchor_canvas=canvas, there=still, back=still)
        return replace(found, there=anchored.vectors, back=anchored_back.vectors)

    def _anchored(self, memory: Memory, links: Sequence[_Link]) -> tuple[Flow, Flow]:
        """The flows between the last of some frames and the anchor, searched from where the way there leads."""
        there, back = memory.there, memory.back
        for link in links:
            there, back = chained(link.back.vectors, there), chained(back, link.forth.vectors)
        return steady_flow(links[-1].photograph, memory.anchor, there, back)

    def _between(self, memory: Memory, links: Sequence[_Link], following: Tensor) -> Iterator[Frame]:
        """The frames before the last one of some, from both sides.

        Args:
            memory: of the frame before.
            links: the frames, and the last.
            following: what was painted from the last.
        """
        if len(links) == 1:
            return
        backs = [back for back, _ in _through(memory.photograph, links[:-1])]
        turned = [
            _Link(a.photograph, a.area, b.forth, b.back) for a, b in pairwise(links)
        ]  # from the last one backwards
        forths = [forth for forth, _ in _through(links[-1].photograph, turned[::-1])][::-1]
        for number, (link, back, forth) in enumerate(zip(links[:-1], backs, forths, strict=True), start=1):
            share = number / len(links)
            before, after = (1 - share) * _soft(back.reliable), share * _soft(forth.reliable)
            known = torch.maximum(_soft(back.reliable), _soft(forth.reliable))
            sides = before * back.carry(memory.shown) + after * forth.carry(following)
            carried = (sides / (before + after).clamp(min=1e-6)).clamp(0, 1)
            if self.all_painted and self.boil < 1:
                image = self._painted(link.photograph, carried, known)
            elif self.all_painted:
                image = self._anew(link.photograph)
            else:
                image = torch.lerp(self._own(link.photograph), carried, known)
            yield self._frame(image, link)

    def _own(self, photograph: Tensor) -> Tensor:
        """A frame's own start: what is newly seen in it."""
        proportions = any(scale.weights.matched for scale in self.scales)
        return in_colors_of(
            self.styles, self._content(photograph), None, self.settings.strength, proportions=proportions
        )

    def _painted(self, photograph: Tensor, carried: Tensor, firm: Tensor, known: Tensor | None = None) -> Tensor:
        """A frame from what was carried to it.

        Args:
            photograph: the frame.
            carried: (1, 3, height, width).
            firm: (1, 1, height, width) in [0, 1], how firmly what was carried is held.
            known: like `firm`, where it begins from what was carried, and not from the frame's own start.
        """
        known = firm if known is None else known
        if not self.passes:  # nothing is optimised; of two that are blended, both lose contrast: little of the new one
            return torch.lerp(self._anew(photograph), carried, (1 - self.boil**2) * known)
        half, full = EVALUATIONS[self.settings.quality]
        content, hold = self._content(photograph), TEMPORAL * (1 - self.boil)
        own = self._own(photograph)
        start = torch.lerp(own, carried, known)
        if len(self.passes) > 1 and float(1 - known.mean()) > NEW:
            size = self.passes[0].scale.picture
            small = (resize(x, *size) for x in (content, start, carried, firm, self._fitting(own, start, known)))
            broad = self.passes[0].optimised(*small, hold=hold, evaluations=half)
            start = torch.lerp(with_detail_of(own, broad), carried, known)
        fitting = self._fitting(own, start, known)
        return self.passes[-1].optimised(content, start, carried, firm, fitting, hold=hold, evaluations=full)

    def _fitting(self, own: Tensor, start: Tensor, known: Tensor) -> Tensor:
        """What pieces of the painting are chosen by: the paint that was carried, which so keeps its pieces as it moves;
        what is newly seen as in a picture, half by the frame itself."""
        return torch.lerp(own, start, SHARED + (1 - SHARED) * known)

    def _frame(self, image: Tensor, of: _Link | Memory) -> Frame:
        """What was painted, in its final colours; what stays as photographed lies over paint, which may show later."""
        finished = finish(self._scene.color, image, of.photograph)
        return Frame(kept(finished, of.photograph, of.area), None, kept=float(of.area.mean()))


class _Pass:
    """An optimisation at one scale, the same for all frames."""

    def __init__(self, network: Any, scene: Scene, scale: Scale, settings: Settings) -> None:
        self.network, self.scale, self.settings = network, scale, settings
        picture = resize(scene.content, *scale.picture)
        styles: list[StyleImage] = [painting.beside(picture) for painting in scene.paintings]
        self.pieces: Bank | None = None
        if scale.weights.matched and fits(styles):
            columns = scale.weights.matched_layers
            whole = are_whole(scale.height * scale.width // CELL**2, columns)
            self.pieces = bank(network, styles, columns, whole=whole, side=scale.plan.side)
            self.shares = [style.weight for style in styles]
        layers = [*scale.weights.layers, ADAIN_LAYER]
        self.target: dict[str, Moments] = blended_moments(network, styles, layers, scale.plan.side)

    def optimised(
        self,
        content: Tensor,
        start: Tensor,
        carried: Tensor,
        firm: Tensor,
        fitting: Tensor,
        *,
        hold: float,
        evaluations: int,
    ) -> Tensor:
        """The picture that follows from a start, held by what was carried.

        Args:
            fitting: where pieces of the painting are matched, by what.
        """
        scale, plan = self.scale, self.scale.plan
        content, start, carried, firm = (spread(x, scale) for x in (content, start, carried, firm))
        targets = None
        if self.pieces is not None:
            indices = matched(self.network, self.pieces, spread(fitting, scale), self.shares, side=plan.side).indices
            targets = targets_of(self.pieces, indices)
        objective = Objective(
            self.network,
            content,
            self.target,
            scale.weights,
            targets=targets,
            side=plan.side,
            remember=plan.remember,
        )
        evaluate = with_temporal_loss(objective, carried, firm, hold)
        optimizer = Adam() if self.settings.optimizer == "adam" else LBFGS(history=plan.history)
        *_, step = minimise(evaluate, start, optimizer, evaluations, tolerance=scale.tolerance)
        return trimmed(step.image, scale)


def _through(before: Tensor, links: Sequence[_Link]) -> list[tuple[Flow, Flow]]:
    """The flows between each of some frames and the one before the first, whose photograph is given."""
    flows: list[tuple[Flow, Flow]] = []
    for link in links:
        if not flows:
            flows.append((link.back, link.forth))
            continue
        back, forth = flows[-1]
        there, here = chained(link.back.vectors, back.vectors), chained(forth.vectors, link.forth.vectors)
        flows.append(steady_flow(link.photograph, before, there, here))
    return flows


def _is_cut(back: Flow, photograph: Tensor, last: Tensor) -> bool:
    return float((back.carry(last) - photograph).abs().mean()) > CUT


def _soft(reliable: Tensor) -> Tensor:
    """Falling off towards what is not reliable: no step is painted there."""
    return reliable * F.avg_pool2d(reliable, SOFT, 1, SOFT // 2, count_include_pad=False)
