"""The layers of VGG-19 (Simonyan and Zisserman 2014, table 1, column E): their names, sizes and what they see.

No torch is needed to know them.
"""

from __future__ import annotations

from collections.abc import Iterable

from impasto.errors import SettingsError

BLOCKS = ((64, 2), (128, 2), (256, 4), (512, 4), (512, 4))
"""Channels and convolutions of the five blocks."""


def _layer_names() -> list[str]:
    names = []
    for block, (_, count) in enumerate(BLOCKS, start=1):
        for number in range(1, count + 1):
            names += [f"conv{block}_{number}", f"relu{block}_{number}"]
        names.append(f"pool{block}")
    return names


LAYERS = _layer_names()
"""conv1_1, relu1_1, conv1_2, ..., relu5_4, pool5, in the order in which they are computed."""


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
