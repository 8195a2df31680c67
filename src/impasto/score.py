"""Held-out distances: how well a picture is painted, by measures that no objective here minimises.

A method always wins by its own loss, so pictures are compared by distances between features at layers that the
objective does not use, with statistics that it does not use (sorted projections, self-similarities, edges).

Those layers still belong to VGG-19, which a method can please without painting well. So there are distances without
any network beside them (`impasto.score_pixels`): patches, filters, forms.

Their limits: VGG-19's share its blindness (fine line quality, faces, taste); a distance says nothing about beauty, and
coherence alone is best for a flat surface of one of the painting's colours: read it with completeness. Nothing paints
like the painting itself, so the style distance of a picture that forgets the photograph is lowest: read the two
distances together. Values compare at one size only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from impasto.network.vgg import VGG19
from impasto.score_pixels import LEVELS, bidirectional_similarity, details, filter_energies, levels

STYLE_LAYERS = ("relu1_2", "relu2_2", "relu3_3", "relu4_4")
CONTENT_LAYERS = ("relu3_3", "relu4_4")
DIRECTIONS = 128
QUANTILES = 1024
POSITIONS = 40  # self-similarities are taken between a grid of at most 40 x 40 positions


@dataclass(frozen=True)
class Score:
    """Distances of a picture; 0 is identical, smaller is closer.

    Attributes:
        style: mean of `style_layers` and `color`.
        content: mean of `structure` and `edges`.
        style_layers: sliced Wasserstein distance of features to the painting's, mean over `STYLE_LAYERS`.
        color: sliced Wasserstein distance of colours to the painting's.
        structure: distance of features' self-similarities to the photograph's, mean over `CONTENT_LAYERS`.
        edges: 1 - structural similarity of edges to the photograph's.
        patches: sliced Wasserstein distance of patches of pixels, without their mean colours, to the painting's; mean
            over patches of 7, 14 and 28 px: pigment and strokes.
        filters: the same of Gabor filters' energies: how much of each breadth and direction of strokes there is.
        coherence: how far the picture's patches are from the painting's nearest.
        completeness: how far the painting's patches are from the picture's nearest.
        forms: distance of the filters' self-similarities to the photograph's.
    """

    style: float
    content: float
    style_layers: float
    color: float
    structure: float
    edges: float
    patches: float
    filters: float
    coherence: float
    completeness: float
    forms: float


@torch.no_grad()
def score(network: VGG19, image: Tensor, content: Tensor, style: Tensor) -> Score:
    """Held-out distances of a picture to its photograph and its painting.

    Args:
        network: any VGG-19.
        image: (1, 3, height, width) in [0, 1].
        content: like `image`.
        style: (1, 3, any height, any width) in [0, 1], at the scale at which its strokes are wanted.
    """
    layers = {*STYLE_LAYERS, *CONTENT_LAYERS}
    of_image, of_content, of_style = (network(x, layers) for x in (image, content, style))
    painted = _mean([sliced_wasserstein(of_image[k], of_style[k]) for k in STYLE_LAYERS])
    color = sliced_wasserstein(image, style)
    structure = _mean([self_similarity_distance(of_image[k], of_content[k]) for k in CONTENT_LAYERS])
    edges = edge_distance(image, content)
    pairs = zip(levels(image, LEVELS), levels(style, LEVELS), strict=False)
    patches = _mean([sliced_wasserstein(details(ours), details(theirs)) for ours, theirs in pairs])
    energies, content_energies, style_energies = map(filter_energies, (image, content, style))
    size = style_energies.square().mean((2, 3), keepdim=True).sqrt().clamp(min=1e-6)  # fine ones are small
    # a small picture has fewer scales than a large painting
    shared = min(energies.shape[1], style_energies.shape[1])
    filters = sliced_wasserstein(energies[:, :shared] / size[:, :shared], (style_energies / size)[:, :shared])
    coherence, completeness = bidirectional_similarity(image, style)
    return Score(
        style=(painted + color) / 2,
        content=(structure + edges) / 2,
        style_layers=painted,
        color=color,
        structure=structure,
        edges=edges,
        patches=patches,
        filters=filters,
        coherence=coherence,
        completeness=completeness,
        forms=self_similarity_distance(energies, content_energies),
    )


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def sliced_wasserstein(features: Tensor, target: Tensor) -> float:
    """Distance of two clouds of feature vectors along random directions (Bonneel et al. 2015; Heitz et al. 2021).

    Relative: the 2-Wasserstein distance of the projections over their spread in the target, both squared and averaged
    over directions; about 1 when they have nothing in common but their position.

    Args:
        features, target: (1, channels, any height, any width).
    """
    channels = features.shape[1]
    generator = torch.Generator().manual_seed(channels)
    directions = F.normalize(torch.randn(DIRECTIONS, channels, generator=generator), dim=1).to(features)
    ranks = (torch.arange(QUANTILES, device=features.device) + 0.5) / QUANTILES
    ours, theirs = (_quantiles(directions @ x.flatten(2)[0], ranks) for x in (features, target))
    spread = (theirs - theirs.mean(1, keepdim=True)).square().mean()
    return float(((ours - theirs).square().mean() / spread.clamp(min=1e-12)).sqrt())


def _quantiles(values: Tensor, ranks: Tensor) -> Tensor:
    """Each row's values at the given ranks in [0, 1]: (rows, ranks)."""
    ordered = values.sort(dim=1).values
    return ordered[:, (ranks * values.shape[1]).long().clamp(max=values.shape[1] - 1)]


