"""From a network's file to one that others run: `impasto export`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from impasto.errors import ImpastoError
from impasto.images.writing import write_bytes
from impasto.network.models import Models
from impasto.network.onnx_graph import OPSET, PRECISIONS, differences, onnx_model, onnx_module
from impasto.network.transform import shares_of
from impasto.network.transform_file import shares_in

CHECKED = ((16, 17), (97, 130), (240, 319))  # heights and widths of the pictures that are compared
EXACT = 1e-4  # pixel values by which float32 may differ from PyTorch


@dataclass(frozen=True)
class Exported:
    """What was written.

    Attributes:
        output: the file.
        size: of it, in bytes.
        opset: of ONNX that it needs.
        precision: of its numbers.
        greatest, mean: difference of its pictures, by onnxruntime, from PyTorch's, in pixel values from 0 to 1.
    """

    output: Path
    size: int
    opset: int
    precision: str
    greatest: float
    mean: float


def export_file(
    style: tuple[Path, str],
    output: Path,
    models: Models,
    *,
    strength: float | None = None,
    precision: str = PRECISIONS[0],
) -> Exported:
    """Write a network for ONNX, run it by onnxruntime, and compare.

    Args:
        style: a network's file, and what of it is asked for (`impasto.images.gallery.network_file`).
        output: .onnx.
        models: reads the network.
        strength: at which it paints, 0 to 100; None for its own.
        precision: of the numbers, of `PRECISIONS`.

    Raises:
        ImpastoError: something the user can mend; or float32 differs by more than `EXACT`, and nothing is written.
    """
    if output.suffix.lower() != ".onnx":
        raise ImpastoError(f"output={output} must end in .onnx; give another name")
    for name in ("onnx", "onnxruntime"):
        onnx_module(name)
    path, asked = style
    network, about = models.transform(path)
    share = 1.0 if strength is None else min(1.0, strength / about.strength)
    shares = shares_of(shares_in(path, about, asked), share)
    data = onnx_model(network, shares, precision, f"impasto: {', '.join(about.names)}; {about.made}")
    greatest, mean = differences(network, shares, data, [_picture(*size) for size in CHECKED])
    if precision == PRECISIONS[0] and not greatest <= EXACT:
        raise ImpastoError(f"{output} was not written: its pictures differ from PyTorch's by {greatest:.2g}")
    write_bytes(output, data)
    return Exported(output, len(data), OPSET, precision, greatest, mean)


def _picture(height: int, width: int) -> Tensor:
    """(1, 3, height, width), smooth and random, the same every time."""
    random = torch.Generator().manual_seed(height)
    coarse = torch.rand(1, 3, height // 8 + 2, width // 8 + 2, generator=random)
    return interpolate(coarse, (height, width), mode="bicubic").clamp(0, 1)
