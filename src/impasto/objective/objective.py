"""The one objective: how well an image keeps the photograph's content and takes on the painting's style.

    loss(x) = content_weight · Σ_layers w · |F(x) − F(content)|² / size
            + style_weight   · Σ_layers w · style_loss(moments(F(x)), moments(F(style))) / size
            + smoothness     · total_variation(x) / pixels
            + lines          · Σ_cells |laplacian(x) − laplacian(content)|² / size
            + matched        · mean_cells (1 − cos(column(F(x)), target))
            + colors         · mean_cells |blurred(x) − blurred(start)|² / variance

Differs from Gatys et al. (2016, eq. 7): each term is divided by the size of its target, so that one weight means the
same for every photograph, painting, layer and image size. `TermWeights.relative` says so.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from typing import NamedTuple, TypeVar

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

from impasto.errors import is_out_of_memory
from impasto.network.layers import reach, stride
from impasto.network.vgg import VGG19
from impasto.objective.columns import Targets, sees
from impasto.objective.losses import (
    COLORS_SEE,
    LEAST_VARIANCE,
    LINE_CELLS,
    STYLE_LOSSES,
    Loss,
    blurred_colors,
    color_cells,
    content_loss,
    has_blurred_colors,
    laplacian,
    total_variation,
)
from impasto.objective.moments import Moments, moments
from impasto.objective.optimize import Evaluation
from impasto.objective.tiles import SMALLEST, Tile, own_features, tiles

TINY = 1e-12  # targets of size zero (a black picture) must not divide


@dataclass(frozen=True)
class TermWeights:
    """What each part of the objective weighs.

    Attributes:
        content, style: of the sums over layers.
        content_layers, style_layers: of each layer within its sum.
        smoothness: of the total variation.
        lines: of the photograph's lines (`laplacian`).
        style_loss: a key of `STYLE_LOSSES`.
        matched: of the distance to the columns that the painting has for each cell (`impasto.objective.columns`).
        matched_layers: of these columns.
        matched_content: by which the content weighs more where there are such columns.
        colors: of the distance to given colours, blurred so far that strokes are free (`blurred_colors`).
        own: terms of the caller's; the picture must be evaluated whole.
        relative: divide each term by the size of its target; if False, content terms are means over entries.
    """

    content_layers: Mapping[str, float]
    style_layers: Mapping[str, float]
    content: float = 1.0
    style: float = 1.0
    smoothness: float = 0.0
    lines: float = 0.0
    style_loss: str = "gram"
    relative: bool = True
    matched: float = 0.0
    matched_layers: tuple[str, ...] = ()
    matched_content: float = 1.0
    colors: float = 0.0
    own: tuple[Loss, ...] = ()

    @property
    def layers(self) -> list[str]:
        """All layers that must be computed."""
        own = [layer for loss in self.own for layer in loss.layers]
        content, style = used(self.content_layers, self.content), used(self.style_layers, self.style)
        return sorted({*content, *style, *self.matched_layers, *own})

    @property
    def reach(self) -> int:
        """How many pixels beyond its own a tile must see."""
        return max(reach(self.layers), sees(self.matched_layers), COLORS_SEE if self.colors else 0)


def used(layers: Mapping[str, float], weight: float) -> list[str]:
    """The layers that count in a sum of some weight."""
    return [layer for layer, share in layers.items() if share * weight > 0]


Result = TypeVar("Result")
Slopes = tuple[Tensor | None, Tensor | None]
"""Derivatives with respect to the first and second moments of a layer; None are zero."""


class Seen(NamedTuple):
    """What the network saw of a tile."""

    crop: Tensor  # with the margin; gradients flow to it
    features: dict[str, Tensor]  # of the crop
    moments: dict[str, Moments]  # of the tile's own positions
    columns: list[Tensor]  # of the tile's own cells, by layer (`Targets.of_layer`)


class Objective:
    """Loss and gradient of an image, evaluated whole, in tiles, or as one part of a picture spread over machines.

    The moments of the tiles are added; the style loss's gradient with respect to the sums is a small matrix per layer;
    each tile takes that, and its own local terms, back to its pixels. What flows into a tile's margin belongs to its
    neighbours' pixels, and is added there. The numbers are those of the whole image, to rounding.

    Args:
        network: computes the features.
        content: (1, 3, height, width), the photograph at the size of the output.
        style: moments of the painting, by layer (`style_moments`).
        weights: of the terms.
        masks: (regions, height, width) in [0, 1], how much each pixel counts for the style of each region; None is
            one region with all of them.
        protected: (1, 1, height, width) in [0, 1], how much of each pixel is the content image's, whatever is painted
            over it; such pixels do not count for the style.
        targets: for each cell of the picture, the column that it shall have; not in a part of a picture.
        colors: (1, 3, height, width), whose colours it shall have, but for strokes; not in a part of a picture.
        side: of a tile in pixels; None evaluates whole.
        remember: keep the photograph's features; if False, tiles compute them anew at each evaluation.
        rows: those whose positions count, where the others are the margin of a part; None is all.
        total: adds a sum over this image's positions to those of a picture's other parts.
    """

    def __init__(
        self,
        network: VGG19,
        content: Tensor,
        style: Mapping[str, Moments],
        weights: TermWeights,
        *,
        masks: Tensor | None = None,
        protected: Tensor | None = None,
        targets: Targets | None = None,
        colors: Tensor | None = None,
        side: int | None = None,
        remember: bool = True,
        rows: tuple[int, int] | None = None,
        total: Callable[[Tensor], Tensor] = lambda part: part,
    ) -> None:
        self.network = network
        self.content = content
        self.style = style
        self.weights = weights
        self.targets = targets
        self.remember = remember
        self.alone = rows is None
        self.rows = rows or (0, content.shape[-2])
        self.total = total
        self.style_layers = used(weights.style_layers, weights.style)
        self.content_layers = used(weights.content_layers, weights.content)
        self.protected = protected
        if protected is not None:
            masks = (1 - protected[0]) * (1 if masks is None else masks)
        self.masks = layer_masks(masks, self.style_layers)
        self.style_loss = STYLE_LOSSES[weights.style_loss]
        self.style_scale = {
            k: self.style_loss.balance / self.style_loss.size(style[k]).clamp(min=TINY) if weights.relative else 1.0
            for k in self.style_layers
        }
        own = (self.rows[1] - self.rows[0]) * content.shape[-1]
        self.pixels = total(torch.tensor(float(own), device=content.device))
        self.side = side
        sizes = self._within_memory(self._cut_and_measured)
        self.content_scale = {k: 1 / total(size).clamp(min=TINY) for k, size in sizes.items()}
        self.color_cells = color_cells(content.shape[-2], content.shape[-1])
        self.colors = None
        has_room = has_blurred_colors(content, *self.color_cells)
        if colors is not None and weights.colors and has_room:
            self.colors = blurred_colors(colors, *self.color_cells)
            variance = (self.colors - self.colors.mean((2, 3), keepdim=True)).square().mean()
            self.color_scale = 1 / (variance.clamp(min=LEAST_VARIANCE) * self.colors.numel())
        cells = [cell for cell in LINE_CELLS if cell <= min(content.shape[-2:])] if weights.lines else []
        self.line_scale = {cell: 1 / total(self._line_size(cell)).clamp(min=TINY) for cell in cells}

    def cut(self, side: int | None) -> None:
        """Evaluate in tiles of another size from now on; None evaluates whole."""
        self.side = side
        height, width = self.content.shape[-2:]
        self.tiles = tiles(height, width, side, self.weights.reach, self.rows)
        self.remembered = {tile: self._content_features(tile) for tile in self.tiles} if self.remember else {}

    @torch.enable_grad()  # wherever it is called from
    def __call__(self, image: Tensor) -> Evaluation:
        """Loss and gradient at an image (1, 3, height, width) of the content image's size.

        When memory runs out, tiles of half the size are used from then on; not in a part of a picture, since the
        other parts are in the middle of their sums.
        """
        over = image if self.protected is None else torch.lerp(image, self.content, self.protected)
        found = self._within_memory(lambda: self._evaluate(over))
        if self.protected is None:
            return found
        return replace(found, gradient=found.gradient * (1 - self.protected))

    def _within_memory(self, work: Callable[[], Result]) -> Result:
        """What some work gives; when memory runs out, with smaller tiles from then on."""
        while True:
            try:
                return work()
            except Exception as error:
                smaller = (self.side or max(self.content.shape[-2:])) // 2
                wraps = self.network.padding == "circular"  # a tile's edge is not the other end of the picture
                whole = wraps or self.weights.own
                if not (is_out_of_memory(error) and self.alone and smaller >= SMALLEST) or whole:
                    raise
            self.remember = False
            self.cut(smaller)  # out here, where the exception no longer holds what was computed

    def _cut_and_measured(self) -> dict[str, Tensor]:
        self.cut(self.side)
        return self._content_sizes()

    def _evaluate(self, image: Tensor) -> Evaluation:
        seen = None
        if len(self.tiles) == 1:
            seen = self._seen(self.tiles[0], image)  # with its graph: one pass forward is enough
            output = seen.moments
        else:
            output = tiled_moments(self.network, image, self.style_layers, self.tiles, self.masks)
        toward, style = self._toward(output)
        gradient = torch.zeros_like(image)
        local: dict[str, Tensor] = {}
        for tile in self.tiles:
            part, terms = self._tile_gradient(tile, image, toward, seen)
            tile.crop(gradient).add_(part)
            local = {name: local.get(name, 0) + term for name, term in terms.items()}
        terms = style | {name: self.total(term) for name, term in local.items()}
        return Evaluation(torch.stack(list(terms.values())).sum(), gradient, terms)

    def _tile_gradient(
        self, tile: Tile, image: Tensor, toward: Mapping[str, Slopes], seen: Seen | None
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """What a tile adds to the gradient, within its crop, and its local terms.

        A function of its own so that nothing of a tile is held while the next one is computed.
        """
        target = self._target(tile)  # before the graph is there: they need not be in memory together
        seen = seen or self._seen(tile, image)
        terms = self.local_terms(seen.crop, seen.features, tile, target)
        if self.targets is not None and seen.columns:
            weight = self.weights.matched / self.targets.indices.numel()
            terms["matched"] = weight * self.targets.distance(reduce(torch.add, seen.columns), tile)
        pull = [
            torch.sum(part * slope)
            for k, m in seen.moments.items()
            for part, slope in zip((m.first, m.second), toward[k], strict=True)
            if slope is not None
        ]
        total = torch.stack([*pull, *terms.values()]).sum()
        seen.features.clear()  # the graph holds what the way back needs, and lets go of it on the way
        seen.columns.clear()
        (part,) = torch.autograd.grad(total, seen.crop)
        return part, {name: term.detach() for name, term in terms.items()}

    def _seen(self, tile: Tile, image: Tensor) -> Seen:
        crop = tile.crop(image).detach().contiguous().requires_grad_()
        seen = Seen(crop, {}, {}, [])
        for layer, features in self.network.walk(crop, self.weights.layers):
            seen.features[layer] = features
            if layer in self.style_layers:
                seen.moments[layer] = tile_moments(tile, layer, features, self.masks[layer])
            if self.targets is not None and layer in self.weights.matched_layers:
                seen.columns.append(self.targets.of_layer(layer, features, tile))
        return seen

    def _toward(self, output: Mapping[str, Moments]) -> tuple[dict[str, Slopes], dict[str, Tensor]]:
        """The gradient of the style terms with respect to the moments of the whole picture, and the terms."""
        whole = {k: m.map(lambda part: self.total(part.detach())) for k, m in output.items()}
        inputs = [tensor.requires_grad_() for m in whole.values() for tensor in (m.first, m.second)]
        terms = self.style_terms(whole)
        if not terms:
            return {}, {}
        found = torch.autograd.grad(terms["style"], inputs, allow_unused=True)
        toward: dict[str, Slopes] = dict(zip(whole, zip(found[::2], found[1::2], strict=True), strict=True))
        return toward, {"style": terms["style"].detach()}

    def style_terms(self, output: Mapping[str, Moments]) -> dict[str, Tensor]:
        """Weighted style loss, averaged over regions, from the moments of the whole output by layer."""
        terms = [
            self.weights.style
            * self.weights.style_layers[k]
            * (self.style_scale[k] * self.style_loss.distance(m, self.style[k])).mean()
            for k, m in output.items()
        ]
        return {"style": torch.stack(terms).sum()} if terms else {}

    def local_terms(
        self, image: Tensor, features: Mapping[str, Tensor], tile: Tile, target: Mapping[str, Tensor]
    ) -> dict[str, Tensor]:
        """Weighted content loss, total variation and lines, of a tile's own positions: sums over positions.

        Args:
            image: the tile's crop.
            features: of the crop.
            tile: which of the crop's positions count.
            target: the photograph's features at those.
        """
        weight = self.weights.content * (1.0 if self.targets is None else self.weights.matched_content)
        content = [
            weight
            * self.weights.content_layers[k]
            * self.content_scale[k]
            * content_loss(own_features(tile, k, features[k]).to(image.dtype), f)
            for k, f in target.items()
        ]
        terms = {"content": torch.stack(content).sum()} if content else {}
        if self.colors is not None:
            terms["colors"] = self.weights.colors * self.color_scale * self._color_distance(self.colors, image, tile)
        if self.weights.smoothness:
            rough = torch.stack([tile.core(squares).sum() for squares in total_variation(image)]).sum()
            terms["smoothness"] = self.weights.smoothness / self.pixels * rough
        if self.line_scale:
            gaps = [
                scale
                * tile.core(laplacian(image, cell) - laplacian(tile.crop(self.content), cell), cell).square().sum()
                for cell, scale in self.line_scale.items()
            ]
            terms["lines"] = self.weights.lines / len(gaps) * torch.stack(gaps).sum()
        for loss in self.weights.own:
            terms[loss.name] = loss(image, features, tile.crop(self.content))
        return terms

    def _content_sizes(self) -> dict[str, Tensor]:
        """What the content loss of each layer is divided by, summed over the tiles."""
        sizes: dict[str, Tensor] = {}
        for tile in self.tiles:
            for k, f in self._target(tile).items():
                size = f.square().sum() if self.weights.relative else f.new_tensor(float(f.numel()))
                sizes[k] = sizes.get(k, 0) + size
        return sizes

    def _color_distance(self, colors: Tensor, image: Tensor, tile: Tile) -> Tensor:
        """Squared distance to given colours, without strokes, summed over a tile's cells."""
        cell = self.color_cells[0]
        ours = tile.core(blurred_colors(image, *self.color_cells), cell)
        top, left = tile.top // cell, tile.left // cell
        theirs = colors[..., top : top + ours.shape[-2], left : left + ours.shape[-1]]
        return (ours - theirs).square().sum()

    def _line_size(self, cell: int) -> Tensor:
        """What the loss of lines is divided by, summed over the tiles."""
        parts = [tile.core(laplacian(tile.crop(self.content), cell), cell).square().sum() for tile in self.tiles]
        return torch.stack(parts).sum()

    def _target(self, tile: Tile) -> dict[str, Tensor]:
        return self.remembered[tile] if self.remember else self._content_features(tile)

    def _content_features(self, tile: Tile) -> dict[str, Tensor]:
        """The photograph's features at a tile's own positions."""
        with torch.no_grad():
            features = self.network(tile.crop(self.content), self.content_layers)
        # relu works in place, so a layer further on could overwrite what is kept here
        return {k: tile.core(f, stride(k)).to(self.content.dtype, copy=True) for k, f in features.items()}


