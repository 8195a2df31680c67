"""Colour transfer between images."""

from __future__ import annotations

import torch
from torch import Tensor

from impasto.moments import Moments, moments


def match_colors(image: Tensor, palette: Moments) -> Tensor:
    """Give an image the mean and covariance of other colours, moving its own as little as possible.

    The linear Monge-Kantorovich map (Pitié and Kokaram 2007, eq. 17): T = A^-½ (A^½ B A^½)^½ A^-½ for the covariances
    A of the image's colours and B of the palette's.

    Args:
        image: (1, 3, height, width) in [0, 1].
        palette: `color_moments` of the image whose colours are wanted.

    Returns:
        Like `image`, clipped to [0, 1]. A grey image has no colours to stretch: what is missing stays missing.
    """
    own = color_moments(image)
    root = matrix_root(own.covariance[0])
    inverse = torch.linalg.pinv(root, hermitian=True, rtol=1e-3)
    transport = inverse @ matrix_root(root @ palette.covariance[0] @ root) @ inverse
    offset = palette.mean[0] - transport @ own.mean[0]
    matched: Tensor = transport.to(image) @ image.flatten(2) + offset.to(image)[:, None]
    return matched.view_as(image).clamp_(0, 1)


def color_moments(image: Tensor) -> Moments:
    """Moments of an image's colours, on the CPU in float64: nine numbers are not worth a device's rounding."""
    return moments(image.cpu().double())


def matrix_root(matrix: Tensor) -> Tensor:
    """Symmetric square root of a positive semi-definite matrix."""
    values, vectors = torch.linalg.eigh(matrix)
    root: Tensor = vectors * values.clamp(min=0).sqrt() @ vectors.mT
    return root
