"""A painted film: each frame starts from the last one, carried along the optical flow (Ruder et al. 2016).

Where the flow is reliable the carried picture also pulls as a temporal loss. It is a sum over pixels that needs no
network, so it is added to whatever evaluates the objective, in tiles or whole. Frames are taken and given one by one.
"""

from __future__ import annotations

import importlib
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from impasto.errors import ImpastoError, SettingsError
from impasto.images.color import finish, prepare
from impasto.images.reading import to_image
from impasto.methods.adain import LAYER as ADAIN_LAYER
from impasto.methods.coarse_to_fine import spread, trimmed
from impasto.methods.qualities import METHODS
from impasto.methods.scene import Scene
from impasto.methods.schedule import Scale
from impasto.methods.starts import in_colors_of
from impasto.methods.styles import blended_moments, mix_strokes
from impasto.network.models import Models
from impasto.objective.memory import memory_budget
from impasto.objective.moments import Moments
from impasto.objective.objective import Objective
from impasto.objective.optimize import LBFGS, Adam, Evaluate, Evaluation, minimise
from impasto.settings import Settings

EVALUATIONS = {"instant": 0, "draft": 8, "good": 15, "best": 30}
"""Of the objective at full size for each frame after the first of a shot, by quality."""
TEMPORAL = 60.0  # weight of the temporal loss, a mean over pixels, where content + style = 1, at boil 0
CUT = 0.12  # mean difference in pixel values between a frame and the last one carried to it, from which it is a cut
UNSURE = 1e-3  # share of what is carried unreliably: it counts only where nothing reliable is


@dataclass(frozen=True)
class Flow:
    """Where each pixel of a frame was in another one.

    Attributes:
        vectors: (1, 2, height, width), x and y, in pixels.
        reliable: (1, 1, height, width), 1 where it can be trusted, 0 at occlusions, motion boundaries and outside.
    """

    vectors: Tensor
    reliable: Tensor

    def carry(self, other: Tensor) -> Tensor:
        """Maps (1, C, height, width) of the other frame, as this frame sees them."""
        height, width = other.shape[-2:]
        y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
        at = torch.stack([x, y]).to(self.vectors) + self.vectors[0]
        grid = torch.stack([at[0] * (2 / (width - 1)) - 1, at[1] * (2 / (height - 1)) - 1], dim=-1)[None]
        return F.grid_sample(other, grid.to(other), "bicubic", "border", align_corners=True)

    def after(self, earlier: Flow) -> Flow:
        """The flow through two links: pictures are sampled once, not blurred at every frame."""
        vectors = self.vectors + self.carry(earlier.vectors)
        return Flow(vectors, self.reliable * self.carry(earlier.reliable).clamp(0, 1))


def optical_flow(frame: Tensor, other: Tensor) -> tuple[Flow, Flow]:
    """Flow from each of two frames (1, 3, height, width) to the other, by dense inverse search (Kroeger et al. 2016).

    Raises:
        ImpastoError: opencv-python-headless is not installed.
    """
    there, back = _vectors(frame, other), _vectors(other, frame)
    return Flow(there, reliability(there, back)), Flow(back, reliability(back, there))


def _vectors(frame: Tensor, other: Tensor) -> Tensor:
    try:
        cv2: Any = importlib.import_module("cv2")
    except ImportError:
        raise ImpastoError("a film needs opencv-python-headless: pip install 'impasto[video]'") from None
    grey = [(image[0].mean(0) * 255).round().to("cpu", torch.uint8).contiguous().numpy() for image in (frame, other)]
    found = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM).calc(*grey, None)
    return torch.from_numpy(found).permute(2, 0, 1)[None].to(frame)


