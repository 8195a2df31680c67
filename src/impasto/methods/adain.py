"""Style transfer in one pass: adaptive instance normalisation (Huang and Belongie 2017)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from impasto.network.decoder import REACH, Decoder
from impasto.network.layers import channels, reach, stride
from impasto.network.vgg import VGG19
from impasto.objective.moments import Moments
from impasto.objective.tiles import tiles

LAYER = "relu4_1"
STRIDE = stride(LAYER)
TILE = 1024  # px


def adain(content: Tensor, style: Moments, masks: Tensor | None = None) -> Tensor:
    """Features with the style's mean and deviation per channel (Huang and Belongie 2017, eq. 8), in each region.

    Args:
        content: (1, channels, height, width).
        style: moments of each region.
        masks: (regions, height, width), adding up to 1; None is one region.
    """
    normal = torch.zeros_like(content)
    for i, mask in enumerate(content.new_ones(1, *content.shape[-2:]) if masks is None else masks):
        share = mask / mask.sum().clamp(min=1e-6)
        mean = (content * share).sum((2, 3), keepdim=True)
        deviation = ((content - mean).square() * share).sum((2, 3), keepdim=True).sqrt() + 1e-5
        new_deviation, new_mean = style.deviation[i, :, None, None], style.mean[i, :, None, None]
        normal += mask * ((content - mean) / deviation * new_deviation + new_mean)
    return normal


@torch.no_grad()
def paint_instantly(
    network: VGG19,
    decoder: Decoder,
    content: Tensor,
    style: Moments,
    strength: float = 1.0,
    side: int | None = TILE,
    masks: Tensor | None = None,
) -> Tensor:
    """The content image with the style's feature statistics, decoded.

    In tiles, encoded and decoded each by itself, with the statistics of the whole image in between: the same picture.

    Args:
        network: with reflect padding, as the decoder was trained.
        decoder: of the same network.
        content: (1, 3, height, width) in [0, 1].
        style: moments of the painting's features at `LAYER`.
        strength: from 0, the photograph's own features, to 1.
        side: of a tile in pixels; None is whole.
        masks: (regions, height, width) of the content image, adding up to 1, if the style has several regions.

    Returns:
        Like `content`, in [0, 1].
    """
    height, width = content.shape[-2:]
    # the encoder rounds sizes down at each pooling: pad so that nothing is lost at the right and lower edge
    missing = (0, -width % STRIDE, 0, -height % STRIDE)
    padded = F.pad(content, missing, "replicate")
    if masks is not None:
        masks = F.avg_pool2d(F.pad(masks[None], missing, "replicate"), STRIDE)[0]
    features = _encode(network, padded, side)
    mixed = torch.lerp(features, adain(features, style, masks), strength)
    del features
    painted = torch.empty_like(padded)
    for tile in tiles(padded.shape[-2], padded.shape[-1], side, REACH):
        tile.core(tile.crop(painted)).copy_(tile.core(decoder(tile.crop(mixed, STRIDE))))
    return painted[..., :height, :width].clamp_(0, 1)


def _encode(network: VGG19, image: Tensor, side: int | None) -> Tensor:
    """Features at `LAYER` of an image whose sides are multiples of `STRIDE`."""
    height, width = image.shape[-2:]
    features = image.new_empty(1, channels(LAYER), height // STRIDE, width // STRIDE)
    for tile in tiles(height, width, side, reach([LAYER])):
        part = tile.core(network(tile.crop(image), [LAYER])[LAYER], STRIDE)
        tile.core(tile.crop(features, STRIDE), STRIDE).copy_(part)
    return features
