"""VGG-19's features by name ("relu4_2"), computed only as deep as asked (Simonyan and Zisserman 2015)."""

from __future__ import annotations

import copy
from collections.abc import Callable, Hashable, Iterable, Iterator
from typing import TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor

from impasto.network.convolution import DirectConvolution, WinogradConvolution
from impasto.network.layers import LAYERS, check_layers
from impasto.network.pooling import max_pool
from impasto.network.remembered import Remembered
from impasto.network.weights import VGGWeights

T = TypeVar("T")

POOLINGS: dict[str, Callable[[Tensor], Tensor]] = {"max": max_pool, "average": lambda x: F.avg_pool2d(x, 2)}
WINOGRAD = ("conv2_1", "conv2_2", "conv3_1", "conv3_2", "conv3_3", "conv3_4", "conv4_1", "conv4_2")
"""Convolutions that Winograd's method makes faster on a CPU: those of many channels.

Deeper ones would gain as well, but are only used on small images, and their transformed filters take 75 MB each.
"""


class VGG19:
    """The feature network, its weights fixed, on one device.

    Args:
        weights: of the convolutions, and the affine map from RGB in [0, 1] to the network's input.
        pooling: "max" as the network was trained, or "average" (Gatys et al. 2016, section 2: smoother pictures).
        padding: what lies beyond the border in front of each convolution: "zero" as the network was trained, or
            "replicate" or "reflect", or "circular", the other end of the image, for textures that repeat.
        device: where the features are computed.
        dtype: of the computation.
        winograd: compute the wide convolutions on a CPU with a quarter of the multiplications; False is the procedure
            of other implementations, for comparison.
    """

    def __init__(
        self,
        weights: VGGWeights,
        *,
        pooling: str = "max",
        padding: str = "zero",
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
        winograd: bool = True,
    ) -> None:
        self.pool = POOLINGS[pooling]
        self.padding = padding
        self.convolutions: dict[str, Callable[[Tensor, int], Tensor]] = {}
        self.widths: dict[str, int] = {}  # how many maps each has
        for name, (weight, bias) in weights.convolutions.items():
            weight, bias = weight.to(device, dtype), bias.to(device, dtype)
            self.widths[name] = len(bias)
            if winograd and weight.device.type == "cpu" and dtype == torch.float32 and name in WINOGRAD:
                self.convolutions[name] = WinogradConvolution(weight, bias)
            else:
                self.convolutions[name] = DirectConvolution(weight, bias)
        self.dtype, self.device = dtype, torch.device(device)
        full = torch.promote_types(dtype, torch.float32)  # 0 to 255 would lose levels in half precision
        self.normalised = weights.normalised
        self.input_matrix = weights.input_matrix.to(device, full)[:, :, None, None]
        self.input_bias = weights.input_bias.to(device, full)
        self._remembered = Remembered()

    def remember(self, what: Hashable, compute: Callable[[], T], size: Callable[[T], int]) -> T:
        """What was computed with this network before, or else is now, as `Remembered.get`: of paintings."""
        return self._remembered.get((self.pool, self.padding, what), compute, size)

    def varied(self, *, pooling: str, padding: str) -> VGG19:
        """The same network, its weights shared, with another pooling or padding."""
        other = copy.copy(self)
        other.pool, other.padding = POOLINGS[pooling], padding
        return other

    def forget_beyond(self, layers: Iterable[str]) -> None:
        """Give back memory that only layers deeper than these would use; they can still be asked for."""
        needed = self._order(set(layers))
        for name, convolution in self.convolutions.items():
            if name not in needed and isinstance(convolution, WinogradConvolution):
                convolution.forget()

    def channels(self, layer: str) -> int:
        """How many maps a rectified layer has."""
        return self.widths[layer.replace("relu", "conv")]

    def __call__(self, image: Tensor, layers: Iterable[str]) -> dict[str, Tensor]:
        """Features of an image.

        Args:
            image: (B, 3, height, width), sRGB in [0, 1].
            layers: names from `LAYERS`.

        Returns:
            For each layer, in the network's order, (B, channels, height / stride, width / stride) rounded down.

        Raises:
            SettingsError: a layer that VGG-19 does not have.
        """
        return dict(self.walk(image, layers))

    def walk(self, image: Tensor, layers: Iterable[str]) -> Iterator[tuple[str, Tensor]]:
        """The same, one layer after the other as they are computed.

        Autograd goes back in the opposite order: what is done with a layer before the next one is computed, is undone
        only when the way back has come to it, and holds no memory until then.
        """
        wanted = set(layers)
        check_layers(wanted)
        x = F.conv2d(image, self.input_matrix, self.input_bias)
        x = x.to(self.dtype).contiguous(memory_format=torch.channels_last)
        for name in self._order(wanted):
            x = self._layer(name, x, keep_input=name.replace("relu", "conv") in wanted)
            if name in wanted:
                yield name, x

    def _order(self, wanted: set[str]) -> list[str]:
        """The layers to compute."""
        order = LAYERS[: max(map(LAYERS.index, wanted), default=-1) + 1]
        if self.pool is max_pool:
            for i, name in enumerate(order[1:]):
                if name.startswith("pool") and not wanted & {name, order[i]}:
                    order[i : i + 2] = name, order[i]  # the greatest, then rectified: the same, of a quarter
        return order

    def _layer(self, name: str, x: Tensor, *, keep_input: bool) -> Tensor:
        if name.startswith("conv"):
            if self.padding == "zero":
                return self.convolutions[name](x, 1)
            # a map of one row has nothing to reflect
            x = F.pad(x, (1, 1, 1, 1), self.padding if min(x.shape[-2:]) > 1 else "replicate")
            return self.convolutions[name](x, 0)
        if name.startswith("relu"):
            return F.relu(x, inplace=not keep_input)
        return self.pool(x)
