"""VGG-19's features by name ("relu4_2"), computed only as deep as asked (Simonyan and Zisserman 2015)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

from impasto.errors import SettingsError
from impasto.network.convolution import DirectConvolution, WinogradConvolution
from impasto.network.pooling import max_pool
from impasto.network.weights import BLOCKS, VGGWeights


def _layer_names() -> list[str]:
    names = []
    for block, (_, count) in enumerate(BLOCKS, start=1):
        for number in range(1, count + 1):
            names += [f"conv{block}_{number}", f"relu{block}_{number}"]
        names.append(f"pool{block}")
    return names


LAYERS = _layer_names()
"""conv1_1, relu1_1, conv1_2, ..., relu5_4, pool5, in the order in which they are computed."""

POOLINGS: dict[str, Callable[[Tensor], Tensor]] = {"max": max_pool, "average": lambda x: F.avg_pool2d(x, 2)}
WINOGRAD = ("conv2_1", "conv2_2", "conv3_1", "conv3_2", "conv3_3", "conv3_4", "conv4_1", "conv4_2")
"""Convolutions that Winograd's method makes faster on a CPU: those of many channels.

Deeper ones would gain as well, but are only used on small images, and their transformed filters take 75 MB each.
"""


def stride(layer: str) -> int:
    """How many pixels apart the positions of a layer's feature map are."""
    return int(2 ** (_block(layer) if layer.startswith("pool") else _block(layer) - 1))


def channels(layer: str) -> int:
    """How many maps a layer has."""
    return BLOCKS[_block(layer) - 1][0]


def _block(layer: str) -> int:
    return int(next(character for character in layer if character.isdigit()))


def reach(layers: Iterable[str]) -> int:
    """How many pixels beyond its own a position of the deepest layer depends on, on each side."""
    deepest = max((LAYERS.index(layer) for layer in layers), default=0)
    return sum(stride(layer) for layer in LAYERS[: deepest + 1] if layer.startswith("conv"))


def check_layers(layers: Iterable[str]) -> None:
    """Refuse names that are no layers.

    Raises:
        SettingsError: a layer that VGG-19 does not have.
    """
    if unknown := set(layers).difference(LAYERS):
        raise SettingsError(f"VGG-19 has no layer {min(unknown)!r}; choose from: {', '.join(LAYERS)}")


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
        self.convolutions: dict[str, Callable[[Tensor], Tensor]] = {}
        for name, (weight, bias) in weights.convolutions.items():
            weight, bias = weight.to(device, dtype), bias.to(device, dtype)
            around = 1 if padding == "zero" else 0
            if winograd and weight.device.type == "cpu" and dtype == torch.float32 and name in WINOGRAD:
                self.convolutions[name] = WinogradConvolution(weight, bias, padding=around)
            else:
                self.convolutions[name] = DirectConvolution(weight, bias, padding=around)
        self.dtype, self.device = dtype, torch.device(device)
        full = torch.promote_types(dtype, torch.float32)  # 0 to 255 would lose levels in half precision
        self.normalised = weights.normalised
        self.input_matrix = weights.input_matrix.to(device, full)[:, :, None, None]
        self.input_bias = weights.input_bias.to(device, full)

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
            if self.padding != "zero":
                # a map of one row has nothing to reflect
                x = F.pad(x, (1, 1, 1, 1), self.padding if min(x.shape[-2:]) > 1 else "replicate")
            return self.convolutions[name](x)
        if name.startswith("relu"):
            return F.relu(x, inplace=not keep_input)
        return self.pool(x)
