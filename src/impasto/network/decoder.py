"""The decoder of AdaIN (Huang and Belongie 2017): from features back to a picture."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

UPSAMPLE_AFTER = (0, 4, 6)
"""The decoder mirrors the encoder: it doubles the size after these of its nine convolutions."""
REACH = 30  # px that its convolutions see to each side: 8 + 4 * 4 + 2 * 2 + 2 * 1


class Decoder:
    """The trained inverse of VGG-19 up to relu4_1.

    Args:
        convolutions: weight and bias of the nine 3x3 convolutions, in order.
        device: where to compute.
    """

    def __init__(self, convolutions: Sequence[tuple[Tensor, Tensor]], *, device: torch.device | str = "cpu") -> None:
        self.convolutions = [
            (weight.to(device, memory_format=torch.channels_last), bias.to(device)) for weight, bias in convolutions
        ]

    @torch.no_grad()
    def __call__(self, features: Tensor) -> Tensor:
        """Image (B, 3, 8 h, 8 w) of features (B, 512, h, w); not clipped."""
        x = features.contiguous(memory_format=torch.channels_last)
        for number, (weight, bias) in enumerate(self.convolutions):
            x = F.conv2d(F.pad(x, (1, 1, 1, 1), "reflect"), weight, bias)
            if number < len(self.convolutions) - 1:
                x = F.relu_(x)
            if number in UPSAMPLE_AFTER:
                x = F.interpolate(x, scale_factor=2, mode="nearest")
        return x