def reliability(there: Tensor, back: Tensor) -> Tensor:
    """Where a flow can be trusted: both conditions of Ruder et al. (2016, section 4.2).

    Args:
        there: (1, 2, height, width), to the other frame.
        back: like it, from the other frame.

    Returns:
        (1, 1, height, width), 0 where |w̃ + ŵ|² > 0.01 (|w̃|² + |ŵ|²) + 0.5, where |∇u|² + |∇v|² > 0.01 |w|² + 0.002, and
        where it leaves the frame.
    """
    height, width = there.shape[-2:]
    returned = Flow(there, torch.ones_like(there[:, :1])).carry(back)
    squared = there.square().sum(1, keepdim=True)
    gap = (there + returned).square().sum(1, keepdim=True)
    occluded = gap > 0.01 * (squared + returned.square().sum(1, keepdim=True)) + 0.5
    across = F.pad(there, (1, 1, 0, 0), "replicate")
    down = F.pad(there, (0, 0, 1, 1), "replicate")
    slopes = [(across[..., 2:] - across[..., :-2]) / 2, (down[..., 2:, :] - down[..., :-2, :]) / 2]
    boundary = sum(slope.square().sum(1, keepdim=True) for slope in slopes) > 0.01 * squared + 0.002
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    at_x, at_y = x.to(there) + there[:, :1], y.to(there) + there[:, 1:]
    outside = (at_x < 0) | (at_x > width - 1) | (at_y < 0) | (at_y > height - 1)
    return (~(occluded | boundary | outside)).to(there)


def with_temporal_loss(evaluate: Evaluate, carried: Tensor, reliable: Tensor, weight: float) -> Evaluate:
    """An objective and the mean squared distance to the carried picture where it is reliable (eq. 7).

    Args:
        evaluate: the objective.
        carried: (1, 3, height, width).
        reliable: (1, 1, height, width).
        weight: of the term.
    """
    factor = weight / carried.numel()

    def evaluated(image: Tensor) -> Evaluation:
        found = evaluate(image)
        pull = factor * reliable * (image - carried)
        term = (pull * (image - carried)).sum()
        return Evaluation(found.loss + term, found.gradient + 2 * pull, {**found.terms, "temporal": term})

    return evaluated


def paint_film(
    frames: Iterable[Any], style: Any, models: Models, settings: Settings, *, boil: float = 20.0, keyframes: int = 1
) -> Iterator[Tensor]:
    """Paint the frames of a film; see `Painter.film`."""
    if settings.quality not in EVALUATIONS:
        raise SettingsError(f"quality={settings.quality!r} paints no films; choose from: {', '.join(EVALUATIONS)}")
    if settings.cluster != "none":
        raise SettingsError(f"cluster={settings.cluster!r} cannot paint films; leave it out")
    if not 0 <= boil <= 100:
        raise SettingsError(f"boil={boil} is out of range: choose a number from 0 to 100")
    if not 1 <= keyframes <= 1000:
        raise SettingsError(f"keyframes={keyframes} is out of range: choose a whole number from 1 to 1000")
    return _Film(style, models, settings, 1 - boil / 100).painted(frames, keyframes)


@dataclass(frozen=True)
class _Link:
    """A frame, and the flows between it and the one before."""

    photograph: Tensor
    back: Flow
    forth: Flow


