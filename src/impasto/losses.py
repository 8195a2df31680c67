"""How far an output is from the content image and from the style: the paper's losses, as functions.

They know tensors and moments, not networks.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from impasto.moments import Moments


def content_loss(features: Tensor, target: Tensor) -> Tensor:
    """Squared distance of two feature maps, summed over their entries (twice eq. 1 of Gatys et al. 2016)."""
    return (features - target).square().sum()


def gram_loss(output: Moments, style: Moments) -> Tensor:
    """Mean squared distance of Gram matrices (Gatys et al. 2016, eq. 4), averaged over regions.

    Differs from the paper: Gram matrices are averages over positions instead of sums, and the mean over the N²
    entries replaces 1 / (4 N² M²).
    """
    return (output.gram - style.gram).square().mean()


def gram_size(style: Moments) -> Tensor:
    """Mean square of the painting's Gram matrix: what `gram_loss` is relative to."""
    return style.gram.square().mean()


StyleLoss = Callable[[Moments, Moments], Tensor]

STYLE_LOSSES: dict[str, tuple[StyleLoss, Callable[[Moments], Tensor]]] = {
    "gram": (gram_loss, gram_size),
}
"""Each style loss with the size of its target, by which it is divided so that paintings and layers compare."""


def total_variation(image: Tensor) -> tuple[Tensor, Tensor]:
    """Squared differences of each pixel to its neighbours below and on the right (Mahendran and Vedaldi 2015, β = 2).

    Returns:
        (1, 3, height - 1, width) and (1, 3, height, width - 1); their sum says how rough an image is.
    """
    down = image[..., 1:, :] - image[..., :-1, :]
    right = image[..., 1:] - image[..., :-1]
    return down.square(), right.square()