def style_moments(
    network: VGG19, style: Tensor, layers: Sequence[str], side: int | None = None, *, masks: Tensor | None = None
) -> dict[str, Moments]:
    """Moments of a painting (1, 3, height, width), by layer; in tiles of a side in pixels, or whole.

    Args:
        masks: (regions, height, width) of the painting; None is one region.
    """
    parts = tiles(style.shape[-2], style.shape[-1], side, reach(layers))
    return tiled_moments(network, style, layers, parts, layer_masks(masks, layers))


def layer_masks(masks: Tensor | None, layers: Sequence[str]) -> dict[str, Tensor | None]:
    """Masks at the positions of each layer: averaged where the network pools (Gatys et al. 2017, section 4)."""
    return {k: None if masks is None else avg_pool2d(masks, stride(k)) for k in layers}


@torch.no_grad()
def tiled_moments(
    network: VGG19, image: Tensor, layers: Sequence[str], parts: Sequence[Tile], masks: Mapping[str, Tensor | None]
) -> dict[str, Moments]:
    """Moments of an image (1, 3, height, width), by layer: those of its tiles, added."""
    total: dict[str, Moments] = {}
    for tile in parts:
        for layer, features in network.walk(tile.crop(image), layers):
            part = tile_moments(tile, layer, features, masks[layer])
            total[layer] = total[layer] + part if layer in total else part
    return total


def tile_moments(tile: Tile, layer: str, features: Tensor, masks: Tensor | None) -> Moments:
    """Moments of a tile's own positions, from the features of its crop and the masks of the whole image."""
    step = stride(layer)
    own = None if masks is None else tile.core(tile.crop(masks, step), step)
    return moments(own_features(tile, layer, features), own)