class _Film:
    """What the frames have in common: paintings, their statistics, the scales."""

    def __init__(self, style: Any, models: Models, settings: Settings, hold: float) -> None:
        self.style, self.models, self.settings, self.hold = style, models, settings, hold
        self.method = METHODS[settings.quality]
        self.scene: Scene | None = None

    def painted(self, frames: Iterable[Any], keyframes: int) -> Iterator[Tensor]:
        last: Tensor | None = None  # photograph
        key = torch.empty(0)
        waiting: list[_Link] = []
        for frame in frames:
            photograph = to_image(frame, self.settings.longer_side).image
            self._begin(photograph)
            photograph = photograph.to(self._scene.device)
            back, forth = (None, None) if last is None else optical_flow(photograph, last)
            cut = last is None or back is None or _is_cut(photograph, last, back)
            if cut or back is None or forth is None:
                if waiting:
                    key = yield from self._carried(key, waiting)
                waiting = []
                key = self._anew(photograph)
                yield self._finished(key, photograph)
            else:
                waiting.append(_Link(photograph, back, forth))
                if len(waiting) == keyframes:
                    key = yield from self._carried(key, waiting)
                    waiting = []
            last = photograph
        if waiting:
            yield from self._carried(key, waiting)

    def _begin(self, photograph: Tensor) -> None:
        """Read the painting once, and take its statistics once: they are those of the whole film."""
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
        self.budget = memory_budget(self.settings.memory, scene.device)
        height, width = scene.photograph.shape[-2:]
        self.scales = self.method.scales(height, width, self.settings, self.budget)
        self.network, self.scene = network, scene
        self.styles = [painting.beside(scene.content) for painting in scene.paintings]
        self.target: dict[str, Moments] = {}
        if self.scales:
            layers = [*self.scales[-1].weights.layers, ADAIN_LAYER]
            self.target = blended_moments(network, self.styles, layers, self.scales[-1].plan.side)

    @property
    def _scene(self) -> Scene:
        assert self.scene is not None
        return self.scene

    def _of(self, photograph: Tensor) -> Scene:
        content, _ = prepare(self._scene.color, photograph, [])
        return replace(self._scene, photograph=photograph, content=content)

    def _anew(self, photograph: Tensor) -> Tensor:
        """The first frame of a shot, painted as a picture is."""
        scene = self._of(photograph)
        *_, last = self.method.paint(scene, self.models, self.settings, self.scales, budget=self.budget)
        return last.image

    def _carried(self, key: Tensor, links: list[_Link]) -> Generator[Tensor, None, Tensor]:
        """The frames up to the next key frame, and that; returns it."""
        backs = [links[0].back]
        for link in links[1:]:
            backs.append(link.back.after(backs[-1]))
        following = self._from(key, links[-1].photograph, backs[-1])
        forths = [links[-1].forth]
        for link in links[-2:0:-1]:
            forths.insert(0, link.forth.after(forths[0]))
        for number, (link, back, forth) in enumerate(
            zip(links[:-1], backs[:-1], forths[: len(links) - 1], strict=True), start=1
        ):
            share = number / len(links)
            before = (1 - share) * back.reliable + UNSURE
            after = share * forth.reliable + UNSURE
            mixed = (before * back.carry(key) + after * forth.carry(following)) / (before + after)
            yield self._finished(mixed.clamp(0, 1), link.photograph)
        yield self._finished(following, links[-1].photograph)
        return following

    def _from(self, last: Tensor, photograph: Tensor, flow: Flow) -> Tensor:
        """A frame from the last one; what is newly seen from its own start."""
        if self.hold == 0:
            return self._anew(photograph)
        carried = flow.carry(last).clamp(0, 1)
        reliable = flow.reliable
        if not self.scales:  # nothing is optimised
            return torch.lerp(self._anew(photograph), carried, self.hold * reliable)
        content = self._of(photograph).content
        own = in_colors_of(self.styles, content, None, self.settings.strength)
        start = torch.lerp(own, carried, reliable)
        return self._optimised(self.scales[-1], content, start, carried, reliable)

    def _optimised(self, scale: Scale, content: Tensor, start: Tensor, carried: Tensor, reliable: Tensor) -> Tensor:
        content, start, carried, reliable = (spread(x, scale) for x in (content, start, carried, reliable))
        plan = scale.plan
        objective = Objective(self.network, content, self.target, scale.weights, side=plan.side, remember=plan.remember)
        evaluate = with_temporal_loss(objective, carried, reliable, TEMPORAL * self.hold)
        optimizer = Adam() if self.settings.optimizer == "adam" else LBFGS(history=plan.history)
        evaluations = EVALUATIONS[self.settings.quality]
        *_, step = minimise(evaluate, start, optimizer, evaluations, tolerance=scale.tolerance)
        return trimmed(step.image, scale)

    def _finished(self, image: Tensor, photograph: Tensor) -> Tensor:
        return finish(self._scene.color, image, photograph)


def _is_cut(photograph: Tensor, last: Tensor, back: Flow) -> bool:
    return float((back.carry(last) - photograph).abs().mean()) > CUT
