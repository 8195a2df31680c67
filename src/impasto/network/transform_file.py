"""Networks that paint one style or a few, as files: safetensors, in half precision, and what they are in the header.

No code is ever read from such a file, and nothing is believed of it: names, shapes, sizes and numbers are checked.
"""

from __future__ import annotations

import json
import struct
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors

from impasto.errors import SettingsError, WeightsError
from impasto.network.transform import MOST_BLOCKS, MOST_PAINTINGS, WIDTHS, Shape, Transform

KEY = "impasto-style"  # of the header's metadata
VERSION = 1
MOST_BYTES = 64 * 2**20
MOST_HEADER = 2**20
LARGEST = 1e4  # of the weights' absolute values; beyond 65504 half precision has none
LONGEST_NAME, LONGEST_WORDS = 100, 1000  # characters, of a painting's name and of how a network was made


@dataclass(frozen=True)
class About:
    """What is known about a network besides its numbers.

    Attributes:
        names: of its paintings, in the order of the network's scales and shifts.
        strength: at which it paints them, 0 to 100.
        size: longer side in pixels of the pictures that it learnt on: strokes are as broad as in such a picture.
        steps: for how long it was taught.
        made: how, in words.
    """

    names: tuple[str, ...]
    strength: float = 50.0
    size: int = 512
    steps: int = 0
    made: str = ""


def name_of(painting: str) -> str:
    """The name of a painting as a network may say it: in one line, and shown as it is."""
    return "".join(c if c.isprintable() else "?" for c in painting)[:LONGEST_NAME]


def shares_in(path: Path, about: About, text: str) -> list[float]:
    """What of each of a network's paintings is asked for: "nocturne=70,wave=30", "nocturne", "" for equal parts of all.

    Raises:
        SettingsError: it has no such painting, or a share is no number, or all are 0.
    """
    shares = dict.fromkeys(about.names, 0.0 if text else 1.0)
    for part in text.split(",") if text else ():
        name, _, number = part.strip().rpartition("=") if "=" in part else (part.strip(), "", "1")
        if name not in shares:
            raise SettingsError(f"{path} has not learnt {name[:60]!r}; choose from: {', '.join(about.names)}")
        try:
            shares[name] = float(number)
        except ValueError:
            shares[name] = -1.0
        if not 0 <= shares[name] <= LARGEST:
            raise SettingsError(f"the share {number[:20]!r} of {name} is not from 0 to {LARGEST:g}; write {name}=70")
    if not any(shares.values()):
        raise SettingsError(f"{text!r} leaves no painting of {path}; give one of them more than 0")
    return [shares[name] for name in about.names]


def is_network(head: bytes) -> bool:
    """Whether a file that begins so may be a network: a safetensors file, of a header that may be read."""
    return len(head) > 8 and struct.unpack("<Q", head[:8])[0] <= MOST_HEADER and head[8:9] == b"{"


def to_bytes(network: Transform, about: About) -> bytes:
    """The file of a network."""
    tensors = {name: tensor.detach().half().contiguous() for name, tensor in network.state_dict().items()}
    return save_tensors(tensors, {KEY: json.dumps({"version": VERSION, **asdict(network.shape), **asdict(about)})})


def load_transform(path: Path) -> tuple[Transform, About]:
    """The network in a file, in single precision.

    Raises:
        WeightsError: the file is missing, too large, damaged, or something else.
    """
    try:
        size = path.stat().st_size
        if size > MOST_BYTES:
            raise WeightsError(f"{path} has {size:,} bytes; a style network has {MOST_BYTES:,} at most")
        data = path.read_bytes()
    except OSError as error:
        raise WeightsError(f"{path} cannot be read ({error.strerror})") from error
    shape, about = _described(path, data)
    try:
        tensors = load_tensors(data)
    except (SafetensorError, ValueError, KeyError, TypeError) as error:
        raise WeightsError(f"{path} is damaged: {error}") from error
    with torch.random.fork_rng(devices=[]):  # the weights that it is born with are random, and no concern of others
        network = Transform(shape)
    wanted = network.state_dict()
    for name in sorted({*wanted, *tensors}):
        if name not in wanted or name not in tensors or wanted[name].shape != tensors[name].shape:
            raise WeightsError(
                f"{path} is damaged: its tensor {name[:60]!r} is not that of the network it says it holds"
            )
        if not tensors[name].is_floating_point() or not bool((tensors[name].float().abs() < LARGEST).all()):
            raise WeightsError(f"{path} is damaged: its tensor {name!r} holds what is no number of a network")
    network.load_state_dict(tensors)
    return network.requires_grad_(False).eval(), about


def _described(path: Path, data: bytes) -> tuple[Shape, About]:
    """What the header says, checked before any tensor is made."""
    what = _header(data)
    if what is None:
        raise WeightsError(f"{path} is no safetensors file; give one that impasto train wrote")
    metadata = what.get("__metadata__")
    text = metadata.get(KEY) if isinstance(metadata, dict) else None
    if not isinstance(text, str):
        names = [name for name in what if name != "__metadata__"]
        first = f" (first tensor {names[0][:60]!r})" if names else ""
        raise WeightsError(f"{path} holds other tensors{first}, not a style; give a file that impasto train wrote")
    try:
        found = json.loads(text)
        if not isinstance(found, dict) or not isinstance(found.get("version"), int):
            raise ValueError("it has no version")
        if found["version"] > VERSION:
            raise WeightsError(
                f"{path} has version {found['version']} of the format; this impasto knows {VERSION}; update impasto"
            )
        return _checked(found)
    except (ValueError, TypeError, LookupError, RecursionError) as error:
        raise WeightsError(f"{path} is damaged: what it says about itself is wrong ({error})") from error


def _header(data: bytes) -> dict[str, Any] | None:
    """The JSON at the beginning of a safetensors file: its length in eight bytes, and the text."""
    if len(data) < 8:
        return None
    (length,) = struct.unpack("<Q", data[:8])
    if length > min(MOST_HEADER, len(data) - 8):
        return None
    try:
        found = json.loads(data[8 : 8 + length])
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _checked(found: dict[str, Any]) -> tuple[Shape, About]:
    """The shape and the rest, each of its type and within its limits."""
    shape = Shape(
        paintings=_whole(found, "paintings", 1, MOST_PAINTINGS),
        width=_whole(found, "width", *WIDTHS),
        blocks=_whole(found, "blocks", 0, MOST_BLOCKS),
        depthwise=found["depthwise"] is True,
        bridges=found.get("bridges") is True,  # the first networks had none, and did not say so
    )
    names, made = found["names"], found["made"]
    if not isinstance(names, list) or len(names) != shape.paintings or not isinstance(made, str):
        raise ValueError(f"it does not name {shape.paintings} paintings")
    if not all(isinstance(name, str) and name and name == name_of(name) for name in names):
        raise ValueError("a painting's name is no text of one line")
    if not made.isprintable() or len(made) > LONGEST_WORDS:
        raise ValueError("what it says about how it was made is no text of one line")
    strength = found["strength"]
    if not isinstance(strength, int | float) or not 0 < strength < 100:
        raise ValueError(f"strength {strength!r:.60}")
    size, steps = _whole(found, "size", 16, 2**16), _whole(found, "steps", 0, 2**40)
    return shape, About(tuple(names), float(strength), size, steps, made)


def _whole(found: dict[str, Any], name: str, low: int, high: int) -> int:
    value = found[name]
    if type(value) is not int or not low <= value <= high:
        raise ValueError(f"{name} {value!r:.60}")
    return value
