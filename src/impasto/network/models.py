"""The networks, read, checked by hash and built once: whoever paints many pictures keeps one `Models`."""

from __future__ import annotations

import threading
from functools import cached_property
from pathlib import Path

import torch

from impasto.network.decoder import Decoder
from impasto.network.transform import Transform
from impasto.network.transform_file import About, load_transform
from impasto.network.vgg import VGG19
from impasto.network.weights import VGGWeights, load_decoder, load_vgg

TRANSFORMS = 8  # networks that paint, kept at once


class Models:
    """VGG-19 and AdaIN's decoder, on whichever devices they are asked for. Threads may share it.

    Args:
        weights: file of VGG-19's weights (`impasto.network.weights.load_vgg`), or the weights themselves; None for the
            installed ones. Nothing is read before a network is asked for.
    """

    def __init__(self, weights: str | Path | VGGWeights | None = None) -> None:
        self.source = weights
        self._networks: dict[tuple[torch.device, torch.dtype, bool], VGG19] = {}
        self._decoders: dict[torch.device, Decoder] = {}
        self._transforms: dict[tuple[Path, torch.device], tuple[float, Transform, About]] = {}
        self._lock = threading.RLock()

    @cached_property
    def weights(self) -> VGGWeights:
        """VGG-19's weights as their file has them.

        Raises:
            WeightsError: there are none, or they are damaged or of another network.
        """
        return self.source if isinstance(self.source, VGGWeights) else load_vgg(self.source)

    def vgg(
        self,
        device: torch.device | str = "cpu",
        *,
        pooling: str = "max",
        padding: str = "zero",
        precision: str = "float32",
        winograd: bool = True,
    ) -> VGG19:
        """The feature network; arguments as of `VGG19`, `precision` a name of its `dtype`. Errors as `weights`."""
        dtype: torch.dtype = getattr(torch, precision)
        key = torch.device(device), dtype, winograd
        with self._lock:
            if key not in self._networks:
                self._networks[key] = VGG19(self.weights, device=key[0], dtype=dtype, winograd=winograd)
            return self._networks[key].varied(pooling=pooling, padding=padding)

    def decoder(self, device: torch.device | str = "cpu") -> Decoder | None:
        """The decoder of features at relu4_1; None where it does not fit VGG-19's weights. Errors as `weights`."""
        place = torch.device(device)
        with self._lock:
            if not self.weights.normalised:
                return None
            if place not in self._decoders:
                self._decoders[place] = Decoder(load_decoder(), device=place)
            return self._decoders[place]

    def transform(self, path: Path, device: torch.device | str = "cpu") -> tuple[Transform, About]:
        """A network that has learnt a style (`impasto train`), from its file; read again when the file has changed.

        Raises:
            WeightsError: the file is missing, damaged, or something else.
        """
        key = path.absolute(), torch.device(device)
        changed = path.stat().st_mtime if path.is_file() else 0.0
        with self._lock:
            if key not in self._transforms or self._transforms[key][0] != changed:
                network, about = load_transform(path)
                self._transforms[key] = changed, network.to(key[1]), about
                for old in list(self._transforms)[:-TRANSFORMS]:
                    del self._transforms[old]
            return self._transforms[key][1:]
