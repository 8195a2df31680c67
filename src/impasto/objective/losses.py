"""How far an output is from the content image and from the style: the paper's losses, as functions.

They know tensors and moments, not networks.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from impasto.errors import SettingsError
from impasto.network.layers import check_layers
from impasto.objective.moments import Moments


def content_loss(features: Tensor, target: Tensor) -> Tensor:
    """Squared distance of two feature maps, summed over their entries (twice eq. 1 of Gatys et al. 2016)."""
    return (features - target).square().sum()


def gram_loss(output: Moments, style: Moments) -> Tensor:
    """Mean squared distance of Gram matrices (Gatys et al. 2016, eq. 4), for each region.

    Differs from the paper: Gram matrices are averages over positions instead of sums, and the mean over the N²
    entries replaces 1 / (4 N² M²).
    """
    return (output.gram - style.gram).square().mean((1, 2))


def gram_size(style: Moments) -> Tensor:
    """Mean square of the painting's Gram matrix: what `gram_loss` is relative to."""
    return style.gram.square().mean((1, 2))


def deviation_loss(output: Moments, style: Moments) -> Tensor:
    """Squared distances of each channel's mean and standard deviation, summed (Li et al. 2017, Demystifying Neural
    Style Transfer, eq. 13; Huang and Belongie 2017, eq. 13 without their square roots), for each region.

    Differs from the papers: deviations count from a thousandth of the style's features' size, below which their
    gradient has no bound.
    """
    least = (1e-6 * square_size(style) / style.first.shape[1]).clamp(min=1e-12)[:, None]
    deviations = [m.covariance.diagonal(dim1=1, dim2=2).clamp(min=0).add(least).sqrt() for m in (output, style)]
    return (output.mean - style.mean).square().sum(1) + (deviations[0] - deviations[1]).square().sum(1)


def wasserstein_loss(output: Moments, style: Moments) -> Tensor:
    """Squared 2-Wasserstein distance of the normal distributions with the features' means and covariances, for each
    region (Olkin and Pukelsheim 1982): |μ − ν|² + tr A + tr B − 2 tr (B^½ A B^½)^½.

    Both covariances A and B have 10⁻⁴ of the style's mean variance added on their diagonals, without which the
    gradient has no bound where features do not vary. With B = L Lᵀ the matrix Lᵀ A L has the same eigenvalues as
    that under the root, and the gradient of their roots is stable even where they coincide. In float64: the terms
    nearly cancel.
    """
    a, b = (_exact(m.covariance) for m in (output, style))
    least = 1e-4 * b.diagonal(dim1=1, dim2=2).mean(1).clamp(min=1e-12)[:, None, None]
    ridge = least * torch.eye(b.shape[-1], dtype=b.dtype, device=b.device)
    factor, failed = torch.linalg.cholesky_ex(b + ridge)
    while failed.any() and ridge.isfinite().all():  # a flat painting's variances are smaller than their rounding
        ridge = 10 * ridge
        factor, failed = torch.linalg.cholesky_ex(b + ridge)
    a = a + ridge
    roots = torch.linalg.eigvalsh(factor.mT @ a @ factor).clamp(min=1e-24).sqrt()
    traces = (a + b + ridge).diagonal(dim1=1, dim2=2).sum(1)
    gap = (_exact(output.mean) - _exact(style.mean)).square().sum(1)
    distance: Tensor = gap + traces - 2 * roots.sum(1)
    return distance.clamp(min=0).to(output.second)


def square_size(style: Moments) -> Tensor:
    """Mean squared length of the painting's feature vectors: what distances of features are relative to."""
    return style.gram.diagonal(dim1=1, dim2=2).sum(1)


def _exact(x: Tensor) -> Tensor:
    """In float64, on the CPU where the device has none."""
    return (x.cpu() if x.device.type == "mps" else x).double()


@dataclass(frozen=True)
class StyleLoss:
    """How far an output is from a style, as a function of their moments.

    Attributes:
        distance: of an output's moments to a style's, (regions,).
        size: of a style's moments, (regions,): distances are divided by it so that paintings and layers compare.
        balance: by which it is multiplied so that one strength keeps the photograph about as well with every loss;
            from the held-out content distances in docs/controls.md.
    """

    distance: Callable[[Moments, Moments], Tensor]
    size: Callable[[Moments], Tensor]
    balance: float


STYLE_LOSSES = {
    "gram": StyleLoss(gram_loss, gram_size, balance=1.0),
    "deviation": StyleLoss(deviation_loss, square_size, balance=4.0),
    "wasserstein": StyleLoss(wasserstein_loss, square_size, balance=0.5),
}


