"""Where the painting of a scale starts: the photograph in the painting's colours, new detail, or noise."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from impasto.images.color import color_moments, match_regions
from impasto.images.reading import resize
from impasto.methods.styles import StyleImage
from impasto.objective.moments import blend

FULL_COLOR = 50.0  # the strength from which on the picture starts in the painting's colours


def in_colors_of(styles: Sequence[StyleImage], content: Tensor, regions: Tensor | None, strength: float) -> Tensor:
    """The content image in the paintings' colours; a weak style moves them a part of the way."""
    palette = blend([color_moments(style.image, style.masks) for style in styles], [style.share for style in styles])
    return torch.lerp(content, match_regions(content, palette, regions), min(1.0, strength / FULL_COLOR))


def with_detail_of(detailed: Tensor, image: Tensor) -> Tensor:
    """A smaller image enlarged to the size of a detailed one, with the detail that enlarging cannot give."""
    height, width = detailed.shape[-2:]
    coarse = resize(resize(detailed, image.shape[-2], image.shape[-1]), height, width)
    return (resize(image, height, width) + detailed - coarse).clamp_(0, 1)


def noise(like: Tensor, seed: int) -> Tensor:
    """Uniform noise in [0, 1], the same on every device."""
    return torch.rand(like.shape, generator=torch.Generator().manual_seed(seed)).to(like.device)