def self_similarity_distance(features: Tensor, target: Tensor) -> float:
    """How differently two images' features relate to themselves (Kolkin et al. 2019, eq. 7).

    Cosine distances between positions, each row divided by its sum; mean absolute difference, times the number of
    positions, so that sizes compare.

    Args:
        features, target: (1, channels, height, width), of the same size.
    """
    ours, theirs = _self_distances(features), _self_distances(target)
    return float((ours - theirs).abs().sum(1).mean())


def _self_distances(features: Tensor) -> Tensor:
    height, width = features.shape[-2:]
    grid = F.adaptive_avg_pool2d(features, (min(height, POSITIONS), min(width, POSITIONS)))
    vectors = F.normalize(grid.flatten(2)[0].mT, dim=1)
    distances = (1 - vectors @ vectors.mT).clamp(min=0)
    return distances / distances.sum(1, keepdim=True).clamp(min=1e-12)


def edge_distance(image: Tensor, content: Tensor) -> float:
    """1 - structural similarity (Wang et al. 2004) of the luminance's gradient magnitude, at half size, window 7.

    Half size: brush strokes are not the photograph's edges.
    """
    ours, theirs = _edges(image), _edges(content)
    mean, target_mean = _local_mean(ours), _local_mean(theirs)
    variance = _local_mean(ours * ours) - mean * mean
    target_variance = _local_mean(theirs * theirs) - target_mean * target_mean
    covariance = _local_mean(ours * theirs) - mean * target_mean
    c1, c2 = 0.01**2, 0.03**2
    similarity = (2 * mean * target_mean + c1) * (2 * covariance + c2)
    similarity = similarity / ((mean**2 + target_mean**2 + c1) * (variance + target_variance + c2))
    return float(1 - similarity.mean())


def _local_mean(x: Tensor) -> Tensor:
    return F.avg_pool2d(x, 7, stride=1)


def _edges(image: Tensor) -> Tensor:
    luminance = F.avg_pool2d((image * image.new_tensor([0.299, 0.587, 0.114])[:, None, None]).sum(1, keepdim=True), 2)
    padded = F.pad(luminance, (1, 1, 1, 1), "replicate")
    down = (padded[..., 2:, 1:-1] - padded[..., :-2, 1:-1]) / 2
    right = (padded[..., 1:-1, 2:] - padded[..., 1:-1, :-2]) / 2
    return (down.square() + right.square()).sqrt()
