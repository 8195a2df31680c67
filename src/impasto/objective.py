"""The one objective: how well an image keeps the photograph's content and takes on the painting's style.

    loss(x) = content_weight · Σ_layers w · |F(x) − F(content)|² / size
            + style_weight   · Σ_layers w · style_loss(moments(F(x)), moments(F(style))) / size
            + smoothness     · total_variation(x) / pixels

Differs from Gatys et al. (2016, eq. 7): each term is divided by the size of its target, so that one weight means the
same for every photograph, painting, layer and image size. `weighting="paper"` leaves that division out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from impasto.errors import is_out_of_memory
from impasto.losses import STYLE_LOSSES, content_loss, total_variation
from impasto.moments import Moments, moments
from impasto.optimize import Evaluation
from impasto.tiles import SMALLEST, Tile, tiles
from impasto.vgg import VGG19, reach, stride

TINY = 1e-12  # targets of size zero (a black picture) must not divide


@dataclass(frozen=True)
class Weights:
    """What each part of the objective weighs.

    Attributes:
        content, style: of the sums over layers.
        content_layers, style_layers: of each layer within its sum.
        smoothness: of the total variation.
        style_loss: a key of `STYLE_LOSSES`.
        relative: divide each term by the size of its target; if False, content terms are means over entries.
    """

    content_layers: Mapping[str, float]
    style_layers: Mapping[str, float]
    content: float = 1.0
    style: float = 1.0
    smoothness: float = 0.0
    style_loss: str = "gram"
    relative: bool = True

    @property
    def layers(self) -> list[str]:
        """All layers that must be computed."""
        return sorted({*used(self.content_layers, self.content), *used(self.style_layers, self.style)})


def used(layers: Mapping[str, float], weight: float) -> list[str]:
    """The layers that count in a sum of some weight."""
    return [layer for layer, share in layers.items() if share * weight > 0]


class Objective:
    """Loss and gradient of an image, evaluated whole or in tiles: the same numbers, to rounding.

    In tiles: one pass sums the moments of the whole image, whose gradient is then a small matrix per layer; a second
    pass takes that and each tile's own local terms back to its pixels. What flows into a tile's margin belongs to the
    pixels of its neighbours, and is added there.

    Args:
        network: computes the features.
        content: (1, 3, height, width), the photograph at the size of the output.
        style: moments of the painting, by layer (`style_moments`).
        weights: of the terms.
        side: of a tile in pixels; None evaluates whole.
        remember: keep the photograph's features; if False, tiles compute them anew at each evaluation.
    """

    def __init__(
        self,
        network: VGG19,
        content: Tensor,
        style: Mapping[str, Moments],
        weights: Weights,
        *,
        side: int | None = None,
        remember: bool = True,
    ) -> None:
        self.network = network
        self.content = content
        self.style = style
        self.weights = weights
        self.remember = remember
        self.style_layers = used(weights.style_layers, weights.style)
        self.content_layers = used(weights.content_layers, weights.content)
        self.style_loss, size = STYLE_LOSSES[weights.style_loss]
        self.style_scale = {
            k: 1 / size(style[k]).clamp(min=TINY) if weights.relative else 1.0 for k in self.style_layers
        }
        self.cut(side)

    def cut(self, side: int | None) -> None:
        """Evaluate in tiles of another size from now on; None evaluates whole."""
        self.side = side
        height, width = self.content.shape[-2:]
        self.tiles = tiles(height, width, side, reach(self.weights.layers))
        squares = {k: torch.zeros((), device=self.content.device) for k in self.content_layers}
        self.remembered: dict[Tile, dict[str, Tensor]] = {}
        for tile in self.tiles:
            features = self._content_features(tile)
            for k, f in features.items():
                squares[k] = squares[k] + (f.square().sum() if self.weights.relative else f.numel())
            if self.remember:
                self.remembered[tile] = features
        self.content_scale = {k: 1 / square.clamp(min=TINY) for k, square in squares.items()}

    def __call__(self, image: Tensor) -> Evaluation:
        """Loss and gradient at an image (1, 3, height, width) of the content image's size.

        When memory runs out, tiles of half the size are used from then on.
        """
        while True:
            try:
                return self._whole(image) if len(self.tiles) == 1 else self._in_tiles(image)
            except Exception as error:
                smaller = (self.side or max(image.shape[-2:])) // 2
                if not is_out_of_memory(error) or smaller < SMALLEST:
                    raise
            self.remember = False
            self.cut(smaller)  # out here, where the exception no longer holds what was computed

    def _whole(self, image: Tensor) -> Evaluation:
        (tile,) = self.tiles
        x = image.detach().requires_grad_()
        features = self.network(x, self.weights.layers)
        output = {k: moments(features[k]) for k in self.style_layers}
        terms = self.style_terms(output) | self.local_terms(x, features, tile)
        loss = _sum(terms)
        (gradient,) = torch.autograd.grad(loss, x)
        return Evaluation(loss.detach(), gradient, {name: term.detach() for name, term in terms.items()})

    def _in_tiles(self, image: Tensor) -> Evaluation:
        toward, terms = self._toward(tiled_moments(self.network, image, self.style_layers, self.tiles))
        gradient = torch.zeros_like(image)
        for tile in self.tiles:
            x = tile.crop(image).detach().contiguous().requires_grad_()
            features = self.network(x, self.weights.layers)
            local = self.local_terms(x, features, tile)
            pull = [
                torch.sum(m.first * toward[k].first) + torch.sum(m.second * toward[k].second)
                for k in self.style_layers
                for m in [moments(tile.core(features[k], stride(k)))]
            ]
            (part,) = torch.autograd.grad(torch.stack([*pull, *local.values()]).sum(), x)
            tile.crop(gradient).add_(part)
            for name, term in local.items():
                terms[name] = terms.get(name, 0.0) + term.detach()
        return Evaluation(_sum(terms), gradient, terms)

    def _toward(self, output: Mapping[str, Moments]) -> tuple[dict[str, Moments], dict[str, Tensor]]:
        """The gradient of the style terms with respect to the moments of the whole image, and the terms."""
        leaves = {k: Moments(m.count, m.first.requires_grad_(), m.second.requires_grad_()) for k, m in output.items()}
        terms = self.style_terms(leaves)
        if not terms:
            return {}, {}
        inputs = [tensor for m in leaves.values() for tensor in (m.first, m.second)]
        found = torch.autograd.grad(terms["style"], inputs, materialize_grads=True)
        pairs = zip(found[::2], found[1::2], strict=True)
        toward = {k: Moments(leaves[k].count, *pair) for k, pair in zip(leaves, pairs, strict=True)}
        return toward, {"style": terms["style"].detach()}

    def style_terms(self, output: Mapping[str, Moments]) -> dict[str, Tensor]:
        """Weighted style loss, from the moments of the whole output by layer."""
        terms = [
            self.weights.style * self.weights.style_layers[k] * self.style_scale[k] * self.style_loss(m, self.style[k])
            for k, m in output.items()
        ]
        return {"style": torch.stack(terms).sum()} if terms else {}

    def local_terms(self, image: Tensor, features: Mapping[str, Tensor], tile: Tile) -> dict[str, Tensor]:
        """Weighted content loss and total variation, of a tile's own positions: sums over positions.

        Args:
            image: the tile's crop.
            features: of the crop.
            tile: which of the crop's positions count.
        """
        target = self.remembered[tile] if self.remember else self._content_features(tile)
        content = [
            self.weights.content
            * self.weights.content_layers[k]
            * self.content_scale[k]
            * content_loss(tile.core(features[k], stride(k)).to(image.dtype), f)
            for k, f in target.items()
        ]
        terms = {"content": torch.stack(content).sum()} if content else {}
        if self.weights.smoothness:
            pixels = self.content.shape[-2] * self.content.shape[-1]
            rough = torch.stack([tile.core(squares).sum() for squares in total_variation(image)]).sum()
            terms["smoothness"] = self.weights.smoothness / pixels * rough
        return terms

    def _content_features(self, tile: Tile) -> dict[str, Tensor]:
        """The photograph's features at a tile's own positions."""
        with torch.no_grad():
            features = self.network(tile.crop(self.content), self.content_layers)
        # relu works in place, so a layer further on could overwrite what is kept here
        return {k: tile.core(f, stride(k)).to(self.content.dtype, copy=True) for k, f in features.items()}


def style_moments(network: VGG19, style: Tensor, layers: Sequence[str], side: int | None = None) -> dict[str, Moments]:
    """Moments of a painting (1, 3, height, width), by layer; in tiles of a side in pixels, or whole."""
    return tiled_moments(network, style, layers, tiles(style.shape[-2], style.shape[-1], side, reach(layers)))


@torch.no_grad()
def tiled_moments(network: VGG19, image: Tensor, layers: Sequence[str], parts: Sequence[Tile]) -> dict[str, Moments]:
    """Moments of an image (1, 3, height, width), by layer: those of its tiles, added."""
    total: dict[str, Moments] = {}
    for tile in parts:
        for layer, features in network(tile.crop(image), layers).items():
            part = moments(tile.core(features, stride(layer)))
            total[layer] = total[layer] + part if layer in total else part
    return total


def _sum(terms: Mapping[str, Tensor]) -> Tensor:
    return torch.stack(list(terms.values())).sum()