@dataclass(frozen=True)
class Loss:
    """A term of one's own in what is minimised, beside content and style; autograd finds its gradient.

        def dark(image, features, photograph):
            return image.mean()

        impasto.paint("photo.jpg", "nocturne", losses=[impasto.Loss("dark", dark, weight=0.2)])

    Args:
        name: of the term, in `Progress.losses`.
        function: of the image (1, 3, height, width) in [0, 1], some pixels larger than the picture; of the features of
            `layers` by name, (1, channels, height / stride, width / stride); and of the photograph at the image's size,
            in the colours in which it is painted. Gives a number as a tensor, at every scale.
        weight: where content and style together weigh 1 and each is relative to its target.
        layers: of VGG-19, whose features the function wants.

    Raises:
        SettingsError: a name that is taken, a weight that is no number, a layer that VGG-19 does not have.
    """

    name: str
    function: Callable[[Tensor, Mapping[str, Tensor], Tensor], Tensor]
    weight: float = 1.0
    layers: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.name in TERMS:
            raise SettingsError(f"a loss may not have the name {self.name!r}, which is taken; choose another")
        if not math.isfinite(self.weight):
            raise SettingsError(f"the loss {self.name!r} has the weight {self.weight}; give a number")
        object.__setattr__(self, "layers", tuple(self.layers))
        check_layers(self.layers)

    def __call__(self, image: Tensor, features: Mapping[str, Tensor], photograph: Tensor) -> Tensor:
        """The weighted term.

        Raises:
            SettingsError: the function gives something else than a number as a tensor.
        """
        wanted = {layer: features[layer].to(image.dtype) for layer in self.layers}
        term = self.function(image, wanted, photograph)
        if not isinstance(term, Tensor) or term.numel() != 1:
            given = f"a tensor of shape {tuple(term.shape)}" if isinstance(term, Tensor) else f"a {type(term).__name__}"
            raise SettingsError(f"the loss {self.name!r} gives {given}; a tensor with one number is needed")
        return self.weight * term.reshape(())


TERMS = ("content", "style", "smoothness", "lines", "matched", "colors", "total")
"""Names of the terms that are there without a loss of one's own."""

COLOR_BOXES = 64  # boxes, about, along a picture's longer side, by which colours are blurred,
MOST_COLOR_BOX = 16  # px,
COLOR_BLURS = 3  # times: smoothly, since an optimiser paints the corners of one box as a grid
BOX_CELLS = 4  # along a box, where there are pixels enough
COLORS_SEE = COLOR_BLURS * MOST_COLOR_BOX  # px beyond its own that a tile must see
LEAST_VARIANCE = 1e-3  # of colours, by which distances of colours are divided: less of it is none

LINE_CELLS = (4, 16)
"""Pixels of the cells whose Laplacian is kept: lines, and the shapes between them (Li et al. 2017, section 5)."""


def color_cells(height: int, width: int) -> tuple[int, int]:
    """How `blurred_colors` are taken at a size: the side of a cell in pixels, and how many of them a box is long.

    Cells are powers of two, so that tiles begin with one.
    """
    box: int = 2 ** round(math.log2(max(height, width) / COLOR_BOXES))
    box = min(max(1, box), MOST_COLOR_BOX)
    cell = max(1, box // BOX_CELLS)
    return cell, max(2, box // cell)


def has_blurred_colors(image: Tensor, cell: int, box: int) -> bool:
    """Whether `blurred_colors` has a position in an image."""
    return min(image.shape[-2:]) >= COLOR_BLURS * cell * box


def blurred_colors(image: Tensor, cell: int, box: int) -> Tensor:
    """An image's colours without its strokes: means of cells, blurred by boxes of so many of them.

    Args:
        image: (1, 3, height, width).
        cell: side of a cell in pixels.
        box: cells along a box.

    Returns:
        (1, 3, height / cell, width / cell), rounded down, less `COLOR_BLURS` · (box - 1) each: those whose blur lies
        within the image. A position begins where its cell does, and sees what is right of it and below.
    """
    means = F.avg_pool2d(image, cell)
    for _ in range(COLOR_BLURS):
        means = F.avg_pool2d(means, box, 1)
    return means


def laplacian(image: Tensor, cell: int) -> Tensor:
    """How much lighter each cell of an image is than its neighbours (Li et al. 2017, Laplacian-Steered Neural Style
    Transfer, eq. 4 and 5): what lines are made of.

    Differs from the paper: of the mean of the three channels, since colours are the painting's; and the cells along
    the border have themselves as neighbours there, since zeros would be a dark frame.

    Args:
        image: (1, 3, height, width).
        cell: side of the square cells in pixels.

    Returns:
        (1, 1, height / cell, width / cell), rounded down.
    """
    cells = F.pad(F.avg_pool2d(image.mean(1, keepdim=True), cell), (1, 1, 1, 1), "replicate")
    own = cells[..., 1:-1, 1:-1]
    return 4 * own - cells[..., :-2, 1:-1] - cells[..., 2:, 1:-1] - cells[..., 1:-1, :-2] - cells[..., 1:-1, 2:]


def total_variation(image: Tensor) -> tuple[Tensor, Tensor]:
    """Squared differences of each pixel to its neighbours below and on the right (Mahendran and Vedaldi 2015, β = 2).

    Returns:
        (1, 3, height - 1, width) and (1, 3, height, width - 1); their sum says how rough an image is.
    """
    down = image[..., 1:, :] - image[..., :-1, :]
    right = image[..., 1:] - image[..., :-1]
    return down.square(), right.square()
