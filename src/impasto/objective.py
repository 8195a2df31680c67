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

from impasto.losses import STYLE_LOSSES, content_loss, total_variation
from impasto.moments import Moments, moments
from impasto.optimize import Evaluation
from impasto.vgg import VGG19

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
    """Loss and gradient of an image, evaluated whole.

    Args:
        network: computes the features.
        content: (1, 3, height, width), the photograph at the size of the output.
        style: moments of the painting, by layer (`style_moments`).
        weights: of the terms.
    """

    def __init__(self, network: VGG19, content: Tensor, style: Mapping[str, Moments], weights: Weights) -> None:
        self.network = network
        self.weights = weights
        self.style = style
        self.style_layers = used(weights.style_layers, weights.style)
        with torch.no_grad():
            features = network(content, used(weights.content_layers, weights.content))
        # relu works in place, so a layer further on could overwrite what is kept here
        self.content = {k: f.to(content.dtype, copy=True) for k, f in features.items()}
        self.style_loss, size = STYLE_LOSSES[weights.style_loss]
        self.style_scale = {
            k: 1 / size(style[k]).clamp(min=TINY) if weights.relative else 1.0 for k in self.style_layers
        }
        self.content_scale = {
            k: 1 / (f.square().sum().clamp(min=TINY) if weights.relative else f.numel())
            for k, f in self.content.items()
        }

    def __call__(self, image: Tensor) -> Evaluation:
        """Loss and gradient at an image (1, 3, height, width) of the content image's size."""
        x = image.detach().requires_grad_()
        features = self.network(x, self.weights.layers)
        terms = self.style_terms({k: moments(features[k]) for k in self.style_layers}) | self.local_terms(x, features)
        loss = torch.stack(list(terms.values())).sum()
        (gradient,) = torch.autograd.grad(loss, x)
        return Evaluation(loss.detach(), gradient, {name: term.detach() for name, term in terms.items()})

    def style_terms(self, output: Mapping[str, Moments]) -> dict[str, Tensor]:
        """Weighted style loss, from the moments of the whole output by layer."""
        terms = [
            self.weights.style * self.weights.style_layers[k] * self.style_scale[k] * self.style_loss(m, self.style[k])
            for k, m in output.items()
        ]
        return {"style": torch.stack(terms).sum()} if terms else {}

    def local_terms(self, image: Tensor, features: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Weighted content loss and total variation: sums over positions."""
        content = [
            self.weights.content
            * self.weights.content_layers[k]
            * self.content_scale[k]
            * content_loss(features[k].to(image.dtype), f)
            for k, f in self.content.items()
        ]
        terms = {"content": torch.stack(content).sum()} if content else {}
        if self.weights.smoothness:
            pixels = image.shape[-2] * image.shape[-1]
            terms["smoothness"] = self.weights.smoothness / pixels * total_variation(image)
        return terms


def style_moments(network: VGG19, style: Tensor, layers: Sequence[str]) -> dict[str, Moments]:
    """Moments of a painting (1, 3, height, width), by layer."""
    with torch.no_grad():
        return {layer: moments(f) for layer, f in network(style, layers).items()}
